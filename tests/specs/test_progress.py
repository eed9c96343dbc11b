import io
import pty
import re
import time
from pathlib import Path

import pytest

from support.terminals import read_terminal
from tiffin.artifacts.notes import Note
from tiffin.printing import printable
from tiffin.specs.progress import StepProgress, note_lines, open_console, shown


def run_steps(steps: list[StepProgress], stream: io.TextIOBase) -> None:
    with shown(steps, "toy 0.1.0", stream) as changed:  # type: ignore[arg-type]
        for step, state in zip(steps, ("succeeded", "failed"), strict=False):
            step.begin(Path("log"))
            changed(step)
            step.started = time.monotonic() - 12.3
            step.end(state)  # type: ignore[arg-type]
            changed(step)
        for step in steps[2:]:
            step.end("skipped")


def test_without_steps_only_the_title_is_shown() -> None:
    stream = io.StringIO()
    run_steps([], stream)

    assert stream.getvalue() == "toy 0.1.0\n"


def test_without_a_terminal_each_ended_step_is_a_plain_line() -> None:
    stream = io.StringIO()
    run_steps([StepProgress("ingest"), StepProgress("train-model"), StepProgress("deploy")], stream)

    assert stream.getvalue() == (
        "toy 0.1.0\n  ingest       succeeded    12.3 s\n  train-model  failed       12.3 s\n  deploy       skipped\n"
    )


NOTES = tuple(Note(f"CODE_{number}", f"note {number} " + "word " * 20) for number in range(7))


@pytest.mark.parametrize("state", ["waiting", "skipped"])
def test_a_gate_that_did_not_stop_the_run_is_not_shown(state: str) -> None:
    stream = io.StringIO()
    steps = [StepProgress("ingest", title="Ingest"), StepProgress("stop-run", title="Stop: it is bad", is_gate=True)]
    with shown(steps, "toy", stream) as changed:
        for step, end in zip(steps, ("skipped", state), strict=True):
            step.end(end)  # type: ignore[arg-type]
        steps[0].end("succeeded")
        changed(steps[0])

    assert stream.getvalue() == "toy\n  Ingest  succeeded\n"


def test_a_gate_that_stopped_the_run_is_shown_by_its_display_name() -> None:
    stream = io.StringIO()
    gate = StepProgress("stop-run", title="Stop: it is bad", is_gate=True)
    with shown([gate], "toy", stream) as changed:
        gate.end("failed")
        changed(gate)

    assert stream.getvalue() == "toy\n  Stop: it is bad  failed\n"


def test_notes_follow_the_line_of_their_step() -> None:
    stream = io.StringIO()
    steps = [StepProgress("ingest", notes=NOTES, report=Path("a/manifest.json")), StepProgress("train")]
    with shown(steps, "toy", stream) as changed:
        for step in steps:
            step.end("succeeded")
            changed(step)

    lines = stream.getvalue().splitlines()
    assert [line.split()[:2] for line in lines[2:7]] == [["note", str(number)] for number in range(5)]
    assert all(line.startswith("      ") for line in lines[2:8])
    assert re.search(r" 2 .*a/manifest\.json$", lines[7])
    assert lines[8].split() == ["train", "succeeded"]


def test_notes_about_rows_and_labels_come_first() -> None:
    codes = ("CONVERTED", "LABELS_MISSING", "TASK_CHOSEN", "MISSING_WORDS", "RENAMED", "ROWS_SET_ASIDE")
    step = StepProgress("ingest", notes=tuple(Note(code, code) for code in codes), report=Path("m.json"))

    assert [line.split()[0] for line in note_lines(step, None)[:3]] == ["ROWS_SET_ASIDE", "LABELS_MISSING", "CONVERTED"]


