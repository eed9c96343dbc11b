"""Columns from folders named `key=value`, as Hive and Spark write them."""

import os
import re
import urllib.parse
from collections.abc import Collection, Sequence

from tiffin.artifacts.notes import Note

# Hive's folder for rows without a value.
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_WILDCARDS = re.compile(r"[*?\[]")


def partition_values(
    data: str, uris: Sequence[str], columns: Collection[str]
) -> tuple[dict[str, dict[str, str | None]], list[Note]]:
    """Return the keys and values of each file's `key=value` folders, and notes if there are any.

    Only folders below the folder `data`, or matched by the wildcards of the glob `data`, count. There are no values unless
    every file has the same keys.

    Args:
        data: Files, folders or globs, one per line, as the user gave them.
        uris: Path or URI of each file.
        columns: Names of the files' columns, which such folders do not replace.
    """
    bases = sorted({_base(location) for location in data.splitlines()}, key=len)
    found = {uri: _values_below(uri, bases) for uri in uris}
    uri = next((uri for uri, values in found.items() if values), None)
    if uri is None:
        return {other: {} for other in uris}, []
    names = [key for key, _ in found[uri]]
    keys = {uri: sorted(key for key, _ in values) for uri, values in found.items()}
    differing = next((other for other in uris if keys[other] != keys[uri] or len(set(names)) < len(names)), None)
    if differing is not None:
        text = (
            f"Folders named key=value were not read as columns: '{uri}' has {', '.join(names)}, '{differing}' has "
            f"{', '.join(keys[differing]) or 'none'}. Every file should have the same keys, each once."
        )
        return {other: {} for other in uris}, [Note("PARTITIONS", text, count=0, example=uri)]
    own = {name.lower() for name in columns}
    notes = [
        Note(
            "PARTITIONS",
            f"'{name}' is read from the files, which have this column, not from folders named {name}=value.",
            name,
        )
        for name in names
        if name.lower() in own
    ]
    if names := [name for name in names if name.lower() not in own]:
        text = (
            f"{', '.join(map(repr, names))} {'is a column' if len(names) == 1 else 'are columns'} read from folders named "
            "key=value. Set partitions=none to ignore these folders."
        )
        notes.append(Note("PARTITIONS", text, count=len(names), example=uri))
    # The same order in every file, whatever the order of its folders.
    return {uri: {name: dict(values)[name] for name in names} for uri, values in found.items()}, notes


def _base(data: str) -> str:
    """Return the folder that the user gave, or the part of a glob before the first folder with a wildcard, with a final `/`."""
    scheme = data.split("://", 1)[0].lower() if "://" in data else ""
    if scheme in ("", "file"):
        path = urllib.parse.unquote(data[len("file://") :]).removeprefix("localhost") if scheme else data
        whole = os.path.abspath(path)
        if os.path.exists(whole):
            return whole.rstrip("/") + "/"
    else:
        whole = scheme + data[len(scheme) :]
    parts = whole.split("/")
    fixed = next((index for index, part in enumerate(parts) if _WILDCARDS.search(part)), len(parts))
    return "/".join(parts[:fixed]).rstrip("/") + "/"


def _values_below(uri: str, bases: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return the keys and values of the folders below the longest of the bases that the file is in; none outside of them."""
    base = next((base for base in reversed(bases) if uri.startswith(base)), None)
    return [] if base is None else _values(uri.removeprefix(base).split("/")[:-1])


def _values(folders: list[str]) -> list[tuple[str, str | None]]:
    pairs = [folder.split("=", 1) for folder in folders if not folder.startswith("=") and "=" in folder]
    return [
        (urllib.parse.unquote(key), None if value == _MISSING else urllib.parse.unquote(value)) for key, value in pairs
    ]
