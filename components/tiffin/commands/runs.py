"""`tiffin runs`."""

import functools
import itertools
import os
import shlex
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, cast

import click
from click.core import ParameterSource

from tiffin.commands.options import debug_option, examples, state_argument, state_option
from tiffin.commands.output import echo, echo_json
from tiffin.commands.run_names import run_argument
from tiffin.commands.streams import Progress
from tiffin.kubeflow.options import connection_options

if TYPE_CHECKING:
    from tiffin.kubeflow.connection import Backend
    from tiffin.kubeflow.runs import BackendRun
    from tiffin.specs.overview import RunOverview

_LIMIT = 20
_CONNECTION = ("host", "namespace", "token_file", "ca_file")
_IN_STATE = ("PENDING", "RUNNING", "SUCCEEDED", "WAITING", "FAILED", "CANCELED", "KILLED")


@dataclass(frozen=True)
class _Place:
    """Where the runs are: the state folder, or a backend if an option of the connection was typed."""

    state: Path
    typed_state: str
    connection: dict[str, str | None]
    is_backend: bool

    @property
    def ending(self) -> str:
        """The end of command lines for this place."""
        if not self.is_backend:
            return state_argument(self.typed_state)
        typed = ((name.replace("_", "-"), value) for name, value in self.connection.items())
        return "".join(f" --{name} {shlex.quote(value)}" for name, value in typed if value)

    def connect(self) -> "Backend":
        """Connect to the backend."""
        from tiffin.kubeflow.connection import connect

        return connect(**self.connection)

    def find_remote(self, run: str) -> "BackendRun":
        """Return a run of the backend."""
        from tiffin.kubeflow.runs import find_run

        return find_run(self.connect(), run)

    def find_local(self, run: str) -> Path:
        """Return the folder of a run."""
        from tiffin.local.records import find_run

        return find_run(self.state, run)

    def read(self, run: str) -> "RunOverview":
        """Return a run with all that is known of it."""
        if self.is_backend:
            return self.find_remote(run).overview
        from tiffin.local.overviews import read_overview

        return read_overview(self.find_local(run), is_complete=True)


