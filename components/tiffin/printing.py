r"""Texts of users as a terminal can show them: the one place that escapes control characters.

Names of files and columns, values of the data and lines of logs may hold a terminal's commands: `\x1b[2J` clears the screen, and
U+202E reverses the rest of the line.
"""

import json
import re
from typing import Any


def printable(text: object) -> str:
    r"""Return text on one line, with control characters, such as a terminal's escape sequences, written as `\x1b`."""
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in str(text)
    )


def printable_lines(text: object) -> str:
    """Return text with its line ends, and all other control characters escaped."""
    return "\n".join(map(printable, str(text).split("\n")))


def json_line(value: Any) -> str:
    """Return a value as JSON on one line, with letters of all languages, and with control characters escaped."""
    return re.sub(r"[^ -~]+", _escaped, json.dumps(value, ensure_ascii=False))


def _escaped(match: re.Match[str]) -> str:
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in match[0])
