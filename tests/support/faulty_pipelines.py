"""A pipeline whose step fails as containers do."""

from pathlib import Path
from typing import Any

from kfp import compiler, dsl

from tiffin import images


@dsl.component(base_image=images.DATA, install_kfp_package=False)
def fail_or_report(how: str, done: dsl.Output[dsl.Artifact]) -> int:
    """Fail in the given way; if empty, write the step's privileges and network access."""
    import os
    import signal

    if how == "memory":
        kept = [bytes(bytearray(2**20)) for _ in range(4096)]
        return len(kept)
    if how == "no output":
        os._exit(0)
    if how == "read-only":
        with open("/opt/tiffin/new", "w") as file:
            file.write("x")
    if how == "denied":
        with open("/etc/passwd", "a") as file:
            file.write("x")
    if how == "signal":
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "bug":
        raise ZeroDivisionError("a bug")
    import json
    import socket

    reached = []
    for host in ("1.1.1.1", "172.17.0.1"):
        try:
            socket.create_connection((host, 80), 2).close()
            reached.append(host)
        except OSError as error:
            print(error)  # noqa: T201 - the step's log
    with open("/proc/self/status") as file:
        status = dict(line.split(":", 1) for line in file)
    with open("/proc/mounts") as file:
        mounts = [line.split() for line in file]
    found = {
        "uid": os.getuid(),
        "capabilities": int(status["CapEff"], 16) | int(status["CapBnd"], 16),
        "no new privileges": int(status["NoNewPrivs"]),
        "root": next(mount[3].split(",")[0] for mount in mounts if mount[1] == "/"),
        "reached": reached,
    }
    with open("/tmp/scratch", "w") as file:
        file.write("x")
    with open(done.path, "w") as file:
        json.dump(found, file)
    return 1


def write_spec(component: Any, folder: Path, memory: str = "300Mi", image: str | None = None) -> Path:
    """Compile a pipeline of one component."""

    @dsl.pipeline(name="faulty")
    def faulty(how: str = ""):
        component(how=how).set_memory_limit(memory)

    path = folder / "faulty.yaml"
    compiler.Compiler().compile(faulty, str(path))
    if image:
        path.write_text(path.read_text().replace(images.DATA, image))
    return path
