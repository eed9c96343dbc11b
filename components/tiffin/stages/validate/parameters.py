"""Rules of the validate stage's parameters. Imports nothing heavy, so they can be checked before a run starts."""

from typing import Any

from tiffin.drift.limits import check_thresholds
from tiffin.errors import InputError, did_you_mean

# What drift from the training data of the model in production does: nothing, since it is not looked for; a report; or an end
# of the run.
DRIFT_GATES = ("off", "report", "stop")


def check_drift_gate(mode: Any) -> None:
    """Raise an InputError unless the parameter `drift_gate` is `off`, `report` or `stop`."""
    if mode not in DRIFT_GATES:
        raise InputError(
            f"drift_gate should be one of: {', '.join(DRIFT_GATES)}. Received: drift_gate={mode!r}."
            f"{did_you_mean(str(mode), DRIFT_GATES)}"
        )


def check_drift_thresholds(thresholds: Any) -> None:
    """Raise an InputError unless the parameter `drift_thresholds` has thresholds by measure or by column."""
    check_thresholds(thresholds, "drift_thresholds")
