"""Why performance changed."""

import math

import numpy as np
import pytest
from scipy.stats import norm

from support.drifting import binary
from tiffin.artifacts.performance import Estimate, Measurement
from tiffin.performance.calibrated import find_map
from tiffin.performance.comparison import Reference
from tiffin.performance.diagnosis import diagnose
from tiffin.performance.estimation import estimate
from tiffin.performance.measured import measure
from tiffin.quality import calibration


def told(reference, estimated, realised, error=0.0045, metric="auc", rows=1000, **options):
    """Return the diagnosis of values with the same error."""
    known = Reference("binary", 1000, {metric: reference}, {metric: error})
    guess = None if estimated is None else Estimate(rows, {metric: estimated}, {}, {metric: error}, "evaluation", True)
    return diagnose(metric, Measurement(rows, {metric: realised}, {}, {metric: error}), known, guess, **options)


@pytest.mark.parametrize(
    ("reference", "estimated", "realised", "code"),
    [
        (0.85, 0.85, 0.85, "NO_DECAY"),
        (0.85, 0.85, 0.80, "CONCEPT_DRIFT"),
        (0.85, 0.80, 0.80, "DATA_DRIFT"),
        (0.85, 0.90, 0.85, "CONCEPT_DRIFT"),  # easier inputs, which the model should be better with
        (0.85, 0.80, 0.75, "CONCEPT_DRIFT"),  # both
        (0.85, 0.838, 0.825, "UNDECIDED"),  # worse, and neither explains it
        (0.85, None, 0.80, "UNDECIDED"),
        (0.85, None, 0.85, "NO_DECAY"),
        (0.85, 0.80, 0.85, "NO_DECAY"),
    ],
)
def test_codes(reference, estimated, realised, code):
    assert told(reference, estimated, realised).code == code


def test_lower_is_better():
    assert told(0.4, 0.4, 0.5, metric="log_loss").code == "CONCEPT_DRIFT"
    assert told(0.4, 0.5, 0.5, metric="log_loss").code == "DATA_DRIFT"
    assert told(0.4, 0.4, 0.3, metric="log_loss").code == "NO_DECAY"


def test_by_hand():
    found = told(0.85, 0.84, 0.81, error=0.012)

    both = 0.012 * math.sqrt(2)
    assert (found.decay, found.excess) == (pytest.approx(0.04), pytest.approx(0.03))
    assert found.p_decay == pytest.approx(norm.sf(0.04 / both))
    # The estimate errs by 0.005 by itself: a hypotenuse of 0.013.
    assert found.p_excess == pytest.approx(norm.sf(0.03 / 0.013))
    assert found.p_shift == pytest.approx(norm.sf(0.01 / math.hypot(0.013, 0.012)))


def test_few_labels():
    found = told(0.85, 0.85, 0.7, rows=29)

    assert (found.code, found.rows_needed, found.p_decay) == ("UNDECIDED", 30, None)


@pytest.mark.parametrize(("reference", "realised"), [(None, 0.8), (0.8, None)])
def test_unknown_values(reference, realised):
    assert told(reference, 0.8, realised).code == "UNDECIDED"


def test_rows_that_would_decide():
    found = told(0.85, 0.85, 0.85, error=0.02)

    assert (found.code, found.rows_needed) == ("UNDECIDED", None)  # the value at training is too uncertain

    known = Reference("binary", 1000, {"auc": 0.85}, {"auc": 0.0})
    found = diagnose("auc", Measurement(1000, {"auc": 0.85}, {}, {"auc": 0.02}), known, None)

    factor = norm.isf(0.0025) + norm.ppf(0.95)
    assert (found.code, found.rows_needed) == ("UNDECIDED", math.ceil(1000 * (0.02 * factor / 0.03) ** 2))
    assert f"{found.rows_needed:,}" in found.text


def test_margin():
    assert told(0.85, 0.85, 0.85, margin=0.01).code == "UNDECIDED"


def test_record_of_the_estimates_counts():
    assert told(0.85, 0.85, 0.80).code == "CONCEPT_DRIFT"
    assert told(0.85, 0.85, 0.80, estimate_error=0.05).code == "UNDECIDED"


@pytest.fixture(scope="module")
def trainings():
    """The metrics and the calibration of 20 evaluations on 10,000 rows: each is compared with several windows."""
    rng, found = np.random.default_rng(1), []
    for number in range(20):
        outcomes = binary(rng, 10_000)
        measured = measure(outcomes, number, rounds=100)
        known = Reference("binary", 10_000, measured.metrics, measured.errors)
        found.append((known, find_map(calibration.measure(outcomes))))
    return found


def simulate(trainings, seed, rounds, rows=4000, **drift):
    """Return how often each code is told."""
    rng = np.random.default_rng(seed)
    found = {}
    for number in range(rounds):
        known, calibrated = trainings[number % len(trainings)]
        now = binary(rng, rows, **drift)
        guess = estimate(now.answer, calibrated, number, fixed=True, rounds=100)
        code = diagnose("auc", measure(now, number, rounds=100), known, guess).code
        found[code] = found.get(code, 0) + 1 / rounds
    return found


def test_nothing_drifts(trainings):
    assert simulate(trainings, 1, 40, rows=6000).get("NO_DECAY", 0) >= 0.9


def test_only_data_drifts(trainings):
    """Inputs near the decision are harder."""
    found = simulate(trainings, 2, 40, spread=0.6)

    assert found.get("DATA_DRIFT", 0) >= 0.9
    assert found.get("CONCEPT_DRIFT", 0) <= 0.05


def test_concept_drifts(trainings):
    assert simulate(trainings, 3, 20, concept=0.6).get("CONCEPT_DRIFT", 0) >= 0.95
