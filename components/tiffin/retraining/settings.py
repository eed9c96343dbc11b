"""The parameters of the pipeline `training` that a retraining passes on.

A retraining sets the others itself: the model's name, the places of the cluster, and how the version gets into production.
"""

from collections.abc import Mapping
from typing import Any

from tiffin.errors import InputError, did_you_mean
from tiffin.retraining.spans import check_data

# Parameter of `training` to its type. A test compares them with the pipeline.
SETTINGS: Mapping[str, type] = {
    "batch_size": int,
    "column_names": list,
    "data": str,
    "data_root": str,
    "date_format": str,
    "decimal": str,
    "delimiter": str,
    "derive": dict,
    "drift_gate": str,
    "drift_thresholds": dict,
    "dropout": float,
    "epochs": int,
    "exclude": list,
    "expected_schema": str,
    "gate": dict,
    "header": str,
    "hidden_units": list,
    "hyperparameters": dict,
    "key": str,
    "label": str,
    "learning_rate": float,
    "max_bad_share": float,
    "min_slice_rows": int,
    "missing_values": list,
    "model_code": str,
    "partitions": str,
    "reuse": bool,
    "seed": int,
    "sensitive": list,
    "slices": list,
    "splits": dict,
    "task": str,
    "thousands": str,
    "thresholds": dict,
    "types": dict,
    "unreadable_dates": str,
    "weight_decay": float,
}
_WORDS = {
    str: "a text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    list: "a list",
    dict: "a mapping",
}


def check_settings(training: Mapping[str, Any]) -> None:
    """Raise an InputError unless the parameter `training` has parameters of `training` with values of their types."""
    for name, value in training.items():
        if name not in SETTINGS:
            raise InputError(
                f"training should have parameters of the pipeline training that a retraining passes on: "
                f"{', '.join(sorted(SETTINGS))}. Received: '{name}'.{did_you_mean(name, SETTINGS)}"
            )
        if as_type(value, SETTINGS[name]) is None:
            raise InputError(f"{name} in training should be {_WORDS[SETTINGS[name]]}. Received: {value!r}.")
    check_data(str(training.get("data", "")))


def complete(training: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return every setting with the value in `training`, else with its default; numbers have their types.

    KFP makes whole numbers in mappings floats.

    Args:
        training: Parameter to value.
        defaults: Parameter to the default of the pipeline `training`.

    Raises:
        InputError: A parameter does not exist, or a value has another type; or a default is missing.
    """
    check_settings(training)
    values = {**defaults, **training}
    if absent := sorted(set(SETTINGS) - set(values)):
        raise InputError(
            f"defaults should have all parameters that a retraining passes on. Received: none of '{absent[0]}'."
        )
    return {name: as_type(values[name], kind) for name, kind in SETTINGS.items()}


def as_type(value: Any, kind: type) -> Any:
    """Return a value as a type, with whole numbers in lists and mappings as int; None if it is of another one."""
    if kind is int:
        whole = isinstance(value, int | float) and not isinstance(value, bool) and float(value).is_integer()
        return int(value) if whole else None
    if kind is float:
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return _whole(value) if isinstance(value, kind) else None


def _whole(value: Any) -> Any:
    if isinstance(value, list):
        return [_whole(one) for one in value]
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    return int(value) if isinstance(value, float) and value.is_integer() else value
