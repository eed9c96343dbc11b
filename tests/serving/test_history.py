"""The history of a model: records, their order, and what was changed, removed or inserted."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from support import serving_roots
from support.serving_roots import ADA, actions, newest, put
from tiffin import storage
from tiffin.errors import Conflict
from tiffin.serving.history import NOTHING, Record, append, find_faults, find_record, read_history
from tiffin.serving.root import ServedModel


@pytest.fixture(params=["disk", "bucket"])
def taxi(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedModel]:
    """A model on local disk, and one on Cloud Storage."""
    with serving_roots.model_on(request.param, tmp_path) as model:
        yield model


@pytest.fixture
def saved_model(tmp_path: Path) -> Path:
    return serving_roots.make_saved_model(tmp_path)


@pytest.fixture
def folder(tmp_path: Path, saved_model: Path) -> Path:
    """The history of a model on disk with two versions: promote, confirm, promote, confirm."""
    put(ServedModel(str(tmp_path / "root"), "taxi"), saved_model, 1, 2)
    return tmp_path / "root" / "taxi" / "history"


def of(folder: Path) -> ServedModel:
    return ServedModel(str(folder.parents[1]), "taxi")


def faults(folder: Path) -> list[tuple[int, str]]:
    return [(number, code) for number, code, _ in find_faults(read_history(of(folder)))]


class TestRead:
    def test_a_new_model_has_no_history(self, taxi: ServedModel) -> None:
        history = read_history(taxi)

        assert (history.entries, history.newest, history.standing) == ((), None, NOTHING)
        assert list(find_faults(history)) == []

    def test_records_are_in_the_order_of_their_numbers(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        for _ in range(16):  # more records than are read at once
            last = read_history(taxi).entries[-1]
            append(taxi, replace(newest(taxi), number=last.number + 1, before=last.digest))
        history = read_history(taxi)

        assert [record.number for record in history.records] == list(range(1, 19))
        assert actions(taxi)[:3] == [("promote", 1), ("confirm", 1), ("confirm", 1)]
        assert list(find_faults(history)) == []

    def test_a_record_has_person_time_and_reason(self, taxi: ServedModel, saved_model: Path) -> None:
        put(taxi, saved_model, 1)
        [first, _] = read_history(taxi).records
        text = storage.read_text(taxi.locate("history", "00000001.json"))

        assert (first.author, first.version, first.before) == (ADA, 1, "")
        assert first.time.utcoffset() == timedelta(0)
        assert text.encode() == first.content
        assert json.loads(text)["author"] == {"account": "", "run": "", "who": "ada", "why": "a test"}

    def test_files_of_other_names_are_no_records(self, folder: Path) -> None:
        (folder / "20260301T120000.000000Z-1.json").write_text("{}")
        (folder / "notes.txt").write_text("")

        assert len(read_history(of(folder)).entries) == 4
        assert faults(folder) == []

    def test_a_number_is_taken_once(self, folder: Path) -> None:
        record = newest(of(folder))
        with pytest.raises(Conflict):
            append(of(folder), replace(record, version=9))

        assert newest(of(folder)) == record

    def test_what_was_champion_at_a_time(self, folder: Path) -> None:
        records = read_history(of(folder)).records
        champions = [read_history(of(folder)).at(record.time).standing.champion for record in records]

        assert champions == [None, 1, 1, 2]
        assert read_history(of(folder)).at(records[0].time - timedelta(seconds=1)).entries == ()


def edit(change: Callable[[Record], Record], number: int) -> Callable[[Path], None]:
    """Return a function that writes a record again as Tiffin would."""

    def write(folder: Path) -> None:
        record = read_history(of(folder)).records[number - 1]
        (folder / f"{number:08}.json").write_bytes(change(record).content)

    return write


def append_text(name: str, text: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_text((folder / name).read_text() + text)


class TestFaults:
    @pytest.mark.parametrize(
        ("tamper", "expected"),
        [
            (append_text("00000002.json", " "), [(2, "CHANGED")]),
            (lambda folder: (folder / "00000002.json").write_text("{"), [(2, "CHANGED")]),
            (lambda folder: (folder / "00000002.json").write_text("{}"), [(2, "CHANGED")]),
            (lambda folder: (folder / "00000003.json").write_bytes(b"\xff"), [(3, "CHANGED")]),
            (edit(lambda record: replace(record, author=replace(ADA, who="eve")), 2), [(2, "CHANGED")]),
            (edit(lambda record: replace(record, before="0" * 64), 1), [(1, "CHANGED")]),
            (edit(lambda record: replace(record, at="yesterday"), 4), [(4, "CHANGED")]),
            (lambda folder: os.unlink(folder / "00000002.json"), [(2, "REMOVED")]),
            (lambda folder: [os.unlink(folder / f"0000000{number}.json") for number in (1, 2)], [(1, "REMOVED")]),
            (lambda folder: shutil.copy(folder / "00000004.json", folder / "00000005.json"), [(5, "INSERTED")]),
            (lambda folder: shutil.copy(folder / "00000001.json", folder / "00000009.json"), [(5, "REMOVED"), (9, "INSERTED")]),
        ],
    )  # fmt: skip
    def test_a_record_that_was_changed_removed_or_inserted(
        self, folder: Path, tamper: Callable[[Path], object], expected: list[tuple[int, str]]
    ) -> None:
        tamper(folder)

        assert [found for found in faults(folder) if found in expected] == expected

    def test_two_records_that_change_places(self, folder: Path) -> None:
        two, three = (folder / f"0000000{number}.json" for number in (2, 3))
        content = two.read_bytes()
        two.write_bytes(three.read_bytes())
        three.write_bytes(content)

        assert {code for _, code in faults(folder)} == {"INSERTED"}

    def test_the_newest_record_is_missed_by_its_digest(self, folder: Path) -> None:
        history = read_history(of(folder))
        newest = history.entries[-1]
        os.unlink(folder / "00000004.json")

        assert faults(folder) == []
        assert find_record(history, newest.number, newest.digest)
        assert not find_record(read_history(of(folder)), newest.number, newest.digest)

    def test_a_damaged_newest_record_leaves_the_one_before(self, folder: Path) -> None:
        (folder / "00000004.json").write_text("{")
        history = read_history(of(folder))

        assert (history.standing.champion, history.standing.incoming) == (1, 2)
        assert history.entries[-1].number == 4
