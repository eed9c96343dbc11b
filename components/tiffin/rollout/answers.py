"""The answers of both versions, as rows of the prediction log: which outputs are compared, and how."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tiffin.rollout.statistics.agreement import Rule, find_spread
from tiffin.serving.log_rows import Batch
from tiffin.serving.prediction_log import INPUT, OUTPUT, UNNAMED_OUTPUT

# Columns of the log that are needed, besides inputs and outputs.
COLUMNS = ("request_id", "row", "rows", "time", "version", "route", "signature", "code")
# Answers of the stable version from which the outputs are chosen, at least and at most.
LEAST_SAMPLE, MOST_SAMPLE = 20, 1000
# Outputs, values of one output, and inputs of a row that are read at most; longer texts and lists of inputs are cut.
_MOST_OUTPUTS, _MOST_VALUES, _MOST_INPUTS, _LONGEST = 20, 1000, 50, 100
# Values of one output whose distributions are compared, and bins of each.
_MOST_PARTS, _BINS = 10, 50


@dataclass(frozen=True)
class Output:
    """An output that is compared.

    Attributes:
        name: Its name.
        kind: `probability` of one class or `class` of several, of a model that Tiffin trained; `number` of any other.
        width: Number of values of a row.
        spread: Spread of the numbers in the first answers of the stable version; 1 for probabilities.
        bounds: Bounds of the bins in which predictions are counted, for each part of the output.
    """

    name: str
    kind: Literal["class", "probability", "number"]
    width: int
    spread: float
    bounds: tuple[tuple[float, ...], ...]

    @property
    def rule(self) -> Rule:
        """How two answers are compared."""
        return Rule(self.kind, self.spread)

    @property
    def parts(self) -> list[str]:
        """Names of the parts whose distributions are compared: the output, or each of several numbers up to the tenth."""
        return [self.name] if len(self.bounds) == 1 else [f"{self.name}[{index}]" for index in range(len(self.bounds))]

    def values_of(self, part: int, values: np.ndarray) -> np.ndarray:
        """Return the values of a part, `[rows]`, from those of the output, `[rows, values]`: of classes, the likeliest one."""
        found: np.ndarray = values.argmax(axis=1).astype(float) if self.kind == "class" else values[:, part]
        return found


@dataclass(frozen=True)
class Choice:
    """Which answers are compared.

    Attributes:
        signature: The signature that most requests call.
        outputs: Its outputs with numbers.
        left_out: Its other outputs, such as texts.
    """

    signature: str
    outputs: tuple[Output, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A row of a request that one version answered.

    Attributes:
        key: The request's ID, and the number of the row if it has several.
        micros: Time of the request, in microseconds since 1970.
        values: Values of each output, in the order of the choice.
        inputs: Input to its value; empty where it is not needed.
    """

    key: str
    micros: int
    values: tuple[tuple[float, ...], ...]
    inputs: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Versions:
    """Whose answers are compared, and since when.

    Attributes:
        stable: Version in production.
        candidate: Candidate.
        first: Time of the first answers, in microseconds since 1970.
        last: Time of the last ones.
    """

    stable: int
    candidate: int
    first: int
    last: int

    def find_rows(self, batch: Batch) -> Iterator[int]:
        """Yield the indices of the rows of a batch that one of both versions has got in that time."""
        expected = {"stable": self.stable, "candidate": self.candidate, "mirror": self.candidate}
        for index, (route, version, micros) in enumerate(
            zip(batch["route"], batch["version"], batch["time"], strict=True)
        ):
            if version == expected.get(route) and self.first <= micros <= self.last:
                yield index


def choose(sample: Sequence[Mapping[str, Any]]) -> Choice:
    """Return which answers are compared.

    Args:
        sample: Successful rows of the stable version: column of the log to its value.
    """
    signature = Counter(row["signature"] or "" for row in sample).most_common(1)[0][0]
    rows = [row for row in sample if (row["signature"] or "") == signature]
    names = sorted(
        {name for row in rows for name, value in row.items() if name.startswith(OUTPUT) and value is not None}
    )
    if len(names) > 1 and UNNAMED_OUTPUT in names:
        # REST gives the values of the only output without its name.
        names.remove(UNNAMED_OUTPUT)
    plain = {name.removeprefix(OUTPUT) for name in names}
    outputs: list[Output] = []
    for name in names:
        values = [row[name] for row in rows if row.get(name) is not None]
        found = _read_values(values, len(np.atleast_1d(values[0])) if _is_numeric(values[0]) else 0)
        if found is not None and len(outputs) < _MOST_OUTPUTS:
            outputs.append(_make_output(name.removeprefix(OUTPUT), found, "classes" in plain))
    known = {output.name for output in outputs}
    return Choice(signature, tuple(outputs), tuple(sorted(plain - known)))


