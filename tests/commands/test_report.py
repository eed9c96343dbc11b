import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.command_line import TIFFIN, tiffin
from support.documents import make_summary
from support.terminals import read_terminal
from tiffin.artifacts import documents
from tiffin.artifacts.summary import CARD_PAGE, REPORT_PAGE, write_summary

OLD, NEW = "training-20260301-120000-1a2b", "training-20260302-120000-3c4d"
END = {"name": "summarize-run", "title": "Summarize", "state": "succeeded", "log": "summarize-run.log"}


def make_run(state: Path, name: str, *pages: str, steps: list[dict[str, Any]] | None = None) -> Path:
    folder = state / "runs" / name
    (folder / "logs").mkdir(parents=True)
    if steps is not None:
        documents.write(folder / "run.json", {"run": name, "state": "FAILED", "steps": steps})
    step = folder / "artifacts" / "training-1" / "summarize-run"
    if pages or steps:
        write_summary(step / "summary", make_summary())
    for page in pages:
        (step / page).write_text(f"<h1>{page} of {name}</h1>")
    return step


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state folder with an old run that has report and card, and a new one with a report."""
    make_run(tmp_path / "my state", OLD, REPORT_PAGE, CARD_PAGE, steps=[END])
    make_run(tmp_path / "my state", NEW, REPORT_PAGE, steps=[END])
    return tmp_path / "my state"


def page_of(state: Path, run: str, page: str = REPORT_PAGE) -> Path:
    return state / "runs" / run / "artifacts" / "training-1" / "summarize-run" / page


def test_a_state_folder_without_runs_is_an_error(tmp_path: Path) -> None:
    status, output, errors = tiffin("report", "--state", tmp_path / "none")

    assert (status, output) == (2, "")
    assert f"'{tmp_path / 'none'}'" in errors
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("arguments", "run", "page"),
    [
        ([], NEW, REPORT_PAGE),
        ([OLD], OLD, REPORT_PAGE),
        ([OLD[:-4], "--card"], OLD, CARD_PAGE),
        (["--print"], NEW, REPORT_PAGE),
    ],
)
def test_without_a_terminal_the_path_is_printed(state: Path, arguments: list[str], run: str, page: str) -> None:
    status, output, errors = tiffin("report", *arguments, "--state", state, BROWSER="false")

    assert (status, output) == (0, f"{page_of(state, run, page)}\n")
    assert ("--output" in errors and f"--state '{state}'" in errors) == ("--print" not in arguments)


@pytest.mark.parametrize(
    "has_display",
    [
        True,
        pytest.param(False, marks=pytest.mark.skipif(sys.platform == "darwin", reason="macOS always has a display")),
    ],
)
def test_a_terminal_opens_the_browser_if_there_is_a_display(state: Path, tmp_path: Path, has_display: bool) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > "{tmp_path}/opened"\n')
    browser.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")}
    ours, theirs = pty.openpty()
    environment = kept | ({"BROWSER": str(browser)} if has_display else {})
    with subprocess.Popen(
        [TIFFIN, "report", "--state", str(state)], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        text = read_terminal(ours)

    assert process.returncode == 0
    assert str(page_of(state, NEW)) in text
    assert ("--output" in text) is not has_display
    opened = tmp_path / "opened"
    assert (opened.read_text() if opened.exists() else "") == (page_of(state, NEW).as_uri() if has_display else "")


def test_the_page_is_copied_to_a_file(state: Path, tmp_path: Path) -> None:
    copy = tmp_path / "new" / "report.html"
    status, output, errors = tiffin("report", "--state", state, "--output", copy)

    assert (status, output, errors) == (0, f"{copy}\n", "")
    assert copy.read_bytes() == page_of(state, NEW).read_bytes()

    status, _, errors = tiffin("report", "--state", state, "--output", tmp_path)
    assert (status, f"'{tmp_path}'" in errors) == (2, True)


def test_json_output_is_one_object(state: Path) -> None:
    status, output, errors = tiffin("report", OLD, "--state", state, "--json")

    assert (status, errors) == (0, "")
    assert json.loads(output) == {
        "run": OLD,
        "state": "FAILED",
        "folder": str(state / "runs" / OLD),
        "report": str(page_of(state, OLD)),
        "card": str(page_of(state, OLD, CARD_PAGE)),
        "output": None,
    }


@pytest.mark.parametrize(
    ("steps", "arguments", "named"),
    [
        (None, [], "logs"),
        ([], [], "FAILED.*summarize_run.*logs"),
        ([{**END, "state": "failed"}], [], r"FAILED.*Summarize.*failed.*summarize-run\.log"),
        ([END], [], r"Summarize.*report\.html.*summarize-run\.log"),
        ([END], ["--card"], r"Summarize.*card\.html.*tiffin report {OLD} --card"),
    ],
)
def test_a_run_without_a_report_is_told_with_its_state_and_log(
    state: Path, steps: list[dict[str, Any]] | None, arguments: list[str], named: str
) -> None:
    broken = "training-20260303-120000-5e6f"
    make_run(state, broken, steps=steps)
    status, output, errors = tiffin("report", *arguments, "--state", state)

    assert (status, output) == (1, "")
    found = [broken, *named.replace("{OLD}", OLD).split(".*"), f"--state '{state}'"]
    assert all(part.replace("\\", "") in errors for part in found), errors


def test_the_names_of_runs_are_completed(state: Path) -> None:
    command = {
        "COMP_WORDS": f"tiffin report --state '{state}' tr",
        "COMP_CWORD": "4",
        "_TIFFIN_COMPLETE": "bash_complete",
    }
    _, output, _ = tiffin(**command)

    assert [line.partition(",")[2] for line in output.splitlines()] == [NEW, OLD]
