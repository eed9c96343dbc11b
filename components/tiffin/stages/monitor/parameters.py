"""Rules of the monitor stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

from typing import Any

from tiffin.errors import InputError


def check_version(version: int) -> None:
    """Raise an InputError unless `version` is the number of a version, or 0 for the one in production."""
    if version < 0:
        raise InputError(
            f"version should be at least 1, or 0 for the version in production. Received: version={version}."
        )


def check_error_share(share: Any) -> None:
    """Raise an InputError unless the share of failed requests is from 0 to 1."""
    if not _is_number(share) or not 0 <= share <= 1:
        raise InputError(f"max_error_share should be from 0 to 1. Received: max_error_share={share!r}.")


def check_p99_seconds(seconds: Any) -> None:
    """Raise an InputError unless the latency is from 0."""
    if not _is_number(seconds) or not 0 <= seconds < float("inf"):
        raise InputError(f"max_p99_seconds should be seconds from 0, for any. Received: max_p99_seconds={seconds!r}.")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
