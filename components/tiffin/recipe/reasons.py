"""Say in Tiffin's words why DuckDB refused an expression or a value."""

import errno
import os
import re
from collections.abc import Callable

import duckdb

_TYPES = {
    "BIGINT": "integer", "INTEGER": "integer", "SMALLINT": "integer", "TINYINT": "integer", "HUGEINT": "integer",
    "UBIGINT": "integer", "INT8": "integer", "INT16": "integer", "INT32": "integer", "INT64": "integer", "INT128": "integer",
    "INTEGER_LITERAL": "integer", "DOUBLE": "float", "FLOAT": "float", "DECIMAL": "decimal", "VARCHAR": "text",
    "STRING_LITERAL": "text", "BOOLEAN": "boolean", "BOOL": "boolean", "TIMESTAMP": "timestamp", "DATE": "date", "TIME": "time",
    "TIMESTAMP WITH TIME ZONE": "timestamp", "INTERVAL": "interval", "UUID": "UUID", "BLOB": "bytes",
}  # fmt: skip


def type_name(type_: str) -> str:
    """Return the name of a DuckDB type in the words of the setting `types`."""
    type_ = type_.strip()
    return _TYPES.get(type_.split("(", 1)[0], type_ if type_.endswith("]") else type_.lower())


# Patterns of DuckDB's messages, and the reason as text or as a function of the match.
_EXPRESSIONS: tuple[tuple[str, Callable[[re.Match[str]], str]], ...] = (
    (r'syntax error at or near "(?P<at>.*)"', lambda m: f"syntax error at '{m['at']}'"),
    (r"syntax error at end of input", lambda m: "the expression is incomplete"),
    (r"unterminated", lambda m: "a quote or a comment is not closed"),
    (
        r"No function matches the given name and argument types '(?P<name>.+?)\((?P<types>.*)\)'",
        lambda m: f"'{m['name']}' does not take {_listed(m['types'])}",
    ),
    (
        r"Cannot (compare|mix|combine) (values of type|types of|values of)\s+(?P<one>[A-Z_0-9(), ]+?) and (type )?"
        r"(?P<other>[A-Z_0-9(), ]+?)( -|$| in )",
        lambda m: f"{type_name(m['one'])} and {type_name(m['other'])} do not go together; cast one of them",
    ),
    (r"Could not convert string ['\"](?P<value>.*)['\"] to '?(?P<type>\w+)", lambda m: _not_a(m["value"], m["type"])),
    (
        r'invalid (?P<type>date|timestamp|time|interval) field format: "(?P<value>.*?)"',
        lambda m: f"'{m['value']}' is not a {m['type']} such as 2025-12-31",
    ),
    (
        r"(?P<type>date|timestamp|time) field value out of range: \"(?P<value>.*?)\"",
        lambda m: f"'{m['value']}' is not a {m['type']}",
    ),
    (
        r"Could not parse string \"(?P<value>.*?)\" according to format",
        lambda m: f"'{m['value']}' does not have that format",
    ),
    (
        r"Unimplemented type for cast \((?P<one>.+) -> (?P<other>.+?)\)",
        lambda m: f"{type_name(m['one'])} cannot become {type_name(m['other'])}",
    ),
    (r"Overflow|out of range", lambda m: "a number is out of its type's range"),
    (r"Cannot extract field '(?P<field>.*?)' from", lambda m: f"a column has no field '{m['field']}'"),
)


def expression_reason(error: duckdb.Error | UnicodeDecodeError | str) -> str:
    """Return why an expression was refused, or failed for a row.

    DuckDB's error is a UnicodeDecodeError if it cuts a value within a character.

    Raises:
        OSError: The disk is full.
    """
    if isinstance(error, duckdb.Error):
        check_disk(error)
    message = first_line(error)
    for pattern, reason in _EXPRESSIONS:
        if match := re.search(pattern, message):
            return reason(match)
    if isinstance(error, duckdb.BinderException):
        return "the operands have unsuitable types or values"
    if not isinstance(error, str):
        return "a value is invalid for a function or a cast"
    return "it does not parse"


def check_disk(error: duckdb.Error | UnicodeDecodeError) -> None:
    """Raise if the reason is the machine, not the data.

    Raises:
        OSError: The disk is full, or there is not enough memory.
    """
    for number in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        if os.strerror(number) in str(error):
            raise OSError(number, os.strerror(number)) from None
    if isinstance(error, duckdb.OutOfMemoryException):
        raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)) from None


def first_line(message: object) -> str:
    """Return the first line of a text."""
    return str(message).strip().split("\n", 1)[0]


def shortened(text: object, length: int) -> str:
    """Return the first line of a text, with `...` at its end if it is longer than `length`."""
    line = first_line(text)
    return line if len(line) <= length else f"{line[: length - 3]}..."


def _listed(types: str) -> str:
    names = [type_name(part) for part in re.split(r",\s*(?![^(]*\))", types) if part]
    return " and ".join(filter(None, [", ".join(names[:-1]), *names[-1:]])) if names else "no argument"


def _not_a(value: str, type_: str) -> str:
    name = type_name(type_)
    value = shortened(value, 60)
    return (
        f"'{value}' is not {'an' if name[0] in 'aeiou' else 'a'} {name}" if name != "text" else f"'{value}' is not text"
    )
