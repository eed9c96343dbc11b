"""How ingest reads data for a model."""

from dataclasses import replace

import pytest

from support.fares import RECIPE, save
from tiffin.artifacts.model import saved_model
from tiffin.artifacts.recipe import Recipe, SourceColumn
from tiffin.errors import InputError
from tiffin.stages.predict.planning import plan, read_types


def test_a_model_without_a_recipe_reads_the_data_as_it_is(tmp_path):
    save(saved_model(tmp_path), recipe=None)
    found = plan(model=tmp_path)

    assert (found.version, found.types, found.derive, found.missing_values, found.parts) == (0, {}, {}, [], [0])


def test_a_model_reads_the_columns_of_its_recipe(model, root):
    found = plan(name="taxi", serving_root=root, parts=3)

    assert found.version == 2
    assert found.types == {"fare": "float", "city": "text", "day": "integer"}
    assert found.derive == {"weekend": "day > 5"}
    assert found.missing_values == ["?"]
    assert found.parts == [0, 1, 2]
    assert plan(model=model, name="taxi", version=9).version == 9


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("BIGINT", "float"), ("DOUBLE", "float"), ("DECIMAL(9,2)", "float"), ("BOOLEAN", "boolean"), ("DATE", "date"),
        ("TIMESTAMP", "timestamp"), ("TIMESTAMP WITH TIME ZONE", "timestamp"), ("VARCHAR", "text"), ("BLOB", "text"),
    ],
)  # fmt: skip
def test_types(kind, name):
    recipe = replace(RECIPE, recipe=Recipe((SourceColumn("A b", "A_b", kind),)))

    assert read_types(recipe, {}) == {"A_b": name}


def test_types_that_are_given_take_precedence(root):
    assert plan(name="taxi", serving_root=root, types={"Fare": "integer", "more": "text"}).types == {
        "Fare": "integer", "more": "text", "city": "text", "day": "integer",
    }  # fmt: skip


@pytest.mark.parametrize("parts", [0, 1001])
def test_parts_are_bounded(root, parts):
    with pytest.raises(InputError, match=f"parts.*{parts}"):
        plan(name="taxi", serving_root=root, parts=parts)
