"""Columns of dates and booleans: the form of the dates, and the values that are none."""

import duckdb

from tiffin.errors import InputError
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
from tiffin.stages.ingest.forms import DateForm, full
from tiffin.stages.ingest.profiles import DATES, Found, Profile
from tiffin.stages.ingest.sources import ROW

# Kinds of values that a broken date may have.
_BROKEN = ("bad date", "cut date", "broken")
_ANY_DATE = "|".join((forms.ISO, forms.LOCAL_DATE, forms.SHORT_DATE, forms.CUT_DATE, forms.BROKEN))


def date_column(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules) -> Conversion:
    """Return the conversion of a column most of whose values are dates: dates, or text if a value is none."""
    column = quoted_name(profile.name)
    iso, local = profile.count(*DATES), profile.count("local date")
    known = ("empty", "missing", *_BROKEN, *(DATES if iso >= local else ("local date",)))
    if odd := [kind for kind in profile.kinds if kind not in known]:
        return as_text(connection, profile, rules, [_mixed(profile, profile.first(*odd))])
    if iso:
        broken = profile.count(*_BROKEN)
        if broken > rules.few:
            return as_text(connection, profile, rules, [_mixed(profile, profile.first(*_present(profile)))])
        type_ = "DATE" if profile.count("date") == iso else "TIMESTAMP"
        type_ = "TIMESTAMP WITH TIME ZONE" if profile.count("zoned") else type_
        value = f"TRY_CAST({column} AS {type_})"
        test, remarks = missing_words(connection, profile, rules)
        if test != "false" or broken:
            value = f"CASE WHEN {full(column, forms.ISO)} THEN {value} END"
        return Conversion(profile.name, type_, value, test, "a date" if broken else "", tuple(remarks))
    fitting, count = _fitting(connection, profile)
    broken = profile.count(*_BROKEN) + local - count
    if broken > rules.few:
        return as_text(connection, profile, rules, [_mixed(profile, profile.first("local date", *_present(profile)))])
    if len(fitting) > 1:
        return as_text(connection, profile, rules, [_ambiguous(profile, fitting)])
    return _in_form(connection, profile, rules, fitting[0], broken)


def format_column(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules) -> Conversion | None:
    """Return the conversion of a column whose values have the user's `date_format`; None if less than half of them have."""
    column, format_ = quoted_name(profile.name), rules.reading.date_format
    form = DateForm(format_, (format_,))
    odd = f"{column} IS NOT NULL AND ({form.value(column)}) IS NULL"
    fitting, like = connection.execute(
        f"SELECT count({form.value(column)}), count(*) FILTER ({odd} AND {full(column, _ANY_DATE)}) FROM {profile.relation}"
    ).fetchall()[0]
    if not fitting or fitting * 2 < profile.words:
        return None
    others = profile.words - fitting
    if others > min(like, rules.few):
        test, _ = missing_words(connection, profile, rules)
        row, example = connection.execute(
            f"SELECT {ROW}, {column} FROM {profile.relation} WHERE {odd} AND NOT ({test}) ORDER BY {ROW} LIMIT 1"
        ).fetchall()[0]
        return as_text(connection, profile, rules, [_mixed(profile, Found(others, row, example))])
    return _in_form(connection, profile, rules, form, others)


def typed_date(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules, type_: str) -> Conversion:
    """Return the conversion of a column that the user declared as `date` or `timestamp`.

    Raises:
        InputError: The order of day and month cannot be told.
    """
    column, format_ = quoted_name(profile.name), rules.reading.date_format
    test, remarks = missing_words(connection, profile, rules)
    value = f"CAST(CASE WHEN {full(column, forms.ISO)} THEN TRY_CAST({column} AS TIMESTAMPTZ) END AS TIMESTAMP)"
    formats: tuple[str, ...] = ()
    if format_:
        formats = (format_,)
        value = f"coalesce({DateForm(format_, (format_,)).value(column)}, {value})"
    elif profile.count("local date"):
        fitting, _ = _fitting(connection, profile)
        if len(fitting) > 1:
            first = profile.first("local date").example
            raise InputError(
                f"date_format should be set where day and month cannot be told apart. Received: column '{profile.name}' with "
                f"'{first}', types={dict(rules.reading.types)}. Set date_format to {' or '.join(form.name for form in fitting)}."
            )
        if fitting:
            formats = (fitting[0].name,)
            value = f"coalesce({value}, {fitting[0].value(column)})"
    if type_ == "date":
        value = f"CASE WHEN {value} = date_trunc('day', {value}) THEN CAST({value} AS DATE) END"
    return Conversion(
        profile.name,
        "DATE" if type_ == "date" else "TIMESTAMP",
        value,
        test,
        f"a {type_}",
        tuple(remarks),
        formats=formats,
    )


