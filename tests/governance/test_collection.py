"""Files of versions that nothing needs."""

from pathlib import Path

import pytest

from support import serving_roots
from support.serving_roots import ADA, BOB, newest, put, wait
from tiffin import storage
from tiffin.errors import InputError
from tiffin.governance.collection import collect, plan
from tiffin.governance.promotion import roll_back
from tiffin.serving.history import read_history
from tiffin.serving.root import CANDIDATE, ServedModel


@pytest.fixture
def taxi(tmp_path: Path) -> ServedModel:
    return ServedModel(str(tmp_path / "root"), "taxi")


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    return serving_roots.make_saved_model(tmp_path)


def removed(model: ServedModel, keep: int) -> list[int]:
    return [item.version for item in plan(model, keep) if not item.why]


def test_a_model_without_a_history(taxi: ServedModel, saved_model: Path) -> None:
    taxi.publish(saved_model, 1)
    with pytest.raises(InputError, match="'taxi'"):
        collect(taxi, ADA)

    assert taxi.find_versions() == [1]


@pytest.mark.parametrize(
    ("keep", "gone"), [(1, [1, 2, 3, 4]), (2, [1, 2, 3, 4]), (3, [1, 2, 3]), (5, [1]), (6, []), (99, [])]
)
def test_the_last_versions_of_the_history_are_kept(
    taxi: ServedModel, saved_model: Path, keep: int, gone: list[int]
) -> None:
    put(taxi, saved_model, *range(1, 7))

    assert removed(taxi, keep) == gone


def test_what_has_a_role_or_is_in_a_config_is_kept(taxi: ServedModel, saved_model: Path) -> None:
    put(taxi, saved_model, 1, 2, 3, 4)
    roll_back(taxi, BOB)
    wait(taxi, saved_model, 6, "required")
    taxi.publish(saved_model, 5)
    storage.write_new(taxi.locate(CANDIDATE), taxi.make_config(1) or b"")
    why = {item.version: item.why for item in plan(taxi, 1)}

    assert why.pop(5) == ""
    assert all(why.values())
    assert sorted(why) == [1, 2, 3, 4, 6]


def test_files_are_removed_with_a_record(taxi: ServedModel, saved_model: Path) -> None:
    put(taxi, saved_model, 1, 2, 3)
    [item, *_] = collect(taxi, BOB, 1)

    assert (item.version, item.size_bytes, item.why) == (1, len(b"graph") + len(b"weights"), "")
    assert taxi.find_versions() == [2, 3]
    assert not storage.exists(taxi.locate("versions", "1"))
    assert (newest(taxi).action, newest(taxi).collected) == ("collect", (1,))
    assert read_history(taxi).standing.earlier == (2,)


def test_nothing_to_remove_leaves_no_record(taxi: ServedModel, saved_model: Path) -> None:
    put(taxi, saved_model, 1, 2)
    collect(taxi, BOB, 1)

    assert newest(taxi).action == "confirm"
