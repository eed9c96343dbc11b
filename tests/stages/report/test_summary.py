"""The summary of a run, for every way in which a run can end."""

from dataclasses import replace
from pathlib import Path

import pytest

from support import gcs_emulator, s3_server
from support.documents import make_evaluation, make_manifest, make_predictions, make_training
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import Anomalies, Anomaly, write_anomalies
from tiffin.artifacts.deployment import Deployment, write_deployment
from tiffin.artifacts.examples import MANIFEST
from tiffin.artifacts.model import write_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.predictions import write_predictions
from tiffin.artifacts.registration import Registration, write_registration
from tiffin.artifacts.rollout import RolloutResult, write_rollout
from tiffin.artifacts.summary import RegisteredModel, Step, Summary, noted, read_summary
from tiffin.artifacts.verdict import write_evaluation
from tiffin.stages.report.summary import log_lines, summarize

VALID = Anomalies(True, "No anomalies.", ())
INVALID = Anomalies(
    False, "1 anomaly against the schema: eval: split: Empty split.", (Anomaly("eval", "", "NO_EXAMPLES", "", ""),)
)
PASSED = make_evaluation()
FAILED = make_evaluation(passed=False, reason="auc 0.9 is not at least 0.95.")
REGISTRATION = Registration("taxi", 3, "r", "d1", "s1", "0.1.0")
DEPLOYMENT = Deployment("taxi", 3, "serving:8500", "/root/taxi/stable.config", {"probability": 0.5})

ROLLED_OUT = RolloutResult(
    "taxi", 3, 2, "canary", "promoted", "", "analysis", "2026-03-01T12:00:00+00:00", "2026-03-01T12:30:00+00:00", 1000, 2, 9000,
    7, "serving:8500",
)  # fmt: skip
ABORTED = replace(ROLLED_OUT, outcome="aborted", reason="2 of its 9 requests failed", requests=9, address="")


WRITE = {
    "Manifest": lambda folder, manifest: documents.write(folder / MANIFEST, manifest),
    "Anomalies": write_anomalies,
    "Training": write_training,
    "Evaluation": write_evaluation,
    "Registration": write_registration,
    "Deployment": write_deployment,
    "Predictions": write_predictions,
    "RolloutResult": write_rollout,
}


class Run:
    """A run's folder with a folder per step, as KFP creates it on a cluster or locally."""

    def __init__(self, folder, execution="17"):
        self.folder, self.execution = folder / "run", execution

    def report(self, step, document, execution=""):
        folder = self.folder / step / (execution or self.execution) / "artifact"
        WRITE[type(document).__name__](folder, document)

    def end(self, state="SUCCEEDED", error="", run=""):
        output = self.folder / "summarize-run" / self.execution / "summary"
        status = {"state": state, "error_message": error}
        found = summarize(output, str(output), "summarize-run", "training", status, run)
        assert found == read_summary(output)
        return found


@pytest.fixture(params=["17", ""], ids=["cluster", "local"])
def run(tmp_path, request):
    return Run(tmp_path, request.param)


def test_a_run_without_any_report(run):
    reason = "The step ingest-examples failed."

    assert run.end("FAILED", reason) == Summary(
        "training", "FAILED", reason, None, None, {}, None, None, None, steps={}
    )


def test_a_run_that_succeeded(run):
    run.report("ingest-examples", make_manifest())
    run.report("validate-examples", VALID)
    run.report("train-model", make_training())
    run.report("evaluate-model", PASSED)
    run.report("register-model", REGISTRATION)
    run.report("deploy-model", DEPLOYMENT)

    assert run.end() == Summary(
        pipeline="training", state="SUCCEEDED", reason="auc 0.9 is at least 0.8.", stopped_by=None, data_version="d1",
        metrics={"auc": 0.9, "brier": None}, verdict=PASSED.verdict, model=RegisteredModel("taxi", 3),
        serving="serving:8500",
        steps={
            "ingest-examples": Step(examples=make_manifest()), "validate-examples": Step(anomalies=VALID),
            "train-model": Step(model=make_training()), "evaluate-model": Step(evaluation=PASSED),
            "register-model": Step(registration=REGISTRATION), "deploy-model": Step(deployment=DEPLOYMENT),
        },
    )  # fmt: skip


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_a_gate_that_did_not_pass(run, state):
    run.report("ingest-examples", make_manifest())
    run.report("validate-examples", VALID)
    run.report("evaluate-model", FAILED)
    found = run.end(state, "The step stop-run failed.")

    assert (found.state, found.stopped_by, found.reason) == ("FAILED", "evaluation", "auc 0.9 is not at least 0.95.")
    assert (found.verdict.passed, found.model, found.serving) == (False, None, None)


