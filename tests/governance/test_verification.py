"""Verification and repair of a serving root."""

import os
from pathlib import Path

import pytest

from support import serving_roots
from support.serving_roots import ADA, BOB, newest, put, wait
from tiffin import storage
from tiffin.governance import changes, promotion
from tiffin.governance.promotion import roll_back
from tiffin.governance.verification import repair_config, verify_history
from tiffin.serving.history import read_history
from tiffin.serving.root import STABLE, ServedModel


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path / "root"), "taxi")


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    return serving_roots.make_saved_model(tmp_path)


def codes(model: ServedModel) -> list[tuple[str, int]]:
    return [(finding.code, finding.record) for finding in verify_history(model, read_history(model))]


def served(model: ServedModel) -> list[int]:
    return model.versions_in(model.read(STABLE))


def test_a_model_without_a_history(taxi: ServedModel) -> None:
    assert codes(taxi) == []
    assert repair_config(taxi, BOB) == []
    assert newest_number(taxi) == 0


def newest_number(model: ServedModel) -> int:
    return len(read_history(model).entries)


def test_changes_leave_nothing_to_find(taxi: ServedModel, saved_model: Path) -> None:
    put(taxi, saved_model, 1, 2, 3)
    wait(taxi, saved_model, 4, "required")
    assert codes(taxi) == []
    roll_back(taxi, BOB)
    assert codes(taxi) == []
    assert repair_config(taxi, BOB) == []

    assert newest(taxi).action == "rollback"


def test_a_record_that_was_edited(taxi: ServedModel, saved_model: Path) -> None:
    put(taxi, saved_model, 1, 2)
    path = Path(taxi.locate("history", "00000002.json"))
    path.write_text(path.read_text().replace('"ada"', '"eve"'))

    assert codes(taxi) == [("CHANGED", 2)]
    assert repair_config(taxi, BOB) == []


@pytest.mark.parametrize("content", [b"", b"model_config_list {}", None])
def test_a_config_that_was_changed_by_hand(taxi: ServedModel, saved_model: Path, content: bytes | None) -> None:
    put(taxi, saved_model, 1, 2)
    path = Path(taxi.locate(STABLE))
    os.unlink(path) if content is None else path.write_bytes(content)
    assert codes(taxi) == [("CONFIG", 0)]
    [finding] = repair_config(taxi, BOB)

    assert (finding.code, finding.record) == ("CONFIG", 5)
    assert finding.repaired
    assert codes(taxi) == []
    assert served(taxi) == [1, 2]
    assert (newest(taxi).action, newest(taxi).author) == ("repair", BOB)


def test_a_config_that_was_not_written(taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(taxi, saved_model, 1, 2)
    with monkeypatch.context() as patch:
        patch.setattr(changes, "write_config", lambda *_: False)
        roll_back(taxi, ADA)
    assert codes(taxi) == [("UNFINISHED", 0)]
    [finding] = repair_config(taxi, BOB)

    assert (finding.code, finding.record) == ("UNFINISHED", 0)
    assert codes(taxi) == []
    assert served(taxi) == [1]
    assert newest(taxi).action == "rollback"


def test_a_rollback_whose_config_was_not_written_is_completed_by_the_next_one(
    taxi: ServedModel, saved_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(taxi, saved_model, 1, 2, 3)
    with monkeypatch.context() as patch:
        patch.setattr(changes, "write_config", lambda *_: False)
        first = roll_back(taxi, ADA)
    assert roll_back(taxi, BOB, leaving=3) == first

    assert codes(taxi) == []
    assert read_history(taxi).standing.champion == 2
    assert roll_back(taxi, BOB).standing.champion == 1


def test_a_promotion_that_was_not_confirmed_is_undone(taxi: ServedModel, saved_model: Path) -> None:
    put(taxi, saved_model, 1)
    taxi.publish(saved_model, 2)
    promotion._start(taxi, 2, ADA, replace_newer=False, keep_previous=None)
    assert codes(taxi) == [("UNFINISHED", 3)]
    [finding] = repair_config(taxi, BOB)

    assert (finding.code, finding.record) == ("UNFINISHED", 4)
    assert codes(taxi) == []
    assert served(taxi) == [1]
    assert read_history(taxi).standing.champion == 1


def test_a_version_whose_files_are_gone(taxi: ServedModel, saved_model: Path) -> None:
    put(taxi, saved_model, 1, 2)
    storage.delete(taxi.locate("versions", "2"))

    assert codes(taxi) == [("FILES", 0)]
