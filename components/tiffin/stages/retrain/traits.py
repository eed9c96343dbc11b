"""Traits of the retrain stage's components."""

from collections.abc import Mapping
from typing import Any

from tiffin.errors import InputError
from tiffin.retraining.decision import check_budget, check_cool_down, check_roll_back_hours
from tiffin.retraining.settings import check_settings
from tiffin.retraining.spans import check_spans
from tiffin.stages.retrain.parameters import check_policy, check_trigger
from tiffin.stages.traits import RECORDED, S3, SERVING_ROOT, Location, Traits

# The components that the settings of a retraining reach; their rules hold for the settings too.
_REACHED = ("ingest_examples", "validate_examples", "train_model", "evaluate_model")


def check_training(training: Mapping[str, Any]) -> None:
    """Raise an InputError unless the parameter `training` has parameters of the pipeline `training` that follow its rules."""
    from tiffin.stages import find_components

    if not isinstance(training, Mapping):
        raise InputError(f'training should be a mapping, such as {{"label": "late"}}. Received: {training!r}.')
    rows = [find_components()[name] for name in _REACHED]
    check_settings(training, {name: rule for row in rows for name, rule in row.rules.items()})


COMPONENTS = {
    "plan_retraining": Traits(
        "data",
        needs=(RECORDED, SERVING_ROOT, S3),
        locations={
            "log_root": Location("pass a gs:// or s3:// URI"),
            "state": Location("pass a gs:// or s3:// URI"),
            "serving_root": Location("pass the gs:// URI of the serving root"),
        },
        rules={
            "training": check_training,
            "trigger": check_trigger,
            "policy": check_policy,
            "spans": check_spans,
            "cool_down_hours": check_cool_down,
            "max_per_week": check_budget,
            "roll_back_hours": check_roll_back_hours,
        },
        policy="policy",
    ),
    "prepare_retraining": Traits("data"),
}
