"""Resolution of a location in a bucket, which has no folders: an object, a prefix or a glob."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tiffin.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """An object.

    Attributes:
        name: Name in the bucket.
        size_bytes: Size in bytes.
        generation: Generation of a Cloud Storage object; empty elsewhere.
    """

    name: str
    size_bytes: int
    generation: str = ""


# Lists the objects whose name starts with a prefix, sorted by name; if flat, none below the next `/`.
Lister = Callable[[str, bool], Iterable[Entry]]


def split(uri: str) -> tuple[str, str]:
    """Return bucket and name of `scheme://bucket/name`."""
    bucket, _, name = uri.partition("://")[2].partition("/")
    return bucket, name


def select(name: str, get: Callable[[str], Entry | None], under: Lister) -> list[Entry]:
    """Return the sorted data objects at `name`; names that start with `.` or `_` are skipped.

    Args:
        name: Object, prefix up to a `/`, or glob.
        get: Returns the object with exactly this name.
        under: Lists objects by prefix.
    """
    found = get(name) if name and not name.endswith("/") else None
    if found is not None:
        return [found]
    if is_glob(name):
        return list(_match(name, under))
    folder = name.rstrip("/") + "/" if name else ""
    return [
        entry
        for entry in under(folder, False)
        # Consoles create an object `folder/` for an empty folder.
        if not any(part == "" or part.startswith((".", "_")) for part in entry.name[len(folder) :].split("/"))
    ]


def is_glob(name: str) -> bool:
    """Return whether a name contains a wildcard."""
    return bool(re.search(r"[*?\[]", name))


def _match(glob: str, under: Lister) -> Iterator[Entry]:
    prefix = re.split(r"[*?\[]", glob, maxsplit=1)[0]
    pattern = _glob_pattern(glob)
    hidden = glob.rpartition("/")[2].startswith((".", "_"))
    for entry in under(prefix, "/" not in glob[len(prefix) :] and "**" not in glob):
        base = entry.name.rpartition("/")[2]
        if pattern.fullmatch(entry.name) and base and (hidden or not base.startswith((".", "_"))):
            yield entry


def _glob_pattern(glob: str) -> re.Pattern[str]:
    wildcards = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}

    def translate(part: str) -> str:
        if len(part) > 1 and part[0] == "[":
            return f"[^{part[2:]}" if part[1] == "!" else part
        return wildcards.get(part) or re.escape(part)

    return re.compile("".join(map(translate, re.findall(r"\*\*/|\*\*|\[!?[^\]^\\]+\]|.", glob, re.DOTALL))))


def nothing(location: str, siblings: Callable[[str], Iterable[str]]) -> InputError:
    """Return the error of a location without objects.

    Args:
        location: Location that was listed.
        siblings: Returns the names directly under a prefix.
    """
    name = split(location)[1]
    if is_glob(name):
        return InputError(f"No object matches '{location}'. Check the pattern; '**' matches nested folders.")
    folder, _, last = name.rstrip("/").rpartition("/")
    hint = did_you_mean(last, siblings(folder + "/" if folder else "")) or " Check the name."
    return InputError(f"No such object or folder: '{location}'.{hint}")


def from_the_top(names: Iterable[str]) -> list[str]:
    """Return names in the order to delete them: a folder whose deletion is interrupted has none of the files at its top."""
    return sorted(names, key=lambda name: name.count("/"))
