"""Slices beside their values at training: one that decays by itself is found, and unchanged ones are not."""

import numpy as np
import pytest

from support.drifting import sigmoid
from tiffin.artifacts.measures import Interval, Slice
from tiffin.artifacts.performance import Measurement
from tiffin.performance.comparison import Reference, worse
from tiffin.performance.measured import MeasuredSlice, measure, measure_slices
from tiffin.performance.ranked import LEVEL
from tiffin.performance.rows import Rows
from tiffin.performance.slice_comparison import compare_all
from tiffin.quality.cuts import Cut

CITIES = ("Bonn", "Oslo", "Rome", "Ulm")
TRAINING = Reference("binary", 1000, {"log_loss": 0.4, "auc": 0.85}, {"log_loss": 0.01, "auc": 0.01})
NOW = Measurement(1000, {"log_loss": 0.4, "auc": 0.85}, {}, {"log_loss": 0.01, "auc": 0.01})


def before(value, loss=0.4, **intervals):
    ends = {"log_loss": Interval(loss - 0.0196, loss + 0.0196), **intervals}
    return Slice(("city",), value, 200, {"log_loss": loss, "auc": 0.85}, ends)


def now(value, loss=0.4, rows=200, counts=(100, 100), columns=("city",)):
    errors = {"log_loss": 0.01, "auc": 0.01}
    return MeasuredSlice(columns, value, Measurement(rows, {"log_loss": loss, "auc": 0.85}, {}, errors), counts)


def outcomes_of(found):
    return [(part.slice, one.metric, one.code) for part in found for one in part.compared]


class TestByHand:
    def test_no_slices(self):
        whole, found, notes = compare_all(NOW, TRAINING, (), ())

        assert ({one.level for one in whole if one.level}, found, notes) == ({LEVEL / 2}, (), ())

    def test_level_is_divided_by_all_that_is_compared(self):
        """Two metrics of the whole, and the log loss of two slices; the AUC has no interval at training."""
        slices, own = [now("city = Bonn", 0.5), now("city = Oslo")], [before("city = Oslo"), before("city = Bonn")]

        whole, found, notes = compare_all(NOW, TRAINING, slices, own, level=0.04)

        assert outcomes_of(found) == [
            ("city = Bonn", "auc", "NO_REFERENCE"),
            ("city = Bonn", "log_loss", "WORSE_THAN_TRAINING"),
            ("city = Oslo", "auc", "NO_REFERENCE"),
            ("city = Oslo", "log_loss", "AS_AT_TRAINING"),
        ]
        assert {one.level for one in whole if one.level} == {0.01}
        assert {one.level for part in found for one in part.compared} == {0.01}
        assert notes == ()

    def test_slices_without_a_counterpart(self):
        """Another group, other columns, and values that the evaluation does not list."""
        slices = [
            now("city = Oslo"),
            now("city = Ulm"),
            now("city = Oslo", columns=("city", "day")),
            now("city = other values"),
            now("city = other values, day = 1", columns=("city", "day")),
        ]

        _, found, notes = compare_all(NOW, TRAINING, slices, [before("city = Oslo"), before("city = other values")])

        assert [part.slice for part in found] == ["city = Oslo"]
        assert [(note.code, note.count, note.example) for note in notes] == [
            ("SLICE_WITHOUT_REFERENCE", 4, "city = Ulm")
        ]

    @pytest.mark.parametrize("part", [now("city = Oslo", 0.9, rows=29), now("city = Oslo", None)])
    def test_what_cannot_be_compared_takes_no_level(self, part):
        whole, found, _ = compare_all(NOW, TRAINING, [part], [before("city = Oslo")])

        assert {one.level for one in whole if one.level} == {LEVEL / 2}
        assert worse(found[0].compared) == ()

    def test_auc_of_few_rows_of_a_class(self):
        part = now("city = Oslo", counts=(191, 9))

        _, [found], _ = compare_all(NOW, TRAINING, [part], [before("city = Oslo", auc=Interval(0.8, 0.9))])

        assert [one.code for one in found.compared if one.metric == "auc"] == ["TOO_FEW_ROWS"]


def rows_of(task, code, answer, truth):
    cut = Cut("city", tuple(f"city = {name}" for name in CITIES), lambda column: column)
    return Rows(
        task, 2 * (task == "binary"), 0, np.zeros(len(code), np.int32), answer, truth, {"city": cut}, {"city": code}
    )


def classified(rng, rows, concept=1.0):
    """Return answers of which a tenth are of Bonn, where the input's effect on the label is multiplied."""
    code = rng.choice(4, rows, p=(0.1, 0.3, 0.3, 0.3)).astype(np.int16)
    odds = 1.8 * rng.normal(0, 1, rows) - 0.5
    truth = rng.random(rows) < sigmoid(np.where(code == 0, concept, 1.0) * odds)
    return rows_of("binary", code, sigmoid(odds).astype(np.float32), truth.astype(np.int8))


def numbers(rng, rows):
    code, truth = rng.choice(4, rows).astype(np.int16), rng.normal(size=rows)
    return rows_of("regression", code, truth + rng.normal(size=rows), truth)


def assess(rows, rounds=100):
    """Return the metrics of the whole and of the slices."""
    whole = measure(rows.outcomes(), "seed", rounds=rounds)
    return whole, measure_slices(rows, [("city",)], "seed", 50, rounds)[0]


def compared(training, window):
    (then, old), (whole, slices) = training, window
    reference = Reference("regression" if "rmse" in then.metrics else "binary", then.rows, then.metrics, then.errors)
    return compare_all(whole, reference, slices, [one.slice for one in old])[:2]


def test_a_slice_that_decays_alone():
    """In a tenth of the rows, most of the relation is gone: of the whole, that is within chance."""
    for seed in range(3):
        rng = np.random.default_rng(seed)
        whole, slices = compared(assess(classified(rng, 8000)), assess(classified(rng, 3000, concept=0.4)))

        assert worse(whole) == ()
        assert {part.slice for part in slices if worse(part.compared)} == {"city = Bonn"}


def test_false_alarms():
    """200 looks at an unchanged model with four slices, of 20 trainings: at a level of 1 %, some 2 have a finding."""
    alarms = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        training = assess(numbers(rng, 2000))
        for _ in range(10):
            whole, slices = compared(training, assess(numbers(rng, 500)))
            alarms += bool(worse(whole) or any(worse(part.compared) for part in slices))

    assert alarms <= 6
