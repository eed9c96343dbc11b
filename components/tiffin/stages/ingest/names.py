"""Column names: the source's names, and the names in the examples, which TensorFlow accepts.

A name keeps its ASCII letters, digits and `_`; accents are removed, and other characters become `_`. Names that would become
equal, or that differ only in case, are numbered: `rate $` and `rate %` become `rate__` and `rate___2`. The numbers follow the
alphabetical order of the names, so that neither the order of the files nor that of the columns changes them.
"""

import functools
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tiffin.artifacts.columns import plain_name
from tiffin.artifacts.notes import Note
from tiffin.errors import InputError, did_you_mean

# Headers of columns without a name: what pandas reads for an empty header, and what it writes for an index without a name.
_NAMELESS = re.compile(r"Unnamed: \d+(_level_\d+)?|__index_level_\d+__")


@dataclass(frozen=True)
class Names:
    """The names of the source's columns.

    Attributes:
        final: Name in the source to name in the examples, in the order of the first file.
        unnamed: Names in the source that were made up, because the header has none.
    """

    final: dict[str, str]
    unnamed: frozenset[str] = field(default_factory=frozenset)

    def find(self, name: str) -> str | None:
        """Return the name in the examples of a column given by either name; None if there is no such column."""
        return self.final.get(name) or (name if name in self._sources else None)

    def original(self, name: str) -> str:
        """Return the name in the source of a column of the examples; a derived column keeps its name."""
        return self._sources.get(name, name)

    @functools.cached_property
    def _sources(self) -> dict[str, str]:
        return {final: source for source, final in self.final.items()}

    @property
    def renamed(self) -> dict[str, str]:
        """Name in the source to name in the examples, for the columns where they differ."""
        return {source: final for source, final in self.final.items() if source != final}


def final_names(names: Sequence[str]) -> dict[str, str]:
    """Return the name in the examples of each source column; no two differ in case only.

    Args:
        names: Different names of source columns.
    """
    reserved = {name.lower() for name in names}
    # A name that needs no change keeps it; of those that differ in case only, the first does.
    kept = {name.lower(): name for name in sorted(names, reverse=True) if plain_name(name) == name}
    found = {name: name for name in kept.values()}
    taken = set(kept)
    for name in sorted(set(names) - found.keys()):
        plain = final = plain_name(name)
        number = 1
        while final.lower() in taken or (number > 1 and final.lower() in reserved):
            number += 1
            final = f"{plain}_{number}"
        found[name] = final
        taken.add(final.lower())
    return {name: found[name] for name in names}


def distinct_names(names: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """Return the header's names without surrounding spaces, all different, and those that were made up.

    A column without a name is `column<position>`, from 0. Where a name occurs again, the second is `name.1`, as in pandas.
    """
    stripped = Counter(name.strip() for name in names)
    written = Counter(names)
    # Names that differ in spaces only keep them.
    texts = [
        name if name.strip() and stripped[name.strip()] > 1 and written[name] == 1 else name.strip() for name in names
    ]
    found: dict[str, None] = {}
    taken = set(texts)
    unnamed = set()
    for position, text in enumerate(texts):
        name, number = text or f"column{position}", 0
        while name in found or ((number or not text) and name in taken):
            number += 1
            name = f"{text or f'column{position}'}.{number}"
        if not text or _NAMELESS.fullmatch(name):
            unnamed.add(name)
        found[name] = None
    return list(found), frozenset(unnamed)


def repeated_names(names: Sequence[str], uri: str) -> list[Note]:
    """Return a note for each name that occurs more than once in a header."""
    distinct, _ = distinct_names(names)
    written = Counter(names)
    notes = []
    for name in (name for name, count in written.items() if name.strip() and count > 1):
        columns = [other for written, other in zip(names, distinct, strict=True) if written == name]
        text = (
            f"'{name.strip()}' occurs {len(columns)} times in the header of '{uri}'; its columns are "
            f"{', '.join(map(repr, columns))}. Set column_names to name the columns of CSV files."
        )
        notes.append(Note("NAMES_REPEATED", text, name.strip(), len(columns)))
    return notes


def renamed_columns(names: Names) -> list[Note]:
    """Return a note on the renamed columns; none if every column keeps its name."""
    renamed = names.renamed
    if not renamed:
        return []
    old, new = next(iter(renamed.items()))
    text = (
        f"{len(renamed)} of {len(names.final)} columns renamed to names that TensorFlow accepts, first '{old}' to '{new}'. "
        "Parameters take either name."
    )
    return [Note("COLUMNS_RENAMED", text, "", len(renamed), old)]


def check_label(label: str, names: Names, derive: Iterable[str], exclude: Sequence[str]) -> None:
    """Raise if the label is not a column of the examples.

    Raises:
        InputError: The label is neither a column of the data nor derived, or is excluded.
    """
    if not label:
        return
    known = [*names.final, *derive]
    final = label if label in derive else names.find(label)
    if final is None:
        raise InputError(
            f"label should be a column of the data or a derived column. Received: label='{label}'."
            f"{did_you_mean(label, known)} The columns are: {', '.join(known)}."
        )
    if final in [name if name in derive else names.find(name) for name in exclude if isinstance(name, str)]:
        raise InputError(
            f"exclude should not list the label. Received: label='{label}', exclude={list(exclude)}. "
            "Remove it from exclude, or choose another label."
        )


def find_key(key: str, names: Names) -> str:
    """Return the name in the examples of the column `key`; empty if there is no key.

    Raises:
        InputError: `key` is not a column of the data.
    """
    found = names.find(key) if key else ""
    if found is None:
        raise InputError(
            f"key should be a column of the data. Received: key='{key}'.{did_you_mean(key, names.final)} "
            f"The columns are: {', '.join(names.final)}."
        )
    return found
