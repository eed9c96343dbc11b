"""Column names: names in the examples, and the source's names in every parameter and message."""

import re

import pyarrow as pa
import pytest

from tiffin.artifacts.columns import plain_name
from tiffin.artifacts.examples import read_manifest
from tiffin.errors import InputError
from tiffin.stages.ingest.names import Names, distinct_names, final_names
from tiffin.stages.ingest.reading import Reading

RATES = "rate %,rate $,y\n1,2,0\n3,4,1\n"


class TestNotes:
    def test_show_the_names_of_the_file(self, ingested):
        found = ingested("fuel %,y\n?,1\n2,2\n3,5\n")
        (note,) = [note for note in found.manifest.notes if note.code == "MISSING_WORDS"]

        assert note.column == "fuel %"
        assert '"fuel %"' in note.text
        assert "fuel__" not in note.text


class TestFinalNames:
    @pytest.mark.parametrize(
        ("names", "final"),
        [
            (["a", "B", "c_1"], ["a", "B", "c_1"]),
            (["rate %", "rate $"], ["rate___2", "rate__"]),
            (["年齢", "性別", "購入"], ["c_", "c__2", "c__3"]),
            (["a b", "a-b", "a_b"], ["a_b_2", "a_b_3", "a_b"]),
            (["Id", "id"], ["Id", "id_2"]),
            (["id", "ID", "Id_2", "Id"], ["id_4", "ID", "Id_2", "Id_3"]),
            (["größe", "Größe"], ["gro_e_2", "Gro_e"]),
            (["é", "e"], ["e_2", "e"]),
            (["class", "class_", "self"], ["class__2", "class_", "self_"]),
            (["1", "2", "c_1"], ["c_1_2", "c_2", "c_1"]),
            (["a b", "a_b_2", "a_b"], ["a_b_3", "a_b_2", "a_b"]),
            (["", " ", "_"], ["c_", "c__2", "c__3"]),
        ],
    )
    def test_differ_in_more_than_case_whatever_the_order(self, names, final):
        expected = dict(zip(names, final, strict=True))

        assert final_names(names) == expected
        assert final_names(names[::-1]) == expected
        assert len({name.lower() for name in final}) == len(names)
        assert all(plain_name(name) == name for name in final)

    def test_are_found_by_either_name(self):
        names = Names(final_names(["Id", "id", "rate %"]))

        assert [names.find(name) for name in ("Id", "id", "id_2", "rate %", "rate__", "ID")] == [
            "Id", "id_2", "id_2", "rate__", "rate__", None,
        ]  # fmt: skip
        assert [names.original(name) for name in ("Id", "id_2", "rate__", "derived")] == [
            "Id",
            "id",
            "rate %",
            "derived",
        ]


class TestHeaders:
    @pytest.mark.parametrize(
        ("written", "distinct"),
        [
            (["a", "b"], ["a", "b"]),
            ([" a ", "b\t"], ["a", "b"]),
            ([" a", "a"], [" a", "a"]),
            (["a", "a", "a"], ["a", "a.1", "a.2"]),
            (["a", "a", "a.1"], ["a", "a.2", "a.1"]),
            (["", "a", ""], ["column0", "a", "column2"]),
            (["", "column0"], ["column0.1", "column0"]),
        ],
    )
    def test_become_different_names(self, written, distinct):
        assert distinct_names(written)[0] == distinct


class TestRenamed:
    def test_of_csv(self, ingested):
        found = ingested(" trip miles ,a-b,9x,ü,_u,d.e,self,class\n1,2,3,4,6,7,8,9\n")

        assert list(found.types) == ["trip_miles", "a_b", "c_9x", "u", "c_u", "d_e", "self_", "class_"]
        assert found.manifest.renamed == {
            "trip miles": "trip_miles", "a-b": "a_b", "9x": "c_9x", "ü": "u", "_u": "c_u", "d.e": "d_e", "self": "self_",
            "class": "class_",
        }  # fmt: skip

    def test_of_parquet_in_another_case(self, ingested):
        table = pa.table([pa.array([1]), pa.array([{"x": 1}]), pa.array([2])], names=["Id", "nested", "id"])
        found = ingested(table, "data.parquet", exclude=["nested"])

        assert found.rows == [{"Id": 1, "id_2": 2}]
        assert found.manifest.renamed == {"id": "id_2"}

    def test_of_files_with_another_order_of_columns(self, ingested):
        found = ingested({"1.csv": "rate %,rate $\n1,2\n", "2.csv": "rate $,rate %\n4,3\n"})

        assert found.rows == [{"rate___2": 1, "rate__": 2}, {"rate___2": 3, "rate__": 4}]

    def test_the_manifest_has_both_names(self, ingested):
        ingested(RATES)
        manifest = read_manifest(ingested.output)

        assert (manifest.final_name("rate %"), manifest.original_name("rate___2")) == ("rate___2", "rate %")
        assert (manifest.final_name("y"), manifest.original_name("y")) == ("y", "y")

    @pytest.mark.parametrize("name", ["data.csv", "data.parquet"])
    def test_repeated_names_are_numbered_and_told(self, ingested, name):
        table = pa.table([pa.array([1]), pa.array([2])], names=["a", "a"])
        found = ingested("a,a\n1,2\n" if name == "data.csv" else table, name)

        assert found.rows == [{"a": 1, "a_1": 2}]
        assert found.manifest.renamed == {"a.1": "a_1"}
        assert [(note.code, note.column, note.count) for note in found.manifest.notes] == [
            ("NAMES_REPEATED", "a", 2),
            ("COLUMNS_RENAMED", "", 1),
        ]


