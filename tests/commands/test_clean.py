import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from support.command_line import TIFFIN, tiffin
from support.terminals import read_terminal
from tiffin.artifacts import documents

OLD = "training-20200101-120000"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with one old run, and the files that `clean` keeps."""
    documents.write(tmp_path / "state" / "runs" / OLD / "run.json", {"model": None, "models": {}})
    for kept in ("mlflow.db", "serving/taxi/versions/1/saved_model.pb", "mlflow/r/artifacts/model", "server/lock"):
        (tmp_path / "state" / kept).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "state" / kept).write_text("kept")
    return tmp_path / "state"


def files(state: Path) -> set[str]:
    return {str(path.relative_to(state)) for path in state.rglob("*") if path.is_file() and path.name != ".runs.lock"}


def test_a_dry_run_removes_nothing(state: Path) -> None:
    before = files(state)
    status, output, _ = tiffin("clean", "--state", state, "--keep", 0, "--dry-run")

    assert (status, files(state)) == (0, before)
    assert f"runs/{OLD}" in output
    assert " bytes" in output


def test_only_the_run_is_removed(state: Path) -> None:
    before = files(state)
    status, output, _ = tiffin("clean", "--state", state, "--older-than", "30d", "--yes")

    assert (status, before - files(state)) == (0, {f"runs/{OLD}/run.json"})
    assert f"runs/{OLD}" in output


def test_ten_runs_are_kept_by_default(state: Path) -> None:
    for number in range(1, 11):
        documents.write(state / "runs" / f"{OLD}-{number}" / "run.json", {})
    status, _, _ = tiffin("clean", "--state", state, "--yes")

    assert status == 0
    assert len(list((state / "runs").glob("training-*"))) == 10
    assert not (state / "runs" / OLD).exists()


def test_json_output_is_one_object(state: Path) -> None:
    status, output, _ = tiffin("clean", "--state", state, "--keep", 0, "--json", "--yes")
    found = json.loads(output)

    assert status == 0
    assert list(found) == ["state", "dry_run", "removed", "kept", "bytes"]
    assert [item["path"] for item in found["removed"]] == [f"runs/{OLD}"]
    assert found["bytes"] == found["removed"][0]["bytes"] > 0
    assert json.loads(tiffin("clean", "--state", state, "--json", "--dry-run")[1])["removed"] == []


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], ["--yes", "--dry-run"]),
        (["--json"], ["--yes", "--dry-run"]),
        (["--older-than", "30", "--yes"], ["--older-than", "'30'", "30d"]),
        (["--older-than", "-1d", "--yes"], ["--older-than", "'-1d'"]),
        (["--keep", "-1", "--yes"], ["--keep", "-1"]),
    ],
)
def test_invalid_arguments_remove_nothing(state: Path, arguments: list[str], named: list[str]) -> None:
    before = files(state)
    status, _, errors = tiffin("clean", "--state", state, "--keep", 0, *arguments)

    assert (status, files(state)) == (2, before)
    assert all(name in errors for name in named)


def test_a_folder_that_is_no_state_folder_is_refused(tmp_path: Path) -> None:
    status, _, errors = tiffin("clean", "--state", tmp_path, "--yes")

    assert status == 2
    assert f"'{tmp_path}'" in errors
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", 0), (b"n\n", 1), (b"\n", 1)])
def test_a_terminal_is_asked(state: Path, answer: bytes, status: int) -> None:
    ours, theirs = pty.openpty()
    command = [TIFFIN, "clean", "--state", str(state), "--keep", "0"]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        os.write(ours, answer)
        text = read_terminal(ours)

    assert process.returncode == status
    assert f"runs/{OLD}" in text
    assert (state / "runs" / OLD).exists() == bool(status)
