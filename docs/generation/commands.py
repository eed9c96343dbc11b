"""The reference of the commands, taken from click."""

import inspect
import re
from collections.abc import Iterator
from typing import Any

import click

from tiffin.commands.main import COMMANDS, main


def write_commands() -> str:
    """Return the page in Markdown: the usage, description and options of every command."""
    context = click.Context(main, info_name="tiffin")
    parts = [
        "# Commands",
        _escape(inspect.cleandoc(main.help or "")),
        "\n".join(f"- [`tiffin {name}`](#tiffin-{name}): {_escape(text)}" for name, text in COMMANDS.items()),
        "Every command accepts `--help` (`-h`), and `--debug` to show tracebacks for errors. "
        "[Exit statuses and errors](errors.md) lists the exit statuses.",
    ]
    for name in main.list_commands(context):
        parts += _sections(name, main, context, 2)
    return "\n\n".join(parts) + "\n"


def _sections(name: str, group: click.Group, parent: click.Context, level: int) -> Iterator[str]:
    command: Any = group.get_command(parent, name)
    context = click.Context(command, parent=parent, info_name=name)
    yield f"{'#' * level} {context.command_path}"
    yield f"```text\n{' '.join([context.command_path, *command.collect_usage_pieces(context)])}\n```"
    for paragraph in (command.help or "").split("\n\n"):
        yield _escape(" ".join(paragraph.split()))
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden and "--debug" not in option.opts:
            yield _describe(option, context)
    yield from _examples(command.epilog)
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            yield from _sections(inner, command, context, level + 1)


def _examples(epilog: str | None) -> Iterator[str]:
    lines = [line.strip() for line in (epilog or "").splitlines() if line.startswith("  ")]
    if lines:
        yield "\n".join(["```sh", *lines, "```"])


def _describe(option: click.Option, context: click.Context) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.secondary_opts:
        names += " / " + ", ".join(f"`{name}`" for name in option.secondary_opts)
    if not option.is_flag:
        names += f" `{option.make_metavar(context)}`"
    about = [_escape(option.help or "")]
    # Only a default that --help shows is worth showing: the others are empty or follow from the description.
    if option.show_default and not option.is_flag:
        about.append(f"Default: `{option.default}`.")
    if isinstance(option.type, click.IntRange | click.FloatRange):
        about.append(_range(option.type))
    if option.envvar:
        about.append(f"Environment variable: [`{option.envvar}`](environment.md).")
    about += ["Required."] if option.required else []
    about += ["May be repeated."] if option.multiple and "repeated" not in (option.help or "") else []
    return f"{names}\n:   {' '.join(part for part in about if part)}"


def _range(kind: click.IntRange | click.FloatRange) -> str:
    if kind.max is None:
        return f"At least {kind.min}."
    return f"From {kind.min} to {kind.max}."


def _escape(text: str) -> str:
    return re.sub(r"([*\[\]])", r"\\\1", text.replace("<", "&lt;"))
