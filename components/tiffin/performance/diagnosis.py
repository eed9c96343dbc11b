"""Why performance changed: drift of the data is told apart from drift of the concept, the relation of inputs and labels.

The estimate accounts for changed inputs, and the realised value for both. With the value at training T, the estimate E for the
rows with labels and their realised value R, where higher is better (and the signs turned otherwise),

    decay    T - R   tested with the standard errors of T and R
    excess   E - R   tested with the standard deviation of what labels of these rows would show if the concept were unchanged, and
                     with the error that estimates have by themselves: by their record before the window, or at least 0.005 (of
                     losses without an upper bound, 1 % of T)
    shift    T - E   tested with both

    CONCEPT_DRIFT  the excess is above 0: with these inputs, the model should be better than it is
    DATA_DRIFT     the decay is above 0, and so is the shift, and the excess is not: the inputs are harder
    NO_DECAY       neither decay nor excess is above 0, and a loss of `margin` would have been found with probability `power`
    UNDECIDED      anything else: too few labels. `rows_needed` is the number of rows with labels that would decide

Each is a one-sided test at `level`. An unchanged model has a false alarm in up to two of them.
"""

import math

from scipy.stats import norm

from tiffin.artifacts.numbers import format_number
from tiffin.artifacts.performance import Diagnosis, DiagnosisCode, Estimate, Measurement
from tiffin.performance.comparison import LEAST_ROWS, Reference, p_of_loss
from tiffin.performance.ranked import LEVEL, rows_for_loss
from tiffin.quality.definitions import HIGHER_IS_BETTER

POWER = 0.95
# Loss that matters: of metrics up to 1, and of others as a share of the value at training.
MARGIN, MARGIN_SHARE = 0.03, 0.1
_ESTIMATE_ERROR, _ESTIMATE_SHARE = 0.005, 0.01
_UNBOUNDED = {"log_loss", "rmse", "mae", "pinball_loss_10", "pinball_loss_90"}


def diagnose(
    metric: str,
    realised: Measurement,
    reference: Reference,
    estimated: Estimate | None,
    *,
    level: float = LEVEL,
    power: float = POWER,
    margin: float | None = None,
    estimate_error: float = 0.0,
) -> Diagnosis:
    """Tell why a metric changed.

    Args:
        metric: Name of the metric.
        realised: Metrics of rows with labels.
        reference: Metrics at training.
        estimated: Estimate for the same rows, `fixed`, with a calibration from before them; None if there is none.
        level: Probability of a false alarm of each test. Defaults to 0.0025.
        power: Probability to find a loss of the margin. Defaults to 0.95.
        margin: Loss that matters. Defaults to 0.03, of losses without an upper bound to a tenth of the value at training.
        estimate_error: Error of the estimates by themselves, see `tiffin.performance.record.own_error`. Defaults to 0.005, see
            above.
    """
    before, now = reference.metrics.get(metric), realised.metrics.get(metric)
    expected = estimated.metrics.get(metric) if estimated else None
    if now is None or before is None or realised.rows < LEAST_ROWS or metric not in realised.errors:
        missing = (
            "its value at training is unknown" if before is None and now is not None else "there are too few labels"
        )
        text = f"{metric} could not be judged: {missing} ({realised.rows:,} rows with labels)"
        needed = LEAST_ROWS if realised.rows < LEAST_ROWS else None
        return Diagnosis("UNDECIDED", text, metric, before, expected, now, realised.rows, rows_needed=needed)
    sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
    unit = abs(before) if metric in _UNBOUNDED else None
    smallest = margin if margin is not None else MARGIN if unit is None else MARGIN_SHARE * unit
    own = max(estimate_error, _ESTIMATE_ERROR if unit is None else _ESTIMATE_SHARE * unit)
    error, at_training = realised.errors[metric], reference.errors.get(metric, 0.0)
    decay = sign * (before - now)
    p_decay = p_of_loss(decay, math.hypot(error, at_training))
    excess = p_excess = p_shift = None
    around = math.inf
    if expected is not None and estimated is not None:
        around = math.hypot(estimated.errors.get(metric, 0.0), own)
        excess = sign * (expected - now)
        p_excess = p_of_loss(excess, around)
        p_shift = p_of_loss(sign * (before - expected), math.hypot(around, at_training))
    needed = None
    shown = f"{metric} is {_short(now)} in {realised.rows:,} rows with labels, and was {_short(before)} at training"
    factor = float(norm.isf(level) + norm.ppf(power))
    code: DiagnosisCode
    if p_excess is not None and p_excess <= level:
        code = "CONCEPT_DRIFT"
        text = (
            f"{shown}; with these inputs it should be {_short(expected)}: the relation of inputs and labels has changed"
        )
    elif p_decay <= level and p_shift is not None and p_shift <= level:
        code = "DATA_DRIFT"
        text = f"{shown}; with these inputs it should be {_short(expected)}: changed inputs explain the loss"
    elif p_decay <= level:
        code = "UNDECIDED"
        label_error = estimated.errors.get(metric, error) if estimated else error
        needed = rows_for_loss(label_error, realised.rows, decay, level=level, power=power, reference_error=own)
        cause = (
            "without an estimate it is not known"
            if expected is None
            else (f"the estimate for these inputs, {_short(expected)}, does not tell")
        )
        text = f"{shown}; {cause} whether inputs or their relation to labels have changed{_rows(needed)}"
    elif factor * math.hypot(error, at_training) <= smallest:
        code = "NO_DECAY"
        text = f"{shown}: no loss, of which {_short(smallest)} would have been found"
    else:
        code = "UNDECIDED"
        needed = rows_for_loss(error, realised.rows, smallest, level=level, power=power, reference_error=at_training)
        text = f"{shown}: no loss is seen, but one of {_short(smallest)} might not have been found{_rows(needed)}"
    return Diagnosis(
        code,
        text,
        metric,
        before,
        expected,
        now,
        realised.rows,
        decay,
        excess,
        p_decay,
        p_excess,
        p_shift,
        smallest,
        needed,
    )


def _short(value: float | None) -> str:
    return "unknown" if value is None else format_number(float(f"{value:.4g}"))


def _rows(needed: int | None) -> str:
    return f"; {needed:,} rows with labels would decide" if needed else "; more labels alone would not decide"
