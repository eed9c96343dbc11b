"""Columns from folders named `key=value`, as Hive and Spark write them."""

import os
import re
import urllib.parse
from collections.abc import Iterable

from tiffin.artifacts.notes import Note

# Hive's folder for rows without a value.
_MISSING = "__HIVE_DEFAULT_PARTITION__"
_WILDCARDS = re.compile(r"[*?\[]")


def partition_values(data: str, uris: Iterable[str]) -> tuple[dict[str, dict[str, str | None]], list[Note]]:
    """Return the keys and values of each file's `key=value` folders, and a note if there are any.

    Only folders below the folder `data`, or matched by the wildcards of the glob `data`, count. There are no columns unless
    every file has the same keys.

    Args:
        data: File, folder or glob, as the user gave it.
        uris: Path or URI of each file.
    """
    base = _base(data)
    found = {uri: _values(uri.removeprefix(base).split("/")[:-1]) if uri.startswith(base) else [] for uri in uris}
    keys = {uri: sorted(key for key, _ in values) for uri, values in found.items()}
    folders = [(uri, values) for uri, values in found.items() if values]
    if not folders:
        return dict.fromkeys(found, {}), []
    uri, values = folders[0]
    first = keys[uri]
    if any(keys[other] != first for other in keys) or len(set(first)) < len(first):
        other = next((other for other in keys if keys[other] != first), uri)
        note = Note(
            "PARTITIONS",
            f"Folders named key=value were not read as columns: '{uri}' has {', '.join(first)}, '{other}' has "
            f"{', '.join(keys[other]) or 'none'}. Every file should have the same keys, each once.",
            count=0,
            example=uri,
        )
        return dict.fromkeys(found, {}), [note]
    names = [key for key, _ in values]
    note = Note(
        "PARTITIONS",
        f"{', '.join(names)} {'is a column' if len(names) == 1 else 'are columns'} read from the folders' names. "
        "Set partitions=none to ignore these folders.",
        count=len(names),
        example=uri,
    )
    # The same order in every file, whatever the order of its folders.
    return {uri: {name: dict(values)[name] for name in names} for uri, values in found.items()}, [note]


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


def _values(folders: list[str]) -> list[tuple[str, str | None]]:
    pairs = [folder.split("=", 1) for folder in folders if not folder.startswith("=") and "=" in folder]
    return [
        (urllib.parse.unquote(key), None if value == _MISSING else urllib.parse.unquote(value)) for key, value in pairs
    ]
