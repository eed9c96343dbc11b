"""The MLflow that a run is logged to: its database is created while the first steps run, and its address is found after."""

import contextlib
import os
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from tiffin import images
from tiffin.artifacts.logs import STOP_LOGGED
from tiffin.local.interpreters import Interpreter, fork
from tiffin.local.records import database
from tiffin.local.results import Run, find_lines, own_tracking_uri
from tiffin.masking import masked
from tiffin.specs.services import needs_of
from tiffin.specs.spec import Spec
from tiffin.stages.traits import TRACKING, database_uri

_LOOK_SECONDS = 0.2


@contextlib.contextmanager
def preparing(run: Run, spec: Spec, interpreter: Interpreter | None) -> Iterator[None]:
    """Create MLflow's tables in the database of a state folder that has none, beside the steps that the block runs.

    Otherwise the first step that needs them creates them, which takes it a second. It begins with the first step in the
    interpreter's environment, so that a run that fails before leaves no database.

    Args:
        run: The run, which changes as its steps run.
        spec: Its pipeline.
        interpreter: A warm interpreter to fork once it is idle; None to leave it to the step.
    """
    over, file = threading.Event(), database(run.folder.parents[1])

    def prepare() -> None:
        assert interpreter is not None  # noqa: S101 - for the type checker
        here = {step.component for step in spec.steps if images.environment(step.image) == interpreter.environment}
        while not over.wait(_LOOK_SECONDS):
            has_begun = any(step.name in here and step.log for step in run.steps)
            if has_begun and interpreter.is_idle and not run.failed_step:
                fork(interpreter, ["tiffin.tracking", database_uri(file)])
                return

    if interpreter is not None and not file.exists():
        threading.Thread(target=prepare, name="database", daemon=True).start()
    try:
        yield
    finally:
        over.set()


def find_tracking(run: Run, spec: Spec, arguments: Mapping[str, Any]) -> str | None:
    """Return the MLflow tracking URI that a run was logged to, masked; None if it was not.

    Args:
        run: A run whose steps have ended.
        spec: Its pipeline.
        arguments: Parameter values by name.
    """
    is_stop_logged = bool(find_lines(run, STOP_LOGGED))
    # Further iterations of a loop have a number behind a dot.
    logged = {
        step.name.partition(".")[0]
        for step in run.steps
        if step.has_outputs or (step.is_gate and step.state == "failed" and is_stop_logged)
    }
    for step in spec.steps:
        if step.component in logged and TRACKING in needs_of(step.function):
            parameter = step.inputs.get(TRACKING.parameter, "")
            default = spec.parameters[parameter].default if parameter in spec.parameters else None
            given = step.constants.get(TRACKING.parameter) or arguments.get(parameter, default)
            uri = given or os.environ.get(TRACKING.variable)
            return masked(str(uri)) if uri else own_tracking_uri(run)
    return None
