"""`tiffin predict`."""

import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from typing import IO, Any

import click

from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo
from tiffin.errors import InputError, did_you_mean
from tiffin.printing import json_line
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.rows import Source, open_rows
from tiffin.serving.signatures import Signature
from tiffin.serving.stream import Answer, Ask, answer_rows, split_rows


@click.command(
    epilog=examples(
        "tiffin predict rows.jsonl --model model",
        "tiffin predict rows.csv --model model --address serving:8500",
    )
)
@click.argument("file", type=click.Path())
@click.option("--model", required=True, metavar="NAME", help="Name of the model on the server.")
@click.option(
    "--address",
    metavar="HOST:PORT",
    help="Address of the model server.  [default: the local server of --state, started if needed]",
)
@click.option(
    "--signature",
    default="",
    metavar="NAME",
    help="Signature to call; `explain` prints attributions, largest first.  [default: serving_default]",
)
@click.option("--version", type=click.IntRange(min=0), metavar="N", help="Version of the model.  [default: latest]")
@click.option("--label", metavar="NAME", help="Version label to use instead of a version number.")
@click.option("--rest", is_flag=True, help="Use REST instead of gRPC; requires --address.")
@click.option(
    "--errors", type=click.Path(), metavar="FILE", help="File for failed rows, as JSON lines.  [default: stderr]"
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    default=64,
    show_default=True,
    metavar="ROWS",
    help="Rows per request.",
)
@click.option(
    "--window",
    type=click.IntRange(1, 1000),
    default=8,
    show_default=True,
    metavar="N",
    help="Maximum number of concurrent requests.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.001),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="Deadline of each request.",
)
@state_option
@debug_option
def predict(
    *,
    file: str,
    model: str,
    address: str | None,
    signature: str,
    version: int | None,
    label: str | None,
    rest: bool,
    errors: str | None,
    batch_size: int,
    window: int,
    timeout: float,
    state: str,
) -> int:
    """Get predictions for the rows of FILE: .jsonl, .csv or .parquet, or - for JSON lines from stdin.

    Prints one JSON object per row, in order: {"row": NUMBER, "outputs": {...}}. NaN and infinities become null.
    Columns that the model does not have are ignored; columns that a row lacks are missing values. Failed rows are
    reported and skipped, and the exit status is 1. To answer the rows of a pipe one by one, use
    --batch-size 1 --window 1.
    """
    which = (model, version, label)
    failed = 0
    counts: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_rows(file))
        report = stack.enter_context(_open_report(errors, file)) if errors else None
        connect = _connect_rest if rest else _connect
        known, ask = stack.enter_context(connect(address, state, which, signature, timeout, window))
        inputs = known.inputs
        answers = answer_rows(source.rows, inputs, ask, is_text=source.is_text, batch_size=batch_size, window=window)
        started = time.monotonic()
        for answer in stack.enter_context(_progress(source))(answers):
            counts.update(name for name in inputs if answer.row.values and name in answer.row.values)
            failed += answer.outputs is None
            counts[""] += 1
            _write(answer, report, signature)
        sys.stdout.flush()
    _summarize(counts, failed, time.monotonic() - started, list(inputs))
    return 1 if failed else 0


