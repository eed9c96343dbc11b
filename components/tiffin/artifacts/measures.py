"""What an evaluation measures beside its metrics: intervals, curves, slices, groups and attributions."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Curve:
    """A ROC curve: false and true positive rates with their thresholds; empty if the label has a single class."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    threshold: tuple[float, ...]


@dataclass(frozen=True)
class PrecisionRecall:
    """A precision-recall curve, by descending recall: empty if the label has a single class."""

    precision: tuple[float, ...]
    recall: tuple[float, ...]


@dataclass(frozen=True)
class Calibration:
    """A calibration curve of bins of equal numbers of rows.

    Attributes:
        predicted: Mean predicted probability of each bin, or mean prediction of a regression.
        observed: Share of the rows that have the class, or mean label of a regression.
        rows: Number of rows of each bin.
    """

    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of a metric, from bootstrap samples of the rows."""

    low: float
    high: float


@dataclass(frozen=True)
class ClassRecall:
    """The recall of a class: its rows, the share that is predicted as this class, and the interval; None without rows."""

    name: str
    rows: int
    recall: float | None
    interval: Interval | None = None


@dataclass(frozen=True)
class Slice:
    """The metrics of a slice of the rows.

    Attributes:
        columns: Column, or pair of columns, that the rows were divided by.
        value: What the rows of the slice have in common, such as `city = Oslo` or `km <= 2.5`.
        rows: Number of rows.
        metrics: Name of a metric to its value; None if it could not be computed.
        intervals: Name of a metric to its interval.
    """

    columns: tuple[str, ...]
    value: str
    rows: int
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Group:
    """A group of a sensitive column: its rows, and the means of its predictions and its errors or hits.

    Attributes:
        value: What the rows of the group have in common.
        rows: Number of rows.
        means: Name of a measure of each group to its value, such as `selection_rate` or `mae`; None if it is undefined.
    """

    value: str
    rows: int
    means: dict[str, float | None]


@dataclass(frozen=True)
class Fairness:
    """The differences between the groups of a sensitive column.

    Attributes:
        column: The sensitive column.
        groups: Groups with the minimum number of rows.
        measures: Name of a difference or a ratio to its value; None if it is undefined, as for a single group.
        intervals: Name of a measure to its interval.
    """

    column: str
    groups: tuple[Group, ...]
    measures: dict[str, float | None]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Histogram:
    """How often numbers occur: of each bin, its lower edge, and the rows; the last edge is the upper one of the last bin."""

    edges: tuple[float, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Distribution:
    """How the predictions of a split are distributed, to compare later predictions with.

    The edges are quantiles, so that the bins have about as many rows each; equal predictions share a bin. Edges are values of
    the predictions: compare predictions in the type that the model has them in, which is float32 for probabilities.

    Attributes:
        name: Output that is served: `probability` or `prediction`, or `probabilities[<class>]` for one of several classes.
        rows: Number of predictions, also of those that are not finite.
        edges: Up to 32 numbers in ascending order, each once; empty if no prediction is finite.
        counts: Number of finite predictions of each bin, one bin more than edges: up to and with the first edge, then above the
            edge before and up to and with the next one, and last above the last edge.
        mean: Mean of the finite predictions; None if there is none, or beyond float64.
        deviation: Their standard deviation, at least 0; None as the mean.
        not_finite: Number of predictions that are NaN or infinite.
    """

    name: str
    rows: int
    edges: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float | None
    deviation: float | None
    not_finite: int


@dataclass(frozen=True)
class Effect:
    """The mean attribution of a column in a group of rows.

    Attributes:
        value: What the rows have in common, such as `city = Oslo` or `km <= 2.5`.
        rows: Number of rows.
        mean: Mean attribution: above 0, these values raise the score.
    """

    value: str
    rows: int
    mean: float


@dataclass(frozen=True)
class Attribution:
    """What a column contributes to the predictions.

    Attributes:
        column: Name in the examples.
        mean_absolute: Mean of the attributions' absolute values, from 0, which means no effect.
        effects: Mean attribution in groups of its values; empty for columns that contribute little.
    """

    column: str
    mean_absolute: float
    effects: tuple[Effect, ...] = ()


@dataclass(frozen=True)
class Attributions:
    """Attributions of the signature `explain`: log-odds for classes, units of the label for regression.

    Attributes:
        rows: Number of rows that they are the means of.
        columns: Largest contribution first.
    """

    rows: int
    columns: tuple[Attribution, ...]

    @property
    def shares(self) -> dict[str, float] | None:
        """Share of each column in all attributions, from 0 to 1; None if no column contributes."""
        total = sum(one.mean_absolute for one in self.columns)
        return {one.column: one.mean_absolute / total for one in self.columns} if total else None
