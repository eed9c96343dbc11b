"""Where the steps of a run take place: in virtualenvs that stand for the images, or in containers of them."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from tiffin import images
from tiffin.local.machine import Machine, step_environment
from tiffin.local.processes import Processes
from tiffin.local.tasks import RunTask, task_runner


class Place(Protocol):
    """What a run asks of the place of its steps."""

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""

    def runner(self) -> Any:
        """Return kfp.local's runner."""

    def task_runner(self, run_task: RunTask) -> contextlib.AbstractContextManager[None]:
        """Have kfp.local run every task of this process through `run_task`."""

    def run(self, image: str, function: str, command: list[str], variables: Mapping[str, str], log: Path) -> int:
        """Run a step to its end and return its exit status."""

    def stop(self) -> None:
        """End every step and start no further one. Returns at once; safe in a signal handler."""


class Virtualenvs:
    """The virtualenvs of this machine.

    Args:
        machine: What the run's steps share.
        processes: Those that run.
    """

    def __init__(self, machine: Machine, processes: Processes) -> None:
        self._machine = machine
        self._processes = processes
        self.task_runner = task_runner
        self.stop = processes.stop

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._processes.stopped

    def runner(self) -> Any:
        """Return kfp.local's runner."""
        from kfp import local

        return local.SubprocessRunner(use_venv=False)

    def run(self, image: str, function: str, command: list[str], variables: Mapping[str, str], log: Path) -> int:
        """Run a step in the virtualenv that stands for its image and return its exit status."""
        environment = step_environment(images.environment(image), function, self._machine) | dict(variables)
        return self._processes.run(command, environment, log)
