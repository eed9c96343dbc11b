"""What columns may differ by: thresholds of the distances, from defaults, a parameter and the schema."""

import math
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tiffin.artifacts.drift import Measure
from tiffin.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from tensorflow_metadata.proto.v0 import schema_pb2

# What a distance may be beyond chance. A shift of normal numbers by 0.33 deviations has a population stability index of 0.1
# and a divergence of 0.02 bits.
THRESHOLDS: dict[Measure, float] = {
    "jensen_shannon": 0.02,
    "population_stability_index": 0.1,
    "infinity_norm": 0.1,
    "wasserstein": 0.1,
    "missing_share": 0.05,
    "new_share": 0.05,
}
# One look in 200 reports a drift without one, so that a week of daily looks does in fewer than 5 %.
LEVEL = 0.005
_COMPARATORS = ("drift", "skew")
_MEASURES: tuple[Measure, ...] = typing.get_args(Measure)


@dataclass(frozen=True)
class Limits:
    """What columns may differ by.

    Attributes:
        thresholds: Measure to its threshold and source; a threshold of None is not judged.
        columns: Column to its own thresholds.
        level: Share of false discoveries, above 0 and below 1.
    """

    thresholds: Mapping[Measure, tuple[float | None, str]] = field(
        default_factory=lambda: {measure: (threshold, "default") for measure, threshold in THRESHOLDS.items()}
    )
    columns: Mapping[str, Mapping[Measure, tuple[float | None, str]]] = field(default_factory=dict)
    level: float = LEVEL

    def find(self, column: str, measure: Measure) -> tuple[float | None, str]:
        """Return the threshold of a distance, and its source: `default`, `parameter` or `schema`."""
        return self.columns.get(column, {}).get(measure) or self.thresholds[measure]


def read_limits(
    thresholds: Mapping[str, Any] | None = None,
    schema: "schema_pb2.Schema | None" = None,
    comparator: str = "drift",
    level: float = LEVEL,
    name: str = "thresholds",
) -> Limits:
    """Return what columns may differ by. A parameter goes before the schema, and that before the defaults.

    Args:
        thresholds: Measure to threshold, such as `{"wasserstein": 0.2}`, or column to such a mapping, such as
            `{"km": {"jensen_shannon": 0.05}}`. None as threshold: not judged.
        schema: Schema whose `drift_comparator` or `skew_comparator` has thresholds of columns.
        comparator: Which of the two, `drift` or `skew`. Defaults to `drift`.
        level: Share of false discoveries, above 0 and below 1. Defaults to 0.005.
        name: Name of the parameter that has the thresholds, for messages. Defaults to `thresholds`.

    Raises:
        InputError: A measure is unknown, or a threshold or the level is out of range.
    """
    check_level(level)
    check_comparison(comparator)
    found = Limits()
    everywhere, columns = dict(found.thresholds), dict[str, dict[Measure, tuple[float | None, str]]]()
    for feature in schema.feature if schema else ():
        rule = feature.drift_comparator if comparator == "drift" else feature.skew_comparator
        own: dict[Measure, tuple[float | None, str]] = {}
        if rule.HasField("infinity_norm"):
            own["infinity_norm"] = rule.infinity_norm.threshold, "schema"
        if rule.HasField("jensen_shannon_divergence"):
            own["jensen_shannon"] = rule.jensen_shannon_divergence.threshold, "schema"
        if own:
            columns[feature.name] = own
    for key, value in (thresholds or {}).items():
        if isinstance(value, Mapping):
            for measure, threshold in value.items():
                _check(f"{name}.{key}", measure, threshold)
                columns.setdefault(key, {})[measure] = threshold, "parameter"
        else:
            _check(name, key, value)
            everywhere[key] = value, "parameter"  # type: ignore[index]
    return Limits(everywhere, columns, level)


def check_thresholds(thresholds: Any, name: str = "thresholds") -> None:
    """Raise an InputError unless `thresholds`, a parameter with this name, is a mapping as `read_limits` takes it."""
    if not isinstance(thresholds, Mapping):
        raise InputError(f"{name} should be a mapping, such as {{'wasserstein': 0.2}}. Received: {thresholds!r}.")
    read_limits(thresholds, name=name)


def check_comparison(comparison: Any) -> None:
    """Raise an InputError unless the comparison is `drift` or `skew`."""
    if comparison not in _COMPARATORS:
        raise InputError(f"comparison should be {' or '.join(_COMPARATORS)}. Received: '{comparison}'.")


def check_level(level: Any) -> None:
    """Raise an InputError unless the level is above 0 and below 1."""
    if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level < 1:
        raise InputError(f"level should be above 0 and below 1. Received: level={level!r}. The default is {LEVEL}.")


def _check(place: str, measure: Any, threshold: Any) -> None:
    if measure not in _MEASURES:
        raise InputError(
            f"{place} should have the measures {', '.join(_MEASURES)}. Received: '{measure}'."
            f"{did_you_mean(str(measure), _MEASURES)}"
        )
    is_number = isinstance(threshold, int | float) and not isinstance(threshold, bool)
    if threshold is not None and not (is_number and 0 <= threshold < math.inf):
        raise InputError(f"{place}.{measure} should be a number from 0, or null. Received: {threshold!r}.")
