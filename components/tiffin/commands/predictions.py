"""The output of `tiffin predict`: predictions, failed rows, progress and a summary."""

import contextlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import click

from tiffin.commands.output import echo
from tiffin.errors import InputError
from tiffin.printing import json_line
from tiffin.serving.outputs import UNREADABLE_DATES, plain
from tiffin.serving.rows import Source
from tiffin.serving.stream import Answer


def open_report(path: str, file: str) -> IO[str]:
    """Open the file for failed rows."""
    if os.path.exists(path) and os.path.exists(file) and os.path.samefile(path, file):
        raise click.UsageError(f"--errors should differ from the input file. Received: '{path}' for both.")
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--errors should be a writable file. Received: '{path}' ({error.strerror}).") from None


def write(answer: Answer, report: IO[str] | None, is_explained: bool) -> None:
    """Print the prediction of a row, or report its error.

    Args:
        answer: The prediction or the error.
        report: File for failed rows; None for standard error.
        is_explained: Whether the outputs are attributions, which are sorted.
    """
    row = answer.row
    if answer.outputs is not None:
        outputs = _by_size(answer.outputs) if is_explained else answer.outputs
        sys.stdout.write(json_line({"row": row.number, "outputs": outputs}) + "\n")
    elif report:
        record = {"row": row.number, "line": row.line, "error": answer.error, "values": row.values}
        # Not `ensure_ascii=False`: values may have lone surrogates.
        report.write(json.dumps(record, default=plain) + "\n")
    else:
        where = f"row {row.number}" + (f" (line {row.line})" if row.line is not None else "")
        echo(f"{where}: {answer.error}", err=True)


def _by_size(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """Sort attributions by magnitude, largest first; the baseline and the score come last."""

    def place(item: tuple[str, Any]) -> tuple[bool, float]:
        name, value = item
        return name.startswith("tiffin_"), -abs(value) if isinstance(value, int | float) else 0.0

    return dict(sorted(outputs.items(), key=place))


@contextlib.contextmanager
def progress(source: Source) -> Iterator[Any]:
    """Yield a function that passes answers on and, on a terminal, shows a progress bar."""
    # Answers printed to the same terminal would break the bar.
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda answers: answers
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from tiffin.specs.progress import open_console

    columns = (BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeElapsedColumn(), TimeRemainingColumn())
    # Answers go to standard output unchanged; errors of rows are shown above the bar.
    with Progress(*columns, console=open_console(sys.stderr), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=source.total, rows=0)

        def follow(answers: Iterator[Answer]) -> Iterator[Answer]:
            for count, answer in enumerate(answers, start=1):
                yield answer
                if count % 100 == 0:
                    bar.update(task, completed=source.position() if source.total else None, rows=count)

        yield follow


class Summary:
    """The number of rows, failed rows, values and unreadable dates.

    Args:
        columns: Columns that the model reads; those without any value are named.
    """

    def __init__(self, columns: Sequence[str]) -> None:
        self._columns = columns
        self._values: Counter[str] = Counter()
        self._rows = self._failed = self._unreadable = 0

    def count(self, answer: Answer) -> None:
        """Count the row of an answer."""
        self._rows += 1
        self._failed += answer.outputs is None
        # A count for each row, from a model with inputs of dates.
        self._unreadable += bool(answer.outputs and answer.outputs.get(UNREADABLE_DATES))
        if isinstance(answer.row.values, Mapping):
            self._values.update(name for name in self._columns if name in answer.row.values)
        elif answer.row.values is not None:
            self._values.update(self._columns)

    def show(self, seconds: float) -> None:
        """Print the summary on standard error."""
        sys.stdout.flush()
        absent = [name for name in self._columns if self._rows and not self._values[name]]
        if absent and len(absent) < len(self._columns):
            echo(f"warning: no row has a value for {', '.join(absent)}; treated as missing.", err=True)
        if self._unreadable:
            rows = "1 row has" if self._unreadable == 1 else f"{self._unreadable:,} rows have"
            echo(
                f"warning: {rows} a date that the model cannot read; treated as missing. See {UNREADABLE_DATES}.",
                err=True,
            )
        rate = self._rows / max(seconds, 1e-9)
        echo(f"{self._counts()} in {seconds:.1f} s, {rate:,.0f} rows/s", err=True)

    def show_stopped(self) -> None:
        """Print, on standard error, how many rows were answered before the server failed."""
        sys.stdout.flush()
        if self._rows:
            echo(f"stopped after {self._counts()}", err=True)

    def _counts(self) -> str:
        return f"{self._rows:,} rows" + (f", {self._failed:,} failed" if self._failed else "")
