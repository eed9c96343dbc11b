"""Imports TensorFlow once and forks a server for each request: a line of JSON in, a line of JSON out."""

import json
import os
import sys
import traceback

import tensorflow as tf  # noqa: F401 - what the children are to have already

from tiffin.model_server import main


def say(answer: int | str | None) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


def child(argv: list[str], log: str) -> None:
    status = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        for descriptor in (1, 2):
            os.dup2(file, descriptor)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        status = main(argv)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - nothing may leave this frame: it is the parent's
        traceback.print_exc()
    finally:
        os._exit(status)


say("ready")
statuses: dict[int, int] = {}
for line in sys.stdin:
    order = json.loads(line)
    if "argv" in order:
        pid = os.fork()
        if pid == 0:
            child(order["argv"], order["log"])
        say(pid)
    else:
        pid = order["poll"]
        if pid not in statuses:
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                statuses[pid] = os.waitstatus_to_exitcode(status)
        say(statuses.get(pid))
