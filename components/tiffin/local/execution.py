"""Execute a run: kfp.local orders the tasks, and a place runs each of them. The record of the run is kept up to date."""

import contextlib
import json
import os
import signal
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from kfp import dsl, local
from kfp.dsl import structures, yaml_component
from kfp.local import executor_input_utils

from tiffin.artifacts.logs import LOG
from tiffin.artifacts.summary import find_notes
from tiffin.errors import EXPLAINED
from tiffin.local.conditions import corrected_conditions
from tiffin.local.logs import shared_logger
from tiffin.local.loops import corrected_loops
from tiffin.local.records import relative
from tiffin.local.results import Run, conclude
from tiffin.local.step_logs import tidy_log
from tiffin.local.task_records import TaskRecords
from tiffin.local.tracking import find_tracking
from tiffin.local.virtualenvs import Place
from tiffin.specs.progress import Changed, StepProgress, shown
from tiffin.specs.spec import Spec
from tiffin.storage.files import write_bytes

# Log of kfp in a run's folder, from the start of the first step.
KFP_LOG = "kfp.log"


def execute(
    run: Run, spec: Spec, arguments: dict[str, Any], place: Place, private: Path, stream: TextIO, started: float
) -> None:
    """Run the steps of a spec, without those whose outputs an earlier attempt left, and set the result of the run.

    Args:
        run: The run, which changes as its steps run.
        spec: Its pipeline.
        arguments: Parameter values by name.
        place: Where steps run.
        private: The run's temporary folder.
        stream: Stream for progress.
        started: Start of this attempt, in seconds of time.monotonic.

    Raises:
        KeyboardInterrupt: A signal ended the run.
    """
    records = TaskRecords(run.folder, {step.component for step in spec.steps if step.follows_failures})
    run.state = "RUNNING"
    run.save(started)
    title = f"{run.pipeline} {run.version or ''}".rstrip() + f" in {relative(run.folder)}"
    if run.attempts:
        title += f", attempt {len(run.attempts) + 1}"
    problem = ""
    with (
        shown(run.steps, title, stream) as show,
        _interruptible(place),
        (run.folder / "logs" / KFP_LOG).open("w", buffering=1) as kfp_log,
        contextlib.redirect_stdout(kfp_log),
        contextlib.redirect_stderr(kfp_log),
    ):
        if run.attempts:
            records.clear()
        saving = threading.Lock()

        def changed(step: StepProgress) -> None:
            show(step)
            # On a full disk, the run goes on.
            with saving, contextlib.suppress(OSError):
                run.save(started)

        try:
            _run_tasks(run, spec, arguments, place, private, records, changed)
        except Exception as error:  # noqa: BLE001 - kfp raises for failed steps; the traceback goes to its log
            traceback.print_exc(file=kfp_log)
            problem = str(error)
        finally:
            for step in run.steps:
                if step.state == "waiting":
                    step.end("skipped")
    conclude(run, problem)
    run.tracking_uri = find_tracking(run, spec, arguments)


