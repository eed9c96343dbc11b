from pathlib import Path
from typing import Literal

import pytest
import yaml
from kfp import components, dsl

from support import toy_pipelines as toys
from tiffin.authoring.declaration import pipeline
from tiffin.errors import InputError


@dsl.component(base_image="data", install_kfp_package=False)
def describe(name: str, rows: int = 3):
    """Describe.

    Args:
        rows: How many rows.
    """


@dsl.component(base_image="data", install_kfp_package=False)
def describe_more(rows: int = 4):
    """Describe more."""


@dsl.component(base_image="data", install_kfp_package=False)
def name_more(name: str = "other"):
    """Name more.

    Args:
        name: Empty for none.
    """


@dsl.component(base_image="data", install_kfp_package=False)
def name_one(name: str):
    """Name.

    Args:
        name: The one name.
    """


def test_a_literal_becomes_a_parameter_with_its_choices(tmp_path: Path) -> None:
    @pipeline(name="choosing", display_name="Choose")
    def choosing(number: Literal[1, 2] = 2, text: str = "a", word: Literal["a", "b"] = "a"):
        """Choose."""
        toys.say_more(number=number)

    path = toys.write_spec(choosing, tmp_path)

    parameters = yaml.safe_load(path.read_bytes())["root"]["inputDefinitions"]["parameters"]
    assert parameters["number"] == {
        "defaultValue": 2.0,
        "isOptional": True,
        "literals": [1.0, 2.0],
        "parameterType": "NUMBER_INTEGER",
    }
    assert parameters["word"]["literals"] == ["a", "b"]
    assert "literals" not in parameters["text"]
    assert components.load_component_from_file(str(path)).name == "choosing"


def test_a_default_must_be_one_of_the_choices() -> None:
    with pytest.raises(InputError, match=r"'word' .*\('a', 'b'\).*'c'"):

        @pipeline(name="choosing", display_name="Choose")
        def choosing(word: Literal["a", "b"] = "c"):  # type: ignore[assignment]
            toys.say_more(number=1)


def test_choices_must_be_of_one_type() -> None:
    with pytest.raises(InputError, match=r"'word' .*\('a', 1\)"):

        @pipeline(name="choosing", display_name="Choose")
        def choosing(word: Literal["a", 1] = "a"):
            toys.say_more(number=1)


class TestInheritance:
    """`describe` has the inputs `rows` (default 3, described) and `name` (neither)."""

    def read(self, declared: object, folder: Path) -> dict[str, dict[str, object]]:
        document = yaml.safe_load(toys.write_spec(declared, folder).read_bytes())
        found: dict[str, dict[str, object]] = document["root"]["inputDefinitions"]["parameters"]
        return found

    def test_a_parameter_has_the_default_and_description_of_its_component(self, tmp_path: Path) -> None:
        @pipeline(name="taking", display_name="Take")
        def taking(*, rows: int, name: str) -> None:
            """Take."""
            describe(rows=rows, name=name)

        assert self.read(taking, tmp_path) == {
            "rows": {
                "defaultValue": 3.0,
                "description": "How many rows.",
                "isOptional": True,
                "parameterType": "NUMBER_INTEGER",
            },
            "name": {"parameterType": "STRING"},
        }

    def test_the_pipeline_overrides_its_components(self, tmp_path: Path) -> None:
        @pipeline(name="saying", display_name="Say")
        def saying(*, rows: int = 5, name: str = "own") -> None:
            """Say.

            Args:
                rows: Rows of this pipeline.
            """
            describe(rows=rows, name=name)

        found = self.read(saying, tmp_path)

        assert found["rows"]["defaultValue"] == 5.0
        assert found["rows"]["description"] == "Rows of this pipeline."
        assert found["name"]["defaultValue"] == "own"

    def test_a_parameter_is_found_behind_a_condition(self, tmp_path: Path) -> None:
        @pipeline(name="branching", display_name="Branch")
        def branching(*, rows: int, again: bool = True) -> None:
            """Branch."""
            with dsl.If(again == True):  # noqa: E712 - kfp builds a condition
                describe(rows=rows, name="a")

        assert self.read(branching, tmp_path)["rows"]["defaultValue"] == 3.0

    def test_a_parameter_may_be_part_of_a_text(self, tmp_path: Path) -> None:
        @pipeline(name="telling", display_name="Tell")
        def telling(*, rows: int, name: str) -> None:
            """Tell."""
            describe(rows=rows, name=f"rows of {name}")

        found = self.read(telling, tmp_path)

        assert found["rows"]["defaultValue"] == 3.0
        assert found["name"] == {"parameterType": "STRING"}

    def test_different_defaults_of_components_require_one_in_the_pipeline(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"'rows' .*describe 3, describe_more 4"):

            @pipeline(name="differing", display_name="Differ")
            def differing(*, rows: int) -> None:
                describe(rows=rows, name="a")
                describe_more(rows=rows)

        @pipeline(name="settled", display_name="Settle")
        def settled(*, rows: int = 1) -> None:
            describe(rows=rows, name="a")
            describe_more(rows=rows)

        assert self.read(settled, tmp_path)["rows"]["defaultValue"] == 1.0

    def test_a_parameter_that_one_component_requires_is_required(self, tmp_path: Path) -> None:
        @pipeline(name="requiring", display_name="Require")
        def requiring(*, name: str) -> None:
            name_more(name=name)
            name_one(name=name)

        assert self.read(requiring, tmp_path)["name"] == {"description": "The one name.", "parameterType": "STRING"}
        # Without a docstring, the display name is the description.
        assert requiring.description == "Require"
