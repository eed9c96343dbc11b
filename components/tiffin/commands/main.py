"""The `tiffin` command: imports subcommands on use, and turns errors into a message and an exit status.

Exit statuses: 0 success, 1 failure, 2 invalid argument, 3 a gate of the pipeline stopped the run, 4 the model waits for
approval (both `tiffin run`, `tiffin submit --wait`), 130 interrupted.
"""

import importlib
import os
import sys
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from tiffin.commands.options import debug_option, examples
from tiffin.commands.shells import use_joined_bash
from tiffin.commands.streams import discard, end_on_signals, open_closed_streams, report
from tiffin.errors import InputError, did_you_mean, explain, needs_extra, traceback_of
from tiffin.masking import masked
from tiffin.printing import printable
from tiffin.version import __version__

# Command -> its line in `tiffin --help`. Importing every command for its docstring would take more than a second.
COMMANDS = {
    "init": "Write a project with a pipeline and a model of your own.",
    "compile": "Compile pipelines and components to versioned YAML.",
    "pipelines": "List the pipelines.",
    "components": "List the components.",
    "run": "Run a pipeline on this machine; no cluster needed.",
    "runs": "List, show, cancel and retry runs, and print their logs.",
    "report": "Open the report of a local run in the browser.",
    "ui": "Show the local runs and models in MLflow.",
    "models": "Show, approve, promote and roll back models in production.",
    "publish": "Upload pipelines to a Kubeflow Pipelines backend.",
    "submit": "Run a pipeline on a Kubeflow Pipelines backend.",
    "schedule": "Manage recurring runs on a Kubeflow Pipelines backend.",
    "serve": "Serve the models of local runs over gRPC.",
    "rollout": "Give a version its share of requests, step by step.",
    "gateway": "Divide requests between two versions, and log them.",
    "monitor": "Show how models in production fare.",
    "notify": "Send a test message to the addresses of notifications.",
    "predict": "Get predictions from a model server.",
    "load": "Send a load to a model server, and measure its answers.",
    "sample": "Write sample data, generated deliveries, to a CSV file.",
    "demo": "Train on sample data, serve the model, get a prediction.",
    "clean": "Remove old local runs and unused data versions.",
}


class Commands(click.Group):
    """A group that imports `tiffin.commands.<name>` only when that command is called."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are typically used."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import the command `name`; return None if it is unknown."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"tiffin.commands.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that the arguments name, or fail with the list of commands."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(f"No such command: '{args[0]}'.{did_you_mean(args[0], COMMANDS)} Commands: {', '.join(COMMANDS)}.")
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """Complete commands from the table, without importing them, and options."""
        if incomplete.startswith("-"):
            return super().shell_complete(ctx, incomplete)
        return [CompletionItem(name, help=about) for name, about in COMMANDS.items() if name.startswith(incomplete)]

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and end the process with its status."""
        open_closed_streams()
        end_on_signals()
        use_joined_bash()
        sys.exit(_exit_status(super().main, *args, **kwargs))


def _exit_status(run: Any, *args: Any, **kwargs: Any) -> int:
    try:
        with needs_extra("sdk"):
            status = run(*args, **{**kwargs, "standalone_mode": False})
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        status = request.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        report(f"{error.format_message()}\n")
        status = error.exit_code
    except click.UsageError as error:
        usage = f"{error.ctx.get_usage()}\n\n" if error.ctx else ""
        report(f"{usage}error: {masked(error.format_message())}\n")
        status = error.exit_code
    except click.ClickException as error:
        report(f"error: {masked(error.format_message())}\n")
        status = error.exit_code
    except click.Abort:
        # Ctrl-C. click has already ended the line in which the terminal shows "^C".
        report("Interrupted.\n")
        status = 130
    except BrokenPipeError:
        # The reader closed the pipe, as in `tiffin ... | head`. Without this, Python prints another error at exit.
        discard(sys.stdout)
        status = 1
    except Exception as error:  # noqa: BLE001 - the one place that turns errors into messages
        status = _explain(error)
    try:
        sys.stdout.flush()
    except OSError:
        # Text that cannot be written would fail once more when Python exits.
        discard(sys.stdout)
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> int:
    message = explain(error)
    if message is None or os.environ.get("TIFFIN_DEBUG") == "1":
        report(traceback_of(error))
    if message is None:
        report("error: This is a bug in Tiffin. Please report it with the traceback above.\n")
        return 1
    report(f"error: {printable(message)}\n")
    return 2 if isinstance(error, InputError) else 1


@click.group(
    cls=Commands,
    epilog=examples("tiffin demo", "tiffin run training --set data=trips.csv --set label=tips", "tiffin run --help"),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, message="%(version)s")
@debug_option
def main() -> None:
    """Train TensorFlow models on Kubeflow Pipelines and serve them with TensorFlow Serving.

    Start with `tiffin demo`: it runs the whole pipeline on this machine.
    """
