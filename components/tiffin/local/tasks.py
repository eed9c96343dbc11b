"""Where kfp's local runner meets ours: a task's command runs in the virtualenv that stands for the task's image.

kfp.local looks `subprocess_task_handler.SubprocessTaskHandler` up whenever it runs a task. For the duration of a run
that name holds a handler of ours. What we use of kfp here is its constructor's arguments, `run` and `status.Status`;
`tests/local/test_tasks.py` fails when kfp changes any of them.
"""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from kfp.local import status, subprocess_task_handler

from tiffin.specs.steps import function_of

# Runs one task: its folder, image, function, command and the spec's environment variables -> exit status.
RunTask = Callable[[Path, str, str, list[str], dict[str, str]], int]


@contextlib.contextmanager
def task_runner(run_task: RunTask) -> Iterator[None]:
    """Have kfp.local run every task of this process through `run_task`."""

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
    """Return the task's folder: it has the step's name, a retry has the same one, and each round of a loop its own."""
    executor_input = json.loads(command[command.index("--executor_input") + 1])
    return Path(executor_input["outputs"]["outputFile"]).parent
