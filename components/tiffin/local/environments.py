"""The virtualenvs that local runs use instead of the images: one per image, created by `make setup`."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

import tiffin
from tiffin.errors import TiffinError


def find_environment(name: str) -> Path:
    """Return the folder of the virtualenv `name`, such as `model`.

    If TIFFIN_VENVS is set, only that folder is searched; otherwise `.venvs` of the checkout and the folder of the
    current environment.

    Raises:
        TiffinError: The virtualenv does not exist.
    """
    places = _places()
    for place in places:
        if Path(place, name, "bin", "python3").exists():
            return Path(place, name).resolve()
    raise TiffinError(
        f"The virtualenv '{name}', required for local runs, was not found in "
        f"{', '.join(str(place) for place in places)}. Run `make setup` in the checkout, "
        "or set TIFFIN_VENVS to the folder that contains it."
    )


def find_missing(names: Iterable[str]) -> dict[str, str]:
    """Return the virtualenvs of `names` that do not exist, each with the message for the user."""
    missing = {}
    for name in names:
        try:
            find_environment(name)
        except TiffinError as error:
            missing[name] = str(error)
    return missing


def find_python(name: str) -> str:
    """Return the interpreter of the virtualenv `name`."""
    return str(find_environment(name) / "bin" / "python3")


def _places() -> list[Path]:
    chosen = os.environ.get("TIFFIN_VENVS")
    if chosen:
        return [Path(chosen)]
    return [Path(str(tiffin.__file__)).parents[2] / ".venvs", Path(sys.prefix).parent]
