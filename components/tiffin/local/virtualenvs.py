"""Run steps in the virtualenvs of their images, with their environment variables and warm interpreters."""

import contextlib
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tiffin import images
from tiffin.artifacts.results import VARIABLE
from tiffin.errors import EXPLAINED
from tiffin.local.environments import find_environment
from tiffin.local.interpreters import Interpreter
from tiffin.local.processes import Processes
from tiffin.local.records import database
from tiffin.local.serving import notifications, prediction_log, serving_root
from tiffin.local.tasks import RunTask, task_runner
from tiffin.stages import find_components
from tiffin.stages.traits import Service, database_uri


class Place(Protocol):
    """Interface of the places that steps can run in: virtualenvs or containers."""

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""

    def runner(self) -> Any:
        """Return kfp.local's runner."""

    def task_runner(self, run_task: RunTask) -> contextlib.AbstractContextManager[None]:
        """Make kfp.local run every task of this process with `run_task`, for the duration of the block."""

    def run(self, image: str, function: str, command: list[str], variables: Mapping[str, str], log: Path) -> int:
        """Run a step to its end and return its exit status."""

    def stop(self) -> None:
        """End all steps and refuse new ones. Returns immediately; safe in a signal handler."""


@dataclass(frozen=True)
class Machine:
    """Settings shared by the steps of one run.

    Attributes:
        state: The state folder.
        private: The run's temporary folder.
        interpreters: Environment -> warm interpreter; empty for a cold run.
        variables: Environment variables of every step.
        missing: Environment that does not exist -> the message for the user. Its steps fail when they start.
        problems: Service -> function that returns why it is gone for good; empty while it is not. It ends the service's steps.
    """

    state: Path
    private: Path
    interpreters: dict[str, Interpreter]
    variables: dict[str, str]
    missing: Mapping[str, str] = field(default_factory=dict)
    problems: dict[Service, Callable[[], str]] = field(default_factory=dict)


def shared_variables(state: Path) -> dict[str, str]:
    """Return the default environment variables of every step; variables that the user has set take precedence."""
    defaults = {
        "PYTHONUNBUFFERED": "1",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TIFFIN_SERVING_ROOT": str(serving_root(state)),
        "TIFFIN_LOG_ROOT": str(prediction_log(state)),
        VARIABLE: str(state),
        "TIFFIN_NOTIFY_STATE": str(notifications(state)),
        "MLFLOW_TRACKING_URI": database_uri(database(state)),
        # On one machine, requests come after the run.
        "TIFFIN_WATCH": "0",
        # Local runs send no telemetry.
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    # A notebook kernel sets MPLBACKEND to a backend that the virtualenvs lack; importing matplotlib there would fail.
    return {name: value for name, value in defaults.items() if name not in os.environ} | {"MPLBACKEND": "agg"}


class Virtualenvs:
    """The virtualenvs of this machine.

    Args:
        machine: Settings shared by the run's steps.
        processes: The run's processes.
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
        """Run a step in the virtualenv of its image and return its exit status."""
        name = images.environment(image)
        if name in self._machine.missing:
            with log.open("a") as output:
                output.write(f"error: {self._machine.missing[name]}\n")
            return EXPLAINED
        environment = step_environment(name, function, self._machine) | dict(variables)
        traits = find_components().get(function)
        problems = [
            self._machine.problems[need] for need in (traits.needs if traits else ()) if need in self._machine.problems
        ]
        return self._processes.run(command, environment, log, *problems[:1])


def step_environment(name: str, function: str, machine: Machine) -> dict[str, str]:
    """Return the environment variables of a step. Its PATH starts with a warm interpreter or its virtualenv.

    Args:
        name: Name of the virtualenv of the step's image.
        function: Name of the component's function.
        machine: Settings shared by the run's steps.
    """
    virtualenv = find_environment(name)
    path = [str(virtualenv / "bin"), os.environ.get("PATH", os.defpath)]
    interpreter = machine.interpreters.get(name)
    traits = find_components().get(function)
    environment = {**os.environ, **machine.variables}
    # A step without heavy imports does not wait for an interpreter that is still importing.
    if interpreter is not None and (traits is None or not traits.is_light or interpreter.is_ready):
        path.insert(0, str(interpreter.bin))
        # The model server that a step starts is a fork as well. Its default would be a new process.
        server = [str(interpreter.bin / "python3"), "-m", "tiffin.model_server", "--allow_reload_config"]
        environment.setdefault("TIFFIN_MODEL_SERVER", shlex.join(server))
    # kfp's command creates a temporary folder for the component's source and does not remove it.
    temporary = machine.private / "tmp"
    temporary.mkdir(exist_ok=True)
    environment.pop("PYTHONHOME", None)
    return environment | {
        "PATH": os.pathsep.join(path),
        "VIRTUAL_ENV": str(virtualenv),
        "TMPDIR": str(temporary),
    }
