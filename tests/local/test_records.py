"""The runs of a state folder: their names, their states, and how they are found."""

import datetime
import os
import re
from pathlib import Path

import pytest

from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.local.records import (
    find_page,
    find_run,
    find_runner,
    find_summaries,
    list_runs,
    make_folder,
    pipeline_of,
    read_record,
    read_state,
    taken,
)

OLD, NEW = "training-20260301-120000", "own-20260302-120000"


def make_run(state: Path, name: str, **record: str) -> Path:
    folder = state / "runs" / name
    (folder / "logs").mkdir(parents=True)
    if record:
        documents.write(folder / "run.json", record)
    return folder


def test_a_state_folder_without_runs(tmp_path: Path) -> None:
    assert list_runs(tmp_path / "none") == []
    for run in ("", OLD):
        with pytest.raises(InputError, match=f"'{tmp_path}'"):
            find_run(tmp_path, run)


def test_runs_are_sorted_by_their_start(tmp_path: Path) -> None:
    (tmp_path / "runs" / "other").mkdir(parents=True)
    second, first, third = (make_run(tmp_path, name) for name in (f"{OLD}-2", OLD, NEW))

    assert [folder for _, folder in list_runs(tmp_path)] == [first, second, third]
    assert find_run(tmp_path, "") == third


def test_runs_of_a_second_are_sorted_by_their_last_attempts(tmp_path: Path) -> None:
    folders = [make_run(tmp_path, f"{OLD}-{end}") for end in ("ffff", "0000", "aaaa")]
    for nanoseconds, folder in enumerate(folders):
        with taken(folder):
            pass
        os.utime(folder / "lock", ns=(0, nanoseconds))

    assert [folder for _, folder in list_runs(tmp_path)] == folders


def test_a_run_is_found_by_id_start_of_it_and_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = make_run(tmp_path, f"{OLD}-1a2b"), make_run(tmp_path, f"{NEW}-1a2b")
    monkeypatch.chdir(tmp_path / "runs")

    assert {find_run(tmp_path, run) for run in (old.name, OLD, "t", str(old), f"{old}/")} == {old}
    assert find_run(tmp_path, "own") == new
    assert find_run(tmp_path / "none", old.name) == find_run(tmp_path / "none", f"./{old.name}/../{old.name}") == old


def test_a_start_of_several_ids_is_told_with_them(tmp_path: Path) -> None:
    names = [make_run(tmp_path, f"training-2026030{day}-120000-1a2b").name for day in range(1, 8)]

    with pytest.raises(InputError, match=r"'training'.* 7") as caught:
        find_run(tmp_path, "training")
    assert [name in str(caught.value) for name in names] == [False] * 2 + [True] * 5
    # A name that others start with.
    exact = make_run(tmp_path, OLD)
    assert find_run(tmp_path, OLD) == exact


@pytest.mark.parametrize("run", ["training-20260301-12001", f"{OLD}-ffff", "./none", "..", "x" * 300, "\0"])
def test_an_unknown_run_is_told_with_the_newest(tmp_path: Path, run: str) -> None:
    make_run(tmp_path, OLD)
    make_run(tmp_path, NEW)

    with pytest.raises(InputError, match=rf"Received: .*{NEW}\.$") as caught:
        find_run(tmp_path, run)
    assert (f"'{OLD}'?" in str(caught.value)) == run.startswith("training")


def test_folders_of_runs_are_named_by_pipeline_and_start(tmp_path: Path) -> None:
    start = datetime.datetime(2026, 3, 1, 12).astimezone()
    folders = [make_folder(tmp_path, "own", start) for _ in range(3)]

    assert len(set(folders)) == 3
    assert all(re.fullmatch(r"own-20260301-120000-[0-9a-f]{4}", folder.name) for folder in folders)
    assert {time for time, _ in list_runs(tmp_path)} == {start}
    assert {pipeline_of(folder) for folder in folders} == {"own"}


def test_a_run_has_one_runner(tmp_path: Path) -> None:
    folder = make_run(tmp_path, OLD)

    assert find_runner(folder) is None
    with taken(folder) as first, taken(folder) as second:
        assert (first, second) == (True, False)
        assert find_runner(folder) == os.getpid()
    assert find_runner(folder) is None
    with pytest.raises(FileNotFoundError), taken(tmp_path / "none"):
        pass


@pytest.mark.parametrize(
    ("record", "state"),
    [({}, "KILLED"), ({"state": "RUNNING"}, "KILLED"), ({"state": "FAILED"}, "FAILED"), ({"reason": "old"}, "KILLED")],
)
def test_the_lock_and_the_record_tell_the_state(tmp_path: Path, record: dict[str, str], state: str) -> None:
    folder = make_run(tmp_path, OLD)
    if record:
        documents.write(folder / "run.json", record)

    assert read_state(folder) == (state, record or None)
    with taken(folder):
        assert read_state(folder) == ("RUNNING", record or None)


@pytest.mark.parametrize("content", ["", "[]", "{"])
def test_a_damaged_record_is_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "run.json").write_text(content)

    assert read_record(tmp_path) is None


def test_a_page_is_beside_the_summary(tmp_path: Path) -> None:
    assert find_page(tmp_path, "report.html") is None
    for step in ("summarize-run", "another"):
        (tmp_path / "artifacts" / "training-1" / step).mkdir(parents=True)
        (tmp_path / "artifacts" / "training-1" / step / "report.html").touch()
    assert find_page(tmp_path, "report.html") is None
    (tmp_path / "artifacts" / "training-1" / "summarize-run" / "summary").mkdir()

    assert find_page(tmp_path, "report.html") == tmp_path / "artifacts" / "training-1" / "summarize-run" / "report.html"
    assert find_page(tmp_path, "card.html") is None


def test_the_summary_that_was_written_last_comes_first(tmp_path: Path) -> None:
    """The exit step of a nested pipeline runs before that of the pipeline around it."""
    assert find_summaries(tmp_path) == []
    folders = [
        tmp_path / "artifacts" / "training-1" / step / "summary" for step in ("summarize-run-2", "summarize-run")
    ]
    for number, folder in enumerate(folders):
        folder.mkdir(parents=True)
        folder.with_name("report.html").touch()
        os.utime(folder, (number, number))

    assert find_summaries(tmp_path) == folders[::-1]
    assert find_page(tmp_path, "report.html") == folders[1].with_name("report.html")
