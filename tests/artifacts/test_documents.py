"""Dataclasses as JSON: omitted fields, checked types."""

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


def test_a_written_document_is_read(tmp_path):
    documents.write(tmp_path / "a", WHOLE)

    assert json.loads((tmp_path / "a").read_bytes()) == documents.to_json(WHOLE) == JSON
    assert documents.read(tmp_path / "a", Whole) == WHOLE


def test_an_integer_is_read_as_a_float():
    found = documents.parse(json.dumps({**JSON, "sizes": {"x": 2}}), Whole, "a")

    assert (found, type(found.sizes["x"])) == (WHOLE, float)


def test_deep_nesting_is_refused():
    with pytest.raises(InputError, match="'a'"):
        documents.parse("[" * 100_000, Whole, "a")


def test_nan_is_read():
    [part] = documents.parse(json.dumps({**JSON, "parts": [{"name": "", "size": float("nan")}]}), Whole, "a").parts

    assert part.size != part.size


@pytest.mark.parametrize(
    ("changed", "pattern"),
    [
        ({"count": "3"}, r"str .*\$\.count, .*int"),
        ({"count": True}, r"bool .*\$\.count, .*int"),
        ({"count": 3.0}, r"float .*\$\.count, .*int"),
        ({"count": None}, r"NoneType .*\$\.count, .*int"),
        ({"kind": "c"}, r"'c' .*\$\.kind, .*'a', 'b'"),
        ({"parts": {}}, r"dict .*\$\.parts, .*list"),
        ({"parts": [1]}, r"int .*\$\.parts\[0\], .*dict"),
        ({"parts": [{"name": "x"}]}, r"\$\.parts\[0\]\.size"),
        ({"sizes": {"x": None}}, r"NoneType .*\$\.sizes\.x, .*float"),
        ({"colour": 1}, r"\$\.colour"),
    ],
)
def test_a_wrong_field(changed, pattern):
    with pytest.raises(InputError, match=rf"'a'.*Whole.*{pattern}"):
        documents.parse(json.dumps({**JSON, **changed}), Whole, "a")


class TestConvert:
    def test_reads_what_a_user_wrote(self):
        assert documents.convert(JSON, Whole, "gate") == documents.parse(json.dumps(JSON), Whole, "a")

    @pytest.mark.parametrize(
        ("changed", "values"),
        [
            ({"parts": [{"name": "x", "size": "1"}]}, ["gate.parts[0].size", "str", "float"]),
            ({"contu": 3}, ["gate.contu", "'count'"]),
            ({3: 3, "x": 1}, ["gate.3"]),
        ],
    )
    def test_names_the_path_of_a_fault_and_the_fields(self, changed, values):
        with pytest.raises(InputError) as error:
            documents.convert({**JSON, **changed}, Whole, "gate")

        assert not [value for value in ["gate", "count", "kind", *values] if value not in str(error.value)]


def test_not_an_object():
    with pytest.raises(InputError, match=r"'a'.*Whole.*\$, .*dict"):
        documents.parse("[]", Whole, "a")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"a,b\n"])
def test_not_json(content):
    with pytest.raises(InputError, match=r"'a'.* JSON") as caught:
        documents.parse(content, Whole, "a")

    assert "Whole" not in str(caught.value)


@pytest.mark.parametrize("folder", ["", "none"])
def test_a_missing_file(tmp_path, folder):
    with pytest.raises(InputError, match=rf"'a\.json'.*'{tmp_path / folder}'"):
        documents.read(tmp_path / folder / "a.json", Whole)
