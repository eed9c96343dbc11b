"""What a command asks a model server for, how it reaches the server, and the rows it sends."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tiffin import storage
from tiffin.commands.output import echo
from tiffin.errors import InputError, did_you_mean
from tiffin.recipe.rows import RowReader
from tiffin.serving import recipes
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.root import find_configs
from tiffin.serving.row_files import is_json, open_rows
from tiffin.serving.rows import Source
from tiffin.serving.signatures import Signature

if TYPE_CHECKING:
    from tiffin.serving import Client

_OPTIONS = (
    click.option("--model", metavar="NAME", help="Name of the model.  [default: the only one of the local server]"),
    click.option(
        "--address",
        metavar="HOST:PORT",
        help="Address of the model server.  [default: the local server of --state, started if needed]",
    ),
    click.option("--version", type=click.IntRange(min=0), metavar="N", help="Version of the model.  [default: latest]"),
    click.option("--label", metavar="NAME", help="Version label to use instead of a version number."),
    click.option(
        "--as-examples",
        is_flag=True,
        help="Send rows as serialized tf.Examples, for a signature with one string input.",
    ),
    click.option(
        "--allow-missing", is_flag=True, help="Treat columns that FILE lacks, and the model uses, as missing values."
    ),
    click.option("--tls", is_flag=True, help="Encrypt the connection; requires --address."),
    click.option(
        "--ca-file", metavar="FILE", help="PEM file with trusted CA certificates; implies --tls.  [default: public CAs]"
    ),
    click.option(
        "--key",
        default="",
        metavar="COLUMN",
        help="Column whose value is sent as x-tiffin-key, for labels that come later; requires --batch-size 1.",
    ),
    click.option(
        "--timeout",
        type=click.FloatRange(0.001),
        default=30.0,
        show_default=True,
        metavar="SECONDS",
        help="Deadline of each request.",
    ),
)


def target_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that name a model and a server, and say how rows of FILE are read."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class Target:
    """What to ask, and how to reach it."""

    which: tuple[str, int | None, str | None]
    signature: str
    address: str | None
    state: str
    tls: bool
    ca_file: str | None
    timeout_seconds: float


def check_address(address: str | None, **options: Any) -> None:
    """Raise a UsageError if an option is set that requires `--address`, without it."""
    given = [name for name, value in options.items() if value]
    if address is None and given:
        raise click.UsageError(f"--{given[0].replace('_', '-')} requires --address: HOST:PORT of the server.")


def check_key(key: str, batch_size: int) -> None:
    """Raise a UsageError unless each request has the key of its only row."""
    if key and batch_size != 1:
        raise click.UsageError(f"--key requires --batch-size 1: a request has one key. Received: {batch_size}.")


def only_model(address: str | None, state: str) -> str:
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


def open_document(stack: contextlib.ExitStack, file: str) -> Source | None:
    """Return the rows of a file of JSON, which may name a signature; None for a table, which `open_table` opens."""
    if is_json(file):
        return stack.enter_context(open_rows(file))
    if not file.startswith("sample:"):
        storage.list_files(file)  # A missing file is told before the server is asked.
    return None


@contextlib.contextmanager
def open_table(
    file: str, reader: RowReader | None, allow_missing: bool, *, shows_notes: bool = True
) -> Iterator[Source]:
    """Open CSV or Parquet: as ingest does for a model with a recipe."""
    if reader is None:
        with open_rows(file) as source:
            yield source
        return
    from tiffin.commands import tables

    with tables.open_table(file, reader.recipe.recipe) as opened:
        for note in opened.notes if shows_notes else ():
            echo(f"note: {note.text}", err=True)
        if not allow_missing:
            recipes.check_columns(reader, opened.names)
        yield opened.source


def choose_signature(signature: str, source: Source | None, file: str) -> str:
    """Return the signature of the option, or else the one that the file names; empty for the default one."""
    if source is None:
        return signature
    if signature and source.signature and signature != source.signature:
        raise click.UsageError(
            f"--signature should be that of the file. Received: --signature {signature}, and 'signature_name' "
            f"'{source.signature}' in '{file}'. Remove one of them."
        )
    return signature or source.signature


@contextlib.contextmanager
def open_client(target: Target) -> Iterator["Client"]:
    """Yield a client of the server; without an address, start the local server unless it is running."""
    # gRPC's log of failed handshakes and connections; the errors name the reason.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from tiffin.serving.client import Client

    with contextlib.ExitStack() as stack:
        address = target.address
        if address is None:
            from tiffin.local.companion import running_server

            address = stack.enter_context(running_server(target.state))
        yield stack.enter_context(Client(address, timeout_seconds=target.timeout_seconds, tls=tls_of(target)))


def tls_of(target: Target) -> Any:
    """Return the `tls` of a client."""
    from tiffin.serving.connection import Tls

    return Tls(target.ca_file) if target.tls else False


def check_signature(signatures: dict[str, Signature], name: str) -> dict[str, Signature]:
    """Return the signatures of a model if one has the name, and inputs.

    Raises:
        InputError: There is none, or it has no inputs.
    """
    found = signatures.get(name or DEFAULT_SIGNATURE)
    if found is None:
        raise InputError(
            f"--signature should be one of the model's: {', '.join(signatures)}. Received: '{name or DEFAULT_SIGNATURE}'."
            f"{did_you_mean(name, signatures)}"
        )
    if not found.inputs:
        raise InputError(f"--signature should have inputs. Received: '{name}', which has none. Choose another one.")
    return signatures
