"""The virtualenvs that stand in for the images: one for each, made by `make setup`."""

import os
import sys
from pathlib import Path

import tiffin
from tiffin.errors import TiffinError


def find_environment(name: str) -> Path:
    """Return the folder of the virtualenv `name`, such as `model`.

    It is looked for in `$TIFFIN_VENVS`, else in `.venvs` of the checkout, else beside the running environment.

    Raises:
        TiffinError: There is none.
    """
    places = _places()
    for place in places:
        if Path(place, name, "bin", "python3").exists():
            return Path(place, name).resolve()
    raise TiffinError(
        f"Running here needs the virtualenv '{name}', with bin/python3 inside. Not found in: "
        f"{', '.join(str(place) for place in places)}. Run `make setup` in the checkout, "
        "or set TIFFIN_VENVS to the folder that holds it."
    )


def find_python(name: str) -> str:
    """Return the interpreter of the virtualenv `name`."""
    return str(find_environment(name) / "bin" / "python3")


def _places() -> list[Path]:
    chosen = os.environ.get("TIFFIN_VENVS")
    if chosen:
        return [Path(chosen)]
    return [Path(str(tiffin.__file__)).parents[2] / ".venvs", Path(sys.prefix).parent]
