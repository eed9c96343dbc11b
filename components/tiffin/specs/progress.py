"""Show the progress of a run: a live table on a terminal, one plain line per ended step elsewhere."""

import contextlib
import os
import textwrap
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from tiffin.artifacts.notes import Note, by_severity
from tiffin.printing import printable

State = Literal["waiting", "running", "succeeded", "kept", "failed", "skipped", "interrupted"]

_MARKS: dict[State, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "running": ("▸", "bold cyan"),
    "succeeded": ("✓", "green"),
    # In a retry: it succeeded before.
    "kept": ("✓", "dim green"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
    "interrupted": ("✗", "bold yellow"),
}
# Notes shown per step; the file with the step's report has all of them.
_NOTES = 5


@dataclass
class StepProgress:
    """The progress of one step.

    Attributes:
        name: Name of the step.
        state: State of the step. Defaults to `waiting`.
        log: File with the step's output; None before it starts.
        started: Start time in seconds of time.monotonic; None before it starts.
        seconds: Duration in seconds; None until it ends.
        notes: What the step dropped, converted or guessed. Defaults to none.
        report: File with all notes; None without notes.
        title: Display name. Defaults to the name.
        is_gate: Whether the step only stops the run for a gate; it is shown only if it does. Defaults to False.
        is_nested: Whether it is a step of a nested pipeline, which may not start; it is shown once it runs. Defaults to False.
    """

    name: str
    state: State = "waiting"
    log: Path | None = None
    started: float | None = None
    seconds: float | None = None
    notes: tuple[Note, ...] = ()
    report: Path | None = None
    title: str = ""
    is_gate: bool = False
    is_nested: bool = False

    def __post_init__(self) -> None:
        """Use the name where there is no display name."""
        self.title = printable(self.title or self.name)

    def begin(self, log: Path) -> None:
        """Mark the step as running. A retry keeps the first start time."""
        self.state, self.log, self.seconds = "running", log, None
        if self.started is None:
            self.started = time.monotonic()

    def end(self, state: State) -> None:
        """Mark the step as ended with `state`."""
        if self.started is not None:
            self.seconds = time.monotonic() - self.started
        self.state = state

    @property
    def elapsed(self) -> float | None:
        """Seconds since the start, or the duration of an ended step; None before it starts."""
        if self.seconds is not None or self.started is None:
            return self.seconds
        return time.monotonic() - self.started

    @property
    def has_outputs(self) -> bool:
        """Whether the step succeeded, in this attempt of the run or in one before it."""
        return self.state in ("succeeded", "kept")

    @property
    def is_shown(self) -> bool:
        """Whether the step concerns the reader of the output: a gate that did not stop the run does not."""
        return not ((self.is_gate or self.is_nested) and self.state in ("waiting", "skipped"))


# Callback for a step whose state changed.
Changed = Callable[[StepProgress], None]


def open_console(stream: TextIO) -> Console:
    """Return a console that writes lines as they are, without any style if NO_COLOR is set or the terminal is dumb.

    rich only drops colors for NO_COLOR, and keeps bold and dim text.
    """
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return Console(file=stream, highlight=False, soft_wrap=True, color_system=None if plain else "auto")


@contextlib.contextmanager
def shown(steps: list[StepProgress], title: str, stream: TextIO, *, redirect_stderr: bool = False) -> Iterator[Changed]:
    """Show the steps and their notes on `stream` while the block runs.

    Args:
        steps: Steps of the run; the list may grow.
        title: First line.
        stream: Standard output or error.
        redirect_stderr: Show lines that are written to standard error above the table. Defaults to False.

    Yields:
        The callback to call when a step's state changed.
    """
    console = open_console(stream)
    console.print(Text(printable(title)))
    if not console.is_terminal or console.is_dumb_terminal:

        def line(step: StepProgress) -> None:
            width = max(len(other.title) for other in steps if other.is_shown)
            console.print(Text(_plain_line(step, width)))
            for text in note_lines(step, None):
                console.print(Text(text))

        try:
            yield lambda step: line(step) if step.state not in ("waiting", "running") else None
        finally:
            for step in steps:
                if step.state == "skipped" and step.is_shown:
                    line(step)
        return
    ended = False
    # Standard output and error are redirected for kfp during a local run, so rich must not redirect them.
    with Live(
        get_renderable=lambda: _table(steps, console.width, with_notes=ended),
        console=console,
        refresh_per_second=8,
        redirect_stdout=False,
        redirect_stderr=redirect_stderr,
        vertical_overflow="visible",
    ) as live:
        # Live draws the table once more when the block ends. Only then it may be higher than the screen.
        try:
            yield lambda _step: live.refresh()
        finally:
            ended = True


def note_lines(step: StepProgress, columns: int | None) -> list[str]:
    """Return the lines that show a step's notes, most severe first.

    Args:
        step: The step.
        columns: Width to wrap the notes at; None to write each note on one line.
    """
    notes = by_severity(step.notes)
    texts = [printable(note.text) for note in notes[:_NOTES]]
    if len(notes) > _NOTES:
        texts.append(f"and {len(notes) - _NOTES} more in {printable(step.report)}")
    return [line for text in texts for line in _wrapped(text, columns)]


def _wrapped(text: str, columns: int | None) -> list[str]:
    if columns is None:
        return [f"      {text}"]
    # The last column stays empty: some terminals wrap a full line.
    return textwrap.wrap(
        text,
        max(columns - 1, 30),
        initial_indent=" " * 6,
        subsequent_indent=" " * 8,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _plain_line(step: StepProgress, width: int) -> str:
    line = f"  {step.title:<{width}}  {step.state:<11}"
    return f"{line}  {step.seconds:.1f} s" if step.seconds is not None else line.rstrip()


def _table(steps: Sequence[StepProgress], columns: int, *, with_notes: bool) -> Group:
    steps = [step for step in steps if step.is_shown]
    # Mark, state and seconds take 28 columns; longer names are truncated.
    width = min(max((len(step.title) for step in steps), default=0), max(columns - 28, 8))
    lines = []
    for step in steps:
        mark, style = _MARKS[step.state]
        name = step.title if len(step.title) <= width else f"{step.title[: width - 1]}…"
        seconds = "" if step.elapsed is None else f"{step.elapsed:6.1f} s"
        # Wrapped lines would break the redrawing on a narrow terminal.
        lines.append(
            Text.assemble(
                ("  ", ""),
                (mark, style),
                f" {name:<{width}}  ",
                (f"{step.state:<11}", style),
                seconds,
                no_wrap=True,
                overflow="ellipsis",
            )
        )
        if with_notes:
            lines += [Text(line, style="dim", no_wrap=True, overflow="ignore") for line in note_lines(step, columns)]
    return Group(*lines)
