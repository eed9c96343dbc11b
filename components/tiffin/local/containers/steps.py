"""Run each step in a container of its own, without privileges, and determine why it failed.

kfp.local looks up `docker_task_handler.DockerTaskHandler` for every task. kfp's handler lets the engine remove the
container when it ends, and treats a removed container as a success. The handler here waits, reads the exit state, and then
removes the container.
"""

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from tiffin.local.containers.engine import OWNER, owner
from tiffin.local.step_logs import tail
from tiffin.local.tasks import RunTask, folder_of, missing_outputs
from tiffin.specs.steps import function_of

# Default memory limit, for steps without one in the spec.
_MEMORY = "4g"

_REFUSED = re.compile(
    r"(?:PermissionError|OSError|FileNotFoundError|StorageError): \[Errno (?P<number>13|28|30|122)\] "
    r"(?P<why>[^:]+): '(?P<path>[^']+)'|(?P<shell>[^ :]+): (?P<reason>Read-only file system|Permission denied)"
)


class Containers:
    """The containers of a run's steps.

    Args:
        client: Client of the engine.
        arguments: Arguments of kfp.local.DockerRunner for every step.
        memory: Function name -> memory limit, in the format of `docker run`.
        prepare: Called with the function name before its step starts; returns additional mounts.
    """

    def __init__(
        self,
        client: Any,
        arguments: Mapping[str, Any],
        memory: Mapping[str, str],
        prepare: Callable[[str], list[Any]],
    ) -> None:
        self.stopped = False
        self._client = client
        self._arguments = dict(arguments)
        self._memory = memory
        self._prepare = prepare
        self._volumes: dict[str, Any] = {}
        self._running: dict[str, Any] = {}

    def runner(self) -> Any:
        """Return kfp's runner."""
        from kfp import local

        return local.DockerRunner(**self._arguments)

    @contextlib.contextmanager
    def task_runner(self, run_task: RunTask) -> Iterator[None]:
        """Make kfp.local run every task of this process with `run_task`, for the duration of the block."""
        from kfp.local import docker_task_handler, status

        containers = self
        original = docker_task_handler.DockerTaskHandler

        class TaskHandler(original):  # type: ignore[misc, valid-type]
            def run(self) -> Any:
                containers._volumes = self.get_volumes_to_mount(containers._client)
                command = self.full_command
                code = run_task(folder_of(command), self.image, function_of(command), command, self.env_vars)
                return status.Status.SUCCESS if code == 0 else status.Status.FAILURE

        docker_task_handler.DockerTaskHandler = TaskHandler
        try:
            yield
        finally:
            docker_task_handler.DockerTaskHandler = original

    def run(self, image: str, function: str, command: list[str], variables: Mapping[str, str], log: Path) -> int:
        """Run a step's container to its end and return its exit status; 1 if it ended with 0 but without its outputs.

        Args:
            image: Image to run.
            function: Name of the component's function.
            command: The program and its arguments.
            variables: Environment variables in addition to the image's.
            log: File that the output and the reason of a failure are appended to.
        """
        import docker

        memory = self._memory.get(function, _MEMORY)
        mounts = [*self._arguments.get("mounts", []), *self._prepare(function)]
        # A volume for temporary files: files in memory would count against the step's limit.
        mounts.append(docker.types.Mount("/tmp", None, type="volume"))  # noqa: S108 - inside the container
        arguments = {key: value for key, value in self._arguments.items() if key not in ("mounts", "environment")}
        container = self._client.containers.create(
            image,
            command,
            environment=dict(variables),
            volumes=self._volumes,
            mounts=mounts,
            mem_limit=memory,
            memswap_limit=memory,
            labels={OWNER: owner()},
            **arguments,
        )
        self._running[container.id] = container
        try:
            with log.open("ab") as output:
                if not self.stopped:
                    container.start()
                    for chunk in container.logs(stream=True, follow=True):
                        output.write(chunk)
                        output.flush()
                    container.wait()
                container.reload()
                code, reason = judge(container.attrs["State"], command, log, memory)
                if reason and not self.stopped:
                    output.write(f"error: {reason}\n".encode())
            return code
        finally:
            self._running.pop(container.id, None)
            container.remove(force=True, v=True)

    def stop(self) -> None:
        """End all containers and refuse new ones. Returns immediately; safe in a signal handler."""
        self.stopped = True
        threading.Thread(target=_kill, args=(list(self._running.values()),), daemon=True).start()


def _kill(containers: list[Any]) -> None:
    from docker.errors import APIError

    for container in containers:
        with contextlib.suppress(APIError):
            container.kill()


def judge(state: Mapping[str, Any], command: list[str], log: Path, memory: str) -> tuple[int, str]:
    """Return a container's exit status, and why it failed if its log does not contain the reason.

    Args:
        state: The container's state, as the engine reports it.
        command: The container's command, which names its outputs.
        log: The container's output.
        memory: The container's memory limit.
    """
    code = int(state["ExitCode"])
    if state.get("OOMKilled"):
        return code or 137, (
            f"The container was killed because it exceeded its memory limit of {_readable(memory)}. "
            "Raise the limit (tiffin compile --size STEP=memory=...), or reduce the data."
        )
    if code == 0:
        missing = missing_outputs(command)
        if not missing:
            return 0, ""
        return 1, (
            f"The container ended with status 0, but without its outputs: {', '.join(missing)}. "
            "Check the log for the reason."
        )
    refused = next((match for line in reversed(tail(log, 60)) if (match := _REFUSED.search(line))), None)
    if refused:
        path, why = refused["path"] or refused["shell"], refused["why"] or refused["reason"]
        return code, (
            f"The container could not write '{path}': {why}. Its root file system is read-only and its user is not root. "
            "Write to the outputs, to /tmp or to mounted folders, and make these writable for that user."
        )
    if code > 128 and not any(line.startswith("error: ") for line in tail(log, 40)):
        return code, f"The container was ended by signal {code - 128}, not because of its memory limit."
    return code, ""


def _readable(memory: str) -> str:
    return f"{int(memory) / 2**30:.3g} GiB" if memory.isdigit() else memory
