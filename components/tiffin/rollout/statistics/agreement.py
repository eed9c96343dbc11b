"""Compare the answers of both versions to the same rows, as shadow mode has them, batch by batch in bounded memory.

Classes agree if they are the same: the largest value, or on which side of 0.5 a single probability is. Numbers agree if they
differ by no more than a tolerance times the spread of the stable version. The state has counts, sums, bins and the rows that
differ most; states of several processes add up.
"""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from tiffin.errors import InputError
from tiffin.rollout.statistics import histograms, intervals
from tiffin.rollout.statistics.histograms import Histogram
from tiffin.rollout.statistics.intervals import Interval, Moments

# Rows with the largest differences that are kept.
LARGEST = 10
# Bounds of the bins of differences, as parts of the spread: 20 for each power of ten, so that quantiles are exact to 12 %.
_BINS = tuple(10 ** (power / 20) for power in range(-120, 61))


@dataclass(frozen=True)
class Rule:
    """How two answers are compared.

    Attributes:
        kind: `class` of probabilities, `[rows, classes]`; `probability` of one class, `[rows]` or `[rows, 1]`; or `number`,
            `[rows]` or `[rows, values]`.
        spread: Spread of the stable version's numbers, above 0, such as of `find_spread`. 1 for probabilities.
        tolerance: Part of the spread by which numbers that agree may differ. Defaults to 0.01.
    """

    kind: Literal["class", "probability", "number"]
    spread: float = 1.0
    tolerance: float = 0.01

    def __post_init__(self) -> None:
        if not (0 < self.spread < math.inf and 0 <= self.tolerance < math.inf):
            raise InputError(
                "A rule's spread should be finite and above 0, its tolerance finite and at least 0. "
                f"Received: spread {self.spread}, tolerance {self.tolerance}."
            )


