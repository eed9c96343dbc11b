"""Replace kfp.local's task handler, so that a task's command runs in the virtualenv of its image.

kfp.local looks up `subprocess_task_handler.SubprocessTaskHandler` for every task. During a run, that name refers to a
handler of ours. We rely on its constructor's arguments, on `run` and on `status.Status`; `tests/local/test_tasks.py` fails
if kfp changes any of them.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kfp.local import status, subprocess_task_handler

from tiffin.specs.steps import function_of

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
    executor_input = json.loads(command[command.index("--executor_input") + 1])
    return Path(executor_input["outputs"]["outputFile"]).parent
