"""`tiffin predict`."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from tiffin.commands import predictions, selection, targets
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.selection import ServedModel
from tiffin.commands.targets import Target
from tiffin.errors import ServingError
from tiffin.serving import recipes
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.outputs import split_rows
from tiffin.serving.rows import Row, key_headers
from tiffin.serving.stream import Ask, answer_rows
from tiffin.serving.values import cast


@click.command(
    epilog=examples(
        "tiffin predict rows.csv",
        "tiffin predict rows.csv --model model --address serving:8500",
    )
)
@click.argument("file", type=click.Path())
@targets.target_options
@click.option(
    "--signature",
    default="",
    metavar="NAME",
    help="Signature to call; `explain` prints attributions, largest first.  [default: that of FILE, or serving_default]",
)
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
    key: str,
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
    targets.check_key(key, batch_size)
    if key and rest:
        raise click.UsageError("--key should not be used with --rest.")
    targets.check_address(address, rest=rest, tls=tls, ca_file=ca_file)
    model = model or targets.only_model(address, state)
    failed = 0
    with contextlib.ExitStack() as stack:
        source = targets.open_document(stack, file)
        report = stack.enter_context(predictions.open_report(errors, file)) if errors else None
        signature = targets.choose_signature(signature, source, file)
        target = Target((model, version, label), signature, address, state, tls or bool(ca_file), ca_file, timeout)
        served, ask = stack.enter_context(_connect_rest(target, window) if rest else _connect(target, key))
        found = served.signatures[signature or DEFAULT_SIGNATURE]
        if source is None:
            source = stack.enter_context(targets.open_table(file, served.reader, allow_missing))
        select, columns = selection.choose(served, found, as_examples, source, allow_missing)
        selection.announce(found, found.takes_examples or as_examples, batch_size)
        answers = answer_rows(source.rows, found, select, ask, batch_size=batch_size, window=window)
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


@contextlib.contextmanager
def _connect(target: Target, key: str) -> Iterator[tuple[ServedModel, Ask]]:
    model, version, label = target.which
    with targets.open_client(target) as client:
        known = targets.check_signature(client.metadata(model, version=version, label=label), target.signature)
        recipe = client.recipe(model, version=version, label=label)
        if recipe.version is not None and label is None:
            # All rows are answered by the version whose recipe reads them.
            version = recipe.version

        def ask(arrays: Any, rows: Sequence[Row]) -> list[dict[str, Any]]:
            headers = key_headers(rows[0], key) if key else {}
            answer = client.predict(model, arrays, target.signature, version=version, label=label, metadata=headers)
            return split_rows(answer, len(rows))

        yield ServedModel(known, recipe.reader), ask


@contextlib.contextmanager
def _connect_rest(target: Target, window: int) -> Iterator[tuple[ServedModel, Ask]]:
    from tiffin.serving.rest import RestClient

    client = RestClient(
        target.address or "",
        timeout_seconds=target.timeout_seconds,
        connections=window,
        tls=target.tls,
        ca_file=target.ca_file,
    )
    with contextlib.closing(client):
        known = targets.check_signature(client.metadata(target.which), target.signature)
        reader = None
        if recipes.has_recipe(known):
            request = cast(recipes.REQUEST, known[recipes.SIGNATURE])
            [row] = client.predict(target.which, request, recipes.SIGNATURE, known[recipes.SIGNATURE].outputs)
            reader = recipes.open_reader(row[recipes.SIGNATURE])
        outputs = known[target.signature or DEFAULT_SIGNATURE].outputs
        ask = lambda arrays, _rows: client.predict(target.which, arrays, target.signature, outputs)  # noqa: E731
        yield ServedModel(known, reader), ask
