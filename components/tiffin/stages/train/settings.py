"""Rules of the train stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tiffin.artifacts.model import Settings
from tiffin.errors import InputError, did_you_mean

# What a model does with a text that is no date.
_UNREADABLE_DATES = ("missing", "refuse")

# Setting -> whether a value is in range, and the range.
_RANGES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "hidden_units": (lambda sizes: all(_is_whole(size) and size >= 1 for size in sizes), "a list of integers, at least 1 each"),
    "epochs": (lambda value: value >= 0, "at least 1, or 0 to choose it from the data"),
    "batch_size": (lambda value: value >= 0, "at least 1, or 0 to choose it from the data"),
    "learning_rate": (lambda value: 0 < value < float("inf"), "above 0"),
    "dropout": (lambda value: 0 <= value < 1, "at least 0 and below 1"),
    "weight_decay": (lambda value: 0 <= value < float("inf"), "at least 0"),
    "seed": (lambda value: 0 <= value < 2**32, "from 0 to 2**32 - 1"),
}  # fmt: skip


def check_setting(name: str, value: Any) -> None:
    """Raise an InputError unless a training setting is in range.

    Args:
        name: Field of `Settings`.
        value: Its value, as a parameter has it: KFP passes integers inside lists as floats.
    """
    holds, words = _RANGES[name]
    if not holds(value):
        raise InputError(f"{name} should be {words}. Received: {name}={value}.")


def check_label(label: str) -> None:
    """Raise an InputError unless the parameter `label` is set."""
    if not label:
        raise InputError("label should name the column to predict. Received: label=''. Pass --set label=COLUMN.")


def check_unreadable_dates(choice: str) -> None:
    """Raise an InputError unless the parameter `unreadable_dates` is `missing` or `refuse`."""
    if choice not in _UNREADABLE_DATES:
        raise InputError(
            f"unreadable_dates should be {' or '.join(_UNREADABLE_DATES)}. Received: unreadable_dates='{choice}'."
            f"{did_you_mean(choice, _UNREADABLE_DATES)}"
        )


def settings_from(**values: Any) -> Settings:
    """Return the settings for a component's parameters.

    Args:
        **values: Fields of `Settings`.

    Raises:
        InputError: A value is out of range.
    """
    for name, value in values.items():
        check_setting(name, value)
    return Settings(**{**values, "hidden_units": tuple(int(size) for size in values["hidden_units"])})


def check_model_code(location: str) -> None:
    """Raise an InputError unless the parameter `model_code` is empty, or the path or URI of a Python file."""
    if not location:
        return
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+)://", location)
    if scheme and scheme[1].lower() not in ("file", "gs", "s3", "minio"):
        raise InputError(
            f"model_code should be a path, or start with gs:// or s3://. Received: model_code='{location}'. "
            "Copy the file to a store that only your team can write: the step runs it."
        )
    if not location.endswith(".py"):
        raise InputError(
            f"model_code should be a Python file, whose name ends in .py. Received: model_code='{location}'. "
            "Pass the file itself, not its folder or its module."
        )


def hyperparameters_from(values: Mapping[str, Any], model_code: str) -> dict[str, Any]:
    """Return the hyperparameters as own code receives them: KFP passes whole numbers as floats, which become integers.

    Args:
        values: The parameter `hyperparameters`.
        model_code: The parameter `model_code`.

    Raises:
        InputError: There are hyperparameters without own code.
    """
    if values and not model_code:
        raise InputError(
            f"hyperparameters should be empty without model_code. Received: {', '.join(values)}. The default network has the "
            "parameters hidden_units, dropout, learning_rate, weight_decay and batch_size."
        )
    return {name: _with_integers(value) for name, value in values.items()}


def _with_integers(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _with_integers(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_integers(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _is_whole(size: Any) -> bool:
    return isinstance(size, int | float) and not isinstance(size, bool) and float(size).is_integer()


# Input of train_model -> its rule.
RULES: Mapping[str, Callable[[Any], None]] = {
    "label": check_label,
    "unreadable_dates": check_unreadable_dates,
    "model_code": check_model_code,
    **{name: partial(check_setting, name) for name in _RANGES},
}
