"""MLflow's registry for commands that have no MLflow: a process of the virtualenv `model` talks to it.

The process starts before it is needed, because MLflow takes seconds to import.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

from tiffin.errors import StorageError, TiffinError
from tiffin.local.environments import find_python
from tiffin.serving.root import ServedModel

_Action = Literal["follow", "verify", "repair"]
# MLflow's retries end after three minutes.
_TIMEOUT_SECONDS = 300.0


@dataclass(frozen=True)
class Registry:
    """A process with MLflow, or the reason why there is none.

    Attributes:
        process: The process; None if there is none.
        problem: Why there is none; empty without a tracking URI.
    """

    process: subprocess.Popen[str] | None
    problem: str = ""

    def run(self) -> dict[str, Any]:
        """Let the process do its work, and return the object that it prints; empty without a tracking URI.

        Raises:
            StorageError: There is no MLflow here, or it did not respond.
        """
        if self.process is None:
            if self.problem:
                raise StorageError(self.problem)
            return {}
        try:
            output, log = self.process.communicate("go\n", timeout=_TIMEOUT_SECONDS)
            result: dict[str, Any] = json.loads(output)
        except subprocess.TimeoutExpired:
            raise StorageError(f"MLflow did not respond within {_TIMEOUT_SECONDS:g} s.") from None
        except ValueError:
            last = (log.strip().splitlines() or ["it printed nothing"])[-1]
            raise StorageError(f"The process that talks to MLflow ended: {last}.") from None
        if "error" in result:
            raise StorageError(result["error"][0])
        return result


@contextlib.contextmanager
def registry(action: _Action, served: ServedModel, tracking_uri: str) -> Iterator[Registry]:
    """Start a process that talks to MLflow about a model, and end it after the block.

    Args:
        action: `follow` sets the aliases, `verify` compares them, `repair` does both.
        served: The model.
        tracking_uri: MLflow tracking URI; empty for none.
    """
    if not tracking_uri:
        yield Registry(None)
        return
    try:
        python = sys.executable if find_spec("mlflow") else find_python("model")
    except TiffinError as error:
        yield Registry(None, f"MLflow is not installed here. {error}")
        return
    # The URI may have a password, so it is not an argument.
    variables = {**os.environ, "MLFLOW_TRACKING_URI": tracking_uri, "PYTHONWARNINGS": "ignore"}
    process = subprocess.Popen(
        [python, "-m", "tiffin.governance", action, served.root, served.name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=variables,
    )
    try:
        yield Registry(process)
    finally:
        process.kill()
        process.communicate()
