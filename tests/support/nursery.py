"""Import TensorFlow once and fork a model server per request. Requests and responses are lines of JSON."""

import json
import os
import sys
import traceback

import tensorflow as tf  # noqa: F401 - imported for the forked servers

from tiffin.model_server import main


def send(answer: int | str | None) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def run_server(argv: list[str], log: str) -> None:
    status = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(file, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        status = main(argv)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - no exception may reach the parent's frames
        traceback.print_exc()
    finally:
        os._exit(status)


send("ready")
statuses: dict[int, int] = {}
for line in sys.stdin:
    request = json.loads(line)
    if "argv" in request:
        pid = os.fork()
        if pid == 0:
            run_server(request["argv"], request["log"])
        send(pid)
    else:
        pid = request["poll"]
        if pid not in statuses:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                statuses[pid] = os.waitstatus_to_exitcode(status)
        send(statuses.get(pid))
