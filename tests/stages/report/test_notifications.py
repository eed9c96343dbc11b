"""People are notified at the end of a run, and its summary has it."""

from dataclasses import replace

import pytest

from support.documents import make_summary
from support.receivers import webhook
from tiffin.artifacts.logs import WARNING
from tiffin.artifacts.notifications import Notifications, Notified
from tiffin.artifacts.summary import Step, read_summary, write_summary
from tiffin.report.report import describe
from tiffin.stages.report.notifications import notify_of_run


@pytest.fixture
def hook():
    with webhook() as server:
        yield server


@pytest.fixture
def end(tmp_path, hook):
    """Return a function that ends a run, and returns its summary."""

    def run(state="FAILED", name="r1", to=None, **changes):
        folder = tmp_path / "toy" / name / "summarize-run" / "summary"
        summary = make_summary(state=state, reason="The step train failed: x", run=name, **changes)
        write_summary(folder, summary)
        to = [f"json://{hook.address}/hook"] if to is None else to
        found = notify_of_run(folder, str(folder), "summarize-run", summary, [], to)
        assert read_summary(folder) == found
        return found

    return run


def test_a_run_that_succeeded_notifies_nobody(end, hook):
    assert end("SUCCEEDED").notifications == ()
    assert hook.bodies == []


def test_without_addresses_the_summary_stays_as_it_is(end):
    assert end(to=[]).notifications == ()


def test_a_failure_is_sent_and_in_the_summary_and_the_report(end, hook, capfd):
    found = end()
    assert [(one.kind, one.outcome) for one in found.notifications] == [("failure", "sent")]
    assert [body["title"] for body in hook.bodies] == ["Tiffin: the pipeline toy failed"]
    assert capfd.readouterr().err.startswith("notified json://")
    page = describe(found, {})
    assert "Notifications" in page
    assert "Notifications" not in describe(replace(found, notifications=()), {})


def test_a_fault_is_a_warning_and_the_summary_stays(end, tmp_path, capfd):
    assert end(to=[3]).notifications[0].outcome == "kept"
    bad = make_summary(state="FAILED", metrics=None)
    assert notify_of_run(tmp_path, str(tmp_path), "summarize-run", bad, [], ["json://127.0.0.1:1/x"]) == bad
    assert capfd.readouterr().err.count(WARNING) == 2


def test_the_second_failure_is_not_sent_and_told(end, hook):
    end()
    assert [one.outcome for one in end(name="r2").notifications] == ["repeated"]
    assert len(hook.bodies) == 1


def test_a_server_that_is_down_is_a_warning(end, hook, capfd):
    hook.status = 500
    assert [one.outcome for one in end().notifications] == ["kept"]
    assert capfd.readouterr().err.startswith(WARNING)
    hook.status = 200
    assert [one.outcome for one in end("SUCCEEDED", name="r2").notifications] == ["sent"]


def test_what_a_step_has_sent_is_there_once(end, hook):
    sent = Notified("drifted", "taxi version 3", "sent", "ops")
    step = Step(notifications=Notifications((sent,)))
    assert end("SUCCEEDED", steps={"notify-people": step}).notifications == (sent,)
    other = end(steps={"notify-people": step}, name="r2").notifications
    assert [(one.kind, one.outcome) for one in other] == [("drifted", "sent"), ("failure", "sent")]
