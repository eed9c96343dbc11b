"""The serving root, the model server and the MLflow of the commands that govern models: of the state folder by default."""

import datetime
import functools
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from tiffin.commands.options import debug_option, state_option
from tiffin.errors import InputError
from tiffin.governance.identity import check_reason, current_user
from tiffin.local.records import database
from tiffin.local.serving import find_server, serving_root
from tiffin.serving.history import Author
from tiffin.serving.root import ServedModel, find_models, resolve_root
from tiffin.stages.traits import database_uri
from tiffin.tracking.uri import check_tracking_uri

_AGES = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True)
class Installation:
    """What a command works on.

    Attributes:
        state: The state folder.
        root: Serving root, as `resolve_root` returns it.
        address: `host:port` of the model server; empty if none is known.
        tracking_uri: MLflow tracking URI; empty if none is known.
    """

    state: str
    root: str
    address: str
    tracking_uri: str

    def find(self, model: str) -> ServedModel:
        """Return a model; an empty name stands for the only one.

        Raises:
            InputError: There is no such model.
        """
        from tiffin.governance.overview import find_model

        if model:
            return find_model(self.root, model)
        known = self.models
        if len(known) != 1:
            raise InputError(
                f"MODEL should be one of the models of '{self.root}': {', '.join(known) or 'it has none'}. Received: none."
            )
        return ServedModel(self.root, known[0])

    @property
    def models(self) -> list[str]:
        """Names of the models of the serving root."""
        return find_models(self.root)


def find_installation(state: str, root: str, address: str, tracking_uri: str) -> Installation:
    """Return what a command works on: what is given, or else that of the state folder.

    Args:
        state: The state folder.
        root: Serving root; empty for that of the state folder.
        address: Address of the model server; empty for the one that runs for the state folder, unless `root` is given.
        tracking_uri: MLflow tracking URI; empty for the database of the state folder, unless `root` is given.

    Raises:
        InputError: The serving root does not exist.
    """
    if root:
        root = resolve_root(root)
    else:
        root = str(serving_root(state))
        server = find_server(state) if not address else None
        address = address or (server.address if server else "")
        file = database(Path(state).absolute())
        tracking_uri = tracking_uri or (database_uri(file) if file.is_file() else "")
    if "://" not in root and not os.path.isdir(root):
        raise InputError(
            f"The serving root should be a folder or a gs:// URI. Received: '{root}', which does not exist. Run a pipeline that "
            "deploys a model, or pass --state or --serving-root."
        )
    return Installation(state, root, address, tracking_uri)


_OPTIONS = (
    state_option,
    click.option(
        "--serving-root",
        "root",
        envvar="TIFFIN_SERVING_ROOT",
        show_envvar=True,
        default="",
        metavar="ROOT",
        help="Path or gs:// URI that the model servers load from.  [default: that of --state]",
    ),
    click.option(
        "--address",
        envvar="TIFFIN_SERVING_ADDRESS",
        show_envvar=True,
        default="",
        metavar="HOST:PORT",
        help="gRPC address of the model server.  [default: the server of --state, if it runs]",
    ),
    click.option(
        "--tracking-uri",
        envvar="MLFLOW_TRACKING_URI",
        show_envvar=True,
        default="",
        metavar="URI",
        help="MLflow that has the aliases.  [default: the database of --state]",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    debug_option,
)


def installation_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of an installation and `--json` to a command, which receives an `Installation` as `place`."""

    @functools.wraps(command)
    def placed(*arguments: Any, state: str, root: str, address: str, tracking_uri: str, **options: Any) -> Any:
        source = click.get_current_context().get_parameter_source("tracking_uri")
        if source == click.core.ParameterSource.COMMANDLINE:
            check_tracking_uri(tracking_uri)
        return command(*arguments, place=find_installation(state, root, address, tracking_uri), **options)

    for option in reversed(_OPTIONS):
        placed = option(placed)
    return placed


why_option = click.option(
    "--why", required=True, metavar="REASON", help="Reason, for those who read the history. Required."
)


def author(why: str) -> Author:
    """Return the person who runs a command, with the reason.

    Raises:
        InputError: The reason is empty or not printable.
    """
    check_reason(why)
    return Author(current_user(), why.strip())


class Time(click.ParamType[datetime.datetime]):
    """A time in ISO 8601, in UTC unless it has an offset, or an age such as 2h."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the time."""
        if isinstance(value, datetime.datetime):
            return value
        now = datetime.datetime.now(datetime.UTC)
        try:
            if match := re.fullmatch(r"(\d{1,6})([smhdw])", value):
                return now - datetime.timedelta(**{_AGES[match[2]]: int(match[1])})
            found = datetime.datetime.fromisoformat(value)
        except (ValueError, OverflowError):
            self.fail(
                f"should be a time such as 2026-03-01T12:00, in UTC, or an age such as 2h. Received: '{value}'.",
                param,
                ctx,
            )
        return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)
