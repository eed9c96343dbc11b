"""The MLflow that a run was logged to: the parameter, the environment, or the database of the state folder."""

from pathlib import Path

import pytest

from tiffin.artifacts.logs import STOP_LOGGED
from tiffin.authoring.compilation import load_spec
from tiffin.local.results import Run
from tiffin.local.tracking import find_tracking
from tiffin.specs.progress import StepProgress
from tiffin.specs.spec import Spec

VARIABLE = "MLFLOW_TRACKING_URI"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load_spec("training")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.delenv(VARIABLE, raising=False)
    return Run("training", "0.1.0", tmp_path / "runs" / "training-1")


def test_of_a_run_that_registered_nothing(run: Run, spec: Spec) -> None:
    assert find_tracking(run, spec, {}) is None
    run.steps = [StepProgress("train-model", "succeeded"), StepProgress("register-model", "failed")]
    assert find_tracking(run, spec, {}) is None


def test_of_a_registered_model(run: Run, spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    run.steps = [StepProgress("register-model", "succeeded")]

    assert find_tracking(run, spec, {}) == f"sqlite:///{run.folder.parents[1]}/mlflow.db"
    monkeypatch.setenv(VARIABLE, "http://ada:hunter2@mlflow:5000")
    assert find_tracking(run, spec, {"tracking_uri": ""}) == "http://***@mlflow:5000"
    assert find_tracking(run, spec, {"tracking_uri": "http://other:5000"}) == "http://other:5000"


@pytest.mark.parametrize("line", [f"{STOP_LOGGED}0a1b", "warning: not logged", ""])
def test_of_a_run_that_a_gate_stopped(run: Run, spec: Spec, tmp_path: Path, line: str) -> None:
    log = tmp_path / "stop-run.log"
    log.write_text(f"{line}\nerror: the gate is shut\n")
    run.steps = [StepProgress("stop-run", "failed", log, is_gate=True)]

    assert (find_tracking(run, spec, {"tracking_uri": "http://m:5000"}) == "http://m:5000") == (STOP_LOGGED in line)
