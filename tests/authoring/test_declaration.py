from pathlib import Path
from typing import Literal

import pytest
import yaml
from kfp import components

from support import toy_pipelines as toys
from tiffin.authoring.declaration import pipeline
from tiffin.errors import InputError


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


def test_a_default_is_one_of_the_choices() -> None:
    with pytest.raises(InputError, match=r"The default of 'word' should be one of .* Received: 'c'"):

        @pipeline(name="choosing", display_name="Choose")
        def choosing(word: Literal["a", "b"] = "c"):  # type: ignore[assignment]
            toys.say_more(number=1)


def test_choices_are_of_one_type() -> None:
    with pytest.raises(InputError, match="The choices of 'word' should all be strings, or all whole numbers"):

        @pipeline(name="choosing", display_name="Choose")
        def choosing(word: Literal["a", 1] = "a"):
            toys.say_more(number=1)
