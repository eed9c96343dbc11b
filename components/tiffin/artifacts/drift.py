"""The drift artifact: every distance between two sets of rows, by column, and which of them are more than chance."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note

DRIFT = "drift.json"

Measure = Literal[
    "jensen_shannon", "population_stability_index", "infinity_norm", "wasserstein", "missing_share", "new_share"
]

Form = Literal["rows", "statistics", ""]


@dataclass(frozen=True)
class Distance:
    """A distance between the values of a column in the baseline and in the other rows.

    Attributes:
        measure: `jensen_shannon`: divergence in bits, from 0 (equal) to 1 (nothing in common). `population_stability_index`:
            from 0 (equal). `infinity_norm`: largest difference of a share, from 0 to 1. `wasserstein`: in standard deviations
            of the baseline, from 0. `missing_share`: difference of the share of missing values, from 0 to 1. `new_share`: share
            of values that the baseline does not list, from 0 to 1.
        value: The distance; None if it is undefined, such as of a column of one number.
        by_chance: What it is on average if nothing has changed, at these numbers of rows.
        low: Lower end of its 95 % interval.
        high: Upper end.
        threshold: What it may be beyond chance; None if it is not judged.
        p_value: Probability of this distance or a larger one if nothing has changed.
        adjusted: The p-value corrected for the number of distances (false discovery rate); None if it is not judged.
        drifted: Whether the distance is above chance by more than the threshold, and the adjusted p-value at most the level.
        source: Where the threshold is from: `default`, `schema` or `parameter`; empty without one.
    """

    measure: Measure
    value: float | None
    by_chance: float | None
    low: float | None
    high: float | None
    threshold: float | None
    p_value: float | None
    adjusted: float | None
    drifted: bool
    source: str = ""


@dataclass(frozen=True)
class Bin:
    """A bin of the values: its name, such as `<= 2.5`, and its share of the rows before and now."""

    name: str
    before: float
    now: float


@dataclass(frozen=True)
class ColumnDrift:
    """The drift of a column.

    Attributes:
        column: Name in the examples.
        kind: `numbers` or `texts`; `absent` if one side does not have the column, or as another kind.
        drifted: Whether any of its distances drifted, or a side does not have it.
        reason: Why it drifted, or why it is not judged; empty if neither.
        rows_before: Rows of the baseline that have a value.
        rows: Other rows that have a value.
        missing_before: Share of missing values in the baseline.
        missing: Share of missing values in the other rows.
        distances: Every distance.
        bins: Bins that the divergences are of, with missing values and new values.
        importance: Share of the column in the attributions of the model, from 0 to 1; None if unknown.
        counts: Whether its drift decides the verdict: not if it contributes little to the predictions.
    """

    column: str
    kind: Literal["numbers", "texts", "absent"]
    drifted: bool
    reason: str
    rows_before: int
    rows: int
    missing_before: float
    missing: float
    distances: tuple[Distance, ...]
    bins: tuple[Bin, ...]
    importance: float | None = None
    counts: bool = True


@dataclass(frozen=True)
class Drift:
    """The drift of all columns.

    Attributes:
        drifted: Whether a column drifted that counts.
        reason: The reason in one line.
        baseline: What the rows are compared with.
        current: Rows that are compared.
        rows_before: Rows of the baseline.
        rows: Other rows.
        level: Share of false discoveries among the distances that are reported as drifted.
        columns: Drifted columns first, then by importance, then in the order of the baseline.
        notes: Columns that were not judged, and what else was left out.
        baseline_version: Data version of the baseline; empty if unknown.
        baseline_form: What the baseline was counted from: `rows`, which are exact, or `statistics`, between whose quantiles
            shares are estimated; empty if unknown.
        current_form: The same of the other rows.
    """

    drifted: bool
    reason: str
    baseline: str
    current: str
    rows_before: int
    rows: int
    level: float
    columns: tuple[ColumnDrift, ...]
    notes: tuple[Note, ...] = ()
    baseline_version: str = ""
    baseline_form: Form = ""
    current_form: Form = ""


def write_drift(artifact: str | Path, drift: Drift) -> None:
    """Write a drift artifact."""
    documents.write(Path(artifact) / DRIFT, drift)


def read_drift(artifact: str | Path) -> Drift:
    """Read a drift artifact.

    Raises:
        InputError: The file is missing or is not a drift document.
    """
    return documents.read(Path(artifact) / DRIFT, Drift)
