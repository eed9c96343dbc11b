"""`tiffin rollout`: give a version its share of the requests step by step, and promote or abort it by what is found."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from tiffin.artifacts.model import OUTPUTS
from tiffin.commands.installation import Installation, author, installation_options, why_option
from tiffin.commands.options import debug_option, examples
from tiffin.commands.output import echo, echo_json
from tiffin.commands.rollout_changes import CHANGES, drive_to_end, find_places, show
from tiffin.errors import InputError
from tiffin.rollout.plan import STRATEGIES
from tiffin.serving.root import ServedModel


@click.group(
    epilog=examples(
        'tiffin rollout start model 3 --why "new features"',
        "tiffin rollout status model",
        'tiffin rollout abort model --why "complaints from the north"',
    )
)
@debug_option
def rollout() -> None:
    """Give a version its share of the requests step by step, and promote or abort it by what is found.

    Works with the gateway of --state, see tiffin gateway, or with the one that the variables of a cluster name. A rollout is
    in the serving root: a process that ends leaves it as it is, and resume goes on with it.
    """


@rollout.command(
    short_help="Start a rollout, and drive it to its end.",
    epilog=examples(
        'tiffin rollout start model 3 --why "new features"',
        "tiffin rollout start model 3 --strategy shadow_canary --why test",
        "tiffin rollout start model 3 --step weight=1,minutes=5 --why test",
    ),
)
@click.argument("model")
@click.argument("version", type=click.IntRange(1))
@why_option
@click.option(
    "--strategy",
    type=click.Choice(STRATEGIES),
    default="canary",
    show_default=True,
    help="shadow: the candidate gets copies of requests. canary: 5, 25 and 50 % of them. ab: 50 %.",
)
@click.option(
    "--step",
    "steps",
    multiple=True,
    metavar="NAME=NUMBER,...",
    help="weight or mirror in percent, minutes, min_requests. Repeatable, in place of the strategy's steps.",
)
@click.option(
    "--sticky", default="", metavar="HEADER", help="Requests with the same value of it go to the same version."
)
@click.option(
    "--max-error-share",
    type=float,
    default=0.0,
    show_default=True,
    help="Share of the requests that may fail although the version in production answers them.",
)
@click.option(
    "--max-latency-ratio",
    type=float,
    default=1.5,
    show_default=True,
    help="Ratio of the p50 and p99 to those of the version in production.",
)
@click.option(
    "--min-agreement",
    type=float,
    metavar="SHARE",
    help="Share of the copies answered as the version in production does.  [default: only reported]",
)
@click.option(
    "--max-distance",
    type=float,
    metavar="SHARE",
    help="Distance between the predictions of both versions, from 0 to 1.  [default: only reported]",
)
@click.option(
    "--allow-signature-change",
    is_flag=True,
    help="Allow inputs and outputs that are not those of the version in production.",
)
@click.option("--look", type=click.FloatRange(0.1), default=5.0, show_default=True, help="Seconds between looks.")
@installation_options
def start(
    *,
    model: str,
    version: int,
    why: str,
    strategy: str,
    steps: tuple[str, ...],
    sticky: str,
    max_error_share: float,
    max_latency_ratio: float,
    min_agreement: float | None,
    max_distance: float | None,
    allow_signature_change: bool,
    look: float,
    place: Installation,
    as_json: bool,
) -> int:
    """Roll out VERSION of MODEL, which has files in the serving root.

    Exit status: 0 it was promoted, 3 it was aborted or nothing is known about it. Ctrl-C leaves the rollout as it is.
    """
    from tiffin.rollout import course
    from tiffin.rollout.plan import Limits, check_limits, make_steps

    served, by = place.find(model), author(why)
    planned = make_steps(strategy, [_parse_step(one) for one in steps], sticky=sticky)
    limits = Limits(max_error_share, max_latency_ratio, min_agreement, max_distance)
    check_limits(limits, planned)
    places = find_places(place)
    if limits.needs_answers and not places.log:
        raise InputError(
            "--min-agreement and --max-distance need the prediction log. Received: a gateway that writes none. Start it "
            "without --no-record."
        )
    started = course.start(
        served, version, by, strategy=strategy, steps=planned, limits=limits, sticky=sticky,  # type: ignore[arg-type]
        allow_signature_change=allow_signature_change,
    )  # fmt: skip
    return drive_to_end(served, started.id, place, as_json, look)


@rollout.command(epilog=examples("tiffin rollout status", "tiffin rollout status model --json"))
@click.argument("model", required=False, default="")
@installation_options
def status(*, model: str, place: Installation, as_json: bool) -> int:
    """Show the rollout of MODEL that is under way, or its last one; exit with status 1 if there was none.

    It includes what the prediction log has shown of the answers of both versions.
    """
    from tiffin.rollout.document import read_rollout

    served = place.find(model)
    found, _ = read_rollout(served)
    if found and found.steps:
        show(served.name, found, as_json, *_find_answers(served, found, place))
    else:
        show(served.name, found, as_json)
    return 0 if found else 1


@rollout.command(
    short_help="Compare the quality of both versions by labels.",
    epilog=examples("tiffin rollout labels model labels.csv", "tiffin rollout labels model gs://bucket/labels.parquet"),
)
@click.argument("model")
@click.argument("table")
@click.option("--output", default="", metavar="NAME", help="Output with the predictions.  [default: detected]")
@click.option("--task", type=click.Choice(list(OUTPUTS)), help="Task of the model.  [default: from the output]")
@click.option(
    "--log-root",
    default="",
    envvar="TIFFIN_LOG_ROOT",
    metavar="ROOT",
    help="Root of the prediction log.  [default: that of --state]",
)
@installation_options
def labels(
    *, model: str, table: str, output: str, task: str | None, log_root: str, place: Installation, as_json: bool
) -> int:
    """Compare the quality of both versions of MODEL's rollout by the labels in TABLE, which have arrived since.

    TABLE is CSV or Parquet, a path or a URI, with the column label and either request_id or key: the answer's header
    x-request-id, or the request's header x-tiffin-key. If requests have several rows, it has the column row, from 0.
    """
    from tiffin.artifacts.recipe import Recipe
    from tiffin.commands.rollout_answers import label_lines, labels_to_json
    from tiffin.commands.tables import open_table
    from tiffin.local.serving import prediction_log
    from tiffin.rollout.document import read_rollout
    from tiffin.rollout.joining import join, read_labels
    from tiffin.serving.prediction_log import resolve_log_root

    served = place.find(model)
    found, _ = read_rollout(served)
    if found is None:
        raise InputError(
            f"The model '{served.name}' should have had a rollout. Received: none. See: tiffin rollout start"
        )
    with open_table(table, Recipe(())) as opened:
        unread = Counter[str]()
        rows = _read_table(opened.source.rows, unread)
        known = read_labels(rows, opened.names)
    log = resolve_log_root(log_root or str(prediction_log(place.state)))
    joined = join(served, found, log, known, output=output, task=task)  # type: ignore[arg-type]
    if as_json:
        echo_json(labels_to_json(served.name, found, joined, unread))
    else:
        for line in label_lines(served.name, found, joined, unread):
            echo(line)
    return 0


def _read_table(rows: Any, unread: Counter[str]) -> Iterator[dict[str, Any]]:
    for row in rows:
        if row.values is None:
            unread[row.error] += 1
        else:
            yield row.values


def _find_answers(served: ServedModel, found: Any, place: Installation) -> tuple[Any, str]:
    """Return what the prediction log has shown of a rollout, also in files that nobody who drives it has read, and a note."""
    from tiffin.local.gateway import read_status
    from tiffin.local.serving import prediction_log, serving_root
    from tiffin.rollout.recorded import read_recorded, update
    from tiffin.serving.recording import read_recording

    recorded, _ = read_recorded(served, found)
    share = read_recording(served)[0].share
    note = f"{100 * share:g} % of the requests are recorded" if share < 1 else ""
    if place.root != str(serving_root(place.state)):
        return recorded, note
    gateway = read_status(place.state)
    if gateway and not gateway.log_root:
        note = "the gateway records no requests"
    return update(recorded, found, served.name, str(prediction_log(place.state))), note


for _command in CHANGES:
    rollout.add_command(_command)


def _parse_step(text: str) -> dict[str, float]:
    step: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = part.partition("=")
        try:
            step[name.strip()] = float(value)
        except ValueError:
            raise InputError(
                f"--step should be NAME=NUMBER,... such as weight=5,minutes=10. Received: '{text}'."
            ) from None
    return step
