"""The command `tiffin`: names its commands, imports one on use, and turns errors into one line and an exit status.

The status is 0 when it is done, 1 when it failed, 2 when an argument breaks a rule, 3 when a gate of the pipeline
stopped the run (`tiffin run`), 130 when it was interrupted.
"""

import importlib
import os
import sys
import traceback
from typing import Any, NoReturn

import click

from tiffin.commands.options import debug_option
from tiffin.errors import InputError, did_you_mean, explain
from tiffin.version import __version__

# command -> what the list of commands says about it. Importing a command to ask it would cost a second and more.
COMMANDS = {
    "compile": "Compile pipelines and components to versioned YAML.",
    "run": "Run a pipeline on this machine, without a cluster and without Docker.",
    "publish": "Upload pipelines to a Kubeflow Pipelines backend.",
    "submit": "Run a pipeline on a Kubeflow Pipelines backend.",
    "schedule": "Run pipelines again and again on a backend: set, list, pause, resume, delete.",
    "serve": "Serve the registered models of local runs by gRPC.",
    "predict": "Ask a model server for predictions.",
    "sample": "Write a generated data set of deliveries as CSV.",
    "demo": "Train on generated data, then ask the model a prediction by gRPC.",
}


class Commands(click.Group):
    """A group that imports `tiffin.commands.<name>` when that command is called, and no other."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import the command `name`; None where there is none."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(f"tiffin.commands.{name}"), name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name, or say which ones there are."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            ctx.fail(
                f"There is no command '{args[0]}'.{did_you_mean(args[0], COMMANDS)} "
                f"The commands are: {', '.join(COMMANDS)}."
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands from the table, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run the command line and end the process with its status."""
        sys.exit(_exit_status(super().main, *args, **kwargs))


def _exit_status(run: Any, *args: Any, **kwargs: Any) -> int:
    try:
        status = run(*args, **{**kwargs, "standalone_mode": False})
        sys.stdout.flush()
    except click.exceptions.Exit as request:
        status = request.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        status = error.exit_code
    except click.UsageError as error:
        click.echo(f"{error.ctx.get_usage()}\n\n" if error.ctx else "", err=True, nl=False)
        click.echo(f"error: {error.format_message()}", err=True)
        status = error.exit_code
    except click.ClickException as error:
        click.echo(f"error: {error.format_message()}", err=True)
        status = error.exit_code
    except click.Abort:
        # Ctrl-C, after click has left the line where the terminal shows "^C".
        click.echo("Interrupted.", err=True)
        status = 130
    except BrokenPipeError:
        # The reader has seen enough, as in `tiffin ... | head`. Python would complain once more as it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except Exception as error:  # noqa: BLE001 - here, and nowhere else, errors become words
        status = _report(error)
    return status if isinstance(status, int) else 0


def _report(error: Exception) -> int:
    message = explain(error)
    if message is None or os.environ.get("TIFFIN_DEBUG") == "1":
        traceback.print_exception(error)
    if message is None:
        click.echo("error: This is a bug in Tiffin. Please report it with the traceback above.", err=True)
        return 1
    click.echo(f"error: {message}", err=True)
    return 2 if isinstance(error, InputError) else 1


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="%(version)s")
@debug_option
def main() -> None:
    """Carry a TensorFlow model from raw data to TensorFlow Serving on Kubeflow Pipelines, and keep it good there."""
