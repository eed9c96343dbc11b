"""Run a compiled spec on this machine, or retry a run: virtualenvs replace the images."""

import contextlib
import datetime
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from tiffin import images
from tiffin.authoring.compilation import compile_pipeline, find_spec
from tiffin.errors import InputError, TiffinError, explain
from tiffin.local import gateway
from tiffin.local.cleaning import in_progress
from tiffin.local.companion import accompany
from tiffin.local.environments import find_missing
from tiffin.local.execution import KFP_LOG, execute
from tiffin.local.guarding import Guard, guarded_folder
from tiffin.local.interpreters import Interpreter, warm_interpreters
from tiffin.local.processes import Processes
from tiffin.local.records import SPEC, STATUSES, make_folder, taken, write_record
from tiffin.local.results import Run
from tiffin.local.serving import find_server, serving_root
from tiffin.local.tracking import preparing
from tiffin.local.virtualenvs import Machine, Place, Virtualenvs, shared_variables
from tiffin.printing import printable
from tiffin.specs.notifications import check_addresses
from tiffin.specs.parameters import gather_parameters, masked_value, with_defaults
from tiffin.specs.progress import StepProgress
from tiffin.specs.services import find_rollouts, find_unaddressed, needs_of
from tiffin.specs.spec import Spec, read_spec
from tiffin.stages.traits import GATEWAY, SERVING, SERVING_METRICS, SERVING_ROOT, TRACKING
from tiffin.storage.files import write_bytes


@dataclass(frozen=True)
class Plan:
    """What runs.

    Attributes:
        spec: The pipeline.
        arguments: Parameter values by name.
        run: The run, with its waiting steps.
    """

    spec: Spec
    arguments: dict[str, Any]
    run: Run


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
    # A retry names it in its own way, and compares the paths of artifacts.
    state = Path(os.path.abspath(state))
    compiled = find_spec(pipeline)
    options = {"docker": docker, "cold": cold, "stop_server": stop_server}
    # Compiling takes a second and uses one core. Interpreters that the run does not need are stopped after it.
    early = compiled.environments if compiled else images.ENVIRONMENTS
    with guarded_folder() as guard, _new_folder(state, compiled.name if compiled else pipeline) as folder:

        def plan() -> Plan:
            spec = compiled or read_spec(pipeline, compile_pipeline(pipeline))
            write_bytes(folder / SPEC, spec.content)
            arguments = gather_parameters(spec, settings, file)
            check_addresses(spec, arguments)
            return Plan(spec, arguments, _describe(spec, arguments, folder, options))

        return run_planned(plan, state, folder, guard, early, options, stream, started)


def run_planned(
    plan: Callable[[], Plan],
    state: Path,
    folder: Path,
    guard: Guard,
    early: Iterable[str],
    options: Mapping[str, bool],
    stream: TextIO,
    started: float,
) -> Run:
    """Run what `plan` returns, in a folder that this process has taken.

    Args:
        plan: Returns the spec, its parameters and the run; called while the interpreters start.
        state: The state folder, as an absolute path.
        folder: Folder of the run.
        guard: Guard of the run.
        early: Environments whose interpreters are started before `plan` is called.
        options: `docker`, `cold` and `stop_server`, as for `run_pipeline`.
        stream: Stream for progress.
        started: Start of the command, in seconds of time.monotonic.

    Raises:
        TiffinError: As for `run_pipeline`.
    """
    if options["docker"]:
        return _run_in_containers(plan(), state, folder, guard, stream, started)
    with contextlib.ExitStack() as stack:
        variables = shared_variables(state)
        interpreters: dict[str, Interpreter] = {}
        if not options["cold"]:
            absent = find_missing(early)
            present = [name for name in early if name not in absent]
            interpreters = stack.enter_context(warm_interpreters(present, guard.folder, folder / "logs", variables))

        planned = plan()
        spec, arguments, run = planned.spec, planned.arguments, planned.run
        missing = find_missing(spec.environments)
        _check_first(spec, missing, stream)
        for name in interpreters.keys() - set(spec.environments):
            interpreters.pop(name).stop()
        machine = Machine(state, guard.folder, interpreters, variables, missing)
        if any({SERVING, SERVING_ROOT} & {*needs_of(step.function)} for step in spec.steps):
            # For the steps, a root that does not exist is one that they do not see, not one without models.
            serving_root(state).mkdir(parents=True, exist_ok=True)
        if find_rollouts(spec, arguments) and GATEWAY.variable not in os.environ:
            machine.variables.update(gateway.find_variables(state))
        unaddressed = find_unaddressed(spec, arguments) if "model" not in missing else []
        if TRACKING in unaddressed and TRACKING.variable not in os.environ:
            stack.enter_context(preparing(run, spec, interpreters.get("model")))
        is_served = SERVING in unaddressed
        with _server(run, machine, options["stop_server"]) if is_served else contextlib.nullcontext():
            _execute(planned, Virtualenvs(machine, Processes(guard)), guard, stream, started)
    return run


