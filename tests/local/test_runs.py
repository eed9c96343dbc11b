import contextlib
import io
import json
import os
import re
import shutil
import signal
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import toy_pipelines as toys
from support.command_line import TIFFIN
from support.waiting import until
from tiffin.artifacts.summary import RegisteredModel
from tiffin.errors import InputError, ServingError, TiffinError
from tiffin.local import interpreters, runs
from tiffin.local.environments import find_environment
from tiffin.local.guarding import Guard, guarded_folder
from tiffin.local.results import Run
from tiffin.local.runs import run_pipeline
from tiffin.local.serving import find_server, stop_server
from tiffin.local.virtualenvs import Machine


@pytest.fixture(autouse=True)
def light_interpreters(monkeypatch: pytest.MonkeyPatch) -> None:
    # These modules import quickly; the last test uses TensorFlow.
    light = {"data": (("kfp.dsl.executor", "mailbox"), ()), "model": (("kfp.dsl.executor", "mailbox"), ("wsgiref",))}
    monkeypatch.setattr(interpreters, "MODULES", light)


def run(pipeline: object, state: Path, *settings: str, cold: bool = False) -> tuple[Run, str]:
    stream = io.StringIO()
    spec = toys.write_spec(pipeline, state.parent)
    return run_pipeline(str(spec), state, settings, cold=cold, stream=stream), stream.getvalue()


def log_of(result: Run, name: str) -> str:
    step = next(step for step in result.steps if step.name == name)
    assert step.log
    return step.log.read_text()


