"""The columns of the examples."""

import keyword
import re
import unicodedata
from dataclasses import dataclass


@dataclass(frozen=True)
class Column:
    """A column of the examples.

    Attributes:
        name: Column name that TensorFlow accepts.
        type: INT, FLOAT or STRING.
        logical: What an INT stands for: `boolean`, `date` or `timestamp` (seconds since 1970, UTC); None for a plain value.
    """

    name: str
    type: str
    logical: str | None = None


def plain_name(name: str) -> str:
    """Return `name` changed to a valid input name of a TensorFlow signature, which is a Python parameter name."""
    plain = name.strip()
    if not plain.isascii():
        plain = "".join(letter for letter in unicodedata.normalize("NFKD", plain) if not unicodedata.combining(letter))
    plain = re.sub(r"[^A-Za-z0-9_]", "_", plain)
    if not plain[:1].isalpha():
        plain = f"c_{plain.lstrip('_')}"
    return f"{plain}_" if keyword.iskeyword(plain) or plain == "self" else plain