@dataclass(frozen=True)
class Pair:
    """One row with the answers of both versions.

    Attributes:
        key: ID of the row.
        difference: Largest absolute difference of the row's values.
        stable: Values of the stable version.
        candidate: Values of the candidate.
        inputs: Input to the row's value in it.
    """

    key: str
    difference: float
    stable: tuple[float, ...]
    candidate: tuple[float, ...]
    inputs: dict[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Output:
    """The answers in one output of the model.

    Attributes:
        rule: How they are compared.
        agreeing: Pairs that agree.
        differences: Moments of the largest absolute difference of each pair; pairs with values that are not finite are left
            out.
        bins: Their histogram.
        largest: Pairs with the largest differences, largest first; pairs without any difference are left out.
        not_finite_stable: Rows of the stable version with values that are not finite. Such pairs do not agree, unless both
            versions have the same values.
        not_finite_candidate: The same of the candidate.
    """

    rule: Rule
    agreeing: int = 0
    differences: Moments = field(default_factory=Moments)
    bins: Histogram = field(default_factory=Histogram)
    largest: tuple[Pair, ...] = ()
    not_finite_stable: int = 0
    not_finite_candidate: int = 0

    def quantile(self, share: float) -> float | None:
        """Return a quantile of the absolute differences, exact to 12 %; None without pairs."""
        return histograms.quantile(self.bins, share)


@dataclass(frozen=True)
class Agreement:
    """The answers of both versions so far.

    Attributes:
        outputs: Output to its comparison.
        pairs: Rows that both versions answered.
        agreeing: Pairs that agree in all outputs.
        unpaired_stable: Rows of the stable version without an answer of the candidate in the same batch.
        unpaired_candidate: Rows of the candidate without an answer of the stable version in the same batch.
        repeated: Rows of either version whose ID another row of the batch had before; they are left out.
    """

    outputs: dict[str, Output]
    pairs: int = 0
    agreeing: int = 0
    unpaired_stable: int = 0
    unpaired_candidate: int = 0
    repeated: int = 0

    @property
    def share(self) -> float | None:
        """Share of pairs that agree, from 0 to 1; None without pairs."""
        return self.agreeing / self.pairs if self.pairs else None

    def interval(self, *, level: float = 0.05) -> Interval:
        """Return the interval of the share that agrees; valid at all looks."""
        return intervals.share_interval(self.agreeing, self.pairs, level=level)


@dataclass(frozen=True)
class Answers:
    """Rows of a batch that one version answered.

    Attributes:
        keys: ID of each row, unique in the batch: the request's ID and, if requests have several rows, the row's number.
        outputs: Output to its values, `[rows]` or `[rows, values]`.
        inputs: Input to its values, `[rows, ...]`; needed of the stable version only. Defaults to none.
    """

    keys: Sequence[str]
    outputs: Mapping[str, np.ndarray]
    inputs: Mapping[str, np.ndarray] = field(default_factory=dict)


def start(rules: Mapping[str, Rule]) -> Agreement:
    """Return the state without any pair.

    Args:
        rules: Output to how it is compared; other outputs are left out.
    """
    return Agreement({name: Output(rule) for name, rule in rules.items()})


def find_spread(values: np.ndarray) -> float:
    """Return the standard deviation of the finite values, or of their distance from 0 if they are all the same; at least tiny."""
    finite = values[np.isfinite(values)].astype(np.float64)
    spread = float(finite.std()) if len(finite) else 0.0
    return spread or (float(np.abs(finite).max()) if len(finite) else 0.0) or 1.0


def pair(stable: Sequence[str], candidate: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Return the indices of the rows that have the same ID, in the order of the stable version; of repeated IDs, the first."""
    places: dict[str, int] = {}
    for index, key in enumerate(candidate):
        places.setdefault(key, index)
    found = [(index, places.pop(key)) for index, key in enumerate(stable) if key in places]
    pairs = np.array(found, dtype=np.int64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def add(agreement: Agreement, stable: Answers, candidate: Answers, *, largest: int = LARGEST) -> Agreement:
    """Return the state with another batch.

    Args:
        agreement: The state before.
        stable: Answers of the stable version.
        candidate: Answers of the candidate, in any order.
        largest: Number of rows with the largest differences to keep. Defaults to 10.

    Raises:
        InputError: An output is missing, or its values are not numbers of the same shape in both versions, one for each ID.
    """
    left, right = pair(stable.keys, candidate.keys)
    agrees = np.ones(len(left), bool)
    outputs = {}
    for name, output in agreement.outputs.items():
        ours = _values(name, output.rule, stable, "stable")[left]
        theirs = _values(name, output.rule, candidate, "candidate")[right]
        if ours.shape != theirs.shape:
            raise InputError(
                f"The output '{name}' should have the same number of values in both versions. "
                f"Received: {ours.shape[1]} of the stable version, {theirs.shape[1]} of the candidate."
            )
        outputs[name], same = _compare(output, stable, left, ours, theirs, largest)
        agrees &= same
    keys = {*stable.keys}, {*candidate.keys}
    return replace(
        agreement,
        outputs=outputs,
        pairs=agreement.pairs + len(left),
        agreeing=agreement.agreeing + int(agrees.sum()),
        unpaired_stable=agreement.unpaired_stable + len(keys[0]) - len(left),
        unpaired_candidate=agreement.unpaired_candidate + len(keys[1]) - len(left),
        repeated=agreement.repeated + len(stable.keys) - len(keys[0]) + len(candidate.keys) - len(keys[1]),
    )


def merge(states: Iterable[Agreement], *, largest: int = LARGEST) -> Agreement:
    """Return the sum of states.

    Args:
        states: At least one state; all with the same rules.
        largest: Number of rows with the largest differences to keep. Defaults to 10.

    Raises:
        InputError: The rules differ.
    """
    first, *others = states
    for other in others:
        rules = [{name: output.rule for name, output in state.outputs.items()} for state in (first, other)]
        if rules[0] != rules[1]:
            raise InputError(f"States should have the same rules to be added up. Received: {rules[0]} and {rules[1]}.")
        first = Agreement(
            {name: _add(output, other.outputs[name], largest) for name, output in first.outputs.items()},
            first.pairs + other.pairs,
            first.agreeing + other.agreeing,
            first.unpaired_stable + other.unpaired_stable,
            first.unpaired_candidate + other.unpaired_candidate,
            first.repeated + other.repeated,
        )
    return first


def _values(name: str, rule: Rule, answers: Answers, side: str) -> np.ndarray:
    """Return an output as `[rows, values]` of float64."""
    values = answers.outputs.get(name)
    rows = len(answers.keys)
    if (
        values is None
        or values.dtype.kind not in "fiub"
        or values.ndim not in (1, 2)
        or len(values) != rows
        or (rule.kind == "class" and values.ndim == 1)
        or (rule.kind == "probability" and values.ndim == 2 and values.shape[1] != 1)
    ):
        found = "none" if values is None else f"{values.dtype} of shape {values.shape}"
        raise InputError(
            f"The output '{name}' of the {side} version should have numbers of the kind '{rule.kind}' for {rows} rows. "
            f"Received: {found}."
        )
    exact: np.ndarray = values.astype(np.float64)
    return exact.reshape(rows, -1) if rows else exact.reshape(0, values.shape[1] if values.ndim == 2 else 1)


def _compare(
    output: Output, stable: Answers, rows: np.ndarray, ours: np.ndarray, theirs: np.ndarray, largest: int
) -> tuple[Output, np.ndarray]:
    """Return an output with pairs, and which of them agree."""
    rule = output.rule
    finite = np.isfinite(ours), np.isfinite(theirs)
    known = finite[0].all(axis=1) & finite[1].all(axis=1)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(theirs - ours).max(axis=1, initial=0.0)
    if rule.kind == "class":
        agrees = known & (ours.argmax(axis=1) == theirs.argmax(axis=1)) if ours.shape[1] else known
    elif rule.kind == "probability":
        agrees = known & ((ours >= 0.5) == (theirs >= 0.5)).all(axis=1)
    else:
        agrees = known & (apart <= rule.tolerance * rule.spread)
    agrees |= ~known & ((ours == theirs) | (np.isnan(ours) & np.isnan(theirs))).all(axis=1)
    known &= np.isfinite(apart)
    best = np.flatnonzero(known & (apart > 0))
    best = best[np.argsort(-apart[best], kind="stable")[:largest]]
    pairs = tuple(
        Pair(
            str(stable.keys[rows[index]]),
            float(apart[index]),
            tuple(ours[index].tolist()),
            tuple(theirs[index].tolist()),
            {name: _plain(values[rows[index]]) for name, values in stable.inputs.items()},
        )
        for index in best
    )
    more = Output(
        rule,
        int(agrees.sum()),
        intervals.moments(apart[known]),
        histograms.count(apart[known], tuple(rule.spread * part for part in _BINS)),
        pairs,
        int((~finite[0].all(axis=1)).sum()),
        int((~finite[1].all(axis=1)).sum()),
    )
    return _add(output, more, largest), agrees


def _plain(value: object) -> object:
    """Return a value of numpy as JSON has it."""
    plain = value.tolist() if isinstance(value, np.ndarray | np.generic) else value
    return plain.decode(errors="replace") if isinstance(plain, bytes) else plain


def _add(one: Output, other: Output, largest: int) -> Output:
    return Output(
        one.rule,
        one.agreeing + other.agreeing,
        one.differences + other.differences,
        histograms.merge((one.bins, other.bins)),
        tuple(heapq.nlargest(largest, one.largest + other.largest, key=lambda pair: pair.difference)),
        one.not_finite_stable + other.not_finite_stable,
        one.not_finite_candidate + other.not_finite_candidate,
    )