def test_a_validation_with_anomalies(run):
    run.report("ingest-examples", make_manifest())
    run.report("validate-examples", INVALID)
    found = run.end("FAILED", "The step stop-run failed.")

    assert (found.state, found.stopped_by, found.reason) == ("FAILED", "validation", INVALID.reason)
    assert (found.data_version, found.metrics) == ("d1", {})


def test_a_step_that_failed_after_the_gate(run):
    run.report("evaluate-model", PASSED)
    run.report("register-model", REGISTRATION)
    found = run.end("FAILED", "The step deploy-model failed.")

    assert (found.state, found.stopped_by, found.reason) == ("FAILED", None, "The step deploy-model failed.")
    assert (found.model, found.serving) == (RegisteredModel("taxi", 3), None)


@pytest.mark.parametrize(
    ("result", "state", "stopped_by", "serving", "words"),
    [
        (ROLLED_OUT, "SUCCEEDED", None, "serving:8500", ("auc 0.9", "promoted", "1,000")),
        (ABORTED, "FAILED", "rollout", None, ("aborted", "2 of its 9 requests failed")),
        (replace(ABORTED, outcome="inconclusive", by="ada"), "FAILED", "rollout", None, ("inconclusive", "by ada")),
    ],
)
def test_a_rollout(run, result, state, stopped_by, serving, words):
    run.report("evaluate-model", PASSED)
    run.report("deploy-model", replace(DEPLOYMENT, address="", answer={}, rollout="canary"))
    run.report("roll-out-model", result)
    found = run.end(state, "The step stop-run failed.")

    assert (found.state, found.stopped_by, found.serving) == (state, stopped_by, serving)
    assert all(word in found.reason for word in words)
    assert found.steps["roll-out-model"].rollout == result


class TestSeveralModels:
    BETTER = make_evaluation(reason="auc 0.95 is at least 0.8.", metrics={"auc": 0.95})

    def test_each_is_reported_by_its_step(self, run):
        run.report("evaluate-model", PASSED)
        run.report("evaluate-model-2", FAILED)
        run.report("evaluate-model-10", self.BETTER)
        found = run.end()

        assert list(found.evaluations.items()) == [
            ("evaluate-model", PASSED), ("evaluate-model-2", FAILED), ("evaluate-model-10", self.BETTER),
        ]  # fmt: skip
        assert (found.state, found.stopped_by, found.reason) == ("FAILED", "evaluation", FAILED.reason)
        assert (found.metrics, found.verdict) == (FAILED.metrics, FAILED.verdict)

    def test_the_last_one_is_reported_if_all_passed(self, run):
        run.report("evaluate-model-10", self.BETTER)
        run.report("evaluate-model-9", PASSED)
        for number in (1, 2):
            run.report(f"register-model-{number}", Registration("taxi", number, "r", "d1", "s1", "0.1.0"))
        found = run.end()

        assert (found.state, found.reason, found.metrics) == ("SUCCEEDED", self.BETTER.reason, {"auc": 0.95})
        assert found.models == {
            "register-model-1": RegisteredModel("taxi", 1), "register-model-2": RegisteredModel("taxi", 2),
        }  # fmt: skip
        assert found.model == RegisteredModel("taxi", 2)

    def test_iterations_of_a_loop_are_separate_steps(self, run):
        run.report("evaluate-model", PASSED, execution="1")
        run.report("evaluate-model", self.BETTER, execution="2")

        assert run.end().evaluations == {"evaluate-model": PASSED, "evaluate-model.2": self.BETTER}


class TestPredictions:
    WHOLE = make_predictions(parts=2, notes=(Note("NO_ROWS", "none"),))

    def test_of_all_parts_are_the_result(self, run):
        for part in (0, 1):
            run.report("predict-batch", replace(self.WHOLE, part=part, notes=()), execution=str(part))
        run.report("finish-predictions", self.WHOLE)
        found = run.end()

        assert found.predictions == {"finish-predictions": self.WHOLE}
        assert (found.state, found.reason) == ("SUCCEEDED", self.WHOLE.sentence)
        assert [note.code for note in found.notes] == ["NO_ROWS"]
        assert sorted(found.steps) == ["finish-predictions", "predict-batch", "predict-batch.2"]

    def test_of_an_only_part_are_reported_once(self, run):
        run.report("predict-batch", self.WHOLE)
        run.report("finish-predictions", replace(self.WHOLE, notes=()))

        assert list(run.end().predictions) == ["predict-batch"]

    def test_of_a_loop_of_a_local_run_belong_to_the_step(self, run):
        folder = run.folder / "for-loop-2-iteration-0" / "predict-batch" / run.execution / "predictions"
        write_predictions(folder, replace(self.WHOLE, part=0))

        assert list(run.end().steps) == ["predict-batch"]


