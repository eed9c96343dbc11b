"""Run `tiffin` as a process, for the tests of commands."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

# The command installed in the environment of the tests.
TIFFIN = str(Path(sys.executable).with_name("tiffin"))


def start(*arguments: Any, **variables: str) -> subprocess.Popen[str]:
    """Start a command with additional environment variables."""
    return subprocess.Popen(
        [TIFFIN, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **variables},
    )


def tiffin(*arguments: Any, **variables: str) -> tuple[int, str, str]:
    """Run a command and return its exit status, standard output and standard error; fail on a traceback."""
    process = start(*arguments, **variables)
    output, errors = process.communicate(timeout=120)
    assert "--debug" in arguments or "Traceback" not in output + errors
    return process.returncode, output, errors
