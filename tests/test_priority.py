"""Runs in processes of their own: a priority that was lowered cannot be raised again."""

import json
import subprocess
import sys

_PROGRAM = """
import json, os, sys, threading
from pathlib import Path
from tiffin.priority import at_low_priority, lower_priority

def session():
    try:
        return int(Path("/proc/self/autogroup").read_text().split()[-1])
    except (OSError, IndexError):
        return None

def found():
    return [os.getpriority(os.PRIO_PROCESS, threading.get_native_id()), session()]

def later():
    values = []
    thread = threading.Thread(target=lambda: values.append(found()))
    thread.start()
    thread.join()
    return values[0]
"""


def run(program: str, *, own_session: bool = True) -> list[list[int | None]]:
    """Run a program, and return what it prints: pairs of the thread's nice value and that of the session."""
    command = [sys.executable, "-c", _PROGRAM + program]
    result = subprocess.run(command, capture_output=True, text=True, check=True, start_new_session=own_session)
    return json.loads(result.stdout)


def test_only_the_thread_and_its_session_have_the_low_priority_and_only_meanwhile() -> None:
    before, during, after, later = run(
        """
before = found()
during = at_low_priority(found, 5)
print(json.dumps([before, during, found(), later()]))
"""
    )
    assert during == [lowered(value, 5) for value in before]
    assert after == later == before


def test_an_error_is_raised_and_the_session_has_its_priority_again() -> None:
    before, after = run(
        """
before = found()
try:
    at_low_priority(lambda: 1 / 0, 5)
except ZeroDivisionError:
    print(json.dumps([before, found()]))
"""
    )
    assert after == before


def test_changes_one_after_the_other_are_all_made() -> None:
    before, *during, after = run(
        """
before = found()
during = [at_low_priority(found, number) for number in (1, 2, 3)]
print(json.dumps([before, *during, found()]))
"""
    )
    assert during == [[lowered(value, number) for value in before] for number in (1, 2, 3)]
    assert after == before


def test_a_process_has_its_low_priority_until_it_ends() -> None:
    before, after, later = run("before = found(); lower_priority(5); print(json.dumps([before, found(), later()]))")
    assert after == later == [lowered(value, 5) for value in before]


def test_there_is_nothing_below_the_lowest() -> None:
    before, during, after = run(
        """
before = found()
lower_priority(15)
print(json.dumps([before, at_low_priority(found, 10), found()]))
"""
    )
    assert during == [lowered(value, 25) for value in before]
    assert after == [lowered(value, 15) for value in before]


def test_the_session_of_another_process_keeps_its_priority() -> None:
    (nice, session), during, after = run(
        """
before = found()
during = at_low_priority(found, 5)
lower_priority(5)
print(json.dumps([before, during, found()]))
""",
        own_session=False,
    )
    assert during == after == [lowered(nice, 5), session]


def lowered(value: int | None, niceness: int) -> int | None:
    return None if value is None else min(value + niceness, 19)