def _placed(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add `--state` and the options of the connection to a command, which receives them as `place`."""

    @functools.wraps(command)
    def placed(*, state: str, **options: Any) -> Any:
        connection = {name: options.pop(name) for name in _CONNECTION}
        context = click.get_current_context()
        typed = [name for name in _CONNECTION if context.get_parameter_source(name) == ParameterSource.COMMANDLINE]
        if typed and context.get_parameter_source("state") == ParameterSource.COMMANDLINE:
            option = typed[0].replace("_", "-")
            raise click.UsageError(
                f"--state is for the runs of this machine, and --{option} for those of a backend. Remove one of them."
            )
        place = _Place(Path(os.path.abspath(state)), state, connection, bool(typed))
        return command(place=place, **options)

    return state_option(connection_options(placed))


_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")


@click.group(epilog=examples("tiffin runs list", "tiffin runs show", "tiffin runs list --host http://localhost:8888"))
@debug_option
def runs() -> None:
    """List, show, cancel and retry runs, and print their logs.

    The runs are those of this machine; with --host, or another option of the connection on the command line, those of a
    backend. KF_PIPELINES_ENDPOINT alone does not choose the backend.
    """


@runs.command("list", epilog=examples("tiffin runs list --pipeline training --in-state failed"))
@click.option("--pipeline", default="", metavar="NAME", help="Only runs of this pipeline.")
@click.option(
    "--in-state",
    "states",
    multiple=True,
    type=click.Choice(_IN_STATE, case_sensitive=False),
    help="Only runs in this state. Repeatable.",
)
@click.option("--limit", type=click.IntRange(min=1), default=_LIMIT, show_default=True, help="Number of newest runs.")
@_placed
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one object per line.")
@debug_option
def list_(*, place: _Place, pipeline: str, states: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List runs, newest first.

    A line has ID, state, start, duration and pipeline; the line below it says why a run failed. KILLED is the state of a
    run on this machine whose process ended without a result. With --host, the runs of a backend are listed.
    """
    from tiffin.specs.overview import list_lines

    if place.is_backend:
        from tiffin.kubeflow.runs import list_overviews

        found = list_overviews(place.connect(), pipeline, states)
    else:
        from tiffin.local.overviews import list_overviews as list_local

        found = list_local(place.state, pipeline, states)
    shown = list(itertools.islice(found, limit))
    if as_json:
        for one in shown:
            echo_json(one.to_json())
    elif shown:
        echo("\n".join(list_lines(shown)))
    else:
        echo("No such runs." if pipeline or states else "No runs.")
    if next(found, None) is not None:
        echo(f"There are more than {limit} runs. Show more with --limit {limit * 5}.", err=True)


@runs.command(epilog=examples("tiffin runs show", "tiffin runs show training-20260301"))
@run_argument(required=False)
@_placed
@_json_option
@debug_option
def show(*, run: str, place: _Place, as_json: bool) -> None:
    """Show a run: the newest, or RUN.

    State, reason, parameters, steps and results are shown, with the last log lines of a failed step and what to do next.

    RUN is the ID of a run or its start; on this machine also the path of its folder, on a backend also its name.
    """
    from tiffin.specs.overview import show_lines

    found = place.read(run)
    if as_json:
        echo_json(found.to_full_json())
    else:
        echo("\n".join(show_lines(found, place.ending, _columns())))


@runs.command(epilog=examples("tiffin runs logs", "tiffin runs logs training-20260301 Train --tail 50"))
@run_argument(required=False)
@click.argument("step", required=False, default="", metavar="[STEP]")
@click.option("--tail", type=click.IntRange(min=1), metavar="N", help="Only the last lines of each log.")
@click.option(
    "--follow", is_flag=True, help="Print lines as they are written, until the run ends. Only on this machine."
)
@_placed
@_json_option
@debug_option
def logs(*, run: str, step: str, tail: int | None, follow: bool, place: _Place, as_json: bool) -> None:
    """Print the logs of a run's steps.

    RUN is as for tiffin runs show. STEP is the name or the display name of a step; by default, the log of the failed step is
    printed, or the logs of all steps if none failed. Of a backend, the last 64 KiB of each log are printed.
    """
    if follow and (place.is_backend or as_json or tail):
        raise click.UsageError("--follow is for runs on this machine, without --tail and --json. Remove one of them.")
    if follow:
        _follow(place.find_local(run), step)
        return
    if place.is_backend:
        from tiffin.kubeflow.runs import read_logs

        remote = place.find_remote(run)
        name = remote.submission.run_id
        texts = [(one, iter(lines[-tail:] if tail else lines)) for one, lines in read_logs(remote, step)]
    else:
        from tiffin.local.overviews import choose_steps, read_lines, read_overview

        found = read_overview(place.find_local(run))
        name = found.run
        texts = [(one, read_lines(one, tail)) for one in choose_steps(found, step)]
    if as_json:
        steps = [{"name": one.name, "state": one.state, "log": one.log, "lines": list(lines)} for one, lines in texts]
        echo_json({"run": name, "steps": steps})
        return
    if not texts:
        echo(f"The run {name} has no logs yet.", err=True)
    for one, lines in texts:
        if len(texts) > 1:
            echo(f"==> {one.title} <==")
        for line in lines:
            echo(line.expandtabs())


@runs.command(epilog=examples("tiffin runs cancel training-20260301-120000-1a2b"))
@run_argument(required=True)
@_placed
@_json_option
@debug_option
def cancel(*, run: str, place: _Place, as_json: bool) -> int:
    """Cancel a run in progress.

    A run on this machine ends as by Ctrl-C, and the command waits for it. Exit status 1 if it ended otherwise before.
    """
    if place.is_backend:
        from tiffin.kubeflow.runs import cancel_run

        found = place.find_remote(run)
        cancel_run(found)
        name, state = found.submission.run_id, "CANCELING"
    else:
        from tiffin.local.retries import cancel_run as cancel_local

        folder = place.find_local(run)
        name, state = folder.name, cancel_local(folder)
    if as_json:
        echo_json({"run": name, "state": state})
    else:
        echo(f"{name} {state}")
    return 0 if state in ("CANCELED", "CANCELING") else 1


@runs.command(epilog=examples("tiffin runs retry training-20260301-120000-1a2b"))
@run_argument(required=True)
@click.option(
    "--cold", is_flag=True, help="Start a new Python interpreter for each step (slower). Only on this machine."
)
@click.option(
    "--stop-server",
    is_flag=True,
    help="Stop the model server that this retry started when it ends. Only on this machine.",
)
@click.option("--set", "settings", multiple=True, hidden=True)
@_placed
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object; progress goes to stderr.")
@debug_option
def retry(*, run: str, cold: bool, stop_server: bool, settings: tuple[str, ...], place: _Place, as_json: bool) -> int:
    """Go on with a run from its failed step.

    The run has failed, or was canceled or killed. It keeps its ID, spec, parameters and options. Steps that succeeded are not
    run again; the exit step is. A run that a gate stopped is refused: change the data, a parameter or the gate, and run
    again.

    Exit status on this machine: 0 the run succeeded, 1 it failed, 2 it cannot be retried, 3 a gate stopped it.
    """
    if settings:
        raise click.UsageError(
            "A retry has the parameters of its run, since the outputs of its steps were made with them. Received: --set "
            f"{settings[0]}. Run again with tiffin run or tiffin submit; unchanged statistics and models are reused."
        )
    if place.is_backend:
        from tiffin.kubeflow.runs import retry_run

        if cold or stop_server:
            raise click.UsageError("--cold and --stop-server are for runs on this machine. Remove them.")
        found = place.find_remote(run)
        retry_run(found)
        if as_json:
            echo_json({"run": found.submission.run_id, "url": found.submission.url})
        else:
            echo(f"Retrying {found.submission.run_id}: {found.submission.url}")
        return 0
    folder = place.find_local(run)
    from tiffin.local.result_text import show_run
    from tiffin.local.retries import retry_run as retry_local

    stream = cast("TextIO", Progress(sys.stderr if as_json else sys.stdout))
    result = retry_local(folder, cold=cold, stop_server=stop_server, stream=stream)
    show_run(result, place.ending, stream)
    if as_json:
        echo_json(result.to_json())
    return result.exit_status


def _follow(folder: Path, step: str) -> None:
    from tiffin.local.overviews import follow_lines

    last = ""
    for one, line in follow_lines(folder, step):
        if one.name != last and not step:
            echo(f"==> {one.title} <==")
        last = one.name
        echo(line.expandtabs())


def _columns() -> int | None:
    return os.get_terminal_size(sys.stdout.fileno()).columns if sys.stdout.isatty() else None
