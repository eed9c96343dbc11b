"""Rules of the ingest stage's parameters. Does not import DuckDB, so they can be checked before a run starts."""

from collections.abc import Mapping

from tiffin.errors import InputError


def check_splits(splits: Mapping[str, float]) -> None:
    """Raise an InputError unless there is a split, and each has a valid name and a positive weight."""
    if not splits:
        raise InputError(
            "splits should have at least one split, for example {'train': 2, 'eval': 1}. Received: splits={}."
        )
    for name, weight in splits.items():
        if not name.isidentifier():
            raise InputError(
                f"A split's name should be letters, digits and '_', not starting with a digit. Received: splits['{name}']."
            )
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise InputError(f"A split's weight should be a positive number. Received: splits['{name}']={weight!r}.")


def check_max_bad_share(share: float) -> None:
    """Raise an InputError unless the parameter `max_bad_share` is a share."""
    if not 0 <= share <= 1:
        raise InputError(f"max_bad_share should be from 0 to 1. Received: max_bad_share={share}.")