def _run_in_containers(plan: Plan, state: Path, folder: Path, guard: Guard, stream: TextIO, started: float) -> Run:
    from tiffin.local.containers.runs import containers_of
    from tiffin.local.containers.servers import SERVING_ADDRESS

    run = plan.run
    if steps := find_rollouts(plan.spec, plan.arguments):
        raise InputError(
            f"--docker should be left out for a run with a rollout: its containers do not reach the gateway of this machine. "
            f"Received: a rollout in {', '.join(steps)}."
        )
    with containers_of(plan.spec, plan.arguments, state, folder) as containers:
        _execute(plan, containers, guard, stream, started)
        # The run's own server ends with it.
        if run.serving == SERVING_ADDRESS:
            run.serving = None
            run.save(started)
    return run


def _execute(plan: Plan, place: Place, guard: Guard, stream: TextIO, started: float) -> None:
    """Execute a run, and write its record however it ends."""
    run = plan.run
    try:
        execute(run, plan.spec, plan.arguments, place, guard.folder, stream, started)
    except KeyboardInterrupt as signal:
        run.state, run.reason = "CANCELED", f"The run was ended by {signal or 'Ctrl-C'}."
        raise
    except Exception as error:
        run.state, run.reason = "FAILED", explain(error) or repr(error)
        raise
    finally:
        run.warnings += tuple(guard.warnings)
        run.save(started)


def _describe(spec: Spec, arguments: Mapping[str, Any], folder: Path, options: dict[str, bool]) -> Run:
    """Return a new run. Its record keeps no secrets, so that a run with one as a parameter cannot be retried."""
    different, same = with_defaults(spec, arguments)
    return Run(
        spec.name,
        spec.version,
        folder,
        waiting_steps(spec),
        started=now(),
        parameters={name: masked_value(value) for name, value in different.items()},
        defaults={name: masked_value(value) for name, value in same.items()},
        options=options,
        directory=os.getcwd(),
    )


def now() -> str:
    """Return the current time in ISO 8601, with the time zone."""
    return datetime.datetime.now().astimezone().isoformat(timespec="seconds")


def waiting_steps(spec: Spec) -> list[StepProgress]:
    """Return the steps of a run before its first step."""
    return [
        StepProgress(step.component, title=step.title, is_gate=step.gate is not None, is_nested=step.is_nested)
        for step in spec.steps
    ]


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
            write_record(run.folder, run.to_json())


def _check_first(spec: Spec, missing: Mapping[str, str], stream: TextIO) -> None:
    """Raise an error if the first step has no virtualenv; warn if only later steps have none.

    A mistake in the parameters or the data is found without the virtualenvs of the later steps.
    """
    for step in spec.steps[:1]:
        if problem := missing.get(images.environment(step.image)):
            raise TiffinError(problem)
    for problem in missing.values():
        stream.write(f"warning: {printable(problem)} The run fails at the first step that needs it.\n")


@contextlib.contextmanager
def _new_folder(state: Path, name: str) -> Iterator[Path]:
    """Create the folder of a run and take the run; remove the folder if the run is refused before its first step."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(in_progress(state))
            folder = make_folder(state, name, datetime.datetime.now().astimezone())
        except (NotADirectoryError, FileExistsError):
            raise InputError(f"--state should be a folder. Received: '{state}', which is a file.") from None
        stack.enter_context(taken(folder))
        try:
            yield folder
        except (TiffinError, KeyboardInterrupt):
            # Keep the logs of steps, also on a later error, such as a server that does not end.
            if not (folder / "logs" / KFP_LOG).exists():
                shutil.rmtree(folder)
            raise
