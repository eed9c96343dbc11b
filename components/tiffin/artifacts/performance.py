"""How well a model answers in production: with labels, and estimated without; part of the monitoring artifact."""

from dataclasses import dataclass, field
from typing import Literal

from tiffin.artifacts.measures import Interval, Slice

ComparedCode = Literal[
    "AS_AT_TRAINING", "WORSE_THAN_TRAINING", "BETTER_THAN_TRAINING", "TOO_FEW_ROWS", "UNDEFINED", "NO_REFERENCE"
]
BoundCode = Literal["WITHIN_BOUND", "BEYOND_BOUND", "UNCLEAR", "UNDEFINED"]
DiagnosisCode = Literal["NO_DECAY", "DATA_DRIFT", "CONCEPT_DRIFT", "UNDECIDED"]
# How the prediction log has the keys that labels are joined by.
Keys = Literal["PLAIN", "HASHED", "NO_SECRET", "OTHER_SECRET", "LEFT_OUT"]
# Share of the answers of a period that need a label, so that the value is that of the period.
COVERAGE = 0.5


@dataclass(frozen=True)
class Measurement:
    """Metrics of rows with labels.

    Attributes:
        rows: Number of rows with a label.
        metrics: Name of a metric to its value; None if it is undefined.
        intervals: Name of a metric to its 95 % interval.
        errors: Name of a metric to its standard error: of the AUC of a binary model by DeLong et al. (1988), and of others the
            length of the interval / 3.92, that of a normal distribution.
    """

    rows: int
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    errors: dict[str, float]


@dataclass(frozen=True)
class Period:
    """Metrics of a period.

    Attributes:
        start: Start, in ISO 8601.
        end: End, not included.
        answers: Number of answers.
        measured: Metrics of those with a label.
        whole: Whether the window has the whole period. Only whole periods are for the record: others change with the window.
    """

    start: str
    end: str
    answers: int
    measured: Measurement
    whole: bool = True

    @property
    def coverage(self) -> float:
        """Share of the answers that have a label; 0 without answers."""
        return self.measured.rows / self.answers if self.answers else 0.0


@dataclass(frozen=True)
class Compared:
    """A metric beside its value at training.

    Attributes:
        metric: Name of the metric.
        value: Value now; None if it is undefined.
        reference: Value at training.
        difference: Value now minus value at training.
        low: Lower end of the 95 % interval of the difference.
        high: Upper end.
        error: Standard error of the difference.
        p_value: Probability of this loss, or a larger one, without a change; from 0 to 1.
        level: What the p-value is compared with; 0 for a metric that is not watched, which decides nothing.
        rows: Number of rows with labels.
        code: `WORSE_THAN_TRAINING`, `BETTER_THAN_TRAINING` (by the same test) or `AS_AT_TRAINING`; `TOO_FEW_ROWS`, `UNDEFINED` or
            `NO_REFERENCE` if it could not be compared.
    """

    metric: str
    value: float | None
    reference: float | None
    difference: float | None
    low: float | None
    high: float | None
    error: float | None
    p_value: float | None
    level: float
    rows: int
    code: ComparedCode


@dataclass(frozen=True)
class ComparedSlice:
    """The watched metrics of a slice beside their values at training.

    Attributes:
        columns: Column, or pair of columns, that the rows were divided by.
        slice: What the rows of the slice have in common, such as `city = Oslo`.
        compared: The metrics.
    """

    columns: tuple[str, ...]
    slice: str
    compared: tuple[Compared, ...]


@dataclass(frozen=True)
class BoundCheck:
    """A bound of the gate, checked on rows with labels.

    Attributes:
        metric: Name of the metric.
        slice: Slice, or class such as `recall of 'late'`, that it is of; empty for all rows.
        value: Value now; None if it is undefined, or the slice has too few rows.
        bound: Minimum where higher is better, and maximum otherwise.
        low: Lower end of the 95 % interval of the value.
        high: Upper end.
        rows: Number of rows with labels.
        code: `WITHIN_BOUND`, `BEYOND_BOUND` (with the whole interval), `UNCLEAR` (the value is beyond it, the interval is not) or
            `UNDEFINED`.
    """

    metric: str
    slice: str
    value: float | None
    bound: float
    low: float | None
    high: float | None
    rows: int
    code: BoundCode


@dataclass(frozen=True)
class Estimate:
    """Metrics of answers as they would be with labels.

    Attributes:
        rows: Number of answers.
        metrics: Name of a metric to its estimate; None if it is undefined.
        intervals: Name of a metric to the 95 % interval of the value that the labels will show.
        errors: Name of a metric to the standard deviation of this value.
        source: What it is from: `evaluation`, `labels` or `identity`, as the calibration or the losses are.
        fixed: Whether the intervals are for the labels of these very rows.
    """

    rows: int
    metrics: dict[str, float | None]
    intervals: dict[str, Interval]
    errors: dict[str, float]
    source: str
    fixed: bool


@dataclass(frozen=True)
class Diagnosis:
    """Why a metric changed.

    Attributes:
        code: `NO_DECAY`, `DATA_DRIFT`, `CONCEPT_DRIFT` or `UNDECIDED`.
        text: The reason in one sentence.
        metric: Name of the metric.
        reference: Value at training; None if unknown.
        estimated: Estimate for the rows with labels; None without one.
        realised: Value of these rows; None if it is undefined.
        rows: Number of rows with labels.
        decay: How much worse it is than at training; below 0 if it is better. None if unknown.
        excess: How much worse it is than the estimate. None if unknown.
        p_decay: Probability of this decay, or a larger one, without any change. None if unknown.
        p_excess: The same of the excess.
        p_shift: The same of what the estimate is worse than the value at training.
        margin: Loss that matters, in units of the metric.
        rows_needed: Number of rows with labels that would decide; None if it is decided, or no number would: the value at
            training, or the estimate, is too uncertain.
    """

    code: DiagnosisCode
    text: str
    metric: str
    reference: float | None
    estimated: float | None
    realised: float | None
    rows: int
    decay: float | None = None
    excess: float | None = None
    p_decay: float | None = None
    p_excess: float | None = None
    p_shift: float | None = None
    margin: float | None = None
    rows_needed: int | None = None