class TestFailuresWithoutAMessage:
    """KFP 2.17 passes the state FAILED with an empty message, and stores the log of each step, also of a failed one."""

    def log(self, run, step, text, name="executor-logs-0", execution="9"):
        path = run.folder / step / execution / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)

    def test_the_reason_is_the_error_of_the_step(self, run):
        run.report("ingest-examples", make_manifest())
        self.log(run, "ingest-examples", "rows 7\n")
        self.log(run, "train-model", "epoch 1\nerror: label should be a column. Received: 'a b'.\n")
        found = run.end("FAILED")

        assert "train-model" in found.reason
        assert found.reason.endswith("label should be a column. Received: 'a b'.")
        assert (found.state, found.stopped_by, found.unread) == ("FAILED", None, ())

    def test_the_last_attempt_counts(self, run):
        self.log(run, "train-model", "error: first\n")
        self.log(run, "train-model", "error: third\n", "executor-logs-10")
        self.log(run, "train-model", "error: second\n", "executor-logs-9")
        self.log(run, "deploy-model", "error: lost\n", "executor-logs-0")
        self.log(run, "deploy-model", "deployed\n", "executor-logs-1")
        reason = run.end("FAILED").reason

        assert "third" in reason
        assert not any(word in reason for word in ("first", "second", "lost", "deploy-model"))

    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("Traceback (most recent call last):\n  File \"a.py\", line 1, in <module>\nKeyError: 'fare'\n", "KeyError: 'fare'"),
            (b"error: caf\xe9\n", "caf\N{REPLACEMENT CHARACTER}"),
            ("error: \x1b[2Jred\n\n\n", r"\x1b[2Jred"),
            ("x" * 100_000 + "\nerror: late\n", "late"),
        ],
        ids=["traceback", "bytes", "terminal", "long"],
    )  # fmt: skip
    def test_forms_of_an_error(self, run, text, expected):
        self.log(run, "own-step", text, "executor-logs")

        assert run.end("FAILED").reason.endswith(f"own-step failed: {expected}")

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "loss 0.5\n",
            "error: a row\n" + "row\n" * 9,
            "Traceback (most recent call last):\n  File\nKeyError: 'fare'\nrepeated\ndone\n",
        ],
    )
    def test_a_step_that_went_on_is_not_the_reason(self, run, text):
        self.log(run, "own-step", text)
        reason = run.end("FAILED").reason

        assert "own-step" not in reason
        # The run's folder is named by its ID.
        assert f"pipeline/runid={run.folder.name}" in reason

    def test_a_run_that_succeeded_has_no_errors(self, run):
        self.log(run, "own-step", "error: ignored\n")

        assert run.end().reason == ""

    def test_a_gate_is_a_better_reason(self, run):
        run.report("evaluate-model", FAILED)
        self.log(run, "stop-run", "error: The evaluation did not pass: auc.\n")

        assert run.end("FAILED").reason == FAILED.reason

    def test_an_error_is_a_better_reason_than_a_message(self, run):
        self.log(run, "train-model", "error: no rows\n")

        assert run.end("FAILED", "Task exit-handler-1 failed.").reason == "The step train-model failed: no rows"

    def test_all_errors_are_listed(self, run):
        self.log(run, "a", "error: one\n")
        self.log(run, "b", "error: two\n")
        reason = run.end("FAILED").reason

        assert reason.index("one") < reason.index("two")

    def test_logs_are_found_in_a_bucket(self, tmp_path):
        with gcs_emulator.serve() as bucket:
            bucket.put("root/run-7/train-model/1/executor-logs-0", b"error: too late\n")
            uri = "gs://bucket/root/run-7/summarize-run/1/summary"
            found = summarize(tmp_path / "out", uri, "summarize-run", "training", {"state": "FAILED"})

        assert found.reason.endswith("too late")


def test_a_truncated_report(run):
    run.report("ingest-examples", make_manifest())
    run.report("validate-examples", VALID)
    path = next((run.folder / "validate-examples").rglob("*.json"))
    path.write_text(path.read_text()[:20])
    found = run.end("FAILED")

    assert (found.state, found.data_version) == ("FAILED", "d1")
    assert "validate-examples" in found.reason
    assert str(path) in found.reason
    assert found.unread == (found.reason,)


