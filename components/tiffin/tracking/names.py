"""Rules of the names of models. Does not import MLflow, so they can be checked before a run starts."""

import re

from tiffin.errors import InputError

# Valid both as a model name in MLflow and as a folder name in any file system or bucket.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


def check_model_name(name: str) -> None:
    """Raise an InputError unless `name` is valid in the model registry and as a folder in the serving root."""
    if not _NAME.fullmatch(name):
        raise InputError(
            f"model_name should be up to 128 letters, digits, '_', '-' and '.', starting with a letter or digit. "
            f"Received: model_name='{name}'."
        )


def check_optional_name(name: str) -> None:
    """Raise an InputError unless `name` is empty or a valid name of a model."""
    if name:
        check_model_name(name)
