"""Run a compiled spec on this machine: kfp.local orders the steps, and virtualenvs replace the images."""

import contextlib
import datetime
import json
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from tiffin import images
from tiffin.artifacts.logs import LOG
from tiffin.artifacts.summary import find_notes
from tiffin.authoring.compilation import compile_pipeline, find_spec
from tiffin.errors import EXPLAINED, InputError, TiffinError
from tiffin.local.cleaning import in_progress
from tiffin.local.companion import accompany
from tiffin.local.environments import find_missing
from tiffin.local.guarding import guarded_folder
from tiffin.local.interpreters import Interpreter, warm_interpreters
from tiffin.local.processes import Processes
from tiffin.local.records import RECORD, relative
from tiffin.local.results import STATUSES, Run, conclude, tidy_log
from tiffin.local.serving import find_server, serving_root
from tiffin.local.tracking import find_tracking, preparing
from tiffin.local.virtualenvs import Machine, Place, Virtualenvs, shared_variables
from tiffin.printing import printable
from tiffin.specs.parameters import gather_parameters
from tiffin.specs.progress import StepProgress, shown
from tiffin.specs.services import find_unaddressed, needs_of
from tiffin.specs.spec import Spec, read_spec
from tiffin.stages.traits import SERVING, SERVING_METRICS, SERVING_ROOT, TRACKING
from tiffin.storage.files import write_bytes, write_json

# Log of kfp in a run's folder, from the start of the first step.
_KFP_LOG = "kfp.log"


def run_pipeline(
    pipeline: str,
    state: str | Path,
    settings: Iterable[str] = (),
    file: str | Path | None = None,
    *,
    cold: bool = False,
    docker: bool = False,
    stop_server: bool = False,
    stream: TextIO = sys.stdout,
) -> Run:
    """Run one of Tiffin's pipelines, or a compiled spec that uses Tiffin's images.

    Args:
        pipeline: Name of a pipeline, or path of a spec.
        state: Folder for artifacts, logs, MLflow's database and the serving root.
        settings: Pipeline parameters as `key=value`. Defaults to none.
        file: YAML file of parameters. Defaults to no file.
        cold: Whether each step starts a new interpreter. Defaults to False.
        docker: Whether each step runs in a container of its image. Defaults to False.
        stop_server: Whether to stop a model server that this run starts when the run ends. Defaults to False.
        stream: Stream for progress. Defaults to standard output.

    Returns:
        The result. A failed step does not raise.

    Raises:
        InputError: The pipeline, the spec or a parameter is invalid. Nothing ran.
        TiffinError: The virtualenv of the first step is missing, or the Docker engine does not answer. Nothing ran.
    """
    started = time.monotonic()
    state = Path(state).absolute()
    compiled = find_spec(pipeline)
    # Compiling takes a second and uses one core. Interpreters that the run does not need are stopped after it.
    early = compiled.environments if compiled else images.ENVIRONMENTS
    if docker:
        return _run_in_containers(pipeline, compiled, state, settings, file, stream)
    with contextlib.ExitStack() as stack:
        guard = stack.enter_context(guarded_folder())
        private = guard.folder
        folder = stack.enter_context(_run_folder(state, Path(pipeline).stem))
        variables = shared_variables(state)
        interpreters: dict[str, Interpreter] = {}
        if not cold:
            absent = find_missing(early)
            present = [name for name in early if name not in absent]
            interpreters = stack.enter_context(warm_interpreters(present, private, folder / "logs", variables))

        spec = compiled or _compile(pipeline, folder)
        arguments = gather_parameters(spec, settings, file)
        missing = find_missing(spec.environments)
        _check_first(spec, missing, stream)
        for name in interpreters.keys() - set(spec.environments):
            interpreters.pop(name).stop()
        run = Run(spec.name, spec.version, folder, _waiting_steps(spec))
        machine = Machine(state, private, interpreters, variables, missing)
        if any({SERVING, SERVING_ROOT} & {*needs_of(step.function)} for step in spec.steps):
            # For the steps, a root that does not exist is one that they do not see, not one without models.
            serving_root(state).mkdir(parents=True, exist_ok=True)
        unaddressed = find_unaddressed(spec, arguments) if "model" not in missing else []
        if TRACKING in unaddressed and TRACKING.variable not in os.environ:
            stack.enter_context(preparing(run, spec, interpreters.get("model")))
        with _server(run, machine, stop_server) if SERVING in unaddressed else contextlib.nullcontext():
            _execute(run, spec, arguments, Virtualenvs(machine, Processes(guard)), private, stream)
            run.warnings += tuple(guard.warnings)
            _record(run, started)
    return run


