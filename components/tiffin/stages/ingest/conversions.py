"""How a text column is converted: its type, the SQL of its values, and what to tell the user about it."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

from tiffin.artifacts.notes import Note
from tiffin.recipe.patterns import PROGRAM_WORDS
from tiffin.recipe.sql import quoted_name
from tiffin.stages.ingest import missing
from tiffin.stages.ingest.forms import PLAIN, NumberForm, either, number_forms
from tiffin.stages.ingest.profiles import Found, Profile
from tiffin.stages.ingest.reading import Reading

# Share of capital codes among a text column's other values from which NA is one of them.
_CODES_SHARE = 0.9
_WORDS_SHOWN = 5


@dataclass(frozen=True)
class Rules:
    """What applies to all columns of one ingest.

    Attributes:
        reading: The user's settings.
        few: Maximum number of a column's broken values that set their rows aside; more make the column text.
        decimal: Decimal mark that other columns of the data show; empty if none does.
    """

    reading: Reading
    few: int
    decimal: str = ""

    @property
    def find_missing(self) -> bool:
        """Whether words for missing values are detected."""
        return not self.reading.missing_values

    @property
    def forms(self) -> list[NumberForm]:
        """The forms of numbers to try."""
        return number_forms(self.reading.decimal, self.reading.thousands)

    @property
    def numbers(self) -> str:
        """Regular expression of numbers in any of the forms."""
        return either(form.pattern for form in self.forms)


@dataclass(frozen=True)
class Remark:
    """A note whose text may show a value's place: `{first}` stands for the value, its file and its line.

    Attributes:
        note: The note; its example is the value.
        row: Row of the value in the view `source`; None where the place is not shown.
    """

    note: Note
    row: int | None = None


@dataclass(frozen=True)
class Conversion:
    """How a column's texts become values.

    Attributes:
        name: Column name.
        type: DuckDB type of the values.
        value: SQL of the value; NULL if the text is missing or does not fit.
        missing: SQL for whether a text is a missing value.
        expected: What a value should be, for the reason of rows set aside; empty if every text fits or is missing.
        remarks: What to tell the user.
        form: How numbers are written.
        formats: Formats of dates, beside ISO 8601.
        words: Texts of a text column that are missing values.
    """

    name: str
    type: str
    value: str
    missing: str = "false"
    expected: str = ""
    remarks: tuple[Remark, ...] = ()
    form: NumberForm = PLAIN
    formats: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def misfit(self) -> str:
        """SQL for whether a text sets its row aside."""
        return f"({quoted_name(self.name)} IS NOT NULL AND NOT ({self.missing}) AND ({self.value}) IS NULL)"


def remark(profile: Profile, code: str, text: str, found: Found, *, place: bool = True) -> Remark:
    """Return a remark on a column, with the number of values and the first of them as its example."""
    text = text.replace("{count}", str(found.count))
    note = Note(code, f"{profile.name}: {text}", profile.name, found.count, found.example)
    return Remark(note, found.row if place else None)


def counted(count: int, noun: str) -> str:
    """Return a number with its noun, for example `2 rows`."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def declared(name: str, type_: str) -> str:
    """Return the setting that declares a column's type, for messages."""
    return f"types={json.dumps({name: type_}, ensure_ascii=False)}"


def as_text(
    connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules, remarks: Sequence[Remark] = ()
) -> Conversion:
    """Return the conversion of a column that stays text, with the words of programs for missing values as missing."""
    column = quoted_name(profile.name)
    known: tuple[str, ...] = PROGRAM_WORDS if rules.find_missing else ()
    if not (rules.find_missing and profile.count("missing")):
        return Conversion(profile.name, "VARCHAR", column, remarks=tuple(remarks), words=known)
    words = _words(connection, profile, missing.is_program_word(column, kept=False))
    kept = "NA" in words and _holds_codes(connection, profile)
    more = [*remarks]
    if kept:
        rows = counted(words["NA"], "row")
        text = f"'NA' kept as text in {rows}, as the column holds capital codes. Set missing_values to change it."
        more.append(Remark(Note("WORDS_KEPT", f"{profile.name}: {text}", profile.name, words.pop("NA"), "NA")))
        known = tuple(word for word in known if word != "NA")
    more += _missing_words(profile.name, words)
    if not words:
        return Conversion(profile.name, "VARCHAR", column, remarks=tuple(more), words=known)
    word = missing.is_program_word(column, kept)
    value = f"CASE WHEN NOT {word} THEN {column} END"
    return Conversion(profile.name, "VARCHAR", value, f"coalesce({word}, false)", remarks=tuple(more), words=known)


def missing_words(
    connection: duckdb.DuckDBPyConnection, profile: Profile, rules: Rules, *, infinite: bool = False
) -> tuple[str, list[Remark]]:
    """Return the SQL for whether a text of a column of numbers, dates or booleans is missing, and what to tell about it.

    Args:
        connection: Connection with the view `source`.
        profile: The column's values.
        rules: The rules.
        infinite: Whether infinite numbers are missing values, as in columns of numbers.
    """
    column = quoted_name(profile.name)
    tests = []
    if rules.find_missing and profile.count("missing"):
        tests += [missing.is_word(column), missing.is_zero_date(column)]
    if infinite and profile.count("infinite"):
        tests.append(missing.is_infinite(column))
    if not tests:
        return "false", []
    test = " OR ".join(tests)
    return test, _missing_words(profile.name, _words(connection, profile, test))


def _words(connection: duckdb.DuckDBPyConnection, profile: Profile, test: str) -> dict[str, int]:
    """Return the texts that pass a test, with their numbers, the most frequent first."""
    column = quoted_name(profile.name)
    rows = connection.execute(
        f"SELECT trim({column}), count(*) FROM {profile.relation} WHERE {test} GROUP BY 1 ORDER BY 2 DESC, 1"
    ).fetchall()
    return dict(rows)


def _missing_words(name: str, words: dict[str, int]) -> list[Remark]:
    if not words:
        return []
    shown = ", ".join(f"'{word}' ({count})" for word, count in list(words.items())[:_WORDS_SHOWN])
    shown += f" and {len(words) - _WORDS_SHOWN} others" if len(words) > _WORDS_SHOWN else ""
    text = f"{name}: {shown} read as missing. Set missing_values, or {declared(name, 'text')}, to change it."
    return [Remark(Note("MISSING_WORDS", text, name, sum(words.values()), next(iter(words))))]


def _holds_codes(connection: duckdb.DuckDBPyConnection, profile: Profile) -> bool:
    """Return whether the column's other values are codes of two or three capitals, such as countries."""
    column = quoted_name(profile.name)
    others, codes = connection.execute(
        f"SELECT count(*), count(*) FILTER ({missing.is_capital_code(column)}) FROM {profile.relation} "
        f"WHERE {column} IS NOT NULL AND NOT {missing.is_program_word(column, kept=False)}"
    ).fetchall()[0]
    return bool(codes and codes >= _CODES_SHARE * others)
