"""The steps of a run in virtualenvs that stand for the images: their variables, and their warm interpreters."""

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from tiffin import images
from tiffin.local.environments import find_environment
from tiffin.local.interpreters import Interpreter
from tiffin.local.processes import Processes
from tiffin.local.serving import serving_root
from tiffin.local.tasks import RunTask, task_runner
from tiffin.stages import find_components


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


@dataclass(frozen=True)
class Machine:
    """What the steps of one run share.

    Attributes:
        state: The state folder.
        private: The run's temporary folder.
        interpreters: Environment -> warm interpreter; empty for a cold run.
        variables: Environment variables of every step.
    """

    state: Path
    private: Path
    interpreters: dict[str, Interpreter]
    variables: dict[str, str]


def shared_variables(state: Path) -> dict[str, str]:
    """Return the environment variables of every step; what the user has set already stays."""
    defaults = {
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TIFFIN_SERVING_ROOT": str(serving_root(state)),
        "MLFLOW_TRACKING_URI": f"sqlite:///{state / 'mlflow.db'}",
        # A run here tells nobody about itself.
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    # A notebook's kernel names a backend of its own, without which importing matplotlib, and so TensorFlow, fails here.
    return {name: value for name, value in defaults.items() if name not in os.environ} | {"MPLBACKEND": "agg"}


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


def step_environment(name: str, function: str, machine: Machine) -> dict[str, str]:
    """Return the environment variables of a step: on its PATH its virtualenv comes first, or a warm interpreter.

    Args:
        name: The virtualenv that stands for the step's image.
        function: Name of the component's function.
        machine: What the run's steps share.
    """
    virtualenv = find_environment(name)
    path = [str(virtualenv / "bin"), os.environ.get("PATH", os.defpath)]
    interpreter = machine.interpreters.get(name)
    traits = find_components().get(function)
    # What imports nothing heavy does not wait for an interpreter that is warming up.
    if interpreter is not None and (traits is None or not traits.is_light or interpreter.is_ready):
        path.insert(0, str(interpreter.bin))
    # kfp's command makes a folder for the component's source and leaves it behind.
    temporary = machine.private / "tmp"
    temporary.mkdir(exist_ok=True)
    environment = {**os.environ, **machine.variables}
    environment.pop("PYTHONHOME", None)
    return environment | {
        "PATH": os.pathsep.join(path),
        "VIRTUAL_ENV": str(virtualenv),
        "TMPDIR": str(temporary),
    }
