import contextlib
import io
import os
import pty
import time
from pathlib import Path

import pytest

from tiffin.specs.progress import StepProgress, shown


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


def test_without_a_terminal_each_change_is_a_plain_line() -> None:
    stream = io.StringIO()
    run_steps([StepProgress("ingest"), StepProgress("train-model"), StepProgress("deploy")], stream)

    assert stream.getvalue() == (
        "toy 0.1.0\n"
        "  ingest       running\n"
        "  ingest       succeeded    12.3 s\n"
        "  train-model  running\n"
        "  train-model  failed       12.3 s\n"
        "  deploy       skipped\n"
    )


@pytest.mark.parametrize("columns", [80, 120])
def test_on_a_terminal_each_step_has_one_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("TERM", "xterm")
    steps = [StepProgress("ingest"), StepProgress("train-model"), StepProgress("a-very-long-name" * 9)]
    ours, theirs = pty.openpty()
    with open(theirs, "w") as stream:
        run_steps(steps, stream)
    text = _written(ours)

    plain = [line.rstrip() for line in _screen(text) if line.strip()]
    assert len(plain) == 4
    assert plain[1].startswith("  ✓ ingest")
    assert plain[2].startswith("  ✗ train-model")
    assert plain[1].endswith("12.3 s")
    assert plain[3].endswith("…  skipped")
    assert all(len(line) < columns for line in plain)


def _written(terminal: int) -> str:
    """Return everything that was written to a terminal whose other end is closed."""
    parts = []
    # Reading a terminal at its end raises an error.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65_536):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


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
