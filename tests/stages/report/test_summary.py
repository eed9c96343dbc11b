"""The summary of a run: that it always comes, and says how the run ended."""

import json

import pytest

from support import gcs_emulator, s3_server
from tiffin import artifacts
from tiffin.errors import InputError
from tiffin.stages.report.summary import summarize

MANIFEST = {"version": "d1"}
VALID = {"valid": True, "reason": "No anomalies.", "anomalies": []}
INVALID = {"valid": False, "reason": "1 anomaly against the schema: eval: split: Empty split.", "anomalies": [{}]}
PASSED = {
    "passed": True,
    "reason": "auc 0.9 is at least 0.8.",
    "checks": [{}],
    "metrics": {"auc": 0.9, "brier": None},
    "rows": 9,
}
FAILED = {**PASSED, "passed": False, "reason": "auc 0.9 is not at least 0.95."}
REGISTRATION = {"name": "taxi", "version": 3, "run_id": "r"}
DEPLOYMENT = {"model": "taxi", "version": 3, "address": "serving:8500"}


class Run:
    """A run's folder, with a folder for each step as KFP makes it."""

    def __init__(self, folder):
        self.folder = folder / "run"

    def report(self, step, name, content):
        artifacts.write_json(self.folder / step / "executor-1" / "artifact" / name, content)

    def end(self, state="SUCCEEDED", error=""):
        output = self.folder / "summarize-run" / "executor-9" / "summary"
        found = summarize(output, str(output), "summarize-run", "training", {"state": state, "error_message": error})
        assert found == artifacts.read_json(output / "summary.json")
        return found


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path)


def test_a_run_without_any_report(run):
    assert run.end("FAILED", "The step ingest-examples failed.") == {
        "pipeline": "training", "state": "FAILED", "reason": "The step ingest-examples failed.", "stopped_by": None,
        "data_version": None, "metrics": {}, "verdict": None, "model": None, "serving": None,
    }  # fmt: skip


def test_a_run_that_succeeded(run):
    run.report("ingest-examples", "manifest.json", MANIFEST)
    run.report("validate-examples", "anomalies.json", VALID)
    run.report("evaluate-model", "verdict.json", PASSED)
    run.report("register-model", "registration.json", REGISTRATION)
    run.report("deploy-model", "deployment.json", DEPLOYMENT)

    assert run.end() == {
        "pipeline": "training", "state": "SUCCEEDED", "reason": "auc 0.9 is at least 0.8.", "stopped_by": None,
        "data_version": "d1", "metrics": {"auc": 0.9, "brier": None},
        "verdict": {"passed": True, "reason": "auc 0.9 is at least 0.8.", "checks": [{}]},
        "model": {"name": "taxi", "version": 3}, "serving": "serving:8500",
    }  # fmt: skip


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED"])
def test_a_gate_that_did_not_pass(run, state):
    run.report("ingest-examples", "manifest.json", MANIFEST)
    run.report("validate-examples", "anomalies.json", VALID)
    run.report("evaluate-model", "verdict.json", FAILED)
    found = run.end(state, "The step stop-run failed.")

    assert (found["state"], found["stopped_by"], found["reason"]) == (
        "FAILED",
        "evaluation",
        "auc 0.9 is not at least 0.95.",
    )
    assert (found["verdict"]["passed"], found["model"], found["serving"]) == (False, None, None)


def test_a_validation_that_found_something(run):
    run.report("ingest-examples", "manifest.json", MANIFEST)
    run.report("validate-examples", "anomalies.json", INVALID)
    found = run.end("FAILED", "The step stop-run failed.")

    assert (found["state"], found["stopped_by"], found["reason"]) == ("FAILED", "validation", INVALID["reason"])
    assert (found["data_version"], found["metrics"]) == ("d1", {})


def test_a_step_that_failed_after_the_gate(run):
    run.report("evaluate-model", "verdict.json", PASSED)
    run.report("register-model", "registration.json", REGISTRATION)
    found = run.end("FAILED", "The step deploy-model failed.")

    assert (found["state"], found["stopped_by"], found["reason"]) == ("FAILED", None, "The step deploy-model failed.")
    assert (found["model"], found["serving"]) == ({"name": "taxi", "version": 3}, None)