@pytest.mark.parametrize("content", [b'{"files": []}', b"\xff\xfe\x00", b""])
def test_another_file_with_the_name_of_a_report_hides_no_report(run, content):
    run.report("evaluate-model", PASSED)
    own = run.folder / "bundle-model" / "1" / "bundle" / "manifest.json"
    own.parent.mkdir(parents=True)
    own.write_bytes(content)
    run.report("ingest-examples", make_manifest())
    found = run.end()

    assert (found.state, found.reason, found.data_version) == ("SUCCEEDED", PASSED.reason, "d1")
    assert list(found.steps) == ["evaluate-model", "ingest-examples"]
    (line,) = found.unread
    assert "bundle-model" in line


def test_another_runs_reports_are_not_read(run):
    write_evaluation(run.folder.parent / "other" / "evaluate-model" / "evaluation", PASSED)

    assert run.end().verdict is None


def test_the_id_of_the_run(run):
    assert run.end().run == ""
    assert run.end("FAILED", run="training-1").run == "training-1"


def test_an_output_that_is_not_in_a_run(tmp_path):
    found = summarize(tmp_path / "out", str(tmp_path / "out"), "summarize-run", "training", {"state": "SUCCEEDED"})

    assert found.state == "SUCCEEDED"
    assert str(tmp_path / "out") in found.reason
    assert "summarize-run" in found.reason


def test_the_notes_of_all_steps(run):
    rows, words = Note("ROWS_SET_ASIDE", "Skipped 40 rows.", count=40), Note("MISSING_WORDS", "'?' is missing\n.", "km")
    task = Note("TASK_CHOSEN", "binary")
    run.report("ingest-examples", replace(make_manifest(), notes=(words, rows)))
    run.report("train-model", make_training(notes=(task,)))
    found = run.end()

    assert found.notes == (
        noted("ingest-examples", rows), noted("ingest-examples", words), noted("train-model", task),
    )  # fmt: skip
    _, *lines = log_lines(found)
    assert lines == [
        "ingest-examples: Skipped 40 rows.", r"ingest-examples: '?' is missing\n.", "train-model: binary",
    ]  # fmt: skip


def files_of(folder):
    """Return the reports of a run of two steps: path to content."""
    run = Run(folder)
    run.report("ingest-examples", make_manifest("d7"))
    run.report("evaluate-model", PASSED)
    run.folder = folder / "other"
    run.report("ingest-examples", make_manifest("d8"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*.json")}


class TestInABucket:
    def end(self, tmp_path):
        uri = "gs://bucket/root/run/summarize-run/1/summary"
        return summarize(tmp_path / "out", uri, "summarize-run", "training", {"state": "SUCCEEDED"})

    def test_reports_are_found(self, tmp_path):
        with gcs_emulator.serve() as bucket:
            for name, content in files_of(tmp_path / "local").items():
                bucket.put(f"root/{name}", content)
            found = self.end(tmp_path)

        assert (found.data_version, list(found.steps)) == ("d7", ["evaluate-model", "ingest-examples"])

    def test_a_store_that_cannot_be_listed(self, tmp_path):
        with gcs_emulator.serve() as bucket:
            bucket.forbidden = True
            found = self.end(tmp_path)

        assert found.state == "SUCCEEDED"
        assert "gs://bucket/" in found.reason
        assert read_summary(tmp_path / "out") == found


MINIO = {"MINIO_ENDPOINT_URL": "ADDRESS", "MINIO_ACCESS_KEY": "KEY", "MINIO_SECRET_KEY": "SECRET"}


class TestInKubeflowsStore:
    """KFP passes URIs of its default store as minio://, and of a pipeline root on S3 as s3://."""

    RUN = "v2/artifacts/training/run"

    @pytest.mark.parametrize(("scheme", "variables"), [("minio", MINIO), ("minio", {}), ("s3", {})])
    def test_reports_are_found(self, tmp_path, scheme, variables):
        with s3_server.serve(**variables) as store:
            for name, content in files_of(tmp_path / "local").items():
                store.put(f"v2/artifacts/training/{name}", content)
            found = self.end(tmp_path, f"{scheme}://{store.name}")

        assert (found.data_version, found.reason) == ("d7", PASSED.reason)

    def test_a_store_that_cannot_be_listed(self, tmp_path):
        with s3_server.serve(**MINIO) as store:
            store.denied = True
            found = self.end(tmp_path, f"minio://{store.name}")

        assert f"minio://{store.name}" in found.reason
        assert "mlpipeline-minio-artifact" in found.reason
        assert s3_server.SECRET not in found.reason

    def end(self, tmp_path, bucket):
        uri = f"{bucket}/{self.RUN}/summarize-run/9/summary"
        return summarize(tmp_path / "out", uri, "summarize-run", "training", {"state": "SUCCEEDED"})
