"""`tiffin load`."""

import contextlib
import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tiffin.commands import load_views, selection, targets
from tiffin.commands.options import debug_option, examples, state_option
from tiffin.commands.output import echo
from tiffin.commands.selection import ServedModel
from tiffin.commands.targets import Target
from tiffin.errors import ServingError
from tiffin.serving.load import Ending, Pace
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.row_files import open_rows
from tiffin.serving.rows import Source

if TYPE_CHECKING:
    from tiffin.serving import Client
    from tiffin.serving.load_feed import Feed
    from tiffin.serving.load_figures import Figures
    from tiffin.serving.recipes import ServedRecipe

_PER_SECOND, _SECONDS = 10.0, 30.0


@dataclass(frozen=True)
class _Rows:
    """How rows of FILE are read and sent."""

    file: str
    as_examples: bool
    allow_missing: bool
    batch_size: int
    key: str


@click.command(
    epilog=examples(
        "tiffin load trips.csv --rate 50 --duration 120",
        "tiffin load trips.csv --model model --address 127.0.0.1:8600 --key trip",
        "tiffin load trips.csv --concurrency 8 --requests 10000 --json",
    )
)
@click.argument("file", type=click.Path())
@click.option(
    "--rate",
    type=click.FloatRange(0.001, 100_000),
    metavar="PER_SECOND",
    help=f"Requests per second, whether or not earlier ones were answered.  [default: {_PER_SECOND:g}]",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 4096),
    metavar="N",
    help="Instead of --rate: N clients, of which each sends a request once its last one was answered.",
)
@click.option(
    "--duration",
    type=click.FloatRange(0.001),
    metavar="SECONDS",
    help=f"Time during which requests are sent.  [default: {_SECONDS:g}]",
)
@click.option("--requests", type=click.IntRange(1), metavar="N", help="Instead of --duration: number of requests.")
@click.option(
    "--batch-size",
    type=click.IntRange(1, 100_000),
    default=1,
    show_default=True,
    metavar="ROWS",
    help="Rows per request.",
)
@targets.target_options
@click.option(
    "--signature",
    default="",
    metavar="NAME",
    help="Signature to call.  [default: that of FILE, or serving_default]",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as one JSON document, also by second.")
@state_option
@debug_option
def load(
    *,
    file: str,
    rate: float | None,
    concurrency: int | None,
    duration: float | None,
    requests: int | None,
    batch_size: int,
    model: str | None,
    address: str | None,
    signature: str,
    version: int | None,
    label: str | None,
    as_examples: bool,
    allow_missing: bool,
    tls: bool,
    ca_file: str | None,
    key: str,
    timeout: float,
    as_json: bool,
    state: str,
) -> int:
    """Send the rows of FILE to a model server at a steady rate, and print how it answered.

    FILE is read as by `tiffin predict`. Its rows are sent in their order, over and over. Rows that the model cannot read are
    skipped and counted.

    Latencies count from when a request was due: if the server, or this machine, is late, that is part of them. Requests that
    were sent late are counted. With --concurrency, they count from when a request was sent.

    Without --version and --label, the server or the gateway chooses the version of each request. Ctrl-C ends the load with
    its figures; a second one does not wait for answers. The exit status is 1 if a request failed.
    """
    pace = _choose_pace(rate, concurrency, duration, requests)
    targets.check_key(key, batch_size)
    targets.check_address(address, tls=tls, ca_file=ca_file)
    if file == "-":
        raise click.UsageError("FILE should be a file, since its rows are sent over and over. Received: '-'.")
    model = model or targets.only_model(address, state)
    with contextlib.ExitStack() as stack:
        document = targets.open_document(stack, file)
        signature = targets.choose_signature(signature, document, file)
        target = Target((model, version, label), signature, address, state, tls or bool(ca_file), ca_file, timeout)
        client = stack.enter_context(targets.open_client(target))
        signatures = targets.check_signature(client.metadata(model, version=version, label=label), signature)
        recipe = client.recipe(model, version=version, label=label)
        served, rows = ServedModel(signatures, recipe.reader), _Rows(file, as_examples, allow_missing, batch_size, key)
        feed = stack.enter_context(_open_feed(target, served, rows, document))
        load_views.announce(model, client.address, file, pace)
        figures, is_interrupted = _send(target, client.address, feed, pace)
        about = load_views.About(model, client.address, file, pace, is_interrupted)
        load_views.show(about, figures, feed, has_key=bool(key), as_json=as_json)
        _compare_recipes(client, model, recipe, figures)
    if is_interrupted:
        raise click.Abort
    return 1 if figures.failed else 0


def _choose_pace(rate: float | None, concurrency: int | None, duration: float | None, requests: int | None) -> Pace:
    if rate is not None and concurrency is not None:
        raise click.UsageError("--rate and --concurrency should not be used together.")
    if duration is not None and requests is not None:
        raise click.UsageError("--duration and --requests should not be used together.")
    if concurrency is None:
        rate = rate or _PER_SECOND
    if requests is None:
        duration = duration or _SECONDS
    return Pace(rate, concurrency, duration, requests)


@contextlib.contextmanager
def _open_feed(target: Target, served: ServedModel, rows: _Rows, document: Source | None) -> Iterator["Feed"]:
    """Yield the requests with the rows of a file; `document` is the open file if it is JSON."""
    from tiffin.serving.load_feed import Feed
    from tiffin.serving.load_requests import Form, make_requests

    def open_again(*, shows_notes: bool = False) -> AbstractContextManager[Source]:
        if document:
            return open_rows(rows.file)
        return targets.open_table(rows.file, served.reader, rows.allow_missing, shows_notes=shows_notes)

    @contextlib.contextmanager
    def reopen() -> Iterator[Any]:
        with open_again() as source:
            yield make_requests(source.rows, form)

    with contextlib.ExitStack() as stack:
        source = document or stack.enter_context(open_again(shows_notes=True))
        found = served.signatures[target.signature or DEFAULT_SIGNATURE]
        select, _ = selection.choose(served, found, rows.as_examples, source, rows.allow_missing)
        selection.announce(found, found.takes_examples or rows.as_examples, rows.batch_size)
        form = Form(target.which, target.signature, found, select, rows.batch_size, rows.key)
        yield stack.enter_context(contextlib.closing(Feed(rows.file, make_requests(source.rows, form), reopen)))


def _send(target: Target, address: str, feed: "Feed", pace: Pace) -> tuple["Figures", bool]:
    """Send the load; return its figures, and whether it was interrupted."""
    from tiffin.serving.load_feed import run_load
    from tiffin.serving.load_figures import Tally
    from tiffin.serving.load_requests import Sender

    tally, ending = Tally(), Ending()

    def open_sender() -> Sender:
        return Sender(address, target.which[0], timeout_seconds=target.timeout_seconds, tls=targets.tls_of(target))

    with load_views.progress(tally, pace) as follow, _ending_on_signals(ending):

        def record(answer: Any) -> None:
            tally.record(answer, answer.request.rows)
            follow()

        course = run_load(feed, open_sender, pace, record, ending)
    return tally.figures(course), ending.is_asked


@contextlib.contextmanager
def _ending_on_signals(ending: Ending) -> Iterator[None]:
    """Make signals end the load during the block: the first one when all was answered, the second one at once.

    A third one ends a load that waits for its file or a connection.
    """

    def end(_number: int, _frame: object) -> None:
        if ending.is_urgent:
            raise KeyboardInterrupt
        ending.is_urgent = ending.is_asked
        ending.is_asked = True

    # Shells start background jobs with SIGINT ignored; handle it anyway. `nohup` ignores SIGHUP.
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, end) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _compare_recipes(client: "Client", model: str, recipe: "ServedRecipe", figures: "Figures") -> None:
    """Tell if a version answered that reads rows otherwise than the one by whose recipe they were read."""
    for version in figures.versions:
        # A version that is not served any more cannot be asked.
        with contextlib.suppress(ServingError):
            if recipe.version not in (None, version) and not recipe.reads_as(client.recipe(model, version=version)):
                echo(
                    f"warning: version {version} reads rows otherwise than version {recipe.version}, by whose recipe they "
                    "were sent. Its answers may differ from those of tiffin predict.",
                    err=True,
                )
