"""Processes forked from one that has imported what they need; importing it in each would take most of the tests' time."""

import functools
import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.pool import Pool
from pathlib import Path
from typing import Any

from support.environments import HERE

_PRELOADED = {
    # What commands import of others; nothing of Tiffin's, whose modules read environment variables.
    "dev": ["click", "grpc", "kfp.compiler", "kfp.components", "kfp.dsl", "kfp.local", "kfp_server_api", "requests",
            "rich.console", "rich.live", "rich.table", "yaml", "google.cloud.storage"],
    "data": ["boto3", "google.cloud.storage"],
    "model": ["tiffin.stages.register.registry", "tiffin.stages.register.packaging", "tiffin.stages.register.stop",
              "boto3", "google.cloud.storage"],
}  # fmt: skip


@functools.cache
def forks() -> ForkServerContext:
    """Return the context whose processes are forked. Their environment variables are those of the first fork's parent."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED.get(HERE, []))
    return context


def pool(processes: int) -> Pool:
    """Return a pool of forks with the environment variables of this process."""
    return forks().Pool(processes, _set_variables, [dict(os.environ)])


def _set_variables(variables: Mapping[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)


@dataclass(frozen=True)
class Ended:
    returncode: int
    stdout: str
    stderr: str


class Fork:
    """A process that runs a function as if it had been started with a command.

    Args:
        folder: Folder for the files of its output.
        function: Function at the top of a module.
        arguments: Arguments of the function.
        variables: Environment variables in addition to this process's.
    """

    def __init__(self, folder: Path, function: Callable[..., None], *arguments: Any, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = (folder / "stdout", folder / "stderr")
        environment = {**os.environ, **variables}
        self.process = forks().Process(target=_run, args=(self._files, environment, os.getcwd(), function, arguments))
        self.process.start()

    def wait(self, seconds: float = 240) -> Ended:
        """Return the exit status and the output.

        Raises:
            TimeoutError: The process did not end in time. It is killed.
        """
        self.process.join(timeout=seconds)
        if self.process.exitcode is None:
            self.process.kill()
            raise TimeoutError(f"{self.process} did not end within {seconds:g} s.")
        return Ended(self.process.exitcode, *(file.read_text() if file.exists() else "" for file in self._files))


def _run(
    files: tuple[Path, Path],
    variables: Mapping[str, str],
    folder: str,
    function: Callable[..., None],
    arguments: tuple[Any, ...],
) -> None:
    for descriptor, path, flags in zip(
        (0, 1, 2), (os.devnull, *files), (os.O_RDONLY, os.O_WRONLY, os.O_WRONLY), strict=True
    ):
        os.dup2(os.open(path, flags | os.O_CREAT), descriptor)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115 - for as long as the process lives
    os.chdir(folder)
    _set_variables(variables)
    function(*arguments)
