"""`tiffin predict`."""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from tiffin import storage
from tiffin.commands import predictions, selection
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo
from tiffin.commands.selection import ServedModel
from tiffin.errors import InputError, ServingError, did_you_mean
from tiffin.recipe.rows import RowReader
from tiffin.serving import recipes
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.outputs import split_rows
from tiffin.serving.root import find_configs
from tiffin.serving.row_files import is_json, open_rows
from tiffin.serving.rows import Source
from tiffin.serving.signatures import Signature
from tiffin.serving.stream import answer_rows
from tiffin.serving.values import cast


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
        "tiffin predict rows.csv",
        "tiffin predict rows.csv --model model --address serving:8500",
    )
)
@click.argument("file", type=click.Path())
@click.option("--model", metavar="NAME", help="Name of the model.  [default: the only one of the local server]")
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
@click.option(
    "--allow-missing", is_flag=True, help="Treat columns that FILE lacks, and the model uses, as missing values."
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
    model: str | None,
    address: str | None,
    signature: str,
    version: int | None,
    label: str | None,
    as_examples: bool,
    allow_missing: bool,
    rest: bool,
    tls: bool,
    ca_file: str | None,
    errors: str | None,
    batch_size: int,
    window: int,
    timeout: float,
    state: str,
) -> int:
    """Get predictions for the rows of FILE: CSV or Parquet, JSON in .jsonl or .json, or - for JSON lines from stdin.

    FILE has the columns of the data that the model was trained from, as ingest reads them: the model says how
    numbers, dates and missing values are written, and which columns to derive. Other columns are ignored. A column that
    the model uses and FILE lacks is an error, unless --allow-missing is set.

    Prints one JSON object per row, in order: {"row": NUMBER, "outputs": {...}}. NaN and infinities become null.
    Bytes that are not UTF-8 are written, and read, as {"b64": "..."}. A .json file has JSON lines, an array, or a
    request of TensorFlow Serving's REST API. JSON and CSV files may be compressed, as in .csv.gz.

    For a model that Tiffin did not train, the columns of FILE are the model's inputs, and CSV has a header. Failed rows are
    reported and skipped, and the exit status is 1. To answer the rows of a pipe one by one, use --batch-size 1 --window 1.
    """
    if address is None and (rest or tls or ca_file):
        option = "--rest" if rest else "--tls" if tls else "--ca-file"
        raise click.UsageError(f"{option} requires --address: HOST:PORT of the server.")
    model = model or _only_model(address, state)
    failed = 0
    with contextlib.ExitStack() as stack:
        is_table = not is_json(file)
        if is_table and not file.startswith("sample:"):
            storage.list_files(file)  # A missing file is told before the server is asked.
        source = None if is_table else stack.enter_context(open_rows(file))
        report = stack.enter_context(predictions.open_report(errors, file)) if errors else None
        signature = _choose(signature, source, file)
        target = _Target(
            (model, version, label), signature, address, state, tls or bool(ca_file), ca_file, timeout, window
        )
        served = stack.enter_context((_connect_rest if rest else _connect)(target))
        found = served.signatures[signature or DEFAULT_SIGNATURE]
        if source is None:
            source = stack.enter_context(_open_table(file, served.reader, allow_missing))
        select, columns = selection.choose(served, found, as_examples, source, allow_missing)
        selection.announce(found, found.takes_examples or as_examples, batch_size)
        answers = answer_rows(source.rows, found, select, served.ask, batch_size=batch_size, window=window)
        summary = predictions.Summary(columns)
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


def _only_model(address: str | None, state: str) -> str:
    """Return the name of the only model of the local server."""
    if address is not None:
        raise click.UsageError("--model requires a name with --address: TensorFlow Serving does not list its models.")
    from tiffin.local.serving import serving_root

    names = [path.parent.name for path in find_configs(serving_root(state))]
    if len(names) != 1:
        known = f"{', '.join(names)}" if names else f"no model in '{state}'"
        advice = "Choose one" if names else "Train and deploy one first, with tiffin run training"
        raise InputError(f"--model should be set unless one model is served. Received: {known}. {advice}.")
    return names[0]


@contextlib.contextmanager
def _open_table(file: str, reader: RowReader | None, allow_missing: bool) -> Iterator[Source]:
    """Open CSV or Parquet: as ingest does for a model with a recipe."""
    if reader is None:
        with open_rows(file) as source:
            yield source
        return
    from tiffin.commands.tables import open_table

    with open_table(file, reader.recipe.recipe) as opened:
        for note in opened.notes:
            echo(f"note: {note.text}", err=True)
        if not allow_missing:
            recipes.check_columns(reader, opened.names)
        yield opened.source


def _choose(signature: str, source: Source | None, file: str) -> str:
    if source is None:
        return signature
    if signature and source.signature and signature != source.signature:
        raise click.UsageError(
            f"--signature should be that of the file. Received: --signature {signature}, and 'signature_name' "
            f"'{source.signature}' in '{file}'. Remove one of them."
        )
    return signature or source.signature


@contextlib.contextmanager
def _connect(target: _Target) -> Iterator[ServedModel]:
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
        recipe = client.recipe(model, version=version, label=label)
        if recipe.version is not None and label is None:
            # All rows are answered by the version whose recipe reads them.
            version = recipe.version

        def ask(arrays: Any, count: int) -> list[dict[str, Any]]:
            return split_rows(client.predict(model, arrays, target.signature, version=version, label=label), count)

        yield ServedModel(known, recipe.reader, ask)


@contextlib.contextmanager
def _connect_rest(target: _Target) -> Iterator[ServedModel]:
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
        reader = None
        if recipes.has_recipe(known):
            request = cast(recipes.REQUEST, known[recipes.SIGNATURE])
            [row] = client.predict(target.which, request, recipes.SIGNATURE, known[recipes.SIGNATURE].outputs)
            reader = recipes.open_reader(row[recipes.SIGNATURE])
        outputs = known[target.signature or DEFAULT_SIGNATURE].outputs
        yield ServedModel(
            known, reader, lambda arrays, _count: client.predict(target.which, arrays, target.signature, outputs)
        )


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
