"""Run Docker's client and `tiffin`, for the tests of the images."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

# Images with this prefix are never pulled. Set before importing Tiffin, which reads the variable on import.
os.environ["TIFFIN_IMAGE_PREFIX"] = PREFIX = "localhost/tiffin"

from support.command_line import TIFFIN
from support.docker_engine import find_client

# Measurements of the tests, printed at the end of the session.
FIGURES: dict[str, Any] = {}


def environment_of_a_run(**more: str) -> dict[str, str]:
    """Return this process's environment with the image prefix, which `clean_environment` removes."""
    return {**os.environ, "TIFFIN_IMAGE_PREFIX": PREFIX, **more}


def docker(*arguments: str, **options: Any) -> str:
    """Run Docker's client and return its output."""
    return subprocess.run(
        [find_client(), *arguments], capture_output=True, text=True, check=True, **options
    ).stdout.strip()


def inspect(name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(docker("inspect", name))
    return found[0]


def tiffin(*arguments: str, cwd: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run `tiffin` with the prefix of the tests' images."""
    return subprocess.run(
        [TIFFIN, *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env=environment_of_a_run(**more),
    )
