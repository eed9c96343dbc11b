"""Rules of the reference stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

from tiffin.errors import InputError


def check_version(version: int) -> None:
    """Raise an InputError unless `version` is the number of a version, or 0 for the one in production."""
    if version < 0:
        raise InputError(
            f"version should be at least 1, or 0 for the version in production. Received: version={version}."
        )
