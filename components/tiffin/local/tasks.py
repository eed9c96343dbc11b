"""Replace kfp.local's task handler, so that a task's command runs in the virtualenv of its image.

kfp.local looks up `subprocess_task_handler.SubprocessTaskHandler` for every task. During a run, that name refers to a
handler of ours. We rely on its constructor's arguments, on `run` and on `status.Status`; `tests/local/test_tasks.py` fails
if kfp changes any of them.
"""

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kfp.local import status, subprocess_task_handler

from tiffin.specs.steps import function_of

# Artifact types that store their content in metadata and have no file.
_WITHOUT_FILE = {"system.Metrics", "system.ClassificationMetrics", "system.SlicedClassificationMetrics"}

# Runs a task: folder, image, function, command and the spec's environment variables -> exit status.
RunTask = Callable[[Path, str, str, list[str], dict[str, str]], int]


@contextlib.contextmanager
def task_runner(run_task: RunTask) -> Iterator[None]:
    """Make kfp.local run every task of this process with `run_task`, for the duration of the block."""

    class TaskHandler:
        def __init__(
            self,
            image: str,
            full_command: list[str],
            pipeline_root: str,
            runner: Any,
            env_vars: dict[str, str] | None = None,
        ) -> None:
            self.image = image
            self.command = full_command
            self.variables = env_vars or {}

        def run(self) -> Any:
            code = run_task(
                folder_of(self.command), self.image, function_of(self.command), self.command, self.variables
            )
            return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

    original = subprocess_task_handler.SubprocessTaskHandler
    subprocess_task_handler.SubprocessTaskHandler = TaskHandler
    try:
        yield
    finally:
        subprocess_task_handler.SubprocessTaskHandler = original


def folder_of(command: list[str]) -> Path:
    """Return the task's folder. It is named after the step, the same for retries, and different in each loop iteration."""
    return Path(_executor_input(command)["outputs"]["outputFile"]).parent


def inputs_of(command: list[str]) -> list[Path]:
    """Return the local input artifacts that a task's command names."""
    lists = _executor_input(command).get("inputs", {}).get("artifacts", {}).values()
    uris = [artifact.get("uri", "") for found in lists for artifact in found.get("artifacts", [])]
    return [Path(uri) for uri in uris if "://" not in uri]


def digest(command: list[str]) -> str:
    """Return a digest of a task's command and its input. The mappings of the input have no order."""
    place = command.index("--executor_input") + 1
    content = [*command[:place], _executor_input(command), *command[place + 1 :]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def missing_outputs(command: list[str]) -> list[str]:
    """Return the outputs that a step's command names but that do not exist, sorted."""
    outputs = _executor_input(command).get("outputs", {})
    written: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        written = json.loads(Path(outputs["outputFile"]).read_bytes())
    missing = []
    for name, about in outputs.get("parameters", {}).items():
        if name not in written.get("parameterValues", {}) and not Path(about["outputFile"]).exists():
            missing.append(name)
    for name, about in outputs.get("artifacts", {}).items():
        for artifact in about.get("artifacts", []):
            there = artifact.get("type", {}).get("schemaTitle") in _WITHOUT_FILE and written
            # The program may have changed the artifact's URI.
            moved = written.get("artifacts", {}).get(name, {}).get("artifacts", [artifact])
            if not there and not any(_exists(found.get("uri", "")) for found in moved):
                missing.append(name)
    return sorted(set(missing))


def _exists(uri: str) -> bool:
    return "://" in uri or Path(uri).exists()


def _executor_input(command: list[str]) -> Any:
    return json.loads(command[command.index("--executor_input") + 1])
