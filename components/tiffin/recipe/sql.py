"""Names, texts and expressions in SQL. Does not import DuckDB, so that parameters can be checked before a run starts."""

from collections.abc import Mapping
from typing import Any

from tiffin.errors import InputError


def quoted_name(name: str) -> str:
    """Return `name` as a SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def escaped(text: object) -> str:
    """Return a text escaped for a quoted SQL string."""
    return str(text).replace("'", "''")


def check_derive(derive: Mapping[Any, Any]) -> None:
    """Raise an InputError unless the parameter `derive` maps texts to texts that are not empty."""
    for name, expression in derive.items():
        if not isinstance(name, str):
            raise InputError(
                f"derive should map column names to SQL expressions. Received: derive={{{name!r}: ...}}, whose name is not text. "
                f"Choose a name that starts with a letter, such as 'c_{name}'."
            )
        if not isinstance(expression, str) or not expression.strip():
            raise InputError(
                f"derive['{name}'] should be an SQL expression over one row, as text. Received: {expression!r}. "
                'Write it in quotes, for example {"double": "2 * fare"}.'
            )
