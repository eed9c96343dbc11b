"""The tasks of a run that have started, in all its attempts: a retry keeps the outputs of those that succeeded.

<state>/runs/<run>/tasks.json    task folder -> step, and the digest of the command that succeeded; null if none did

kfp.local reads a task's outputs from its folder: those of a kept task are still there. A task is kept if it has the same
inputs as when it succeeded, and none of them was written anew by this attempt.
"""

import contextlib
import itertools
import json
import shutil
import threading
from collections.abc import Collection
from pathlib import Path
from typing import Any

from tiffin.local.tasks import digest, inputs_of, missing_outputs
from tiffin.storage.files import write_json

_FILE = "tasks.json"


class TaskRecords:
    """The tasks of a run. Thread-safe.

    Args:
        folder: Folder of the run.
        repeated: Components whose tasks run in every attempt.
    """

    def __init__(self, folder: Path, repeated: Collection[str] = ()) -> None:
        self._folder = folder
        self._repeated = repeated
        self._lock = threading.Lock()
        self._tasks: dict[str, dict[str, Any]] = {}
        self._fresh: set[Path] = set()
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((folder / _FILE).read_bytes())
            entries = found.items() if isinstance(found, dict) else ()
            self._tasks = {key: about for key, about in entries if _is_task(key, about)}

    def take(self, task: Path) -> str:
        """Return the name of a task's step: that of an earlier attempt, or the component's, with a number if it is taken."""
        with self._lock:
            if (key := self._key(task)) not in self._tasks:
                names = {about["step"] for about in self._tasks.values()}
                numbered = (f"{task.name}.{number}" for number in itertools.count(2))
                name = next(name for name in itertools.chain([task.name], numbered) if name not in names)
                self._tasks[key] = {"step": name, "command": None}
            return str(self._tasks[key]["step"])

    def clear(self) -> None:
        """Remove the outputs of tasks that will run again, such as the summary of an exit step."""
        for key, about in self._tasks.items():
            if about["command"] is None or Path(key).name in self._repeated:
                # What belongs to the user of a container cannot be removed; steps write over it.
                shutil.rmtree(self._folder / key, ignore_errors=True)

    def is_kept(self, task: Path, command: list[str]) -> bool:
        """Return whether the outputs of an earlier attempt are those of this command."""
        about = self._tasks.get(self._key(task), {})
        return (
            task.name not in self._repeated
            and about.get("command") == digest(command)
            and not any(parent in self._fresh for path in inputs_of(command) for parent in path.parents)
            and not missing_outputs(command)
        )

    def begin(self, task: Path) -> None:
        """Record that a task starts. Its step must have been taken."""
        self._fresh.add(task)
        self._write(task, None)

    def succeed(self, task: Path, command: list[str]) -> None:
        """Record that a task succeeded."""
        self._write(task, digest(command))

    def _write(self, task: Path, command: str | None) -> None:
        # On a full disk, the run goes on; the task then runs again in a retry.
        with self._lock, contextlib.suppress(OSError):
            self._tasks[self._key(task)]["command"] = command
            write_json(self._folder / _FILE, self._tasks)

    def _key(self, task: Path) -> str:
        return str(task.relative_to(self._folder))


def _is_task(key: str, about: Any) -> bool:
    """Return whether an entry is one that this module writes: folders are removed by it."""
    is_below = key.startswith("artifacts/") and ".." not in Path(key).parts
    return is_below and isinstance(about, dict) and {"step", "command"} <= about.keys()
