"""The ends of containers, each told from the others in the run's summary."""

import json
from pathlib import Path

import pytest

from support import faulty_pipelines as faulty
from support.containers import docker, tiffin

pytestmark = pytest.mark.usefixtures("images")


def run(folder: Path, how: str, **options: str) -> tuple[int, dict, str]:
    spec = faulty.write_spec(faulty.fail_as_told, folder, **options)
    done = tiffin("run", str(spec), "--docker", "--json", "--set", f"how={how}", cwd=folder)
    summary = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, summary, done.stderr


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("memory", "0.293 GiB"),
        ("silence", "Output, done"),
        ("read-only", "'/opt/tiffin/new': Read-only file system"),
        ("not mine", "'/etc/passwd': "),
        ("signal", "signal 9"),
        ("bug", "ZeroDivisionError: a bug"),
    ],
)
def test_each_end_has_its_reason(tmp_path: Path, how: str, reason: str) -> None:
    status, summary, _ = run(tmp_path, how)

    assert (status, summary["state"]) == (1, "FAILED")
    assert reason in summary["reason"]
    assert [(step["name"], step["state"]) for step in summary["steps"]] == [("fail-as-told", "failed")]


def test_a_step_has_no_privileges_and_reaches_nothing(tmp_path: Path) -> None:
    status, summary, log = run(tmp_path, "")

    assert (status, summary["state"]) == (0, "SUCCEEDED"), log
    found = json.loads(next(tmp_path.rglob("fail-as-told/done")).read_text())
    assert found.pop("uid") != 0
    assert found == {"capabilities": 0, "no new privileges": 1, "root": "ro", "reached": []}


def test_an_image_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    status, summary, log = run(tmp_path, "", image="localhost/tiffin/data:0.0.0")

    assert (status, summary) == (2, {})
    assert "localhost/tiffin/data:0.0.0" in log
    assert "`make images`" in log


def test_an_image_that_is_none_of_tiffins_is_refused_before_anything_runs(tmp_path: Path) -> None:
    status, summary, log = run(tmp_path, "", image="python:3.13-slim-trixie")

    assert (status, summary) == (2, {})
    assert "(data or model)" in log
    assert "python:3.13-slim-trixie" in log


def test_nothing_of_a_run_is_left_in_the_engine(tmp_path: Path) -> None:
    run(tmp_path, "bug")

    assert docker("ps", "--all", "--quiet", "--filter", "label=tiffin.owner") == ""
    assert docker("network", "ls", "--quiet", "--filter", "label=tiffin.owner") == ""
