"""`tiffin runs` as a process."""

import json
from pathlib import Path
from typing import Any

import pytest

from support import kfp_backend
from support import toy_pipelines as toys
from support.command_line import tiffin
from tiffin.local.records import taken, write_record

OLD, NEW = "training-20260301-120000-1a2b", "own-20260302-120000-3c4d"
STEPS = [
    {"name": "ingest-examples", "title": "Ingest", "state": "succeeded", "seconds": 1.5, "log": "x"},
    {"name": "train-model", "title": "Train", "state": "failed", "seconds": 1.0, "log": "x"},
]
FAILED = {
    "pipeline": "own", "version": "0.1.0", "run": NEW, "state": "FAILED", "reason": "no \x1b[2Jfile", "seconds": 2.5,
    "started": "2026-03-02T12:00:00+00:00", "parameters": {"data": "x.csv"}, "defaults": {"epochs": 1}, "attempts": [],
    "steps": STEPS, "options": {}, "stopped_by": None,
}  # fmt: skip


def make_run(place: Path, name: str, **record: Any) -> Path:
    folder = place / "runs" / name
    (folder / "logs").mkdir(parents=True)
    write_record(folder, {**FAILED, "run": name, **record})
    for step in STEPS:
        (folder / "logs" / f"{step['name']}.log").write_text(f"first\nof {step['name']}\n")
    return folder


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with an old run that succeeded, and a new one that failed."""
    good = [{**step, "state": "succeeded"} for step in STEPS]
    make_run(tmp_path / "my state", OLD, pipeline="training", state="SUCCEEDED", reason="", steps=good)
    make_run(tmp_path / "my state", NEW)
    return tmp_path / "my state"


def test_a_state_folder_without_runs(tmp_path: Path) -> None:
    none = ("--state", tmp_path / "none")
    status, output, errors = tiffin("runs", "list", *none)

    assert (status, output.count("\n"), errors) == (0, 1, "")
    assert tiffin("runs", "list", "--json", *none) == (0, "", "")
    for arguments in (["show"], ["logs"], ["show", OLD], ["cancel", OLD], ["retry", OLD]):
        status, output, errors = tiffin("runs", *arguments, *none)
        assert (status, output) == (2, "")
        assert f"'{tmp_path / 'none'}'" in errors
    assert not (tmp_path / "none").exists()


def test_runs_are_listed_newest_first(state: Path) -> None:
    status, output, errors = tiffin("runs", "list", "--state", state)

    assert (status, errors) == (0, "")
    first, reason, second = output.splitlines()
    assert [first.split()[:2], second.split()[:2]] == [[NEW, "FAILED"], [OLD, "SUCCEEDED"]]
    assert reason == r"  no \x1b[2Jfile"
    assert all(len(line) <= 80 for line in output.splitlines())


def test_listed_runs_are_filtered_and_limited(state: Path) -> None:
    def listed(*arguments: str) -> tuple[list[str], str]:
        status, output, errors = tiffin("runs", "list", "--state", state, "--json", *arguments)
        assert status == 0
        return [json.loads(line)["run"] for line in output.splitlines()], errors

    assert listed() == ([NEW, OLD], "")
    assert listed("--pipeline", "training") == listed("--in-state", "succeeded") == ([OLD], "")
    assert listed("--in-state", "killed", "--in-state", "failed") == ([NEW], "")
    runs, errors = listed("--limit", "1")
    assert runs == [NEW]
    assert "--limit" in errors


def test_the_newest_or_a_named_run_is_shown(state: Path) -> None:
    status, output, _ = tiffin("runs", "show", "--state", state)
    assert status == 0
    assert output.startswith(f"{NEW}\n")
    assert all(part in output for part in ("data = x.csv", "  of train-model", f"tiffin runs retry {NEW} --state '"))

    status, output, _ = tiffin("runs", "show", OLD[:10], "--state", state, "--json")
    shown = json.loads(output)
    assert (status, shown["run"], shown["state"], shown["folder"]) == (0, OLD, "SUCCEEDED", str(state / "runs" / OLD))
    assert [step["name"] for step in shown["steps"]] == ["ingest-examples", "train-model"]
    assert (shown["parameters"], shown["defaults"]) == ({"data": "x.csv"}, {"epochs": 1})


def test_logs_are_printed_whole_or_from_their_end(state: Path) -> None:
    place = ("--state", state)

    assert tiffin("runs", "logs", *place) == (0, "first\nof train-model\n", "")
    assert tiffin("runs", "logs", NEW, "Ingest", "--tail", "1", *place) == (0, "of ingest-examples\n", "")
    status, output, _ = tiffin("runs", "logs", OLD, *place)
    assert (status, output.count("==>"), output.count("first")) == (0, 2, 2)
    assert tiffin("runs", "logs", NEW, "train-model", "--follow", *place)[:2] == (0, "first\nof train-model\n")
    found = json.loads(tiffin("runs", "logs", "--json", *place)[1])
    assert (found["run"], found["steps"][0]["lines"]) == (NEW, ["first", "of train-model"])
    status, output, errors = tiffin("runs", "logs", NEW, "trian-model", *place)
    assert (status, output, "'train-model'?" in errors) == (2, "", True)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["cancel", NEW], ["FAILED", NEW]),
        (["cancel"], ["'RUN'"]),
        (["retry"], ["'RUN'"]),
        (["retry", OLD], [OLD]),
        (["retry", NEW, "--set", "epochs=2"], ["epochs=2", "tiffin run"]),
        (["show", "nwo"], ["'nwo'", NEW]),
        (["logs", "--follow", "--tail", "1"], ["--follow", "--tail"]),
        (["list", "--host", "http://localhost:1"], ["--state", "--host"]),
        (["list", "--in-state", "done"], ["done", "killed"]),
    ],
)
def test_mistakes_are_told(state: Path, arguments: list[str], named: list[str]) -> None:
    status, output, errors = tiffin("runs", *arguments, "--state", state)

    assert (status, output) == (2, "")
    assert all(part in errors for part in named), errors


def test_a_run_in_progress_is_not_retried(state: Path) -> None:
    with taken(state / "runs" / NEW):
        status, output, errors = tiffin("runs", "retry", NEW, "--state", state)

    assert (status, output) == (2, "")
    assert f"tiffin runs cancel {NEW}" in errors


def test_a_failed_run_goes_on(tmp_path: Path) -> None:
    spec = toys.write_spec(toys.repairable, tmp_path)
    note, file, place = tmp_path / "note", tmp_path / "file", ("--state", tmp_path / "state")
    settings = ("--set", f"note={note}", "--set", f"file={file}")
    status, output, _ = tiffin("run", spec, *place, "--cold", *settings)
    (name,) = [folder.name for folder in (tmp_path / "state" / "runs").iterdir()]
    assert (status, f"tiffin runs retry {name}" in output) == (1, True)
    file.touch()
    status, output, errors = tiffin("runs", "retry", name, *place, "--json")
    result = json.loads(output)

    assert (status, result["run"], result["state"]) == (0, name, "SUCCEEDED")
    assert [step["state"] for step in result["steps"]] == ["kept", "succeeded", "succeeded"]
    assert "kept" in errors


def test_the_names_of_runs_are_completed(state: Path) -> None:
    for command in ("runs show", "runs logs", "runs cancel", "runs retry"):
        variables = {
            "COMP_WORDS": f"tiffin {command} --state '{state}' tr", "COMP_CWORD": "5", "_TIFFIN_COMPLETE": "bash_complete",
        }  # fmt: skip
        assert [line.partition(",")[2] for line in tiffin(**variables)[1].splitlines()] == [OLD]


def test_the_runs_of_a_backend(backend: kfp_backend.Server, tmp_path: Path, state: Path) -> None:
    spec = toys.write_spec(toys.toy, tmp_path)
    host = ("--host", backend.address)
    backend.set(
        pictures=[{"state": "FAILED", "tasks": {"write-text": "FAILED"}}],
        logs={"write-text": ["one\nerror: two\n"]},
        run={"state": "FAILED"},
    )
    assert tiffin("runs", "list", *host)[0] == 0
    assert tiffin("submit", spec, "--set", "text=a", *host)[0] == 0
    (run,) = backend.state()["runs"]
    listed = json.loads(tiffin("runs", "list", "--json", *host)[1])
    status, output, _ = tiffin("runs", "show", *host)

    assert (listed["run"], listed["pipeline"], listed["state"]) == (run, "toy", "FAILED")
    assert status == 0
    assert all(part in output for part in (run, "text = a", "two", f"tiffin runs retry {run} --host {backend.address}"))
    assert tiffin("runs", "logs", run, *host) == (0, "one\nerror: two\n", "")
    assert tiffin("runs", "logs", run, "write-text", "--tail", "1", *host)[1] == "error: two\n"
    status, output, _ = tiffin("runs", "retry", run[:8], *host, "--json")
    assert (status, json.loads(output)["run"]) == (0, run)
    assert tiffin("runs", "cancel", run, *host)[0] == 2
    backend.set(pictures=[{"state": "RUNNING", "tasks": {}}])
    status, output, _ = tiffin("runs", "cancel", run, *host, "--json")
    assert (status, json.loads(output)) == (0, {"run": run, "state": "CANCELING"})
    assert [line.rpartition(":")[2] for line in backend.state()["requests"] if ":" in line] == ["retry", "terminate"]

    # The variable alone, which `tiffin submit` needs, does not choose the backend.
    status, output, _ = tiffin("runs", "list", "--state", state, KF_PIPELINES_ENDPOINT=backend.address)
    assert (status, NEW in output) == (0, True)
    status, output, _ = tiffin("runs", "list", "--namespace", "", KF_PIPELINES_ENDPOINT=backend.address)
    assert (status, run in output) == (0, True)
    assert tiffin("runs", "retry", run, "--cold", *host)[0] == 2
