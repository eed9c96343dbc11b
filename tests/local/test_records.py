"""The runs of a state folder: found by name, path and ID."""

from pathlib import Path

import pytest

from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.local.records import find_page, find_run, list_runs, read_record

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


def test_a_run_is_found_by_name_path_and_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = make_run(tmp_path, OLD, run=f"{OLD}-0123abcd"), make_run(tmp_path, NEW)
    monkeypatch.chdir(tmp_path / "runs")

    assert {find_run(tmp_path, run) for run in (OLD, f"{OLD}-0123abcd", str(old), f"{old}/")} == {old}
    # A run in progress has no record with its ID.
    assert find_run(tmp_path, f"{NEW}-0123abcd") == new
    assert find_run(tmp_path / "none", OLD) == find_run(tmp_path / "none", f"./{OLD}") == old


@pytest.mark.parametrize("run", ["training-20260301-12000", f"{OLD}-ffffffff", "./none", "..", "x" * 300, "\0"])
def test_an_unknown_run_is_told_with_the_newest(tmp_path: Path, run: str) -> None:
    make_run(tmp_path, OLD, run=f"{OLD}-0123abcd")
    make_run(tmp_path, NEW)

    with pytest.raises(InputError, match=rf"Received: .*{NEW}\.$") as caught:
        find_run(tmp_path, run)
    assert (f"'{OLD}'?" in str(caught.value)) == run.startswith("training")


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
