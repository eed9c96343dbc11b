"""Show the progress of a run: a live table on a terminal, plain lines elsewhere."""

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

State = Literal["waiting", "running", "succeeded", "failed", "skipped", "interrupted"]

_MARKS: dict[State, tuple[str, str]] = {
    "waiting": ("·", "dim"),
    "running": ("▸", "bold cyan"),
    "succeeded": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "skipped": ("-", "dim"),
    "interrupted": ("✗", "bold yellow"),
}


@dataclass
class StepProgress:
    """The progress of one step.

    Attributes:
        name: Name of the step.
        state: State of the step. Defaults to `waiting`.
        log: File with the step's output; None before it starts.
        started: Start time in seconds of time.monotonic; None before it starts.
        seconds: Duration in seconds; None until it ends.
    """

    name: str
    state: State = "waiting"
    log: Path | None = None
    started: float | None = None
    seconds: float | None = None

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


# Callback for a step whose state changed.
Changed = Callable[[StepProgress], None]


@contextlib.contextmanager
def shown(steps: list[StepProgress], title: str, stream: TextIO, *, redirect_stderr: bool = False) -> Iterator[Changed]:
    """Show the steps on `stream` while the block runs.

    Args:
        steps: Steps of the run; the list may grow.
        title: First line.
        stream: Standard output or error.
        redirect_stderr: Show lines that are written to standard error above the table. Defaults to False.

    Yields:
        The callback to call when a step's state changed.
    """
    console = Console(file=stream, highlight=False, soft_wrap=True)
    console.print(Text(title))
    if not console.is_terminal:
        width = max((len(step.name) for step in steps), default=0)
        try:
            yield lambda step: console.print(Text(_plain_line(step, width)))
        finally:
            for step in steps:
                if step.state == "skipped":
                    console.print(Text(_plain_line(step, width)))
        return
    # Standard output and error are redirected for kfp during a local run, so rich must not redirect them.
    with Live(
        get_renderable=lambda: _table(steps, console.width),
        console=console,
        refresh_per_second=8,
        redirect_stdout=False,
        redirect_stderr=redirect_stderr,
        vertical_overflow="visible",
    ) as live:
        # Live draws the table once more when the block ends.
        yield lambda _step: live.refresh()


def _plain_line(step: StepProgress, width: int) -> str:
    line = f"  {step.name:<{width}}  {step.state:<11}"
    return f"{line}  {step.seconds:.1f} s" if step.seconds is not None else line.rstrip()


def _table(steps: list[StepProgress], columns: int) -> Group:
    # Mark, state and seconds take 28 columns; longer names are truncated.
    width = min(max((len(step.name) for step in steps), default=0), max(columns - 28, 8))
    lines = []
    for step in steps:
        mark, style = _MARKS[step.state]
        name = step.name if len(step.name) <= width else f"{step.name[: width - 1]}…"
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
    return Group(*lines)