class TestEitherName:
    @pytest.mark.parametrize("names", [("rate %", "rate $"), ("rate___2", "rate__")])
    def test_in_every_parameter(self, ingested, names):
        percent, dollars = names
        found = ingested(
            RATES, label=percent, key=percent, exclude=[dollars], derive={"both": f'"{percent}" * 10 + "{dollars}"'},
            reading=Reading(types={percent: "integer"}),
        )  # fmt: skip

        assert found.rows == [{"rate___2": 1, "y": 0, "both": 12}, {"rate___2": 3, "y": 1, "both": 34}]
        assert found.manifest.derive == {"both": f'"{percent}" * 10 + "{dollars}"'}

    @pytest.mark.parametrize(
        ("expression", "value"),
        [
            ('"id" + 0', 2),
            ("id + 0", 2),
            ("Id + 0", 1),
            ("id_2 + 0", 2),
            ("'id' || id", "id2"),
            ('\'é "id"\' || "id" -- id', 'é "id"2'),
            ('CASE WHEN id IN (1, 2) THEN "年齢" END', 5),
            ('"a ""b"".c"', 7),
            ("ifnull(\"年齢\"::VARCHAR, 'id').upper()", "5"),
        ],
    )
    def test_in_an_expression(self, ingested, expression, value):
        found = ingested('Id,id,年齢,"a ""b"".c"\n1,2,5,7\n', derive={"n": expression})

        assert found.rows[0]["n"] == value

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({"label": "rate"}, "rate"),
            ({"key": "rate"}, "rate"),
            ({"exclude": ["rate"]}, "rate"),
            ({"derive": {"n": '"rate"'}}, "rate"),
        ],
    )
    def test_errors_show_the_names_of_the_source(self, ingested, options, name):
        with pytest.raises(InputError, match=rf"{next(iter(options))}.*'{name}'.* rate %, rate \$, y"):
            ingested(RATES, **options)

    def test_of_a_column_with_a_bad_value(self, ingested):
        found = ingested("n #,b\n" + "".join(f"{number},1\n" for number in range(5, 205)) + "#REF!,1\n")

        assert [row.column for row in found.rejected] == ["n #"]

    def test_of_a_column_with_an_unsuitable_type(self, ingested):
        with pytest.raises(InputError, match=r"'n #'"):
            ingested(pa.table({"n #": [[1]], "b": [1]}), "data.parquet")


class TestLabel:
    @pytest.mark.parametrize("label", ["", "rate %", "rate___2", "y", "n"])
    def test_of_a_column_or_derived(self, ingested, label):
        assert ingested(RATES, label=label, derive={"n": "y + 1"}).manifest.rows == 2

    @pytest.mark.parametrize("label", ["rate", "RATE %", "Y"])
    def test_that_does_not_exist(self, ingested, label):
        with pytest.raises(InputError, match=rf"label='{label}'.*: rate %, rate \$, y, n\."):
            ingested(RATES, label=label, derive={"n": "y + 1"})

    @pytest.mark.parametrize(
        ("label", "excluded"), [("y", "y"), ("rate %", "rate___2"), ("rate__", "rate $"), ("n", "n")]
    )
    def test_that_is_dropped(self, ingested, label, excluded):
        with pytest.raises(InputError, match=re.escape(f"label='{label}', exclude=['{excluded}']")):
            ingested(RATES, label=label, exclude=[excluded], derive={"n": "y + 1"})

    def test_is_checked_before_the_rows_are_read(self, ingested):
        with pytest.raises(InputError, match=r"label='z'"):
            ingested("a,b\n" + "1\n" * 100, label="z")  # All rows are bad.
