"""The step that notifies people in the middle of a pipeline."""

import pytest

from support.receivers import webhook
from tiffin.artifacts.monitoring import Finding, Monitoring, write_monitoring
from tiffin.artifacts.notifications import read_notifications
from tiffin.errors import InputError
from tiffin.stages.notify.telling import tell

MONITORED = Monitoring(
    "taxi", 3, "2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00", "drifted", "fare moved by 0.31", "Train again.",
    (Finding("DATA_DRIFT", "drifted", "fare moved by 0.31", "fare"),), 1, 1, 0, 500, (), (), None, None, None, (), None, "d1",
    "0.1.0",
)  # fmt: skip


@pytest.fixture
def hook():
    with webhook() as server:
        yield server


@pytest.fixture
def step(tmp_path, hook):
    """Return a function that runs the step, and returns the outcomes in its artifact."""

    def run(step="notify-people", **options):
        folder = tmp_path / "monitoring" / "r1" / step / "notified"
        options = {"to": [f"json://{hook.address}/hook"], **options}
        lines = tell(folder, str(folder), "notify-people", "monitoring", run="r1", **options)
        found = [one.outcome for one in read_notifications(folder).notified]
        assert lines == ["nothing to send"] if not found else len(lines) == len(found)
        return found

    return run


def test_nothing_to_send(step, hook):
    assert step() == []
    assert hook.bodies == []


def test_an_event_of_the_pipeline(step, hook, tmp_path):
    assert step(event="failure", subject="the import", reason="No files.", command="ls", link="https://wiki/x") == [
        "sent"
    ]
    [body] = hook.bodies
    assert body["title"] == "Tiffin: the import failed"
    assert body["message"].split("\n") == [
        "No files.", "", "pipeline: monitoring", "run: r1", "see: https://wiki/x", "", "Run: ls"
    ]  # fmt: skip
    assert (tmp_path / "monitoring" / "notifications" / "notifications.json").exists()


def test_a_verdict_is_sent_once_by_two_steps_of_a_run(step, hook, tmp_path):
    write_monitoring(tmp_path / "found", MONITORED)
    assert step(monitoring=tmp_path / "found") == ["sent"]
    assert step("notify-people-2", monitoring=tmp_path / "found") == ["told"]
    assert [body["title"] for body in hook.bodies] == ["Tiffin: taxi version 3 has drifted"]


def test_an_unknown_kind(step):
    with pytest.raises(InputError, match="'failure'"):
        step(event="failur")


def test_another_artifact(step, tmp_path):
    with pytest.raises(InputError):
        step(monitoring=tmp_path)


def test_a_server_that_is_down_does_not_fail_the_step(step):
    assert step(event="failure", reason="x", to=["json://127.0.0.1:1/x"]) == ["kept"]