def _open_report(path: str, file: str) -> IO[str]:
    if os.path.exists(path) and os.path.exists(file) and os.path.samefile(path, file):
        raise click.UsageError(f"--errors should differ from the input file. Received: '{path}' for both.")
    try:
        return open(path, "w", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--errors should be a writable file. Received: '{path}' ({error.strerror}).") from None


@contextlib.contextmanager
def _connect(
    address: str | None, state: str, which: Any, signature: str, timeout: float, _window: int
) -> Iterator[tuple[Signature, Ask]]:
    from tiffin.serving.client import Client

    with contextlib.ExitStack() as stack:
        if address is None:
            from tiffin.local.companion import running_server

            address = stack.enter_context(running_server(state))
        client = stack.enter_context(Client(address, timeout_seconds=timeout))
        model, version, label = which
        known = _find(client.metadata(model, version=version, label=label), signature)

        def ask(arrays: Any) -> list[dict[str, Any]]:
            outputs = client.predict(model, arrays, signature, version=version, label=label)
            return split_rows(outputs, len(next(iter(arrays.values()))))

        yield known, ask


@contextlib.contextmanager
def _connect_rest(
    address: str | None, _state: str, which: Any, signature: str, timeout: float, window: int
) -> Iterator[tuple[Signature, Ask]]:
    from tiffin.serving.rest import RestClient

    if not address:
        raise click.UsageError("--rest requires --address: HOST:PORT of the server's REST API, 8501 by default.")
    with contextlib.closing(RestClient(address, timeout_seconds=timeout, connections=window)) as client:
        known = _find(client.metadata(which), signature)
        yield known, lambda arrays: client.predict(which, arrays, signature, known.outputs)


def _find(signatures: dict[str, Signature], name: str) -> Signature:
    found = signatures.get(name or DEFAULT_SIGNATURE)
    if found is None:
        raise InputError(
            f"--signature should be one of the model's: {', '.join(signatures)}. Received: '{name or DEFAULT_SIGNATURE}'."
            f"{did_you_mean(name, signatures)}"
        )
    if not found.inputs:
        raise InputError(f"--signature should have inputs. Received: '{name}', which has none. Choose another one.")
    return found


def _write(answer: Answer, report: IO[str] | None, signature: str) -> None:
    row = answer.row
    if answer.outputs is not None:
        outputs = _by_size(answer.outputs) if signature == "explain" else answer.outputs
        sys.stdout.write(json_line({"row": row.number, "outputs": outputs}) + "\n")
    elif report:
        record = {"row": row.number, "line": row.line, "error": answer.error, "values": row.values}
        report.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")
    else:
        where = f"row {row.number}" + (f" (line {row.line})" if row.line is not None else "")
        echo(f"{where}: {answer.error}", err=True)


def _by_size(outputs: Any) -> dict[str, Any]:
    """Sort attributions by magnitude, largest first; the baseline and the score come last."""

    def place(item: tuple[str, Any]) -> tuple[bool, float]:
        name, value = item
        return name.startswith("tiffin_"), -abs(value) if isinstance(value, int | float) else 0.0

    return dict(sorted(outputs.items(), key=place))


@contextlib.contextmanager
def _progress(source: Source) -> Iterator[Any]:
    """Yield a function that passes answers on and, on a terminal, shows a progress bar."""
    # Answers printed to the same terminal would break the bar.
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda answers: answers
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    from tiffin.specs.progress import open_console

    columns = (BarColumn(), TextColumn("{task.fields[rows]:,} rows"), TimeElapsedColumn(), TimeRemainingColumn())
    # Answers go to standard output unchanged; errors of rows are shown above the bar.
    with Progress(*columns, console=open_console(sys.stderr), transient=True, redirect_stdout=False) as progress:
        task = progress.add_task("", total=source.total, rows=0)

        def follow(answers: Iterator[Answer]) -> Iterator[Answer]:
            for count, answer in enumerate(answers, start=1):
                yield answer
                if count % 100 == 0:
                    progress.update(task, completed=source.position() if source.total else None, rows=count)

        yield follow


def _summarize(counts: Counter[str], failed: int, seconds: float, inputs: list[str]) -> None:
    rows = counts[""]
    absent = [name for name in inputs if rows and not counts[name]]
    if absent and len(absent) < len(inputs):
        echo(f"warning: no row has a value for {', '.join(absent)}; treated as missing.", err=True)
    failures = f", {failed:,} failed" if failed else ""
    echo(f"{rows:,} rows{failures} in {seconds:.1f} s, {rows / max(seconds, 1e-9):,.0f} rows/s", err=True)
