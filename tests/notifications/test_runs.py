"""The events of a run, and what its messages have."""

from dataclasses import replace

import pytest

from support.documents import make_summary
from tiffin.artifacts.deployment import Deployment
from tiffin.artifacts.monitoring import Finding, Monitoring, Traffic
from tiffin.artifacts.retraining import Retraining
from tiffin.artifacts.rollback import Rollback
from tiffin.artifacts.rollout import RolloutResult
from tiffin.artifacts.summary import RegisteredModel, Step
from tiffin.notifications.runs import find_healths, find_link, run_events

URI = "minio://mlpipeline/v2/artifacts/training/r1/summarize-run/1/summary"
RUN = "01234567-89ab-cdef-0123-456789abcdef"
DEPLOYMENT = Deployment("taxi", 3, "serving:8500", "/root/taxi/stable.config", {})
ROLLED_OUT = RolloutResult(
    "taxi", 3, 2, "canary", "promoted", "", "analysis", "2026-03-01T12:00:00+00:00", "2026-03-01T12:30:00+00:00", 1000, 2, 9000,
    7, "serving:8500",
)  # fmt: skip
MONITORED = Monitoring(
    "taxi", 3, "2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00", "drifted", "fare moved by 0.31", "Train again.",
    (Finding("DATA_DRIFT", "drifted", "fare moved by 0.31", "fare"), Finding("DATA_DRIFT", "drifted", "tip moved by 0.2", "tip"),
     Finding("LATE", "info", "9 late files")),
    1, 1, 0, 500, (Traffic(3, "stable", 400, 500, {"INTERNAL": 2}, (0,) * 50),), (), None, None, None, (), None, "d1", "0.1.0",
)  # fmt: skip


def summary(**changes):
    fields = {
        "pipeline": "training",
        "state": "SUCCEEDED",
        "reason": "",
        "run": "r1",
        "metrics": {},
        "steps": {},
        "model": None,
    }
    return make_summary(**{**fields, **changes})


def events(uri=URI, **changes):
    return run_events(summary(**changes), uri)


def test_a_run_without_anything_has_no_events():
    assert events() == ()


def test_a_failure_has_the_reason_and_the_command():
    [one] = events(state="FAILED", reason="The step train failed: out of memory at row 7.")
    assert (one.kind, one.subject, one.command) == ("failure", "the pipeline training", "tiffin runs show r1")
    [other] = events(state="FAILED", reason="The step train failed: out of memory at row 8.", run="r2")
    assert one.key == other.key


def test_a_failure_on_this_machine_names_its_report_and_the_retry():
    [one] = events("/state/runs/r1/summarize-run/summary", state="FAILED", reason="x")
    assert one.command == "tiffin report r1"
    assert "tiffin runs retry r1" in one.action


@pytest.mark.parametrize("gate", ["validation", "evaluation"])
def test_a_gate(gate):
    [one] = events(
        state="FAILED", reason="auc 0.7 is not at least 0.8.", stopped_by=gate, metrics={"auc": 0.7, "f1": None}
    )
    assert (one.kind, one.figures) == ("stopped", {"auc": "0.7"})


def test_a_version_in_production():
    [one] = events(
        steps={"deploy-model": Step(deployment=DEPLOYMENT)}, model=RegisteredModel("taxi", 3), metrics={"auc": 0.9}
    )
    assert (one.kind, one.subject, one.figures) == ("promoted", "taxi version 3", {"auc": "0.9"})


def test_a_version_that_waits():
    waiting = replace(DEPLOYMENT, model="my model", address="", waits_for="approval (required)")
    [one] = events(state="WAITING", steps={"deploy-model": Step(deployment=waiting)})
    assert one.kind == "waiting_for_approval"
    assert one.command == "tiffin models approve 'my model' 3 --why \"...\""


def test_the_end_of_a_rollout():
    begun = Step(deployment=replace(DEPLOYMENT, address="", rollout="canary"))
    steps = {"deploy-model": begun, "roll-out-model": Step(rollout=ROLLED_OUT)}
    assert [one.kind for one in events(steps=steps)] == ["promoted"]
    aborted = replace(ROLLED_OUT, outcome="aborted", reason="2 of its 9 requests failed")
    steps["roll-out-model"] = Step(rollout=aborted)
    [one] = events(state="FAILED", stopped_by="rollout", steps=steps)
    assert (one.kind, "2 of its 9" in one.reason) == ("rolled_back", True)


def test_a_verdict():
    [one] = events(steps={"monitor-model": Step(monitoring=MONITORED)}, pipeline="monitoring")
    assert (one.kind, one.subject, one.action) == ("drifted", "taxi version 3", "Train again.")
    assert one.figures["requests"] == "400, 2 failed"
    assert one.figures["also 1"] == "tip moved by 0.2"
    assert one.command == "tiffin monitor status taxi"


def test_a_verdict_is_the_same_while_the_same_columns_decide_it():
    def key(*findings):
        found = replace(MONITORED, findings=findings, reason="other figures")
        return events(steps={"monitor-model": Step(monitoring=found)})[0].key

    fare, tip = (Finding("DATA_DRIFT", "drifted", "moved", column) for column in ("fare", "tip"))
    first = key(fare, tip)
    assert first == key(tip, replace(fare, text="moved by 0.9"), Finding("LATE", "info", "x"))
    assert first != key(fare)
    assert first != key(fare, replace(tip, code="MISSING"))


def test_the_health_of_models():
    healthy = replace(MONITORED, verdict="healthy", findings=())
    nothing = replace(MONITORED, verdict="no_data", findings=())
    assert events(steps={"monitor-model": Step(monitoring=healthy)}) == ()
    assert events(steps={"monitor-model": Step(monitoring=nothing)}) == ()
    [found] = find_healths([healthy, nothing], "monitoring", "r1")
    assert (found.model, found.verdict, found.recovered.kind) == ("taxi", "healthy", "recovered")


def test_the_page_of_a_run(monkeypatch):
    assert find_link(RUN) == ""
    monkeypatch.setenv("TIFFIN_UI", "https://kubeflow.example/pipeline/")
    assert find_link(RUN) == f"https://kubeflow.example/pipeline/#/runs/details/{RUN}"
    assert find_link("training-20260301-120000-1a2b") == ""
    assert find_link("") == ""


def test_a_rollback_and_a_question():
    back = Rollback("taxi", 3, 2, "monitoring found ERROR_RATE", "ada", "2026-03-01T12:00:00+00:00")
    asks = Retraining("taxi", 3, "monitoring", "CONCEPT_DRIFT", "ASK", "It should be.", "Start it.", {}, (), "/s", "r1")
    waits = Step(retraining=replace(asks, code="COOL_DOWN"))
    found = events(steps={"back": Step(rollback=back), "plan": Step(retraining=asks), "other": waits})
    assert [(one.kind, one.subject) for one in found] == [("rolled_back", "taxi version 3"), ("asked", "taxi")]
    assert found[1].action == "Start it."
    [again] = events(steps={"plan": Step(retraining=replace(asks, reason="In other words."))})
    assert again.key == found[1].key
