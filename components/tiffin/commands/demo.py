"""`tiffin demo`, also run by `make run`."""

import sys
from typing import TYPE_CHECKING, Any, TextIO, cast

import click

from tiffin.artifacts.examples import read_sample_rows
from tiffin.artifacts.model import read_training
from tiffin.commands.options import debug_option, examples, state_argument, state_option
from tiffin.commands.output import echo
from tiffin.commands.streams import Progress

if TYPE_CHECKING:
    from tiffin.local.results import Run


@click.command(epilog=examples("tiffin demo", "tiffin demo --loop --state life"))
@state_option
@click.option(
    "--loop", is_flag=True, help="Play a whole life: production, a changing world, alerts, retraining, a rollback."
)
@debug_option
def demo(state: str, loop: bool) -> int:
    """Train on sample data, serve the model, request one prediction over gRPC, and stop the server.

    --loop takes a few minutes, and needs a --state of its own. With Prometheus on PATH, it shows alerts too.
    """
    if loop:
        from tiffin.commands.demo_loop import play

        return play(state)
    from tiffin.local.companion import running_server, stop_unless_needed
    from tiffin.local.result_text import show_run
    from tiffin.local.runs import run_pipeline

    left_server = None
    try:
        stream = cast("TextIO", Progress(sys.stdout))
        result = run_pipeline("training", state, ["data=sample:deliveries"], stream=stream)
        # Stopped below, so the summary need not mention it. A server that another run started keeps running.
        if left_server := result.left_server:
            result.left_server = result.serving = None
        show_run(result, state_argument(state), stream)
        if result.model and result.exit_status == 0:
            with running_server(state) as address:
                _ask(result, result.model.name, address)
    finally:
        if left_server:
            stop_unless_needed(state)
    return result.exit_status


def _ask(run: "Run", model: str, address: str) -> None:
    """Request a prediction for a row of the eval split, and print it with the true label."""
    from tiffin.serving import Client

    row = read_sample_rows(run.find_artifact("*", "examples"))[0]
    training = read_training(run.find_artifact("*", "model"))
    with Client(address) as client:
        answer = client.predict(model, {name: [row[name]] for name in training.columns})

    echo(f"\nPrediction of {model} at {address} (gRPC) for a row of the eval split:")
    echo(f"  {', '.join(f'{name} {row[name]}' for name in training.columns)}")
    answers = {name: _text(values[0]) for name, values in sorted(answer.items(), key=lambda item: _place(item[0]))}
    answers["true label"] = f"{training.label} = {row[training.label]}"
    for name, text in answers.items():
        echo(f"  {name:<{max(map(len, answers))}} {text}")


def _place(name: str) -> tuple[bool, str]:
    """Return a sort key of outputs: the prediction comes first."""
    return not name.startswith("pr"), name


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode()
    if getattr(value, "ndim", 0):
        return ", ".join(_text(item) for item in value)
    return f"{value:.4f}" if isinstance(value, float) or getattr(value, "dtype", None) == "float32" else str(value)
