"""The MLflow that a run was logged to."""

import os
from collections.abc import Mapping
from typing import Any

from tiffin.artifacts.logs import STOP_LOGGED
from tiffin.local.results import Run, find_lines, own_tracking_uri
from tiffin.masking import masked
from tiffin.specs.services import needs_of
from tiffin.specs.spec import Spec
from tiffin.stages.traits import TRACKING


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
        if step.state == "succeeded" or (step.is_gate and step.state == "failed" and is_stop_logged)
    }
    for step in spec.steps:
        if step.component in logged and TRACKING in needs_of(step.function):
            parameter = step.inputs.get(TRACKING.parameter, "")
            default = spec.parameters[parameter].default if parameter in spec.parameters else None
            given = step.constants.get(TRACKING.parameter) or arguments.get(parameter, default)
            uri = given or os.environ.get(TRACKING.variable)
            return masked(str(uri)) if uri else own_tracking_uri(run)
    return None
