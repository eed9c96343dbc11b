"""What a location means in a bucket, which has names with `/` in them but no folders: an object, a prefix or a glob."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tiffin.errors import InputError, did_you_mean


@dataclass(frozen=True)
class Entry:
    """An object.

    Attributes:
        name: Its name in the bucket.
        size_bytes: Its size.
        generation: What changes with its content, where the store says it.
    """

    name: str
    size_bytes: int
    generation: str = ""


# Lists the objects whose name starts with a prefix, sorted by name; if asked to, none below the prefix's next `/`.
Lister = Callable[[str, bool], Iterable[Entry]]


def split(uri: str) -> tuple[str, str]:
    """Return bucket and name of `scheme://bucket/name`."""
    bucket, _, name = uri.partition("://")[2].partition("/")
    return bucket, name


def select(name: str, get: Callable[[str], Entry | None], under: Lister) -> list[Entry]:
    """Return the data objects that `name` means, sorted; names that start with `.` or `_` are hidden.

    Args:
        name: An object, a prefix up to a `/`, or a glob.
        get: Returns the object of that very name.
        under: Lists objects.
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
        # An object named `folder/` is how consoles show an empty folder.
        if not any(part == "" or part.startswith((".", "_")) for part in entry.name[len(folder) :].split("/"))
    ]


def is_glob(name: str) -> bool:
    """Return whether a name holds a wildcard."""
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
    """Return the error of a location where nothing is.

    Args:
        location: It.
        siblings: Returns the names right under a prefix.
    """
    name = split(location)[1]
    if is_glob(name):
        return InputError(
            f"A glob should match at least one object. Received: '{location}', which matches none. "
            "Check the pattern; '**' matches folders within folders."
        )
    folder, _, last = name.rstrip("/").rpartition("/")
    hint = did_you_mean(last, siblings(folder + "/" if folder else "")) or " Check its name."
    return InputError(
        f"There should be an object or a folder at '{location}'. Received: a name where nothing is.{hint}"
    )
