"""Markdown of the report artifacts: tables, and texts from data that show literally."""

import re
from collections.abc import Sequence

# Characters that begin markup in Markdown, wherever they are. ':' and '@' would make links. Those of HTML are references, since
# some viewers look for elements before they look at backslashes.
_MARKUP = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_{}[]()#|~!$^=:@"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
)
_LONGEST = 200


def escape(text: str) -> str:
    """Return a text as Markdown that shows it literally, in one line."""
    printable = "".join(character if character.isprintable() else " " for character in text)
    escaped = printable.translate(_MARKUP).replace("www.", "www\\.").strip()
    # At the start of a line, these begin a list or a rule.
    return re.sub(r"^(\d+(?=\.(?:\s|$))|(?=[-+](?:[-+\s]|$)))", r"\1\\", escaped)


def example(text: str) -> str:
    """Return an example from the data as Markdown, cut to 200 characters."""
    return escape(text if len(text) <= _LONGEST else f"{text[:_LONGEST]}...")


def code(name: str) -> str:
    """Return a name as code if it is plain, so that it stays readable in the file."""
    return f"`{name}`" if name and name.replace("_", "a").isalnum() else escape(name)


def table(header: Sequence[str], rows: Sequence[Sequence[str]], alignment: str = "") -> list[str]:
    """Return the lines of a table of Markdown cells; alignment has an `l` or `r` for each column, by default `l`."""
    rules = ("---:" if letter == "r" else "---" for letter in alignment or "l" * len(header))
    return [_line(header), f"|{'|'.join(rules)}|", *map(_line, rows)]


def _line(cells: Sequence[str]) -> str:
    return "".join(f"| {cell} " if cell else "| " for cell in cells) + "|"