@pytest.mark.parametrize("columns", [80, 40])
def test_notes_are_wrapped_between_words(columns: int) -> None:
    lines = note_lines(StepProgress("ingest", notes=NOTES[:1], report=Path("m.json")), columns)

    assert len(lines) > 1
    assert all(len(line) < columns for line in lines)
    assert " ".join(line.strip() for line in lines) == NOTES[0].text.strip()
    assert [len(line) - len(line.lstrip()) for line in lines] == [6, *[8] * (len(lines) - 1)]


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("a\x1b[2Jb", r"a\x1b[2Jb"), ("a\nb\r", r"a\nb\r"), ("\x9b31m", r"\x9b31m"), ("\u202eabc", r"\u202eabc"),
        ("\udc80", r"\udc80"), ("[bold]x[/bold]", "[bold]x[/bold]"), ("年齢 é 'q'", "年齢 é 'q'"), ("\x07", r"\x07"),
    ],
)  # fmt: skip
def test_a_users_text_cannot_control_the_terminal(text: str, shown_as: str) -> None:
    stream = io.StringIO()
    step = StepProgress("ingest", notes=(Note("CODE", text),), report=Path("m.json"), title=text)
    with shown([step], "toy", stream) as changed:
        step.end("succeeded")
        changed(step)

    assert printable(text) == shown_as
    assert stream.getvalue() == f"toy\n  {shown_as}  succeeded\n      {shown_as}\n"


@pytest.mark.parametrize(
    ("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb"), ("NO_COLOR", ""), ("TERM", "xterm")]
)
def test_no_color_removes_every_style(variable: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(variable, value)
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stream:
        run_steps([StepProgress("ingest", notes=NOTES[:1], report=Path("m")), StepProgress("train")], stream)
        open_console(stream).print("x", style="bold dim red")
    text = read_terminal(ours)

    assert "succeeded" in text
    # Bold, dim and colors are sequences that end in `m`.
    assert bool(re.search(r"\x1b\[[0-9;]*m", text)) == (value in ("", "xterm"))


@pytest.mark.parametrize("columns", [40, 80])
def test_a_terminal_shows_the_notes_below_their_step(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stream:
        run_steps([StepProgress("ingest", notes=NOTES[:1], report=Path("m")), StepProgress("train")], stream)
    lines = [line.rstrip() for line in _screen(read_terminal(ours)) if line.strip()]

    assert lines[1].startswith("  ✓ ingest")
    assert lines[-1].startswith("  ✗ train")
    assert " ".join(line.strip() for line in lines[2:-1]) == NOTES[0].text.strip()
    assert all(len(line) < columns for line in lines)


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_each_step_has_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    steps = [StepProgress("ingest"), StepProgress("train-model"), StepProgress("a-very-long-name" * 9)]
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stream:
        run_steps(steps, stream)
    text = read_terminal(ours)

    plain = [line.rstrip() for line in _screen(text) if line.strip()]
    assert len(plain) == 4
    assert plain[1].startswith("  ✓ ingest")
    assert plain[2].startswith("  ✗ train-model")
    assert plain[1].endswith("12.3 s")
    assert plain[3].endswith("…  skipped")
    assert all(len(line) < columns for line in plain)


def _screen(text: str) -> list[str]:
    """Return the final screen, interpreting the few control sequences that rich uses."""
    lines, row, column, position = [""], 0, 0, 0
    while position < len(text):
        character = text[position]
        if character == "\x1b":
            end = position + 2
            while not text[end].isalpha():
                end += 1
            number = int(text[position + 2 : end]) if text[position + 2 : end].isdigit() else 1
            if text[end] == "A":
                row -= number
            elif text[end] == "K":
                lines[row] = ""
            position = end
        elif character == "\r":
            column = 0
        elif character == "\n":
            row, column = row + 1, 0
            lines.extend([""] * (row + 1 - len(lines)))
        else:
            lines[row] = (lines[row][:column].ljust(column) + character) + lines[row][column + 1 :]
            column += 1
        position += 1
    return lines
