"""Notifying people: once, at each address, also after a server was down or a process was killed."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tiffin.notifications.events import Event
from tiffin.notifications.ledger import read_ledger
from tiffin.notifications.notifying import Health, notify

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
FAILED = Event("failure", "the pipeline training", "The data is bad.", pipeline="training", run="r1")
DRIFT = Event("drifted", "m version 1", "far", "DATA_DRIFT fare", "m", 1, "monitoring", "r1")
DOWN = "json://127.0.0.1:1/x"


@pytest.fixture
def tell(tmp_path, hook):
    """Return a function that notifies the webhook, and returns kinds and outcomes."""

    def tell(*events, to=None, on=(), hours=0.0, **options):
        addresses = [f"json://{hook.address}/hook"] if to is None else to
        moment = NOON + timedelta(hours=hours)
        found = notify(events, addresses, on, str(tmp_path / "home"), now=lambda: moment, **options)
        return [(one.kind, one.outcome) for one in found]

    return tell


def titles(hook):
    return [body["title"] for body in hook.bodies]


def unwell(verdict, **changes):
    recovered = replace(DRIFT, kind="recovered", cause="recovered " + changes.get("run", ""), **changes)
    return Health("m", verdict, recovered)


def test_nothing_happened(tell, hook, tmp_path):
    assert tell() == []
    assert hook.bodies == []
    assert not (tmp_path / "home").exists()


def test_nobody_to_notify(tmp_path):
    assert notify([FAILED], [], [], str(tmp_path / "home")) == ()
    assert not (tmp_path / "home").exists()


def test_an_event_is_sent(tell, hook):
    assert tell(FAILED) == [("failure", "sent")]
    assert titles(hook) == ["Tiffin: the pipeline training failed"]


def test_only_the_kinds_that_are_wanted(tell, hook):
    assert tell(FAILED, DRIFT, on=["drifted"]) == [("drifted", "sent")]
    assert tell(replace(FAILED, reason="other"), on=["none"]) == []
    assert len(hook.bodies) == 1


def test_the_same_is_counted_and_the_next_message_has_the_count(tell, hook):
    tell(FAILED)
    assert tell(replace(FAILED, run="r2"), hours=1) == [("failure", "repeated")]
    assert tell(replace(FAILED, run="r3"), hours=2) == [("failure", "repeated")]
    assert tell(replace(FAILED, run="r4"), hours=25) == [("failure", "sent")]
    assert "2 more times since 2026-03-01 12:00" in hook.bodies[-1]["message"]


def test_a_success_makes_the_next_failure_news(tell, hook):
    tell(FAILED)
    assert tell(hours=1, succeeded="training") == []
    assert tell(replace(FAILED, run="r3"), hours=2) == [("failure", "sent")]
    assert len(hook.bodies) == 2


def test_a_recovery_is_told_once_and_only_after_a_verdict(tell, hook):
    assert tell(healths=[unwell("healthy")]) == []
    tell(DRIFT, healths=[unwell("drifted")])
    assert tell(hours=1, healths=[unwell("healthy", run="r2")]) == [("recovered", "sent")]
    assert tell(hours=2, healths=[unwell("healthy", run="r3")]) == []
    assert tell(replace(DRIFT, run="r4"), hours=3, healths=[unwell("drifted")]) == [("drifted", "sent")]
    assert tell(hours=4, healths=[unwell("healthy", run="r5")]) == [("recovered", "sent")]
    assert len(hook.bodies) == 4


def test_a_message_waits_for_a_server_that_is_down(tell, hook, tmp_path):
    hook.status = 503
    assert tell(FAILED) == [("failure", "kept")]
    [waiting] = read_ledger(str(tmp_path / "home")).waiting
    assert (waiting.holder, "503" in waiting.problem) == ("", True)
    assert tell(hours=1) == [("failure", "kept")]
    hook.status = 200
    assert tell(hours=2) == [("failure", "sent")]
    assert tell(hours=3) == []
    assert len(hook.bodies) == 3
    assert read_ledger(str(tmp_path / "home")).waiting == ()


def test_only_the_address_that_was_down_gets_it_again(tell, hook, tmp_path):
    own = f"json://{hook.address}/hook"
    assert tell(FAILED, to=[own, DOWN]) == [("failure", "sent"), ("failure", "kept")]
    assert tell(hours=1, to=[own, DOWN]) == [("failure", "kept")]
    assert len(hook.bodies) == 1
    assert tell(hours=2) == [("", "kept")]  # the address is not one of this run
    assert read_ledger(str(tmp_path / "home")).waiting[0].addresses == ("json://127.0.0.1:1/…",)


def test_a_message_waits_for_a_week(tell, hook):
    assert tell(FAILED, to=[DOWN]) == [("failure", "kept")]
    assert tell(hours=24 * 7) == [("", "kept")]
    assert tell(hours=24 * 7 + 1) == [("", "dropped")]
    assert tell(hours=24 * 7 + 2) == []


def test_a_message_waits_for_the_tag_while_its_url_is_corrected(tell, hook, monkeypatch):
    monkeypatch.setenv("TIFFIN_NOTIFY", f"ops={DOWN}")
    assert tell(FAILED, to=[]) == [("failure", "kept")]
    monkeypatch.setenv("TIFFIN_NOTIFY", f"ops=json://{hook.address}/hook")
    assert tell(to=[], hours=1) == [("failure", "sent")]


def test_a_server_that_is_down_is_asked_once_in_a_run(tell, hook):
    hook.status = 500
    events = [replace(FAILED, reason=text) for text in ("a", "b", "c")]
    assert tell(*events) == [("failure", "kept")] * 3
    assert len(hook.bodies) == 1


def test_a_wrong_address_does_not_lose_the_event(tell, hook):
    assert tell(FAILED, to=["ops"]) == [("failure", "kept")]
    assert tell(hours=1) == [("failure", "sent")]
    assert len(hook.bodies) == 1


def test_an_error_in_the_variable_is_told_without_it(tell, monkeypatch, tmp_path):
    monkeypatch.setenv("TIFFIN_NOTIFY", "hunter2")
    [found] = notify([FAILED], [], [], str(tmp_path / "home"))
    assert found.outcome == "kept"
    assert "Line 1" in found.reason
    assert "hunter2" not in found.line


def test_without_a_ledger_it_is_sent_all_the_same(hook, tmp_path):
    (tmp_path / "file").write_text("")
    to = [f"json://{hook.address}/hook"]
    for home in ("", str(tmp_path / "file")):
        assert [one.outcome for one in notify([FAILED], to, [], home)] == ["sent"]
        assert [one.outcome for one in notify([FAILED], [DOWN], [], home)] == ["lost"]
    assert len(hook.bodies) == 2


def test_dropped_messages_are_told(tell, hook):
    hook.status = 500
    tell(*[replace(FAILED, cause=str(number)) for number in range(202)])
    assert tell(replace(FAILED, reason="new"), hours=1)[-1] == ("", "dropped")
    assert ("", "dropped") not in tell(hours=2)


PROGRAM = """
import sys
from tiffin.notifications.events import Event
from tiffin.notifications.notifying import notify
event = Event("failure", "the pipeline training", "The data is bad.", pipeline="training", run=sys.argv[3])
print(*[one.outcome for one in notify([event], [sys.argv[2]], [], sys.argv[1])])
"""


def start(hook, tmp_path, run):
    url = f"json://{hook.address}/hook?rto=30"
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "home"), url, run]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_kill_between_sending_and_recording_loses_nothing(hook, tmp_path):
    hook.delay_seconds = 1.0
    process = start(hook, tmp_path, "r1")
    wait_for(lambda: (tmp_path / "home").exists() and read_ledger(str(tmp_path / "home")).waiting)
    time.sleep(0.3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    hook.delay_seconds = 0.0
    before = len(hook.bodies)

    to, home = [f"json://{hook.address}/hook?rto=30"], str(tmp_path / "home")
    soon, later = (datetime.now(UTC) + timedelta(minutes=minutes) for minutes in (5, 11))
    assert notify([], to, [], home, now=lambda: soon) == ()  # the other process may still be sending it
    assert [one.outcome for one in notify([], to, [], home, now=lambda: later)] == ["sent"]
    assert len(hook.bodies) > before
    assert read_ledger(home).waiting == ()


def test_of_two_processes_at_once_one_sends(hook, tmp_path):
    processes = [start(hook, tmp_path, run) for run in ("r1", "r2")]
    outcomes = sorted(process.communicate(timeout=120)[0].strip() for process in processes)
    assert outcomes == ["repeated", "sent"]
    assert len(hook.bodies) == 1