def test_a_report_that_was_cut_short(run):
    run.report("ingest-examples", "manifest.json", MANIFEST)
    (run.folder / "validate-examples").mkdir()
    (run.folder / "validate-examples" / "verdict.json").write_text('{"passed": tr')
    found = run.end("FAILED")

    assert (found["state"], found["data_version"]) == ("FAILED", "d1")
    assert found["reason"].startswith("The steps' reports could not be read: ")


def test_another_runs_reports_are_not_read(run):
    artifacts.write_json(run.folder.parent / "other" / "evaluate-model" / "verdict.json", PASSED)

    assert run.end()["verdict"] is None


def test_an_output_that_is_not_in_a_run(tmp_path):
    found = summarize(tmp_path / "out", str(tmp_path / "out"), "summarize-run", "training", {"state": "SUCCEEDED"})

    assert found["state"] == "SUCCEEDED"
    assert "is not below a step folder 'summarize-run'" in found["reason"]


class TestInABucket:
    URI = "gs://bucket/root/run/summarize-run/1/summary"

    def end(self, tmp_path):
        return summarize(tmp_path / "out", self.URI, "summarize-run", "training", {"state": "SUCCEEDED"})

    def test_reports_are_found(self, tmp_path):
        with gcs_emulator.serve() as bucket:
            bucket.put("root/run/ingest-examples/1/examples/manifest.json", b'{"version": "d7"}')
            bucket.put("root/other/ingest-examples/1/examples/manifest.json", b'{"version": "d8"}')

            assert self.end(tmp_path)["data_version"] == "d7"

    def test_a_place_that_cannot_be_listed(self, tmp_path):
        with gcs_emulator.serve() as bucket:
            bucket.forbidden = True
            found = self.end(tmp_path)

        assert found["state"] == "SUCCEEDED"
        assert found["reason"].startswith("The steps' reports could not be read: ")
        assert artifacts.read_json(tmp_path / "out" / "summary.json") == found


MINIO = {"MINIO_ENDPOINT_URL": "ADDRESS", "MINIO_ACCESS_KEY": "KEY", "MINIO_SECRET_KEY": "SECRET"}


class TestInKubeflowsStore:
    """KFP hands its default store's URIs over as minio://, and those of a root on S3 as s3://."""

    RUN = "v2/artifacts/training/run"

    @pytest.mark.parametrize(("scheme", "variables"), [("minio", MINIO), ("minio", {}), ("s3", {})])
    def test_reports_are_found(self, tmp_path, scheme, variables):
        with s3_server.serve(**variables) as store:
            store.put(f"{self.RUN}/ingest-examples/1/examples/manifest.json", b'{"version": "d7"}')
            store.put(f"{self.RUN}/evaluate-model/2/evaluation/verdict.json", json.dumps(PASSED).encode())
            store.put("v2/artifacts/training/other/ingest-examples/1/examples/manifest.json", b'{"version": "d8"}')
            found = self.end(tmp_path, f"{scheme}://{store.name}")

        assert (found["data_version"], found["reason"]) == ("d7", PASSED["reason"])

    def test_a_place_that_cannot_be_listed(self, tmp_path):
        with s3_server.serve(**MINIO) as store:
            store.denied = True
            found = self.end(tmp_path, f"minio://{store.name}")

        assert found["reason"].startswith("The steps' reports could not be read: ")
        assert "mlpipeline-minio-artifact" in found["reason"]
        assert s3_server.SECRET not in found["reason"]

    def end(self, tmp_path, bucket):
        uri = f"{bucket}/{self.RUN}/summarize-run/9/summary"
        return summarize(tmp_path / "out", uri, "summarize-run", "training", {"state": "SUCCEEDED"})


def test_a_summary_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match=r"An artifact should hold 'summary\.json'"):
        artifacts.read_json(tmp_path / "summary.json")
