"""`tiffin predict`."""

import contextlib
import functools
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import click

from tiffin.commands import predictions
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo
from tiffin.errors import InputError, ServingError, did_you_mean
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.outputs import split_rows
from tiffin.serving.row_files import open_rows
from tiffin.serving.rows import Source, select_example, select_inputs
from tiffin.serving.signatures import Signature
from tiffin.serving.stream import Ask, answer_rows, rows_per_request


@dataclass(frozen=True)
class _Target:
    """What to ask, and how to reach it."""

    which: tuple[str, int | None, str | None]
    signature: str
    address: str | None
    state: str
    tls: bool
    ca_file: str | None
    timeout_seconds: float
    window: int


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
    help="Signature to call; `explain` prints attributions, largest first.  [default: that of FILE, or serving_default]",
)
@click.option("--version", type=click.IntRange(min=0), metavar="N", help="Version of the model.  [default: latest]")
@click.option("--label", metavar="NAME", help="Version label to use instead of a version number.")
@click.option(
    "--as-examples", is_flag=True, help="Send rows as serialized tf.Examples, for a signature with one string input."
)
@click.option("--rest", is_flag=True, help="Use REST instead of gRPC; requires --address.")
@click.option("--tls", is_flag=True, help="Encrypt the connection; requires --address.")
@click.option(
    "--ca-file", metavar="FILE", help="PEM file with trusted CA certificates; implies --tls.  [default: public CAs]"
)
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
    as_examples: bool,
    rest: bool,
    tls: bool,
    ca_file: str | None,
    errors: str | None,
    batch_size: int,
    window: int,
    timeout: float,
    state: str,
) -> int:
    """Get predictions for the rows of FILE: .jsonl, .json, .csv or .parquet, or - for JSON lines from stdin.

    Prints one JSON object per row, in order: {"row": NUMBER, "outputs": {...}}. NaN and infinities become null.
    Bytes that are not UTF-8 are written, and read, as {"b64": "..."}. A .json file has JSON lines, an array, or a
    request of TensorFlow Serving's REST API. JSON and CSV files may be compressed, as in .csv.gz.

    Columns that the model does not have are ignored; columns that a row lacks are missing values, which only models
    trained by Tiffin take. Failed rows are reported and skipped, and the exit status is 1. To answer the rows of a
    pipe one by one, use --batch-size 1 --window 1.
    """
    if address is None and (rest or tls or ca_file):
        option = "--rest" if rest else "--tls" if tls else "--ca-file"
        raise click.UsageError(f"{option} requires --address: HOST:PORT of the server.")
    failed = 0
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(open_rows(file))
        report = stack.enter_context(predictions.open_report(errors, file)) if errors else None
        signature = _choose(signature, source, file)
        target = _Target(
            (model, version, label), signature, address, state, tls or bool(ca_file), ca_file, timeout, window
        )
        known, ask = stack.enter_context((_connect_rest if rest else _connect)(target))
        found = known[signature or DEFAULT_SIGNATURE]
        select, columns = _selection(known, found, as_examples, source)
        _announce(found, columns is not found.inputs, batch_size)
        answers = answer_rows(source.rows, found, select, ask, batch_size=batch_size, window=window)
        # Missing values are errors for other models.
        summary = predictions.Summary([*columns] if found.by_tiffin else [])
        started = time.monotonic()
        try:
            for answer in stack.enter_context(predictions.progress(source))(answers):
                summary.count(answer)
                failed += answer.outputs is None
                predictions.write(answer, report, is_explained=signature == "explain")
        except ServingError:
            summary.show_stopped()
            raise
        summary.show(time.monotonic() - started)
    return 1 if failed else 0


def _choose(signature: str, source: Source, file: str) -> str:
    if signature and source.signature and signature != source.signature:
        raise click.UsageError(
            f"--signature should be that of the file. Received: --signature {signature}, and 'signature_name' "
            f"'{source.signature}' in '{file}'. Remove one of them."
        )
    return signature or source.signature


