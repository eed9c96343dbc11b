"""Run `tiffin` as a process, for the tests of commands."""

import functools
import multiprocessing
import os
import subprocess
import sys
import tempfile
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

# The command installed in the environment of the tests.
TIFFIN = str(Path(sys.executable).with_name("tiffin"))

# What commands import of others; nothing of Tiffin's, whose modules read environment variables.
_PRELOADED = ["click", "grpc", "kfp.compiler", "kfp.components", "kfp.dsl", "kfp.local", "kfp_server_api", "requests",
              "rich.console", "rich.live", "rich.table", "yaml"]  # fmt: skip


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
    """Run a command and return its exit status, standard output and standard error; fail on a traceback.

    Its process is forked from one with kfp imported: importing it in each would take most of the tests' time.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, name) for name in ("output", "errors")]
        command = [TIFFIN, *map(str, arguments)]
        process = _forks().Process(target=_run, args=(command, {**os.environ, **variables}, os.getcwd(), *files))
        process.start()
        process.join(timeout=120)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(command, 120)
        output, errors = (file.read_text() for file in files)
    assert "--debug" in arguments or "Traceback" not in output + errors
    return process.exitcode, output, errors


@functools.cache
def _forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def _run(command: list[str], variables: dict[str, str], folder: str, output: Path, errors: Path) -> None:
    """Become a process like one that was started with the command."""
    for descriptor, path, flags in ((0, os.devnull, os.O_RDONLY), (1, output, os.O_WRONLY), (2, errors, os.O_WRONLY)):
        os.dup2(os.open(path, flags | os.O_CREAT), descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = command

    from tiffin.commands.main import main

    main()
