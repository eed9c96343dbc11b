"""Rows of the source as the inputs of a model."""

import duckdb
import pytest

from tiffin.artifacts.columns import Column
from tiffin.artifacts.recipe import DerivedColumn, ModelRecipe, Recipe, SourceColumn
from tiffin.recipe.rows import RowReader
from tiffin.recipe.values import Unreadable

SOURCE = (
    SourceColumn("Preis €", "Preis__", "DOUBLE", ",", "."),
    SourceColumn("n", "n", "BIGINT"),
    SourceColumn("am", "am", "TIMESTAMP", formats=("%d.%m.%Y",)),
    SourceColumn("ort", "ort", "VARCHAR"),
    SourceColumn("ja", "ja", "BOOLEAN"),
)
DERIVE = (
    DerivedColumn("double", "2 * Preis__", ("Preis__",)),
    DerivedColumn("half", "n // 2", ("n",)),
    DerivedColumn("tomorrow", "am + INTERVAL 1 DAY", ("am",)),
    DerivedColumn("both", "ort || ja::VARCHAR", ("ort", "ja")),
    DerivedColumn("quarter", "double / 8", ("double",)),
)
TYPES = {"double": ("FLOAT", None), "half": ("INT", None), "tomorrow": ("INT", "timestamp"), "both": ("STRING", None)}


def read(inputs, derive=DERIVE):
    columns = tuple(Column(name, *TYPES.get(name, ("FLOAT", None))) for name in inputs)
    recipe = Recipe(SOURCE, derive).needed(inputs)
    return RowReader(ModelRecipe(recipe, columns, "late", "binary", ("0", "1"), "d1", "0.1.0"))


def one(reader, **row):
    [found] = reader.inputs([reader.read(row)])
    return found


def test_no_rows():
    assert read(["double"]).inputs([]) == []
    assert read(["n"]).inputs([]) == []


def test_only_what_the_inputs_need():
    reader = read(["quarter", "n"])
    assert reader.names == ["Preis €", "n"]
    assert [column.name for column in reader.recipe.recipe.derive] == ["double", "quarter"]
    assert reader.absent(["Preis__", "ort"]) == ["n"]


def test_values_by_either_name():
    reader = read(["Preis__", "n"])
    assert one(reader, **{"Preis €": "1.000,5", "n": "3", "ort": "x"}) == {"Preis__": 1000.5, "n": 3}
    assert one(reader, Preis__=2.5) == {"Preis__": 2.5, "n": None}


def test_derived_columns():
    row = {"Preis €": "4,0", "n": 5, "am": "31.12.2023 10:00", "ort": "A", "ja": "yes"}
    inputs = ["double", "half", "tomorrow", "both", "quarter"]
    expected = {"double": 8.0, "half": 2, "tomorrow": "2024-01-01T10:00:00", "both": "Atrue", "quarter": 1.0}
    assert one(read(inputs), **row) == expected
    assert one(read(inputs)) == dict.fromkeys(inputs)


def test_a_fraction_for_a_whole_number():
    assert one(read(["n"]), n="2.5") == {"n": 2.5}
    with pytest.raises(Unreadable, match="'n'"):
        one(read(["half"]), n="2.5")


def test_a_value_that_does_not_fit():
    with pytest.raises(Unreadable, match=r"'Preis €'.*'x'"):
        read(["Preis__"]).read({"Preis €": "x"})


def test_an_expression_that_fails():
    failing = (DerivedColumn("bad", "CAST(ort AS INTEGER)", ("ort",)),)
    with pytest.raises(Unreadable, match="'x'"):
        one(read(["bad"], failing), ort="x")


@pytest.mark.parametrize("type_", ["BIGINT[]", "INT); DROP TABLE t; --", "bigint"])
def test_an_unknown_type(type_):
    columns = (Column("d", "FLOAT"),)
    recipe = Recipe((SourceColumn("a", "a", type_),), (DerivedColumn("d", "1.0", ("a",)),))
    with pytest.raises(ValueError, match="'a'"):
        RowReader(ModelRecipe(recipe, columns, "late", "binary", ("0", "1"), "d1", "0.1.0"))


@pytest.mark.parametrize("call", ["read_text('{file}')", "getenv('HOME')"])
def test_an_expression_reads_no_files(tmp_path, call):
    file = tmp_path / "secret.txt"
    file.write_text("secret")
    expression = f"(SELECT content FROM {call})" if "{file}" in call else call
    derive = (DerivedColumn("both", expression.replace("{file}", str(file)), ("ort",)),)
    with pytest.raises((Unreadable, duckdb.Error)):
        one(read(["both"], derive), ort="x")