def _selection(
    known: dict[str, Signature], found: Signature, as_examples: bool, source: Source
) -> tuple[Callable[[Any], dict[str, Any]], Any]:
    """Return the function that selects a row's values, and the columns that it selects; None if all."""
    is_text = [spec.dtype for spec in found.inputs.values()] == ["string"]
    if as_examples and not is_text:
        inputs = ", ".join(f"{name} ({spec.dtype})" for name, spec in found.inputs.items())
        raise InputError(
            f"--as-examples requires a signature with one input of type string. Received: {inputs}. Choose another one."
        )
    if not as_examples and not found.takes_examples:
        return functools.partial(select_inputs, signature=found, is_text=source.is_text), found.inputs
    columns = known[DEFAULT_SIGNATURE].inputs if found.by_tiffin else None
    if source.is_text:
        raise InputError(
            "CSV has no types, but each feature of a tf.Example is bytes, int64 or float. Pass JSON lines or Parquet"
            + (", or use the signature serving_default." if found.by_tiffin else ".")
        )
    return functools.partial(select_example, name=next(iter(found.inputs)), columns=columns), columns


def _announce(found: Signature, are_examples: bool, batch_size: int) -> None:
    """Say how rows are sent, if it is not as asked."""
    if are_examples:
        echo(f"note: rows are sent as tf.Examples in the input '{next(iter(found.inputs))}'.", err=True)
    rows = rows_per_request(found, batch_size)
    if rows < batch_size:
        both = (*found.inputs.items(), *found.outputs.items())
        fixed = next(name for name, spec in both if spec.shape == () or (spec.shape and spec.shape[0] == rows))
        echo(f"note: requests have {rows} of {batch_size} rows, because of the shape of '{fixed}'.", err=True)


@contextlib.contextmanager
def _connect(target: _Target) -> Iterator[tuple[dict[str, Signature], Ask]]:
    # gRPC's log of failed handshakes and connections; the errors name the reason.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from tiffin.serving.client import Client
    from tiffin.serving.connection import Tls

    with contextlib.ExitStack() as stack:
        address = target.address
        if address is None:
            from tiffin.local.companion import running_server

            address = stack.enter_context(running_server(target.state))
        tls = Tls(target.ca_file) if target.tls else False
        client = stack.enter_context(Client(address, timeout_seconds=target.timeout_seconds, tls=tls))
        model, version, label = target.which
        known = _check(client.metadata(model, version=version, label=label), target.signature)

        def ask(arrays: Any, count: int) -> list[dict[str, Any]]:
            return split_rows(client.predict(model, arrays, target.signature, version=version, label=label), count)

        yield known, ask


@contextlib.contextmanager
def _connect_rest(target: _Target) -> Iterator[tuple[dict[str, Signature], Ask]]:
    from tiffin.serving.rest import RestClient

    client = RestClient(
        target.address or "",
        timeout_seconds=target.timeout_seconds,
        connections=target.window,
        tls=target.tls,
        ca_file=target.ca_file,
    )
    with contextlib.closing(client):
        known = _check(client.metadata(target.which), target.signature)
        outputs = known[target.signature or DEFAULT_SIGNATURE].outputs
        yield known, lambda arrays, _count: client.predict(target.which, arrays, target.signature, outputs)


def _check(signatures: dict[str, Signature], name: str) -> dict[str, Signature]:
    found = signatures.get(name or DEFAULT_SIGNATURE)
    if found is None:
        raise InputError(
            f"--signature should be one of the model's: {', '.join(signatures)}. Received: '{name or DEFAULT_SIGNATURE}'."
            f"{did_you_mean(name, signatures)}"
        )
    if not found.inputs:
        raise InputError(f"--signature should have inputs. Received: '{name}', which has none. Choose another one.")
    return signatures
