"""The gate document: the rules that a model must meet. Imports nothing heavy, so it can be checked before a run starts.

bounds:                       # absolute bounds of metrics
  - {metric: auc, min: 0.9}
  - {metric: recall, of_class: "3", min: 0.5}
  - {metric: log_loss, max: 0.3, interval: true}
min_rows: 1000                # rows of the split
calibration: 0.05             # maximum of calibration_error
baseline: {gain: 0.1}         # share of the loss of guessing that the model must save
champion: {mode: not_worse, margin: 0.05, incomparable: stop}
serving: {max_size_mb: 100, max_load_seconds: 10, max_p99_ms: 20}
slices:
  - {columns: [city], metric: log_loss, max: 0.5, min_rows: 200}
fairness:
  - {column: gender, measure: equalized_odds_difference, max: 0.1}
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.model import Task
from tiffin.errors import InputError, StorageError, did_you_mean
from tiffin.quality.definitions import FAIRNESS, HIGHER_IS_BETTER, MEASURES, METRICS, OF_A_CLASS

# Fewest rows of a slice, unless a parameter or a rule says otherwise.
MIN_SLICE_ROWS = 100
_FILE = "file"


@dataclass(frozen=True)
class Bound:
    """Bounds of a metric.

    Attributes:
        metric: Name of the metric.
        min: Smallest value that passes; None for no minimum.
        max: Largest value that passes; None for no maximum.
        of_class: Class whose recall is bounded; empty for the metric of all classes.
        interval: Whether the whole 95 % interval must be within the bounds, rather than the value.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    of_class: str = ""
    interval: bool = False


@dataclass(frozen=True)
class Baseline:
    """The rule against guessing: a model must be better with 95 % confidence, by more than the share `gain` of its loss."""

    gain: float = 0.0


@dataclass(frozen=True)
class Production:
    """The rule against the model in production, the champion, by the task's main metric on the same rows.

    Attributes:
        mode: `not_worse`: not shown to be worse with 95 % confidence, and not worse by more than the margin on these rows.
            `improvement`: shown to be better with 95 % confidence. `non_inferiority`: shown with 95 % confidence to be worse
            by less than the margin. `off`: no comparison.
        margin: Share of the champion's metric that a model may be worse by.
        incomparable: Whether a champion that cannot be compared stops the model: `stop` or `pass`.
    """

    mode: Literal["not_worse", "improvement", "non_inferiority", "off"] = "not_worse"
    margin: float = 0.05
    incomparable: Literal["stop", "pass"] = "stop"


@dataclass(frozen=True)
class ServingRule:
    """The rule for a model server that is started for the evaluation only.

    Attributes:
        mode: `on`: it must load the model and answer real rows as the model in training. `off`: no server is started.
        max_size_mb: Maximum size of the SavedModel in MB (1,000,000 bytes); None for no bound.
        max_load_seconds: Maximum of the seconds to load the model, with its warm-up requests; None for no bound.
        max_p99_ms: Maximum of the 99th percentile of the durations of requests with one row, in milliseconds; None for no
            bound.
    """

    mode: Literal["on", "off"] = "on"
    max_size_mb: float | None = None
    max_load_seconds: float | None = None
    max_p99_ms: float | None = None


@dataclass(frozen=True)
class SliceRule:
    """Bounds of a metric in every slice by a column or by a pair of columns that has at least `min_rows` rows."""

    columns: tuple[str, ...]
    metric: str
    min: float | None = None
    max: float | None = None
    min_rows: int = MIN_SLICE_ROWS


@dataclass(frozen=True)
class FairnessRule:
    """Bounds of a difference or a ratio between the groups of a sensitive column."""

    column: str
    measure: str
    min: float | None = None
    max: float | None = None


