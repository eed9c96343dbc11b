"""The kinds of the values of text columns: of few columns, of many, and the number of queries that find them."""

import duckdb
import pytest

from tiffin.stages.ingest import forms, profiles
from tiffin.stages.ingest.profiles import Found
from tiffin.stages.ingest.sources import ROW

NUMBERS = forms.either(form.pattern for form in forms.number_forms("", ""))
# A repeated word, a missing one, and numbers that are all different.
VALUES = {
    "words": ["a", "?", "a", None, "b"] * 20,
    "numbers": [str(number) for number in range(100)],
    "mixed": [*(f"{number}.5" for number in range(98)), "31.12.2024", "1,5"],
}
KINDS = {
    "words": {"text": Found(60, 0, "a"), "missing": Found(20, 1, "?"), "empty": Found(20, 3, None)},
    "numbers": {"integer": Found(100, 0, "0")},
    "mixed": {"fraction": Found(98, 0, "0.5"), "local date": Found(1, 98, "31.12.2024"), "local": Found(1, 99, "1,5")},
}


class Counting:
    """A connection that counts its queries."""

    def __init__(self, connection):
        self.connection, self.queries = connection, 0

    def execute(self, *arguments):
        self.queries += 1
        return self.connection.execute(*arguments)


@pytest.fixture
def connection():
    with duckdb.connect() as connection:
        yield Counting(connection)


def create(connection, columns):
    names = ", ".join(columns)
    rows = list(zip(*columns.values(), strict=True))
    connection.connection.execute(f"CREATE TABLE read ({', '.join(f'{name} VARCHAR' for name in columns)})")
    connection.connection.executemany(f"INSERT INTO read VALUES ({', '.join('?' for _ in columns)})", rows)
    connection.connection.execute(f"CREATE VIEW source AS SELECT rowid AS {ROW}, {names} FROM read")


def kinds(connection, names, scratch, **options):
    return {each.name: each for each in profiles.profiles(connection, names, NUMBERS, True, scratch, **options)}


@pytest.mark.parametrize("few", [64, 0], ids=["each by itself", "all in one pass"])
class TestKinds:
    def test_of_no_columns(self, connection, tmp_path, few, monkeypatch):
        monkeypatch.setattr(profiles, "_FEW_COLUMNS", few)
        create(connection, {"a": ["1"]})

        assert kinds(connection, [], tmp_path) == {}

    def test_of_repeated_and_of_different_values(self, connection, tmp_path, few, monkeypatch):
        monkeypatch.setattr(profiles, "_FEW_COLUMNS", few)
        create(connection, VALUES)

        found = kinds(connection, list(VALUES), tmp_path)

        assert {name: each.kinds for name, each in found.items()} == KINDS

    def test_are_read_again_with_their_rows(self, connection, tmp_path, few, monkeypatch):
        monkeypatch.setattr(profiles, "_FEW_COLUMNS", few)
        create(connection, VALUES)

        relation = kinds(connection, list(VALUES), tmp_path)["mixed"].relation
        rows = connection.execute(f"SELECT {ROW}, mixed FROM {relation} WHERE mixed NOT LIKE '%.5'").fetchall()

        assert sorted(rows) == [(98, "31.12.2024"), (99, "1,5")]


@pytest.mark.parametrize("value", ["7", "word", "?", "1,5"])
def test_queries_do_not_grow_with_the_columns(tmp_path, value):
    counts = []
    for columns in (100, 250):
        with duckdb.connect() as connection:
            counting = Counting(connection)
            names = [f"c{number}" for number in range(columns)]
            create(counting, {name: [value, value] for name in names})
            kinds(counting, names, tmp_path)
            counts.append(counting.queries)

    assert counts[0] == counts[1] <= 3