def _run_in_containers(
    pipeline: str, compiled: Spec | None, state: Path, settings: Iterable[str], file: str | Path | None, stream: TextIO
) -> Run:
    from tiffin.local.containers.runs import containers_of
    from tiffin.local.containers.servers import SERVING_ADDRESS

    started = time.monotonic()
    with guarded_folder() as guard, _run_folder(state, Path(pipeline).stem) as folder:
        spec = compiled or _compile(pipeline, folder)
        arguments = gather_parameters(spec, settings, file)
        run = Run(spec.name, spec.version, folder, _waiting_steps(spec))
        with containers_of(spec, arguments, state, folder) as containers:
            _execute(run, spec, arguments, containers, guard.folder, stream)
            run.warnings += tuple(guard.warnings)
            # The run's own server ends with it.
            run.serving = None if run.serving == SERVING_ADDRESS else run.serving
            _record(run, started)
    return run


def _waiting_steps(spec: Spec) -> list[StepProgress]:
    return [StepProgress(step.component, title=step.title, is_gate=step.gate is not None) for step in spec.steps]


def _record(run: Run, started: float) -> None:
    run.seconds = time.monotonic() - started
    write_json(run.folder / RECORD, run.to_json())


@contextlib.contextmanager
def _server(run: Run, machine: Machine, stop: bool) -> Iterator[None]:
    """Provide a model server for the duration of the block, unless the environment already names one."""
    if SERVING.variable in os.environ:
        yield
        return
    interpreter = machine.interpreters.get("model")
    companion = accompany(machine.state, interpreter)
    machine.variables[SERVING.variable] = companion.server.address
    # Those of other servers do not count the requests to this one.
    machine.variables[SERVING_METRICS] = ""
    machine.problems[SERVING] = lambda: companion.problem
    try:
        yield
    finally:
        companion.call_off()
        if interpreter is not None and not interpreter.is_ready:
            interpreter.stop()
        # After a failed run, do not leave a server running.
        stop = stop or run.state not in STATUSES
        companion.finish(stop)
        is_running = find_server(machine.state) is not None
        if companion.started and is_running:
            run.left_server = companion.server.address
        is_gone = run.serving == companion.server.address and not is_running
        if is_gone:
            run.serving = None
        run.warnings += tuple(companion.warnings)
        if is_gone or companion.warnings:
            write_json(run.folder / RECORD, run.to_json())


def _check_first(spec: Spec, missing: Mapping[str, str], stream: TextIO) -> None:
    """Raise an error if the first step has no virtualenv; warn if only later steps have none.

    A mistake in the parameters or the data is found without the virtualenvs of the later steps.
    """
    for step in spec.steps[:1]:
        if problem := missing.get(images.environment(step.image)):
            raise TiffinError(problem)
    for problem in missing.values():
        stream.write(f"warning: {printable(problem)} The run fails at the first step that needs it.\n")


def _compile(pipeline: str, folder: Path) -> Spec:
    content = compile_pipeline(pipeline)
    write_bytes(folder / "spec.yaml", content)
    return read_spec(pipeline, content)


