"""Rules of the predict stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

import math
from collections.abc import Sequence

from tiffin.errors import InputError
from tiffin.serving.prediction_log import is_model_name

# Each part is a step, with a pod of its own.
MOST_PARTS = 1000


def check_version(version: int) -> None:
    """Raise an InputError unless the parameter `model_version` is the number of a version, or 0."""
    if not 0 <= version < 1 << 63:
        raise InputError(
            f"model_version should be the number of a version, or 0 for the one in production. Received: {version}."
        )


def check_name(name: str) -> None:
    """Raise an InputError unless the parameter `model_name` can be the name of a model, or is empty."""
    if name and not is_model_name(name):
        raise InputError(
            "model_name should be up to 128 letters, digits, '_', '-' and '.', starting with a letter or digit. "
            f"Received: model_name='{name}'."
        )


def check_parts(parts: int) -> None:
    """Raise an InputError unless the parameter `parts` is a number of parts."""
    if not 1 <= parts <= MOST_PARTS:
        raise InputError(f"parts should be from 1 to {MOST_PARTS}. Received: parts={parts}.")


def check_part(part: int, parts: int) -> None:
    """Raise an InputError unless the parameter `part` is the number of one of the parts."""
    check_parts(parts)
    if not 0 <= part < parts:
        raise InputError(f"part should be from 0 to {parts - 1}, as parts={parts}. Received: part={part}.")


def check_keep(names: Sequence[object]) -> None:
    """Raise an InputError unless the parameter `keep` lists names of columns."""
    _check_names("keep", names)


def check_outputs(names: Sequence[object]) -> None:
    """Raise an InputError unless the parameter `outputs` lists names of outputs."""
    _check_names("outputs", names)


def _check_names(parameter: str, names: Sequence[object]) -> None:
    for name in names:
        if not isinstance(name, str) or not name:
            raise InputError(f"{parameter} should list names. Received: {name!r}. Write it as a text.")


def check_deadline(seconds: float) -> None:
    """Raise an InputError unless the parameter `deadline_seconds` is a positive number."""
    if not 0 < seconds < math.inf:
        raise InputError(f"deadline_seconds should be above 0. Received: deadline_seconds={seconds}.")
