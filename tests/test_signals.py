"""Runs in a process of its own: the signals end it."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_PROGRAM = """
import sys
from tiffin.signals import StopSignal

stopped = StopSignal()
print(stopped.is_set(), stopped.wait(0), stopped.wait(0.01), flush=True)
if sys.argv[1] == "busy":
    sys.stdin.readline()
print(stopped.wait(), stopped.wait(60), stopped.is_set())
"""


@contextmanager
def program(state: str) -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, "-c", _PROGRAM, state]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("state", ["waiting", "busy"])
def test_a_signal_ends_the_wait_also_if_it_comes_before(state: str, number: int) -> None:
    with program(state) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "False False False\n"
        process.send_signal(number)
        rest, _ = process.communicate("go on\n" if state == "busy" else "", timeout=60)

    assert (rest, process.returncode) == ("True True True\n", 0)


def test_a_signal_between_any_two_instructions_ends_the_wait() -> None:
    # At each instruction in turn, until the wait has fewer.
    program = """
import os, signal, sys
from tiffin.signals import StopSignal

at = 0
while True:
    stopped, left = StopSignal(), at

    def trace(frame, event, _):
        global left
        frame.f_trace_opcodes = True
        if event == "opcode":
            left -= 1
            if left == -1:
                os.kill(os.getpid(), signal.SIGTERM)
        return trace

    sys.settrace(trace)
    is_set = stopped.wait(0.05)
    sys.settrace(None)
    if left >= 0:
        assert not is_set
        break
    assert stopped.wait()
    at += 1
print(at)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert (result.stderr, result.returncode) == ("", 0)
    assert int(result.stdout) > 20