@contextlib.contextmanager
def _run_folder(state: Path, name: str) -> Iterator[Path]:
    """Create the folder of a run; remove it if the run is refused before its first step."""
    now = datetime.datetime.now().astimezone()
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(in_progress(state))
            for attempt in range(100):
                folder = state / "runs" / f"{name}-{now:%Y%m%d-%H%M%S}{f'-{attempt}' if attempt else ''}"
                # Another run may have started in the same second; then try the next name.
                with contextlib.suppress(FileExistsError):
                    (folder / "logs").mkdir(parents=True)
                    break
        except (NotADirectoryError, FileExistsError):
            raise InputError(f"--state should be a folder. Received: '{state}', which is a file.") from None
        try:
            yield folder
        except (TiffinError, KeyboardInterrupt):
            # Keep the logs of steps, also on a later error, such as a server that does not end.
            if not (folder / "logs" / _KFP_LOG).exists():
                shutil.rmtree(folder)
            raise


def _execute(run: Run, spec: Spec, arguments: dict[str, Any], place: Place, private: Path, stream: TextIO) -> None:
    from kfp import dsl, local
    from kfp.dsl import structures, yaml_component

    from tiffin.local.conditions import corrected_conditions
    from tiffin.local.logs import shared_logger

    title = f"{run.pipeline} {run.version or ''}".rstrip() + f" in {relative(run.folder)}"
    with (
        shown(run.steps, title, stream) as changed,
        _interruptible(place),
        (run.folder / "logs" / _KFP_LOG).open("w", buffering=1) as kfp_log,
        contextlib.redirect_stdout(kfp_log),
        contextlib.redirect_stderr(kfp_log),
    ):
        # A retry runs the same task again.
        taken: dict[Path, StepProgress] = {}
        explained: set[Path] = set()

        def run_task(task: Path, image: str, function: str, command: list[str], variables: dict[str, str]) -> int:
            if task in explained:
                return EXPLAINED
            if task not in taken:
                taken[task] = _take_step(run, task.name)
            step = taken[task]
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
                changed(step)
            return status

        problem = ""
        try:
            # kfp deletes its workspace at the end.
            local.init(
                place.runner(),
                pipeline_root=str(run.folder / "artifacts"),
                workspace_root=str(private / "workspace"),
            )
            with place.task_runner(run_task), corrected_conditions(), shared_logger():
                # kfp.local would replace the placeholder by a random number that is written nowhere else.
                content = json.dumps(spec.documents).replace(dsl.PIPELINE_JOB_ID_PLACEHOLDER, json.dumps(run.id)[1:-1])
                pipeline, *platform = json.loads(content)
                # kfp would parse the YAML a second time, which takes it half a second.
                component = structures.ComponentSpec.from_ir_dicts(pipeline, platform[0] if platform else {})
                if (graph := component.implementation.graph) is not None:
                    _drop_waits(graph)
                yaml_component.YamlComponent(component, spec.content.decode())(**arguments)
        except Exception as error:  # noqa: BLE001 - kfp raises for failed steps; the traceback goes to its log
            traceback.print_exc(file=kfp_log)
            problem = str(error)
        finally:
            for step in run.steps:
                if step.state == "waiting":
                    step.end("skipped")
    conclude(run, problem)
    run.tracking_uri = find_tracking(run, spec, arguments)


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


def _take_step(run: Run, name: str) -> StepProgress:
    """Return the step of a task; further iterations of a loop become additional steps."""
    step = next((step for step in run.steps if step.name == name and step.state == "waiting"), None)
    if step is None:
        count = sum(other.name == name or other.name.startswith(f"{name}.") for other in run.steps)
        title = next((other.title for other in run.steps if other.name == name), name)
        step = StepProgress(f"{name}.{count + 1}", title=f"{title} {count + 1}") if count else StepProgress(name)
        run.steps.append(step)
    return step


@contextlib.contextmanager
def _interruptible(place: Place) -> Iterator[None]:
    """End the steps on SIGINT, SIGTERM and SIGHUP before these signals end this process; `nohup` makes SIGHUP ignored."""

    def interrupt(_number: int, _frame: object) -> None:
        place.stop()
        raise KeyboardInterrupt

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