@dataclass(frozen=True)
class Gate:
    """The gate document.

    Attributes:
        bounds: Absolute bounds of metrics.
        min_rows: Fewest rows of the split.
        calibration: Maximum of calibration_error; None for no bound.
        baseline: Rule against guessing.
        champion: Rule against the model in production.
        serving: Rule for a model server.
        slices: Rules of slices.
        fairness: Rules of sensitive columns.
    """

    bounds: tuple[Bound, ...] = ()
    min_rows: int = 0
    calibration: float | None = None
    baseline: Baseline = Baseline()
    champion: Production = Production()
    serving: ServingRule = ServingRule()
    slices: tuple[SliceRule, ...] = ()
    fairness: tuple[FairnessRule, ...] = ()


def read_gate(
    gate: Mapping[str, Any] | None, thresholds: Mapping[str, Any] | None = None, task: Task | None = None
) -> Gate:
    """Return the gate document, with the thresholds as absolute bounds.

    Args:
        gate: The document, or `{"file": LOCATION}` of a YAML or JSON file, local, `gs://` or `s3://`. Defaults to none.
        thresholds: Metric name to bound: a minimum where higher is better, a maximum otherwise. Defaults to none.
        task: Task of the model; None if unknown, which allows the metrics of all tasks.

    Raises:
        InputError: The document is invalid; the message has the path of the fault. Or a threshold differs from a bound.
        StorageError: The file cannot be read.
    """
    found, place = dict(gate or {}), "gate"
    if _FILE in found:
        place = _location(found)
        found = _read_file(place)
    document = documents.convert(_plain(found), Gate, place)
    _check(document, place, task)
    check_thresholds(thresholds or {}, task)
    bounds = list(document.bounds)
    for name, bound in sorted((thresholds or {}).items()):
        side = "min" if HIGHER_IS_BETTER[name] else "max"
        for number, other in enumerate(document.bounds):
            if other.metric == name and not other.of_class and getattr(other, side) not in (None, float(bound)):
                raise InputError(
                    f"thresholds and gate should have the same bound of a metric. Received: thresholds['{name}']={bound!r} "
                    f"and {place}.bounds[{number}].{side}={getattr(other, side)!r}. Remove one of them."
                )
        short = Bound(name, min=float(bound)) if side == "min" else Bound(name, max=float(bound))
        if short not in bounds:
            bounds.append(short)
    return replace(document, bounds=tuple(bounds))


def check_gate(gate: Mapping[str, Any]) -> None:
    """Raise an InputError unless `gate` is a gate document; a file is checked if it is on this machine."""
    if _FILE in gate:
        place = _location(gate)
        if "://" in place or not Path(place).is_file():
            return
    read_gate(gate)


def check_thresholds(thresholds: Mapping[str, Any], task: Task | None = None) -> None:
    """Raise an InputError unless each threshold names a metric and is a number.

    Args:
        thresholds: Metric name to bound.
        task: Task of the model; None if unknown, which allows the metrics of all tasks.
    """
    known = METRICS[task] if task else tuple(HIGHER_IS_BETTER)
    for name, bound in thresholds.items():
        if name not in known:
            raise InputError(
                f"thresholds should name metrics{f' of the task {task}' if task else ''}: {', '.join(known)}. "
                f"Received: thresholds['{name}'].{did_you_mean(name, known)}"
            )
        if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
            raise InputError(
                f"thresholds should be finite numbers. Received: thresholds['{name}']={bound!r}. "
                "Pass a number, such as 0.9."
            )


def _location(gate: Mapping[str, Any]) -> str:
    location = gate[_FILE]
    if not isinstance(location, str) or not location or len(gate) > 1:
        raise InputError(
            "gate should be a document, or only the location of its file. "
            f"Received: {dict(gate)!r}. Move the other rules into the file."
        )
    return location


