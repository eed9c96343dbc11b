"""Dataclasses as JSON: what is left out, and what is refused."""

import json
from dataclasses import dataclass
from typing import Literal

import pytest

from tiffin.artifacts import documents
from tiffin.errors import InputError


@dataclass(frozen=True)
class Part:
    name: str
    size: float | None


@dataclass(frozen=True)
class Whole:
    kind: Literal["a", "b"]
    parts: tuple[Part, ...]
    sizes: dict[str, float]
    count: int
    note: str | None = None
    format: int = 1
    extra: dict[str, object] | None = None


WHOLE = Whole("a", (Part("ü", 1.5), Part("y", None)), {"x": 2.0}, 3)
JSON = {
    "kind": "a", "parts": [{"name": "ü", "size": 1.5}, {"name": "y", "size": None}], "sizes": {"x": 2.0}, "count": 3,
    "format": 1,
}  # fmt: skip


def test_what_is_written_comes_back(tmp_path):
    documents.write(tmp_path / "a", WHOLE)

    assert json.loads((tmp_path / "a").read_bytes()) == documents.to_json(WHOLE) == JSON
    assert documents.read(tmp_path / "a", Whole) == WHOLE


def test_a_whole_number_is_a_float_where_one_belongs():
    found = documents.parse(json.dumps({**JSON, "sizes": {"x": 2}}), Whole, "a")

    assert (found, type(found.sizes["x"])) == (WHOLE, float)


def test_a_number_that_is_none_comes_back():
    [part] = documents.parse(json.dumps({**JSON, "parts": [{"name": "", "size": float("nan")}]}), Whole, "a").parts

    assert part.size != part.size


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"count": "3"}, r"str at \$\.count, not int"),
        ({"count": True}, r"bool at \$\.count, not int"),
        ({"count": 3.0}, r"float at \$\.count, not int"),
        ({"count": None}, r"NoneType at \$\.count, not int"),
        ({"kind": "c"}, r"str at \$\.kind, not typing\.Literal\['a', 'b'\]"),
        ({"parts": {}}, r"dict at \$\.parts, not tuple"),
        ({"parts": [1]}, r"int at \$\.parts\[0\], not Part"),
        ({"parts": [{"name": "x"}]}, r"no \$\.parts\[0\]\.size"),
        ({"sizes": {"x": None}}, r"NoneType at \$\.sizes\.x, not float"),
        ({"colour": 1}, r"\$\.colour, which is unknown"),
    ],
)
def test_another_document(changed, said):
    with pytest.raises(InputError, match=rf"'a' should be the JSON of Whole\. Received: {said}.*Run the step"):
        documents.parse(json.dumps({**JSON, **changed}), Whole, "a")


def test_no_object():
    with pytest.raises(InputError, match=r"Received: list at \$, not Whole"):
        documents.parse("[]", Whole, "a")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"a,b\n"])
def test_no_json(content):
    with pytest.raises(InputError, match=r"'a' should be JSON \(.*Run the step that writes it again"):
        documents.parse(content, Whole, "a")


@pytest.mark.parametrize("folder", ["", "none"])
def test_no_file(tmp_path, folder):
    with pytest.raises(
        InputError, match=r"An artifact should hold 'a\.json'\. Received: '.*' without it\. Pass the output"
    ):
        documents.read(tmp_path / folder / "a.json", Whole)
