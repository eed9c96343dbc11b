"""What a step finds on this machine: its virtualenv or a warm interpreter of it, and its environment variables."""

import os
from dataclasses import dataclass
from pathlib import Path

from tiffin.local.environments import find_environment
from tiffin.local.interpreters import Interpreter
from tiffin.local.serving import serving_root
from tiffin.stages import find_components


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
