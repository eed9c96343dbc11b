"""Run `tiffin` as a process, for the tests of commands."""

import contextlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from support.forks import Ended, Fork

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
    """Run a command in a fork and return its exit status, standard output and standard error; fail on a traceback."""
    ended = tiffin_in(Path.cwd(), *arguments, **variables)
    return ended.returncode, ended.stdout, ended.stderr


def tiffin_in(folder: Path, *arguments: Any, **variables: str) -> Ended:
    """Run a command in a fork with a working directory; fail on a traceback."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(folder):
        ended = Fork(Path(place), _run, [TIFFIN, *map(str, arguments)], **variables).wait(120)
    assert "--debug" in arguments or "Traceback" not in ended.stdout + ended.stderr
    return ended


def _run(command: list[str]) -> None:
    sys.argv = command

    from tiffin.commands.main import main

    main()