def boolean_column(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules) -> Conversion:
    """Return the conversion of a column most of whose values are `true` or `false`."""
    odd = [kind for kind in profile.kinds if kind not in ("empty", "missing", "boolean", "broken")]
    broken = profile.count("broken")
    if odd or broken > rules.few:
        first = profile.first(*(odd or ["broken"]))
        return as_text(connection, profile, rules, [_mixed(profile, first, "booleans", "boolean")])
    test, remarks = missing_words(connection, profile, rules)
    return Conversion(
        profile.name,
        "BOOLEAN",
        _truth(profile.name, forms.BOOLEAN),
        test,
        "a boolean" if broken else "",
        tuple(remarks),
    )


def typed_boolean(connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules) -> Conversion:
    """Return the conversion of a column that the user declared as `boolean`."""
    test, remarks = missing_words(connection, profile, rules)
    return Conversion(
        profile.name, "BOOLEAN", _truth(profile.name, patterns.ANY_BOOLEAN), test, "a boolean", tuple(remarks)
    )


def short_dates(profile: Profile) -> Remark:
    """Return the remark on a column of dates with years of two digits, which stays text."""
    text = "is text: {count} values look like dates with two digits for the year, first {first}. Set date_format to read dates."
    return remark(profile, "AMBIGUOUS_DATES", text, profile.first("short date"))


def _truth(name: str, pattern: str) -> str:
    column = quoted_name(name)
    return f"CASE WHEN {full(column, pattern)} THEN {full(column, patterns.TRUE)} END"


def _fitting(connection: duckdb.DuckDBPyConnection, profile: Profile) -> tuple[list[DateForm], int]:
    """Return the forms that fit most values in local forms, and the number of values that they fit."""
    column = quoted_name(profile.name)
    local = full(column, forms.LOCAL_DATE)
    shapes = connection.execute(
        f"SELECT DISTINCT {forms.date_shape(column)} FROM {profile.relation} WHERE {local}"
    ).fetchall()
    tried = forms.date_forms({shape for (shape,) in shapes})
    if not tried:
        return [], 0
    counts = connection.execute(
        f"SELECT {', '.join(f'count({form.value(column)})' for form in tried)} FROM {profile.relation} WHERE {local}"
    ).fetchall()[0]
    best = max(counts)
    return [form for form, count in zip(tried, counts, strict=True) if count == best and best], best


def _in_form(
    connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules, form: DateForm, broken: int
) -> Conversion:
    column = quoted_name(profile.name)
    type_ = "TIMESTAMP" if form.has_time else "DATE"
    value = f"CAST({form.value(column)} AS {type_})"
    test, remarks = missing_words(connection, profile, rules)
    row, example, became = connection.execute(
        f"SELECT {ROW}, {column}, {value} FROM {profile.relation} WHERE {value} IS NOT NULL ORDER BY {ROW} LIMIT 1"
    ).fetchall()[0]
    count = profile.words - broken
    text = f"{counted(count, 'value')} read as dates in the format {form.name}: '{example}' became {became}."
    converted = remark(profile, "CONVERTED", text, Found(count, row, example), place=False)
    expected = "a date" if broken else ""
    return Conversion(profile.name, type_, value, test, expected, (*remarks, converted), formats=(form.name,))


def _ambiguous(profile: Profile, fitting: list[DateForm]) -> Remark:
    text = (
        "is text: day and month cannot be told apart in {count} values, first {first}. "
        f"Set date_format to {' or '.join(form.name for form in fitting)}."
    )
    return remark(profile, "AMBIGUOUS_DATES", text, profile.first("local date"))


def _present(profile: Profile) -> list[str]:
    return [kind for kind in _BROKEN if profile.count(kind)]


def _mixed(profile: Profile, odd: Found, what: str = "dates", type_: str = "timestamp") -> Remark:
    text = (
        f"is text: {{count}} of {profile.words} values are not {what}, first {{first}}. "
        f"Set {declared(profile.name, type_)} to set those rows aside."
    )
    return remark(profile, "MIXED_VALUES", text, odd)
