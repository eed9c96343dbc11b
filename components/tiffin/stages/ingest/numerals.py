"""Columns of numbers: their type, the marks their numbers are written with, and the values that are no numbers."""

from dataclasses import dataclass

import duckdb

from tiffin.recipe import patterns
from tiffin.recipe.sql import quoted_name
from tiffin.stages.ingest import forms
from tiffin.stages.ingest.conversions import (
    Conversion,
    Remark,
    Rules,
    as_text,
    counted,
    declared,
    missing_words,
    remark,
)
from tiffin.stages.ingest.forms import PLAIN, NumberForm, full
from tiffin.stages.ingest.profiles import Found, Profile
from tiffin.stages.ingest.sources import ROW

# Values that are not numbers, and that no program breaks a number into.
_OTHERS = ("text", "boolean", "date", "moment", "zoned", "bad date", "local date", "short date", "cut date")


@dataclass(frozen=True)
class Marks:
    """The form of a column's numbers, found from all of them.

    Attributes:
        form: Decimal and thousands marks.
        fractions: Number of values with a fraction.
        others: Number of numbers in another form.
        problem: Why the numbers cannot be read; empty if they can.
        guessed: Whether the numbers could also be read in another form.
    """

    form: NumberForm
    fractions: int = 0
    others: int = 0
    problem: str = ""
    guessed: bool = False


def number_column(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules) -> Conversion:
    """Return the conversion of a column most of whose values are numbers: numbers, or text if a value is none."""
    if odd := _not_numbers(profile):
        return as_text(connection, profile, rules, [odd])
    marks = find_marks(connection, profile, rules)
    if marks.problem:
        text = f"is text: {marks.problem}, first {{first}}. Set decimal and thousands to read numbers."
        return as_text(
            connection, profile, rules, [remark(profile, "UNCLEAR_NUMBERS", text, profile.first("local", "fraction"))]
        )
    points = profile.count("point")
    broken = profile.count("broken") + marks.others + (points if points <= rules.few else 0)
    if broken > rules.few:
        first = profile.first(*(kind for kind in ("broken", "point", "local") if profile.count(kind)))
        return as_text(
            connection, profile, rules, [_mixed(profile, Found(broken, first.row, first.example), "broken numbers")]
        )
    fraction = profile.count("exponent", "signed exponent", "code exponent", "infinite") + marks.fractions
    fraction += points if points > rules.few else 0
    if profile.count("big") and not fraction:
        setting = declared(profile.name, "integer")
        text = f"is text: {{count}} integers are beyond 2^53, first {{first}}. Set {setting} for numbers."
        return as_text(connection, profile, rules, [remark(profile, "LARGE_INTEGERS", text, profile.first("big"))])
    type_ = "DOUBLE" if fraction else "BIGINT"
    test, remarks = missing_words(connection, profile, rules, infinite=True)
    column = quoted_name(profile.name)
    plain = _plain(points > rules.few)
    if marks.form != PLAIN or profile.count("local") > marks.others:
        value = f"WHEN {full(column, marks.form.pattern)} THEN {marks.form.value(column, type_)}"
        if marks.form.decimal == ".":
            value += f" WHEN {full(column, plain)} THEN TRY_CAST({column} AS {type_})"
        value = f"CASE {value} END"
        remarks.append(_converted(connection, profile, marks, value))
    else:
        value = f"TRY_CAST({column} AS {type_})"
        if test != "false" or broken:
            value = f"CASE WHEN {full(column, plain)} THEN {value} END"
    return Conversion(profile.name, type_, value, test, "a number" if broken else "", tuple(remarks), marks.form)


def typed_number(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules, type_: str) -> Conversion:
    """Return the conversion of a column that the user declared as `integer` or `float`."""
    column = quoted_name(profile.name)
    marks = find_marks(connection, profile, rules)
    test, remarks = missing_words(connection, profile, rules, infinite=type_ == "float")
    number = f"TRY_CAST({column} AS DOUBLE)"
    value = f"CASE WHEN {full(column, patterns.ANY_NUMBER)} AND isfinite({number}) THEN {number} END"
    if marks.form != PLAIN or profile.count("local"):
        value = f"CASE WHEN {full(column, marks.form.pattern)} THEN {marks.form.value(column, 'DOUBLE')} END"
        remarks.append(_converted(connection, profile, marks, value))
    if type_ == "float":
        return Conversion(profile.name, "DOUBLE", value, test, "a number", tuple(remarks), marks.form)
    whole = f"CASE WHEN ({value}) = floor({value}) AND abs({value}) < {1 << 53} THEN CAST({value} AS BIGINT) END"
    # The digits of a large integer are read directly: a float would round them.
    value = f"CASE WHEN {full(column, forms.ANY_INTEGER)} THEN TRY_CAST({column} AS BIGINT) ELSE {whole} END"
    return Conversion(profile.name, "BIGINT", value, test, "an integer", tuple(remarks), marks.form)


