"""Columns of row numbers, and without a name: left out of the examples, unless they are asked for."""

import pyarrow as pa
import pytest

from tiffin.stages.ingest.reading import Reading

ROWS = range(40)


def table(numbers, name="id"):
    return f"{name},v,w\n" + "".join(
        f"{number},{row * 7 % 31},{row % 3}\n" for row, number in zip(ROWS, numbers, strict=False)
    )


def left_out(found):
    return [note.column for note in found.manifest.notes if note.code == "ROW_NUMBERS"]


class TestRowNumbers:
    @pytest.mark.parametrize("first", [0, 1])
    def test_are_left_out_and_told(self, ingested, first):
        found = ingested(table(range(first, first + 40)))

        assert (list(found.types), left_out(found)) == (["v", "w"], ["id"])

    @pytest.mark.parametrize(
        "numbers",
        [
            range(2, 42),
            range(0, 80, 2),
            [*range(39), 38],
            [*range(38), 39, 38],
            range(39, -1, -1),
            [*range(38), "", 39],
            [f"{row}.5" for row in ROWS],
            [row % 20 for row in ROWS],
            range(19),
        ],
    )
    def test_other_numbers_are_kept(self, ingested, numbers):
        found = ingested(table(numbers))

        assert ("id" in found.types, left_out(found)) == (True, [])

    def test_of_parquet(self, ingested):
        content = pa.table({"v": [row * 7 % 31 for row in ROWS], "n": pa.array(ROWS, pa.int32())})

        assert left_out(ingested(content, "data.parquet")) == ["n"]

    def test_with_a_gap_for_a_skipped_row(self, ingested):
        rows = [f"{row},{row * 7 % 31}" if row != 50 else "50" for row in range(300)]

        assert left_out(ingested("n,v\n" + "\n".join(rows))) == ["n"]

    @pytest.mark.parametrize("start", [0, 40])
    def test_of_several_files(self, ingested, start):
        found = ingested({"1.csv": table(range(40)), "2.csv": table(range(start, start + 40))})

        assert (left_out(found), found.manifest.rows) == (["id"], 80)

    @pytest.mark.parametrize(
        "options",
        [
            {"label": "id"},
            {"key": "id"},
            {"derive": {"half": "ID / 2"}},
            {"reading": Reading(types={"id": "integer"})},
        ],
    )
    def test_that_a_parameter_names_are_kept(self, ingested, options):
        found = ingested(table(ROWS), **options)

        assert ("id" in found.types, left_out(found)) == (True, [])

    def test_that_are_excluded_are_not_told(self, ingested):
        assert left_out(ingested(table(ROWS), exclude=["id"])) == []

    def test_are_kept_as_the_only_input(self, ingested):
        content = "x,y\n" + "".join(f"{row},{row * 2 + 1}\n" for row in ROWS)
        found = ingested(content, label="y")

        assert (list(found.types), left_out(found)) == (["x", "y"], ["x"])
        assert list(ingested(content).types) == ["y"]

    def test_do_not_move_the_rows(self, ingested):
        weights = {"train": 2, "eval": 1}
        plain = ingested(table(ROWS), splits=weights)
        kept = ingested(table(ROWS), splits=weights, reading=Reading(types={"id": "integer"}))

        assert [row["v"] for row in plain.splits["eval"]] == [row["v"] for row in kept.splits["eval"]]


class TestUnnamed:
    @pytest.mark.parametrize("name", ["", '""', " ", "Unnamed: 0", "Unnamed: 0_level_1", "__index_level_0__"])
    @pytest.mark.parametrize("values", [range(40), [f"car {row}" for row in ROWS], [5 for _ in ROWS]])
    def test_are_left_out_and_told(self, ingested, name, values):
        found = ingested(table(values, name))

        assert list(found.types) == ["v", "w"]
        assert left_out(found) == [name if name.strip(' "') else "column0"]

    def test_in_parquet(self, ingested):
        content = pa.table({"v": [1, 2], "__index_level_0__": ["a", "b"]})

        assert left_out(ingested(content, "data.parquet")) == ["__index_level_0__"]

    def test_of_few_rows_and_of_a_trailing_delimiter(self, ingested):
        found = ingested(",a,\nx,1,\ny,2,\n")

        assert (list(found.types), left_out(found)) == (["a"], ["column0", "column2"])

    @pytest.mark.parametrize("options", [{"label": "column0"}, {"reading": Reading(types={"column0": "text"})}])
    def test_that_a_parameter_names_are_kept(self, ingested, options):
        assert list(ingested(",a\nx,1\ny,2\n", **options).types) == ["column0", "a"]

    def test_alone_are_kept(self, ingested):
        found = ingested("Unnamed: 0\n5\n7\n")

        assert (found.rows, left_out(found)) == ([{"Unnamed__0": 5}, {"Unnamed__0": 7}], ["Unnamed: 0"])
