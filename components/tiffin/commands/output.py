"""Write lines to the standard streams of a command."""

from typing import Any, TextIO

import click

from tiffin.printing import json_line, printable_lines


def echo(text: object, *, err: bool = False, nl: bool = True, file: TextIO | None = None) -> None:
    """Write text with names and values of users, whose control characters are escaped.

    Args:
        text: One or more lines.
        err: Whether to write to standard error. Defaults to False.
        nl: Whether to end the line. Defaults to True.
        file: Stream to write to. Defaults to standard output or error.
    """
    click.echo(printable_lines(text), err=err, nl=nl, file=file)


def echo_json(value: Any) -> None:
    """Write a value to standard output as one line of JSON."""
    click.echo(json_line(value))
