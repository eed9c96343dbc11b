"""What the prediction log keeps of a model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.serving_roots import model_on
from tiffin import storage
from tiffin.errors import Conflict, InputError
from tiffin.serving import recording
from tiffin.serving.recording import Recording, change_recording, parse, read_recording
from tiffin.serving.root import RECORDING, ServedModel


@pytest.fixture(params=["disk", "bucket"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedModel]:
    with model_on(request.param, tmp_path) as found:
        yield found


def test_a_model_without_the_file_has_the_defaults(served: ServedModel) -> None:
    assert read_recording(served) == (Recording(1.0, (), (), 30), None)


def test_no_change_writes_nothing(served: ServedModel) -> None:
    assert change_recording(served, share=1.0) == Recording()
    assert served.read(RECORDING) is None


def test_a_change_keeps_the_other_settings(served: ServedModel) -> None:
    change_recording(served, omit=("input.name",), keep_days=7)
    change_recording(served, share=0.5, hash=("key", "output.y"))

    assert read_recording(served)[0] == Recording(0.5, ("input.name",), ("key", "output.y"), 7)


def test_a_concurrent_change_is_kept(served: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    swap = storage.compare_and_swap

    def interrupted(*arguments: Any) -> str:
        monkeypatch.undo()
        change_recording(served, keep_days=7)
        return swap(*arguments)

    monkeypatch.setattr(storage, "compare_and_swap", interrupted)

    assert change_recording(served, share=0.5) == Recording(share=0.5, keep_days=7)


def test_changes_without_end(served: ServedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> str:
        raise Conflict("no")

    monkeypatch.setattr(recording.storage, "compare_and_swap", refuse)

    with pytest.raises(Conflict):
        change_recording(served, share=0.5)


@pytest.mark.parametrize(
    ("changes", "received"),
    [
        ({"share": 1.1}, "1.1"),
        ({"share": -0.1}, "-0.1"),
        ({"share": float("nan")}, "nan"),
        ({"keep_days": -1}, "-1"),
        ({"keep_days": 1_000_000}, "1000000"),
        ({"omit": ("name",)}, "'name'"),
        ({"hash": ("input.",)}, "'input.'"),
        ({"omit": ("key",), "hash": ("key",)}, "'key'"),
    ],
)
def test_settings_that_are_not_valid(served: ServedModel, changes: dict[str, Any], received: str) -> None:
    with pytest.raises(InputError) as caught:
        change_recording(served, **changes)

    assert f"Received: {received}" in str(caught.value)
    assert all(name in str(caught.value) for name in changes)
    assert served.read(RECORDING) is None


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"shares": 1}',
        b'{"share": "1"}',
        b'{"omit": "x"}',
        b'{"keep_days": 1.5}',
        b'{"share": 2}',
        b"\xff",
    ],
)
def test_files_that_are_not_valid(content: bytes) -> None:
    with pytest.raises(InputError):
        parse(content, "recording.json")


def test_a_file_that_a_person_wrote() -> None:
    assert parse(b'{"share": 1, "hash": ["key"]}', "recording.json") == Recording(hash=("key",))
