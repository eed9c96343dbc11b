"""The newest spans of data: the files at a location with `{span}`, such as `gs://trips/day={span}/*.parquet`.

A span is what `{span}` stands for, without a `/`. Spans are ordered by their numbers, then as text, so dates should be written
year first. https://www.tensorflow.org/tfx/guide/examplegen#span has the word.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tiffin import storage
from tiffin.errors import InputError

SPAN = "{span}"


@dataclass(frozen=True)
class Newest:
    """The newest spans.

    Attributes:
        data: Locations, one per line.
        spans: Their names, the oldest first; empty for a location without spans.
        files: Number of their files; 0 for generated data.
        digest: Digest of the files' names, sizes and generations.
        left_out: Number of older spans.
    """

    data: str
    spans: tuple[str, ...]
    files: int
    digest: str
    left_out: int


def find_newest(data: str, number: int = 1) -> Newest:
    """Find the newest spans at locations.

    Args:
        data: Files, folders or globs as ingest takes them, one per line, each with `{span}` once for the name of a span. Without
            it, all files of a line count.
        number: Number of spans of each line. Defaults to 1.

    Raises:
        InputError: There is no file, or `{span}` is twice in a line.
        StorageError: A location cannot be listed.
    """
    check_data(data)
    check_spans(number)
    lines: list[str] = []
    spans: list[str] = []
    seen: list[storage.SourceFile] = []
    made: list[str] = []
    left_out = 0
    for line in data.splitlines():
        if line.startswith("sample:"):
            lines.append(line)
            made.append(line)
        elif SPAN not in line:
            lines.append(line)
            seen += storage.list_files(line)
        else:
            found = _find_spans(line)
            names = sorted(found, key=_order)
            chosen = names[-number:]
            left_out += len(names) - len(chosen)
            lines += [line.replace(SPAN, name) for name in chosen]
            spans += chosen
            seen += [file for name in chosen for file in found[name]]
    return Newest("\n".join(lines), tuple(spans), len(seen), digest_files(seen, made), left_out)


def _find_spans(line: str) -> dict[str, list[storage.SourceFile]]:
    """Return the files of each span at a location."""
    before, _, after = line.partition(SPAN)
    # The name of a file may be absolute where the location is not.
    start = _expression(before.removeprefix("file://"))
    pattern = re.compile(f"{start}(?P<span>[^/]+?){_expression(after)}(/.*)?$")
    found: dict[str, list[storage.SourceFile]] = {}
    for file in _list(line, f"{before}*{after}"):
        if match := pattern.search(file.uri):
            found.setdefault(match["span"], []).append(file)
    return found


def _list(line: str, pattern: str) -> list[storage.SourceFile]:
    """Return the files that match a pattern, or that are in the folders that match it."""
    try:
        return storage.list_files(pattern)
    except InputError:
        pass
    try:
        return storage.list_files(f"{pattern.rstrip('/')}/**")
    except InputError:
        raise InputError(
            f"data should be the location of at least one span. Received: '{line}', where no file is. {SPAN} stands for a part "
            "of a name without '/', such as gs://bucket/day={span}/*.parquet."
        ) from None


def check_data(data: str) -> None:
    """Raise an InputError unless each line has `{span}` at most once."""
    for line in data.splitlines():
        if line.count(SPAN) > 1:
            raise InputError(f"data should have {SPAN} at most once in a location. Received: data='{line}'.")


def check_spans(number: int) -> None:
    """Raise an InputError unless the parameter `spans` is at least 1."""
    if number < 1:
        raise InputError(f"spans should be at least 1. Received: spans={number}.")


def digest_files(files: Sequence[storage.SourceFile], made: Sequence[str] = ()) -> str:
    """Return a digest of the names, sizes and generations of files, in any order.

    Args:
        files: The files.
        made: Locations of generated data. Defaults to none.
    """
    lines = sorted([*made, *(f"{file.uri} {file.size_bytes} {file.generation}" for file in files)])
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def _order(name: str) -> list[tuple[int, int, str]]:
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name)]


def _expression(glob: str) -> str:
    """Return the regular expression of a part of a glob: `*`, `?`, `[...]`, and `**` for any folders."""
    parts = re.split(r"(\*\*/?|\*|\?|\[!?[^]]+\])", glob)
    words = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(
        words.get(part)
        or (part.replace("[!", "[^", 1) if part.startswith("[") and part.endswith("]") else re.escape(part))
        for part in parts
    )