@dataclass(frozen=True)
class Entry:
    """The estimate of a metric for a period, and what was realised.

    Attributes:
        start: Start of the period, in ISO 8601.
        end: End, not included.
        version: Version of the model.
        metric: Name of the metric.
        answers: Number of answers.
        estimate: The estimate.
        low: Lower end of its 95 % interval.
        high: Upper end.
        source: What it was from.
        labelled: Number of answers with a label, so far.
        realised: The value of these; None if there are none, or it is undefined.
    """

    start: str
    end: str
    version: int
    metric: str
    answers: int
    estimate: float
    low: float
    high: float
    source: str
    labelled: int = 0
    realised: float | None = None

    @property
    def counts(self) -> bool:
        """Whether enough labels have come: half of the answers."""
        return self.realised is not None and self.labelled >= COVERAGE * self.answers


@dataclass(frozen=True)
class Record:
    """The estimates of a model.

    Attributes:
        model: Name of the model.
        entries: By version, start, end and metric, each once; the latest 10,000.
    """

    model: str
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True)
class TrackRecord:
    """How well a metric was estimated.

    Attributes:
        metric: Name of the metric.
        periods: Number of periods with enough labels.
        error: Mean absolute difference, in units of the metric.
        bias: Mean of realised - estimate.
        covered: Share of the realised values inside the interval, from 0 to 1; of good intervals about 0.95.
    """

    metric: str
    periods: int
    error: float
    bias: float
    covered: float


@dataclass(frozen=True)
class Hour:
    """An hour of answers.

    Attributes:
        start: Start of the hour, in ISO 8601.
        answers: Number of answers.
        labelled: Number of answers with a label.
        mature: Whether its labels should be there: at the end of the window, nine of ten labels of this age had come. None if
            the delay of labels is unknown.
    """

    start: str
    answers: int
    labelled: int
    mature: bool | None = None


@dataclass(frozen=True)
class Labelled:
    """Labels that arrived, joined with the answers of a window.

    Attributes:
        by: Column that they were joined by.
        corrections: Rule for several labels of an answer: `last`, `first` or `refuse`.
        labels: Rows of labels that were read.
        answers: Answers in the window.
        labelled: Those with a label.
        repeated: Rows that repeat the label of the same answer.
        corrected: Answers with different labels, of which the rule chose one.
        contradicting: Answers with different labels, which have none by the rule `refuse`.
        unknown: Rows whose ID or key no answer has.
        unknown_example: The first such ID or key; empty without any, and of a key if the log hashes keys, or has none.
        early: Labels that are earlier than their answer, and were accepted.
        skipped: Reason to the number of rows of labels that are left out.
        left_out: Reason to the number of answers that are left out.
        median_delay_seconds: Median time from answer to label; None without times.
        late_delay_seconds: Time within which nine of ten labels come; None without times.
        hours: Coverage by hour.
        keys: How the log has the keys, if labels are joined by them: `PLAIN`, `HASHED` (labels were hashed alike), `NO_SECRET`
            (hashed, and the step does not have the secret), `OTHER_SECRET` (no label has a hash of the log) or `LEFT_OUT`.
    """

    by: str
    corrections: str
    labels: int
    answers: int
    labelled: int
    repeated: int
    corrected: int
    contradicting: int
    unknown: int
    unknown_example: str
    early: int
    skipped: dict[str, int]
    left_out: dict[str, int]
    median_delay_seconds: float | None
    late_delay_seconds: float | None
    hours: tuple[Hour, ...]
    keys: Keys = "PLAIN"

    @property
    def coverage(self) -> float | None:
        """Share of the answers that have a label, from 0 to 1; None without answers."""
        return self.labelled / self.answers if self.answers else None


@dataclass(frozen=True)
class Performance:
    """How well a version answers.

    Attributes:
        metric: Main metric of the task.
        start: Start of the window, in ISO 8601.
        end: End, not included.
        labelled: Labels; None if none were passed.
        measured: Metrics of the answers with a label; None without labels.
        periods: The same over time.
        slices: The same of slices.
        compared: Metrics beside those at training.
        bounds: Bounds of the gate, checked on the answers with a label.
        estimated: Metrics of all answers, as they would be with labels; None if they cannot be estimated.
        diagnosis: Why the main metric changed; None without labels.
        record: How good earlier estimates were.
        compared_slices: Watched metrics of slices beside those at training, of the slices that the evaluation has too.
        at_training: Name of a metric to its value at training; empty without an evaluation.
    """

    metric: str
    start: str
    end: str
    labelled: Labelled | None
    measured: Measurement | None
    periods: tuple[Period, ...]
    slices: tuple[Slice, ...]
    compared: tuple[Compared, ...]
    bounds: tuple[BoundCheck, ...]
    estimated: Estimate | None
    diagnosis: Diagnosis | None
    record: tuple[TrackRecord, ...]
    compared_slices: tuple[ComparedSlice, ...] = ()
    at_training: dict[str, float] = field(default_factory=dict)
