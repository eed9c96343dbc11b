"""Shards: the text that a row's digest is made of, which rows a shard has, and their order."""

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.ingesting import Ingest
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import read_sample_rows, shard_name
from tiffin.recipe.sql import quoted_name
from tiffin.stages.ingest import shards
from tiffin.stages.ingest.sources import row_group_rows

COLUMNS = [Column("whole", "INT"), Column("number", "FLOAT"), Column("text", "STRING"), Column("select", "STRING")]
ROWS = "word,number\n" + "".join(f"w{n % 7},{n}.5\n" for n in range(50))


@pytest.fixture(scope="module")
def connection():
    with duckdb.connect() as found:
        yield found


class TestRowText:
    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.none() | st.integers(-(1 << 63), (1 << 63) - 1),
                st.none() | st.floats(allow_nan=False, allow_infinity=False),
                st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
                st.none() | st.sampled_from(['"', "\\", "\n", "é", "\u2028", "null", ""]),
            ),
            min_size=1,
            max_size=20,
        )
    )
    def test_differs_between_different_rows(self, connection, rows):
        names = [quoted_name(column.name) for column in COLUMNS]
        types = ("BIGINT", "DOUBLE", "VARCHAR", "VARCHAR")
        pairs = ", ".join(f"{name} {type_}" for name, type_ in zip(names, types, strict=True))
        connection.execute(f"CREATE OR REPLACE TABLE examples ({pairs})")
        connection.executemany("INSERT INTO examples VALUES (?, ?, ?, ?)", rows)
        found = connection.execute(f"SELECT {shards._row_text(COLUMNS)} FROM examples").fetchall()

        # A text by which 0.0 and -0.0 differ, as they do in the examples.
        assert len({text for (text,) in found}) == len(set(map(repr, rows)))

    def test_has_numbers_and_quoted_strings(self):
        with duckdb.connect() as connection:
            connection.execute(
                "CREATE TABLE examples AS SELECT 1 AS whole, 0.5::DOUBLE AS number, 'a\"' AS text, NULL AS select"
            )
            found = connection.execute(f"SELECT {shards._row_text(COLUMNS)} FROM examples").fetchall()

        assert found == [('[1,0.5,"a\\"",null]',)]


class TestRows:
    def test_keep_their_order(self, ingested):
        found = ingested(ROWS, splits={"train": 2, "eval": 1})

        for split in found.splits.values():
            numbers = [row["number"] for row in split]
            assert len(numbers) > 5
            assert numbers == sorted(numbers)

    def test_are_the_same_bytes_in_every_run(self, tmp_path):
        written = []
        for run in range(3):
            ingested = Ingest(tmp_path / str(run))
            ingested(
                "a,b\n" + "".join(f"{n % 90_001},t{n % 1009}\n" for n in range(300_000)), splits={"train": 2, "eval": 1}
            )
            written.append([(ingested.output / shard_name(split)).read_bytes() for split in ("train", "eval")])

        assert written[0] == written[1] == written[2]

    def test_of_more_than_a_shard_are_in_several(self, ingested, tmp_path, monkeypatch):
        whole = ingested(ROWS, splits={"train": 2, "eval": 1})
        monkeypatch.setattr(shards, "_SHARD_ROWS", 20)

        found = Ingest(tmp_path / "again")(ROWS, splits={"train": 2, "eval": 1})

        assert found.manifest.splits["train"].shards == tuple(shard_name("train", number) for number in range(3))
        assert (found.splits, found.manifest.version) == (whole.splits, whole.manifest.version)

    def test_of_a_split_without_rows_are_an_empty_file(self, ingested):
        found = ingested("a\n1\n", splits={"train": 1e9, "eval": 1})

        assert {name: len(rows) for name, rows in found.splits.items()} == {"train": 1, "eval": 0}


@pytest.mark.parametrize(
    ("columns", "rows"), [(1, 122_880), (64, 122_880), (640, 12_288), (5000, 2048), (100_000, 2048)]
)
def test_row_groups_of_wide_data_have_fewer_rows(columns, rows):
    assert row_group_rows(columns) == rows


class TestSampleRows:
    def test_are_the_first_of_eval(self, ingested):
        found = ingested(ROWS + ROWS.split("\n", 1)[1] * 3, splits={"train": 1, "eval": 1})

        assert read_sample_rows(ingested.output) == found.splits["eval"][:20]

    def test_are_filled_from_other_splits(self, ingested):
        found = ingested("a\n" + "".join(f"{n}5\n" for n in range(10)), splits={"train": 1, "eval": 1})

        assert read_sample_rows(ingested.output) == found.splits["eval"] + found.splits["train"]