def _run_tasks(
    run: Run,
    spec: Spec,
    arguments: dict[str, Any],
    place: Place,
    private: Path,
    records: TaskRecords,
    changed: Changed,
) -> None:
    # A retry by kfp runs the same task again.
    taken: dict[Path, StepProgress] = {}
    explained: set[Path] = set()

    def run_task(task: Path, image: str, function: str, command: list[str], variables: dict[str, str]) -> int:
        if task in explained:
            return EXPLAINED
        if task not in taken:
            step = taken[task] = _take_step(run, records.take(task), task.name)
            if records.is_kept(task, command):
                _keep(run, step, task)
                changed(step)
                return 0
            _put_away(run, step)
        step = taken[task]
        records.begin(task)
        log = run.folder / "logs" / f"{step.name}.log"
        step.begin(log)
        changed(step)
        status = None
        try:
            status = place.run(image, function, command, variables, log)
            if status == EXPLAINED:
                explained.add(task)
        finally:
            step.end("succeeded" if status == 0 else "interrupted" if place.stopped else "failed")
            if os.environ.get("TIFFIN_DEBUG") != "1" and log.exists():
                tidy_log(log)
            _store_log(log, task, step.state == "failed")
            step.notes, step.report = find_notes(task)
            if status == 0:
                records.succeed(task, command)
            changed(step)
        return status

    # kfp deletes its workspace at the end.
    local.init(
        place.runner(),
        pipeline_root=str(run.folder / "artifacts"),
        workspace_root=str(private / "workspace"),
    )
    with place.task_runner(run_task), corrected_conditions(), corrected_loops(), shared_logger(), _named_folder(run.id):
        # kfp.local would replace the placeholders by values of its own, which are written nowhere else.
        content = json.dumps(spec.documents)
        for placeholder in (dsl.PIPELINE_JOB_ID_PLACEHOLDER, dsl.PIPELINE_JOB_NAME_PLACEHOLDER):
            content = content.replace(placeholder, json.dumps(run.id)[1:-1])
        pipeline, *platform = json.loads(content)
        # kfp would parse the YAML a second time, which takes it half a second.
        component = structures.ComponentSpec.from_ir_dicts(pipeline, platform[0] if platform else {})
        if (graph := component.implementation.graph) is not None:
            _drop_waits(graph)
        yaml_component.YamlComponent(component, spec.content.decode())(**arguments)


@contextlib.contextmanager
def _named_folder(name: str) -> Iterator[None]:
    """Make kfp.local store the artifacts of a run in a folder of this name, the same in each attempt, during the block."""
    original = executor_input_utils.get_local_pipeline_resource_name
    executor_input_utils.get_local_pipeline_resource_name = lambda _pipeline: name
    try:
        yield
    finally:
        executor_input_utils.get_local_pipeline_resource_name = original


def _keep(run: Run, step: StepProgress, task: Path) -> None:
    """Set a step to what an earlier attempt left."""
    log = run.folder / "logs" / f"{step.name}.log"
    step.state, step.log = "kept", log if log.exists() else None
    step.notes, step.report = find_notes(task)


def _put_away(run: Run, step: StepProgress) -> None:
    """Move the log of a step that starts to the folder of the attempt that wrote it; logs are appended to."""
    log = run.folder / "logs" / f"{step.name}.log"
    if run.attempts and log.exists():
        folder = log.parent / f"attempt-{len(run.attempts)}"
        folder.mkdir(exist_ok=True)
        log.rename(folder / log.name)


def _take_step(run: Run, name: str, component: str) -> StepProgress:
    """Return the step of this name; further iterations of a loop become additional steps."""
    step = next((step for step in run.steps if step.name == name), None)
    if step is None:
        title = next((other.title for other in run.steps if other.name == component), component)
        number = name.removeprefix(component).lstrip(".")
        step = StepProgress(name, title=f"{title} {number}".rstrip())
        run.steps.append(step)
    return step


def _store_log(log: Path, task: Path, has_failed: bool) -> None:
    """Store the log of a failed step among its artifacts, where the exit step looks for the reason, as KFP does."""
    # On a full disk, the run goes on without it.
    with contextlib.suppress(OSError):
        if has_failed:
            task.mkdir(parents=True, exist_ok=True)
            write_bytes(task / LOG, log.read_bytes())
        else:
            # Of an attempt before this one.
            (task / LOG).unlink(missing_ok=True)


def _drop_waits(spec: Any) -> None:
    """Remove the waits between retries from a pipeline's spec: they are for failures that only occur on a cluster."""
    for component in (spec.root, *spec.components.values()):
        for task in component.dag.tasks.values():
            task.retry_policy.ClearField("backoff_duration")


@contextlib.contextmanager
def _interruptible(place: Place) -> Iterator[None]:
    """End the steps on SIGINT, SIGTERM and SIGHUP before these signals end this process; `nohup` makes SIGHUP ignored."""

    def interrupt(number: int, _frame: object) -> None:
        place.stop()
        raise KeyboardInterrupt(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