def _read_file(location: str) -> dict[str, Any]:
    import yaml

    try:
        text = storage.read_text(location)
    except (StorageError, OSError) as error:
        raise InputError(f"gate.file should be a readable YAML or JSON file. Received: '{location}'. {error}") from None
    try:
        found = json.loads(text) if location.endswith(".json") else yaml.safe_load(text)
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", getattr(error, "lineno", 1) - 1) + 1
        raise InputError(f"gate.file should be YAML or JSON. Received: '{location}', invalid at line {line}.") from None
    if found is not None and not isinstance(found, dict):
        raise InputError(
            f"gate.file should have a mapping of rules. Received: '{location}' with a {type(found).__name__}."
        )
    return found or {}


def _plain(value: Any) -> Any:
    """Return a value with numbers and words as they were meant.

    A backend of KFP may pass the number 100 as 100.0, and YAML reads the words on and off as booleans.
    """
    if isinstance(value, Mapping):
        return {
            key: ("on" if item else "off") if key == "mode" and isinstance(item, bool) else _plain(item)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _check(gate: Gate, place: str, task: Task | None) -> None:
    known, measures = (METRICS[task], MEASURES[task]) if task else (tuple(HIGHER_IS_BETTER), tuple(FAIRNESS))
    of_task = f" of the task {task}" if task else ""
    for number, rule in enumerate(gate.bounds):
        at = f"{place}.bounds[{number}]"
        if rule.of_class:
            _one_of(f"{at}.metric", rule.metric, (OF_A_CLASS,), " that can be bounded for a class")
        else:
            _one_of(f"{at}.metric", rule.metric, known, of_task)
        _limits(at, rule.min, rule.max)
    _at_least(f"{place}.min_rows", gate.min_rows)
    if gate.calibration is not None:
        _at_least(f"{place}.calibration", gate.calibration)
        if "calibration_error" not in known:
            raise InputError(f"{place}.calibration needs a classification. Received: a model of the task {task}.")
    _at_least(f"{place}.baseline.gain", gate.baseline.gain)
    _at_least(f"{place}.champion.margin", gate.champion.margin)
    for name in ("max_size_mb", "max_load_seconds", "max_p99_ms"):
        if (limit := getattr(gate.serving, name)) is not None:
            _at_least(f"{place}.serving.{name}", limit)
            if gate.serving.mode == "off":
                raise InputError(
                    f"{place}.serving.{name} needs a model server. Received: {place}.serving.mode='off'. Remove one of them."
                )
    for number, cut in enumerate(gate.slices):
        at = f"{place}.slices[{number}]"
        if len(set(cut.columns)) not in (1, 2) or len(set(cut.columns)) != len(cut.columns):
            raise InputError(
                f"{at}.columns should be a list of one column or of two different ones. Received: {list(cut.columns)!r}."
            )
        _one_of(f"{at}.metric", cut.metric, known, of_task)
        _limits(at, cut.min, cut.max)
        _at_least(f"{at}.min_rows", cut.min_rows, 1)
    for number, fair in enumerate(gate.fairness):
        at = f"{place}.fairness[{number}]"
        _one_of(f"{at}.measure", fair.measure, measures, of_task, "a measure")
        _limits(at, fair.min, fair.max)


def _one_of(at: str, name: str, known: tuple[str, ...], which: str, what: str = "a metric") -> None:
    if name not in known:
        raise InputError(
            f"{at} should be {what}{which}: {', '.join(known)}. Received: {at}={name!r}.{did_you_mean(name, known)}"
        )


def _limits(at: str, low: float | None, high: float | None) -> None:
    if low is None and high is None:
        raise InputError(f"{at} should have a bound. Received: neither {at}.min nor {at}.max. Add one of them.")
    for side, value in (("min", low), ("max", high)):
        if value is not None and not math.isfinite(value):
            raise InputError(f"{at}.{side} should be a finite number. Received: {at}.{side}={value!r}.")
    if low is not None and high is not None and low > high:
        raise InputError(f"{at}.min should be at most {at}.max. Received: {low!r} and {high!r}.")


def _at_least(at: str, value: float, least: float = 0) -> None:
    if not least <= value < math.inf:
        raise InputError(f"{at} should be a number of at least {least}. Received: {at}={value!r}.")