def find_marks(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules) -> Marks:
    """Return how the numbers of a column are written."""
    fractions = profile.count("fraction")
    tried = rules.forms
    if not profile.count("local") and (PLAIN in tried or not fractions or tried[0].decimal == "."):
        return Marks(PLAIN, fractions)
    column = quoted_name(profile.name)
    total = profile.count("integer", "big", "fraction", "local")
    counts = connection.execute(
        f"SELECT {', '.join(f'count(*) FILTER ({full(column, form.pattern)})' for form in tried)} FROM {profile.relation}"
    ).fetchall()[0]
    best = max(counts)
    fitting = [form for form, count in zip(tried, counts, strict=True) if count == best]
    form, guessed = _choose(fitting, rules)
    if total - best > rules.few or (form.decimal != "." and profile.count("exponent", "signed exponent", "point")):
        return Marks(form, problem="the numbers have different decimal or thousands marks")
    return _checked(connection, profile, form, best, total - best, guessed, rules)


def _choose(fitting: list[NumberForm], rules: Rules) -> tuple[NumberForm, bool]:
    """Return the most usual of the fitting forms, and whether `1,234` could also be 1.234."""
    groups, decimals = NumberForm(".", ","), NumberForm(",", "")
    if fitting[0] != groups or decimals not in fitting:
        return fitting[0], False
    return (decimals if rules.decimal == "," else groups), True


def _checked(
    connection: duckdb.DuckDBPyConnection,
    profile: Profile,
    form: NumberForm,
    total: int,
    others: int,
    guessed: bool,
    rules: Rules,
) -> Marks:
    """Return the marks, or the problem, of numbers that fit a form."""
    column = quoted_name(profile.name)
    digits = f"length(regexp_replace({column}, '[^0-9]', '', 'g'))"
    fractions, percents, negatives, currencies, shortest, longest = connection.execute(
        f"SELECT count(*) FILTER (contains({column}, '{form.decimal}')), count(*) FILTER (contains({column}, '%')), "
        f"count(*) FILTER (contains({column}, '(')), list(DISTINCT regexp_extract({column}, '{patterns.CURRENCY}')), "
        f"min({digits}), max({digits}) FROM {profile.relation} WHERE {full(column, form.pattern)}"
    ).fetchall()[0]
    found_currencies = sorted(mark for mark in currencies or () if mark)
    problem = ""
    if len(found_currencies) > 1:
        problem = f"the amounts have different currencies, {', '.join(found_currencies)}"
    elif 0 < percents < total:
        problem = f"{percents} of {total} numbers have a percent sign"
    elif negatives * 2 > total:
        problem = "most numbers are in parentheses"
    elif not rules.reading.thousands and form.thousands == "." and not fractions:
        problem = "the points between groups of three digits may be parts of a code"
    elif not rules.reading.thousands and form.thousands == " " and not fractions and shortest == longest:
        problem = "groups of digits of one length may be a code"
    return Marks(form, fractions, others, problem, guessed)


def _not_numbers(profile: Profile) -> Remark | None:
    """Return why a column of numbers is text; None if it is not."""
    whole = not profile.count("fraction", "exponent", "signed exponent", "code exponent")
    numbers = declared(profile.name, "integer" if whole else "float")
    if profile.count(*_OTHERS):
        return _mixed(profile, profile.first(*_OTHERS), "not numbers")
    if profile.count("padded"):
        text = f"is text: {{count}} of {profile.words} values start with 0, first {{first}}. Set {numbers} to read numbers."
        return remark(profile, "LEADING_ZEROS", text, profile.first("padded"))
    codes = ["plus"]
    if not profile.count("exponent"):
        codes += ["code exponent", *([] if profile.count("fraction") else ["signed exponent"])]
    if profile.count(*codes):
        text = f"is text: {{count}} of {profile.words} values look like codes, first {{first}}. Set {numbers} to read numbers."
        return remark(profile, "CODES_KEPT", text, profile.first(*codes))
    return None


def _mixed(profile: Profile, odd: Found, what: str) -> Remark:
    text = (
        f"is text: {{count}} of {profile.words} values are {what}, first {{first}}. "
        f"Set {declared(profile.name, 'float')} to set those rows aside."
    )
    return remark(profile, "MIXED_VALUES", text, odd)


def _converted(connection: duckdb.DuckDBPyConnection, profile: Profile, marks: Marks, value: str) -> Remark:
    kinds = [kind for kind in ("local", *(["fraction"] if marks.form.decimal != "." else [])) if profile.count(kind)]
    first = profile.first(*kinds)
    became = connection.execute(f"SELECT {value} FROM {profile.relation} WHERE {ROW} = {first.row}").fetchall()[0][0]
    thousands = f", thousands mark '{marks.form.thousands}'" if marks.form.thousands else ""
    guess = " The marks could also be decimal marks; set decimal." if marks.guessed and marks.form.thousands else ""
    guess = guess or (" The marks could also be thousands marks; set thousands." if marks.guessed else "")
    text = (
        f"{counted(first.count - marks.others, 'value')} read as numbers with decimal mark '{marks.form.decimal}'{thousands}: "
        f"'{first.example}' became {became}.{guess}"
    )
    return remark(profile, "CONVERTED", text, first, place=False)


def _plain(points: bool) -> str:
    """Return the regular expression of numbers in plain form."""
    shapes = [
        forms.INTEGER,
        forms.LONG_INTEGER,
        forms.FRACTION,
        forms.EXPONENT,
        forms.SIGNED_EXPONENT,
        forms.CODE_EXPONENT,
    ]
    return "|".join([*shapes, *([forms.TRAILING_POINT] if points else [])])
