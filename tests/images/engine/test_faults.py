"""Failures of containers, and their reasons in the run's summary."""

import json
from pathlib import Path

import pytest

from support import faulty_pipelines as faulty
from support.containers import docker, tiffin

pytestmark = pytest.mark.usefixtures("images")


def run(folder: Path, how: str, **options: str) -> tuple[int, dict, str]:
    spec = faulty.write_spec(faulty.fail_or_report, folder, **options)
    done = tiffin("run", str(spec), "--docker", "--json", "--set", f"how={how}", cwd=folder)
    summary = json.loads(done.stdout) if done.stdout else {}
    return done.returncode, summary, done.stderr


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("memory", "0.293 GiB"),
        ("no output", "Output, done"),
        ("read-only", "'/opt/tiffin/new': Read-only file system"),
        ("denied", "'/etc/passwd': "),
        ("signal", "signal 9"),
        ("bug", "ZeroDivisionError: a bug"),
    ],
)
def test_summary_has_the_reason_of_the_failure(tmp_path: Path, how: str, reason: str) -> None:
    status, summary, _ = run(tmp_path, how)

    assert (status, summary["state"]) == (1, "FAILED")
    assert reason in summary["reason"]
    assert [(step["name"], step["state"]) for step in summary["steps"]] == [("fail-or-report", "failed")]


def test_step_has_no_privileges_and_no_network(tmp_path: Path) -> None:
    status, summary, log = run(tmp_path, "")

    assert (status, summary["state"]) == (0, "SUCCEEDED"), log
    found = json.loads(next(tmp_path.rglob("fail-or-report/done")).read_text())
    assert found.pop("uid") != 0
    assert found == {"capabilities": 0, "no new privileges": 1, "root": "ro", "reached": []}


def test_missing_image_is_refused_before_the_run(tmp_path: Path) -> None:
    status, summary, log = run(tmp_path, "", image="localhost/tiffin/data:0.0.0")

    assert (status, summary) == (2, {})
    assert "localhost/tiffin/data:0.0.0" in log
    assert "`make images`" in log


def test_foreign_image_is_refused_before_the_run(tmp_path: Path) -> None:
    status, summary, log = run(tmp_path, "", image="python:3.13-slim-trixie")

    assert (status, summary) == (2, {})
    assert "(data or model)" in log
    assert "python:3.13-slim-trixie" in log


def test_run_removes_its_containers_and_networks(tmp_path: Path) -> None:
    run(tmp_path, "bug")

    assert docker("ps", "--all", "--quiet", "--filter", "label=tiffin.owner") == ""
    assert docker("network", "ls", "--quiet", "--filter", "label=tiffin.owner") == ""
