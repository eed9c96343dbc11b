"""Rules of the evaluate stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

from collections.abc import Sequence
from typing import Any

from tiffin.errors import InputError


def check_slices(slices: Sequence[Any]) -> None:
    """Raise an InputError unless `slices` is a list of columns and of pairs of columns."""
    for number, entry in enumerate(slices):
        names = [entry] if isinstance(entry, str) else entry
        if (
            not isinstance(names, list)
            or not all(isinstance(name, str) and name for name in names)
            or len(names) not in (1, 2)
            or len(set(names)) != len(names)
        ):
            raise InputError(
                'slices should be a list of columns and of pairs of columns, such as ["city", ["city", "day"]]. '
                f"Received: slices[{number}]={entry!r}."
            )


def check_sensitive(sensitive: Sequence[Any]) -> None:
    """Raise an InputError unless `sensitive` is a list of columns."""
    for number, entry in enumerate(sensitive):
        if not isinstance(entry, str) or not entry:
            raise InputError(f"sensitive should be a list of columns. Received: sensitive[{number}]={entry!r}.")


def check_min_rows(rows: int) -> None:
    """Raise an InputError unless the parameter `min_slice_rows` is a positive number."""
    if rows < 1:
        raise InputError(f"min_slice_rows should be at least 1. Received: min_slice_rows={rows}.")