def read_rows(
    batch: Batch, choice: Choice, versions: Versions, skipped: Counter[str], *, with_inputs: bool
) -> dict[str, list[Row]]:
    """Return the rows of a batch by route: stable, candidate and mirror.

    Args:
        batch: Rows of the log.
        choice: Which answers are compared.
        versions: Whose they are.
        skipped: Is given the number of rows that are left out by reason: `failed` requests, other `signatures`, and `values`
            that are missing or of another shape.
        with_inputs: Whether the rows of the stable version have their inputs.
    """
    columns = [(batch.get(OUTPUT + output.name), output.width) for output in choice.outputs]
    unnamed = batch.get(UNNAMED_OUTPUT) if len(columns) == 1 else None
    inputs = [name for name in batch if name.startswith(INPUT)]
    found: dict[str, list[Row]] = {"stable": [], "candidate": [], "mirror": []}
    for index in versions.find_rows(batch):
        if batch["code"][index] != "OK":
            skipped["failed"] += 1
        elif (batch["signature"][index] or "") != choice.signature:
            skipped["signatures"] += 1
        else:
            values = [_read_value(column, unnamed, index, width) for column, width in columns]
            if not values or None in values:
                skipped["values"] += 1
                continue
            key, route = batch["request_id"][index] or "", batch["route"][index]
            if (batch["rows"][index] or 1) > 1:
                key = f"{key}/{batch['row'][index]}"
            given = {name.removeprefix(INPUT): _shorten(batch[name][index]) for name in inputs} if with_inputs else {}
            row = Row(key, batch["time"][index], tuple(values), given if route == "stable" else {})  # type: ignore[arg-type]
            found[route].append(row)
    return found


def wanted_columns(columns: Sequence[str], *, with_inputs: bool) -> list[str]:
    """Return the columns of a file that are read."""
    inputs = [name for name in columns if name.startswith(INPUT)][:_MOST_INPUTS] if with_inputs else []
    return [*COLUMNS, *inputs, *(name for name in columns if name.startswith(OUTPUT))]


def _make_output(name: str, values: np.ndarray, has_classes: bool) -> Output:
    width = values.shape[1]
    kind: Literal["class", "probability", "number"] = "number"
    # Tiffin's models have the output `classes` beside these.
    if has_classes and ((values >= 0) & (values <= 1)).all():
        kind = "probability" if (name, width) == ("probability", 1) else kind
        kind = "class" if name == "probabilities" and width > 1 else kind
    if kind == "class":
        return Output(name, kind, width, 1.0, (tuple(number + 0.5 for number in range(width - 1)),))
    if kind == "probability":
        return Output(name, kind, width, 1.0, (tuple(number / _BINS for number in range(1, _BINS)),))
    parts = range(width if width <= _MOST_PARTS else 0)
    return Output(name, kind, width, find_spread(values), tuple(_find_bounds(values[:, part]) for part in parts))


def _find_bounds(values: np.ndarray) -> tuple[float, ...]:
    """Return bounds between which about as many of the values are."""
    finite = values[np.isfinite(values)]
    return tuple(np.unique(np.quantile(finite, np.linspace(0, 1, _BINS + 1))).tolist()) if len(finite) else (0.0,)


def _is_numeric(value: Any) -> bool:
    return isinstance(value, bool | int | float) or (
        isinstance(value, list) and 0 < len(value) <= _MOST_VALUES and all(map(_is_numeric, value))
    )


def _read_values(values: Sequence[Any], width: int) -> np.ndarray | None:
    """Return values as `[rows, values]`; None unless all are numbers, as many in each row."""
    found = [_read_value(values, None, index, width) for index in range(len(values))]
    return None if not width or None in found else np.array(found, dtype=np.float64)


def _read_value(
    column: Sequence[Any] | None, unnamed: Sequence[Any] | None, index: int, width: int
) -> tuple[float, ...] | None:
    """Return the values of a row; None unless it has as many numbers."""
    value = None if column is None else column[index]
    if value is None and unnamed is not None:
        value = unnamed[index]
    if not isinstance(value, list):
        value = [value]
    if len(value) != width or not all(isinstance(one, bool | int | float) for one in value):
        return None
    return tuple(map(float, value))


def _shorten(value: Any) -> object:
    """Return the value of an input as a document has it: cut, and a number that is none, as of missing values, as None."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, str):
        return value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
    if isinstance(value, list):
        return [*map(_shorten, value[:_LONGEST]), *["…"] * (len(value) > _LONGEST)]
    return value