@pytest.mark.parametrize("cold", [False, True])
def test_steps_run_in_the_environments_of_their_images(
    tmp_path: Path, cold: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    # A temporary folder for this run only, with a path short enough for sockets.
    temporary = Path(tempfile.mkdtemp())
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    result, shown = run(toys.toy, Path("state"), "text=x y'z\"", "times=3", cold=cold)

    assert result.exit_status == 0
    assert [(step.name, step.state) for step in result.steps] == [
        ("write-text", "succeeded"),
        ("read-text", "succeeded"),
    ]
    assert "read x y'z\"x y'z\"x y'z\"" in log_of(result, "read-text")
    assert f"modules {[] if cold else ['mailbox']}" in log_of(result, "read-text").replace(", 'wsgiref'", "")
    assert f"cwd {tmp_path}" in log_of(result, "write-text")
    assert "KFP" not in shown
    assert json.loads((result.folder / "run.json").read_text()) == result.to_json()
    assert not list(temporary.glob("tiffin-*"))
    shutil.rmtree(temporary)


def test_steps_get_the_variables_of_the_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The tests of the model server set it for their process.
    monkeypatch.delenv("TF_CPP_MIN_LOG_LEVEL", raising=False)
    result, _ = run(toys.toy, tmp_path / "state")
    text = log_of(result, "read-text")

    assert f"'TIFFIN_SERVING_ROOT': '{tmp_path}/state/serving'" in text
    assert f"'MLFLOW_TRACKING_URI': 'sqlite:///{tmp_path}/state/mlflow.db'" in text
    assert "'TF_CPP_MIN_LOG_LEVEL': '2'" in text
    assert "TIFFIN_DEBUG" not in text


def test_variables_of_the_user_take_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://mlflow.example")
    monkeypatch.setenv("TIFFIN_SERVING_ROOT", "gs://bucket/serving")
    result, _ = run(toys.toy, tmp_path / "state")
    text = log_of(result, "read-text")

    assert "'MLFLOW_TRACKING_URI': 'http://mlflow.example'" in text
    assert "'TIFFIN_SERVING_ROOT': 'gs://bucket/serving'" in text


def test_steps_do_not_use_a_notebooks_matplotlib_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    result, _ = run(toys.drawing, tmp_path / "state", cold=True)

    assert result.exit_status == 0, result.reason
    assert "backend agg" in log_of(result, "draw")


def test_a_false_condition_skips_its_steps(tmp_path: Path) -> None:
    result, shown = run(toys.toy, tmp_path / "state", "times=1")

    assert [(step.name, step.state) for step in result.steps] == [("write-text", "succeeded"), ("read-text", "skipped")]
    assert result.exit_status == 0
    assert shown.splitlines()[-1] == "  read-text   skipped"


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize(
    ("fail", "reason"),
    [
        ("mistake", "`fail` should be empty. Received: fail='mistake'. Leave it out."),
        ("bug", "ZeroDivisionError: a bug"),
        ("exit", "The step read-text failed."),
        ("signal", "The step read-text was killed by SIGTERM."),
    ],
)
def test_a_failed_step_fails_the_run(tmp_path: Path, fail: str, reason: str, cold: bool) -> None:
    result, _ = run(toys.toy, tmp_path / "state", f"fail={fail}", cold=cold)

    assert (result.exit_status, result.state, result.reason) == (1, "FAILED", reason)
    assert result.failed_step
    assert result.failed_step.name == "read-text"
    assert ("Traceback" in log_of(result, "read-text")) == (fail == "bug")
    assert ("ZeroDivisionError: a bug" in log_of(result, "read-text")) == (fail == "bug")


def test_results_come_from_the_exit_step(tmp_path: Path) -> None:
    result, _ = run(toys.gated, tmp_path / "state")

    assert [(step.name, step.state) for step in result.steps] == [
        ("stop-run", "skipped"),
        ("say-more", "succeeded"),
        ("summarize-run", "succeeded"),
    ]
    assert (result.exit_status, result.model, result.metrics) == (0, RegisteredModel("toy", 1), {"auc": 0.5})


def test_each_of_two_models_is_reported(tmp_path: Path) -> None:
    result, _ = run(toys.two_models, tmp_path / "state")

    assert (result.exit_status, result.stopped_by, result.reason) == (3, "evaluation", "auc 0.4 is no better than 0.5.")
    assert {step: found.metrics for step, found in result.evaluations.items()} == {
        "judge-model": {"auc": 0.4},
        "judge-model-2": {"auc": 0.9},
    }
    assert result.metrics == {"auc": 0.4}


def test_a_gate_stops_the_run_with_its_reason(tmp_path: Path) -> None:
    result, _ = run(toys.gated, tmp_path / "state", "gate=evaluation")

    assert [(step.name, step.state) for step in result.steps] == [
        ("stop-run", "failed"),
        ("say-more", "skipped"),
        ("summarize-run", "succeeded"),
    ]
    assert (result.exit_status, result.reason, result.stopped_by) == (3, "the gate is shut", "evaluation")


def test_loop_iterations_have_separate_steps_and_logs(tmp_path: Path) -> None:
    result, _ = run(toys.looping, tmp_path / "state")

    assert {step.name for step in result.steps} == {"say-more", "say-more.2", "say-more.3"}
    assert {step.state for step in result.steps} == {"succeeded"}
    numbers = [log_of(result, step.name).partition("number ")[2][0] for step in result.steps]
    assert sorted(numbers) == ["1", "2", "3"]


def test_a_run_succeeds_if_a_retry_succeeds(tmp_path: Path) -> None:
    result, shown = run(toys.retrying, tmp_path / "state", f"note={tmp_path / 'note'}")

    assert [(step.name, step.state) for step in result.steps] == [("succeed-later", "succeeded")]
    assert result.exit_status == 0
    assert [line.split()[1] for line in shown.splitlines()[1:]] == ["failed", "succeeded"]
    # The first attempt's lines, and none of the executor's.
    assert log_of(result, "succeed-later") == "error: not yet\n"


def test_a_log_has_the_executors_lines_only_with_debug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    result, _ = run(toys.toy, tmp_path / "state", cold=True)
    assert log_of(result, "write-text").startswith("argv ")
    assert "executor_input" not in log_of(result, "write-text")

    monkeypatch.setenv("TIFFIN_DEBUG", "1")
    result, _ = run(toys.toy, tmp_path / "state", cold=True)
    assert "executor_input" in log_of(result, "write-text")


def test_the_notes_of_a_step_are_shown_and_recorded(tmp_path: Path) -> None:
    result, shown = run(toys.noting, tmp_path / "state", cold=True)
    _, first, second, last = shown.splitlines()

    assert first.split()[:2] == ["write-manifest", "succeeded"]
    assert [second, last] == ["      Skipped 40 rows.", r"      Chose \x1b[1m[red]binary."]
    record = json.loads((result.folder / "run.json").read_text())
    assert [(note["step"], note["code"]) for note in record["notes"]] == [
        ("write-manifest", "ROWS_SET_ASIDE"), ("write-manifest", "TASK_CHOSEN"),
    ]  # fmt: skip


def test_a_run_has_one_identifier(tmp_path: Path) -> None:
    result, shown = run(toys.naming, tmp_path / "state", cold=True)
    record = json.loads((result.folder / "run.json").read_text())
    artifact = f"{result.folder}/artifacts/{result.id}/name-run/named"

    assert re.fullmatch(r"naming-\d{8}-\d{6}-[0-9a-f]{4}", result.id)
    assert {result.id, record["run"], result.folder.name} == {result.id}
    assert f"named {result.id} run {result.id} {artifact}\n" in log_of(result, "name-run")
    assert str(result.folder) in shown


def test_a_run_keeps_its_spec_and_parameters(tmp_path: Path) -> None:
    result, _ = run(toys.toy, tmp_path / "state", "times=1", "share=0.5", cold=True)
    record = json.loads((result.folder / "run.json").read_text())

    assert (result.folder / "spec.yaml").read_bytes() == (tmp_path / "toy.yaml").read_bytes()
    assert record["parameters"] == {"times": 1}
    assert record["defaults"] == {"text": "ab", "fail": "", "share": 0.5, "names": [], "about": {}}
    assert record["options"] == {"docker": False, "cold": True, "stop_server": False}
    assert (record["directory"], record["attempts"]) == (str(Path.cwd()), [])


@pytest.mark.parametrize("stop", [True, False])
def test_a_stopped_server_is_not_reported_as_serving(tmp_path: Path, stop: bool) -> None:
    state = tmp_path / "state"
    result = Run("toy", "0.1.0", tmp_path / "run", state="SUCCEEDED")
    machine = Machine(state, tmp_path, {}, {})
    with runs._server(result, machine, stop):
        address = result.serving = machine.variables["TIFFIN_SERVING_ADDRESS"]
        # Steps inherit the user's variable, which names the metrics of other servers.
        assert machine.variables["TIFFIN_SERVING_METRICS"] == ""
    running = find_server(state)
    stop_server(state)

    assert (running is None) == stop
    assert result.serving == (None if stop else address)
    assert result.left_server == result.serving
    assert (result.folder / "run.json").exists() == stop


@pytest.mark.runs
@pytest.mark.parametrize("kills", [0, 1])
def test_a_killed_server_is_restarted_once(tmp_path: Path, kills: int) -> None:
    state = tmp_path / "state"
    try:
        result, _ = run(toys.deploying, state, f"state={state}", f"kills={kills}")
        assert (result.exit_status, result.reason) == (0, "")
        assert "answered" in log_of(result, "deploy-model")
        server = find_server(state)
        assert server
        assert server.address == result.left_server
    finally:
        stop_server(state)
    assert len(result.warnings) == kills
    assert all(server.address in line and str(server.log) in line for line in result.warnings)
    assert json.loads((result.folder / "run.json").read_text())["warnings"] == list(result.warnings)


@pytest.mark.runs
def test_a_server_that_is_killed_again_ends_the_step(tmp_path: Path) -> None:
    """At once, without retries, and the step can undo its changes."""
    state = tmp_path / "state"
    try:
        result, _ = run(toys.deploying, state, f"state={state}", "kills=2")
        assert find_server(state) is None
    finally:
        stop_server(state)
    log = log_of(result, "deploy-model")
    assert (result.exit_status, result.left_server, len(result.warnings)) == (1, None, 1)
    assert [line.split()[:2] for line in log.splitlines() if line.startswith("killed")] == [
        ["killed", "0"],
        ["killed", "1"],
    ]
    assert "undone" in log
    assert "answered" not in log
    assert str(state / "server" / "server.log") in result.reason
    assert log.count("error: ") == 1
    assert "Traceback" not in log
    assert "KeyboardInterrupt" not in log


@pytest.mark.parametrize("cold", [False, True])
def test_an_explained_failure_is_not_retried(tmp_path: Path, cold: bool) -> None:
    result, shown = run(toys.explaining, tmp_path / "state", cold=cold)

    assert (result.exit_status, result.reason) == (1, "No such folder: 'data'.")
    assert [line.split()[1] for line in shown.splitlines()[1:]] == ["failed"]
    assert log_of(result, "explain").count("error: ") == 1


def test_an_error_after_the_steps_keeps_their_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.contextmanager
    def stubborn() -> Iterator[Guard]:
        with guarded_folder() as guard:
            yield guard
        raise ServingError("The model server should end.")

    monkeypatch.setattr(runs, "guarded_folder", stubborn)
    with pytest.raises(ServingError):
        run(toys.explaining, tmp_path / "state")

    (folder,) = (tmp_path / "state" / "runs").iterdir()
    assert json.loads((folder / "run.json").read_text())["reason"] == "No such folder: 'data'."
    assert "error: " in (folder / "logs" / "explain.log").read_text()


def find_processes(parent: int, word: str) -> list[int]:
    """Return the child processes whose command line has this word."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            owner = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if owner == parent and word in (entry / "cmdline").read_bytes().decode():
                found.append(int(entry.name))
    return found


@pytest.mark.runs
@pytest.mark.parametrize("helper", ["guardian.py", "tiffin.local.zygote"])
def test_a_run_whose_helpers_are_killed_ends_and_reports_it(tmp_path: Path, helper: str) -> None:
    note = tmp_path / "note"
    spec = toys.write_spec(toys.waiting, tmp_path)
    command = [TIFFIN, "run", str(spec), "--state", str(tmp_path / "state"), "--json", "--set", f"note={note}"]
    with interpreters.subprocess.Popen(
        [*command, "--set", "seconds=5"], stdout=interpreters.subprocess.PIPE, stderr=interpreters.subprocess.PIPE
    ) as process:
        assert until(lambda: note.exists() or process.poll() is not None)
        killed = find_processes(process.pid, helper)
        for pid in killed:
            os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    summary = json.loads(out)

    assert killed
    assert summary["state"] in err.decode()
    if helper == "guardian.py":
        assert (process.returncode, summary["state"]) == (0, "SUCCEEDED")
        assert str(killed[0]) in summary["warnings"][0]
        assert summary["warnings"][0] in err.decode()
    else:
        assert (process.returncode, summary["state"], summary["warnings"]) == (1, "FAILED", [])
        assert re.search("wait .*SIGKILL", summary["reason"])


def test_only_interpreters_that_the_spec_needs_are_started(tmp_path: Path) -> None:
    result, _ = run(toys.looping, tmp_path / "state")

    assert [path.name for path in (result.folder / "logs").glob("interpreter-*")] == ["interpreter-model.log"]


def test_concurrent_runs_of_one_state_folder_are_independent(tmp_path: Path) -> None:
    spec = toys.write_spec(toys.toy, tmp_path)
    command = [TIFFIN, "run", str(spec), "--state", str(tmp_path / "state"), "--json", "--cold"]
    outputs: list[dict[str, object]] = []

    def start(text: str) -> None:
        process = interpreters.subprocess.run([*command, "--set", f"text={text}"], capture_output=True, check=False)
        outputs.append(json.loads(process.stdout))

    threads = [threading.Thread(target=start, args=(text,)) for text in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [output["state"] for output in outputs] == ["SUCCEEDED", "SUCCEEDED"]
    assert len(list((tmp_path / "state" / "runs").iterdir())) == 2


@pytest.mark.parametrize("settings", [["times=x"], ["tims=1"], ["text"]])
def test_a_refused_run_leaves_no_folder(tmp_path: Path, settings: list[str]) -> None:
    with pytest.raises(InputError):
        run(toys.toy, tmp_path / "state", *settings)

    assert list((tmp_path / "state" / "runs").iterdir()) == []


def test_a_missing_environment_ends_the_run_before_its_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIFFIN_VENVS", str(tmp_path / "none"))
    with pytest.raises(TiffinError, match=f"{tmp_path}/none.*`make setup`"):
        run(toys.toy, tmp_path / "state")

    assert list((tmp_path / "state" / "runs").iterdir()) == []


@pytest.mark.parametrize("cold", [False, True])
def test_a_missing_environment_of_a_later_step_fails_that_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cold: bool
) -> None:
    (tmp_path / "venvs").mkdir()
    (tmp_path / "venvs" / "data").symlink_to(find_environment("data"))
    monkeypatch.setenv("TIFFIN_VENVS", str(tmp_path / "venvs"))
    result, shown = run(toys.toy, tmp_path / "state", cold=cold)

    assert [(step.name, step.state) for step in result.steps] == [("write-text", "succeeded"), ("read-text", "failed")]
    assert result.exit_status == 1
    assert re.search(f"'model'.*{tmp_path}/venvs.*`make setup`", result.reason)
    assert re.search(f"^warning: .*'model'.*{tmp_path}/venvs.*`make setup`", shown)
    assert shown.count("failed") == 1


def test_a_state_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")

    with pytest.raises(InputError, match=f"--state .*'{tmp_path}/state'"):
        run(toys.toy, tmp_path / "state")


@pytest.mark.runs
def test_a_step_builds_and_fits_a_model_in_a_warm_interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "MODULES", {"model": (("tensorflow", "keras", "kfp.dsl.executor"), ())})
    result, _ = run(toys.fitting, tmp_path / "state")

    assert result.exit_status == 0, result.reason
    assert all("warm True loss" in log_of(result, step.name) for step in result.steps)
