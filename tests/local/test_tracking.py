"""The MLflow of a run: its database, and the address: the parameter, the environment, or the database of the state folder."""

import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from support.waiting import until
from tiffin.artifacts.logs import STOP_LOGGED
from tiffin.authoring.compilation import load_spec
from tiffin.local import interpreters, tracking
from tiffin.local.guarding import guarded_folder
from tiffin.local.interpreters import Interpreter, warm_interpreters
from tiffin.local.results import Run
from tiffin.local.tracking import find_tracking, preparing
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


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Interpreter]:
    monkeypatch.setattr(interpreters, "MODULES", {"model": ((), ("email",))})
    with guarded_folder() as guard, warm_interpreters(["model"], guard.folder, tmp_path, {}) as started:
        yield started["model"]


@pytest.mark.runs
def test_the_database_is_created_beside_the_first_step_of_its_environment(
    run: Run, spec: Spec, tmp_path: Path, interpreter: Interpreter
) -> None:
    database = tmp_path / "mlflow.db"
    run.steps = [StepProgress("ingest-examples", "succeeded", tmp_path / "ingest.log"), StepProgress("train-model")]
    assert until(lambda: interpreter.is_idle)
    with preparing(run, spec, None):
        run.steps[1].begin(tmp_path / "train.log")
    assert not database.exists()
    with preparing(run, spec, interpreter):
        assert until(database.exists, 120)

    assert {"experiments", "runs", "model_versions"} <= tables(database)


@pytest.mark.runs
@pytest.mark.parametrize("states", [("succeeded", "waiting"), ("failed", "running"), ("running", "skipped")])
def test_a_run_that_fails_before_leaves_no_database(
    run: Run,
    spec: Spec,
    tmp_path: Path,
    interpreter: Interpreter,
    monkeypatch: pytest.MonkeyPatch,
    states: tuple[str, str],
) -> None:
    monkeypatch.setattr(tracking, "_LOOK_SECONDS", 0.01)
    logs = [None if state in ("waiting", "skipped") else tmp_path / "step.log" for state in states]
    run.steps = [StepProgress("ingest-examples", states[0], logs[0]), StepProgress("summarize-run", states[1], logs[1])]
    assert until(lambda: interpreter.is_idle)
    with preparing(run, spec, interpreter):
        time.sleep(0.3)

    assert not (tmp_path / "mlflow.db").exists()
    assert "tracking" not in interpreter.log.read_text()


@pytest.mark.runs
def test_a_database_that_exists_stays(run: Run, spec: Spec, tmp_path: Path, interpreter: Interpreter) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"mine")
    run.steps = [StepProgress("train-model", "running", tmp_path / "train.log")]
    assert until(lambda: interpreter.is_idle)
    with preparing(run, spec, interpreter):
        assert "database" not in {thread.name for thread in threading.enumerate()}

    assert (tmp_path / "mlflow.db").read_bytes() == b"mine"
