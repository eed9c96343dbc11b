"""Dataclasses as JSON documents; reading checks every type.

A field without a default is always written, None as null. A field with the default None is omitted if it is None.
"""

import dataclasses
import functools
import json
import os
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from tiffin.errors import InputError, did_you_mean
from tiffin.storage.files import write_json

_Document = TypeVar("_Document")
_PLAIN = frozenset({str, int, float, bool, type(None)})


def write(path: str | Path, document: Any) -> None:
    """Write a dataclass as JSON, atomically."""
    write_json(path, to_json(document))


def format_document(document: Any, *, indent: int | None = 2) -> bytes:
    """Return a dataclass as the bytes of a JSON file: equal documents give equal bytes.

    Args:
        document: The dataclass.
        indent: Spaces of a level; None for one line, which is written in a fifth of the time. Defaults to 2.
    """
    return (json.dumps(to_json(document), indent=indent, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read(path: str | Path, kind: type[_Document]) -> _Document:
    """Read a document that `write` wrote.

    Raises:
        InputError: The file is missing, is not JSON, or is not a document of this kind.
    """
    return parse(read_bytes(path), kind, path)


def read_bytes(path: str | Path) -> bytes:
    """Return the content of an artifact's file.

    Raises:
        InputError: The file is missing.
    """
    try:
        return Path(path).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"No '{Path(path).name}' in the artifact '{Path(path).parent}'. Received: {describe_files(Path(path).parent)}. "
            "Pass the output of the step that writes it."
        ) from None


def describe_files(folder: Path) -> str:
    """Return the names of an artifact's files for an error message, which show what was passed instead."""
    names = sorted(os.listdir(folder)) if folder.is_dir() else []
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f"a folder with {', '.join(map(repr, names[:5]))}{more}" if names else "no folder with files"


def parse(content: bytes | str, kind: type[_Document], origin: str | Path) -> _Document:
    """Parse a JSON document.

    Args:
        content: JSON text.
        kind: Dataclass of the document.
        origin: Location of the text, for error messages.

    Returns:
        The document.

    Raises:
        InputError: The text is not JSON, or is not a document of this kind.
    """
    try:
        found: _Document = _from_json(json.loads(content), kind, "$")
    except _Mismatch as error:
        raise InputError(
            f"'{origin}' should be a {kind.__name__} document. Received: {error}. Run the step that writes it again."
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{origin}' is not valid JSON: {error}. Run the step that writes it again.") from None
    return found


def convert(value: Any, kind: type[_Document], place: str) -> _Document:
    """Convert JSON types that a user wrote to a dataclass.

    Args:
        value: A mapping, as JSON or YAML has it.
        kind: Dataclass of the document.
        place: Name of the value, where the paths in error messages start, such as `gate`.

    Raises:
        InputError: The value is not a document of this kind; the message has the path of the fault.
    """
    try:
        found: _Document = _from_json(value, kind, place)
    except _Mismatch as error:
        known = ", ".join(field.name for field in dataclasses.fields(kind))  # type: ignore[arg-type]
        raise InputError(f"{place} should be a mapping with the fields {known}. Received: {error}.") from None
    return found


def to_json(value: Any) -> Any:
    """Convert a dataclass, with everything in it, to JSON types."""
    # Most values are.
    if type(value) in _PLAIN:
        return value
    if dataclasses.is_dataclass(value):
        found = {field: getattr(value, field.name) for field in dataclasses.fields(value)}
        return {f.name: to_json(v) for f, v in found.items() if v is not None or f.default is not None}
    if isinstance(value, Mapping):
        return {key: to_json(item) for key, item in value.items()}
    return [to_json(item) for item in value] if isinstance(value, list | tuple) else value


class _Mismatch(Exception):
    """A value in the document has the wrong type."""


def _from_json(value: Any, kind: Any, place: str) -> Any:
    """Convert a JSON value to `kind`: a dataclass, a plain type, a union of one with None, or a tuple or dict of these."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    found: Any
    if origin is types.UnionType:
        found = None if value is None else _from_json(value, arguments[0], place)
    elif dataclasses.is_dataclass(kind) and isinstance(value, dict):
        found = _dataclass(value, kind, place)
    elif origin is tuple and isinstance(value, list):
        found = tuple(_from_json(item, arguments[0], f"{place}[{index}]") for index, item in enumerate(value))
    elif origin is dict and isinstance(value, dict):
        found = {key: _from_json(item, arguments[1], f"{place}.{key}") for key, item in value.items()}
    elif kind is float and type(value) is int:
        found = float(value)
    elif kind is object or type(value) is kind or (origin is typing.Literal and value in arguments):
        found = value
    elif origin is typing.Literal:
        raise _Mismatch(f"{value!r} at {place}, expected {', '.join(map(repr, arguments))}")
    else:
        kind = dict if dataclasses.is_dataclass(kind) else kind
        expected = "list" if origin is tuple else kind.__name__ if isinstance(kind, type) else kind
        raise _Mismatch(f"{type(value).__name__} at {place}, expected {expected}")
    return found


def _dataclass(value: dict[str, Any], kind: Any, place: str) -> Any:
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := sorted(value.keys() - fields.keys(), key=str):
        nearest = did_you_mean(str(unknown[0]), fields).strip(" ?").lower()
        raise _Mismatch(f"unknown field {place}.{unknown[0]}{f' ({nearest}?)' if nearest else ''}")
    required = [name for name, field in fields.items() if field.default is dataclasses.MISSING]
    if absent := sorted(set(required) - value.keys()):
        raise _Mismatch(f"missing field {place}.{absent[0]}")
    hints = _hints(kind)
    return kind(**{name: _from_json(item, hints[name], f"{place}.{name}") for name, item in value.items()})


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return typing.get_type_hints(kind)
