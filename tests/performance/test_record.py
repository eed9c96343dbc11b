"""The record of the estimates."""

from dataclasses import replace

import numpy as np
import pytest

from tiffin.artifacts.measures import Interval
from tiffin.artifacts.performance import Estimate, Measurement
from tiffin.errors import InputError
from tiffin.performance.record import (
    MOST_ENTRIES,
    Entry,
    Record,
    extend,
    make_entries,
    own_error,
    read_record,
    summarize,
    write_record,
)

EMPTY = Record("taxi")


def entry(day=1, estimate=0.8, realised=None, labelled=0, metric="auc", version=3):
    moment = f"2026-03-{day:02}T00:00:00+00:00"
    return Entry(
        moment, moment, version, metric, 100, estimate, estimate - 0.1, estimate + 0.1, "evaluation", labelled, realised
    )


def test_no_entries():
    assert summarize(EMPTY) == ()
    assert extend(EMPTY, []) == EMPTY


def test_by_hand():
    entries = [entry(1, 0.8, 0.75, 100), entry(2, 0.8, 0.95, 50), entry(3, 0.8, 0.1, 49), entry(4)]

    found = summarize(extend(EMPTY, entries))[0]

    # The third has labels of less than half of its answers.
    assert (found.metric, found.periods, found.covered) == ("auc", 2, 0.5)
    assert found.error == pytest.approx((0.05 + 0.15) / 2)
    assert found.bias == pytest.approx((-0.05 + 0.15) / 2)


class TestOwnError:
    BEFORE = "2026-03-09T00:00:00+00:00"

    def test_nothing_known(self):
        assert own_error(EMPTY, 3, "auc", self.BEFORE) == 0

    def test_by_hand(self):
        """Better by 0.1 and 0.2, of which chance is 0.1 / 1.96; worse by 0.5, which a changed relation might explain."""
        record = extend(EMPTY, [entry(1, 0.8, 0.9, 100), entry(2, 0.8, 1.0, 100), entry(3, 0.8, 0.3, 100)])
        assert own_error(record, 3, "auc", self.BEFORE) == pytest.approx(((0.01 + 0.04) / 2 - (0.1 / 1.96) ** 2) ** 0.5)

    def test_chance_is_no_error(self):
        assert own_error(extend(EMPTY, [entry(1, 0.8, 0.85, 100)]), 3, "auc", self.BEFORE) == 0

    def test_with_fewer_labels_there_is_more_chance(self):
        """Half of the labels have twice the variance."""
        found = own_error(extend(EMPTY, [entry(1, 0.8, 0.9, 50)]), 3, "auc", self.BEFORE)
        assert found == pytest.approx((0.01 - 2 * (0.1 / 1.96) ** 2) ** 0.5)

    @pytest.mark.parametrize("own", [0.0, 0.1])
    def test_of_many_periods(self, own):
        rng = np.random.default_rng(7)
        errors = rng.normal(0, own, 2000) + rng.normal(0, 0.1 / 1.96, 2000)
        entries = [
            replace(entry(estimate=0.5, realised=0.5 + error, labelled=100), start=f"{place:04}")
            for place, error in enumerate(errors)
        ]
        assert own_error(extend(EMPTY, entries), 3, "auc", self.BEFORE) == pytest.approx(own, abs=0.02)

    def test_lower_is_better(self):
        record = extend(EMPTY, [entry(1, 0.4, 0.3, 100, "log_loss"), entry(2, 0.4, 0.9, 100, "log_loss")])
        assert own_error(record, 3, "log_loss", self.BEFORE) == pytest.approx((0.01 - (0.1 / 1.96) ** 2) ** 0.5)

    def test_other_versions_few_labels_and_the_window_itself(self):
        others = [entry(1, 0.8, 0.9, 100, version=2), entry(2, 0.8, 0.9, 49), entry(10, 0.8, 0.9, 100)]
        assert own_error(extend(EMPTY, others), 3, "auc", self.BEFORE) == 0


def test_same_entries_change_nothing():
    record = extend(EMPTY, [entry(2), entry(1, realised=0.7, labelled=60)])

    assert extend(record, record.entries) == record
    assert [one.start[8:10] for one in record.entries] == ["01", "02"]


def test_first_estimate_stays_and_labels_are_added():
    record = extend(extend(EMPTY, [entry(estimate=0.8)]), [entry(estimate=0.6, realised=0.7, labelled=60)])

    assert record.entries == (entry(estimate=0.8, realised=0.7, labelled=60),)


def test_fewer_labels_change_nothing():
    record = extend(EMPTY, [entry(realised=0.7, labelled=60)])

    assert extend(record, [entry(realised=0.5, labelled=10)]) == record
    assert extend(record, [entry()]) == record


def test_versions_and_metrics_are_apart():
    record = extend(EMPTY, [entry(), entry(version=4), entry(metric="brier")])

    assert len(record.entries) == 3
    assert summarize(extend(record, [entry(version=4, realised=0.8, labelled=100)]), version=3) == ()


def test_length_is_bounded():
    entries = [entry(metric=f"{number:06}") for number in range(MOST_ENTRIES)] + [entry(day=2)]

    found = extend(EMPTY, entries).entries

    assert len(found) == MOST_ENTRIES
    assert (found[0].metric, found[-1].start[8:10]) == ("000001", "02")


def test_entries_of_a_period():
    estimated = Estimate(
        100, {"auc": 0.8, "f1": None}, {"auc": Interval(0.7, 0.9)}, {"auc": 0.05}, "labels", False
    )  # fmt: skip

    found = make_entries("a", "b", 3, estimated, Measurement(40, {"auc": 0.75}, {}, {}))

    assert found == (Entry("a", "b", 3, "auc", 100, 0.8, 0.7, 0.9, "labels", 40, 0.75),)
    assert make_entries("a", "b", 3, estimated, None)[0].realised is None


def test_file(tmp_path):
    record = extend(EMPTY, [entry(), entry(2, realised=0.7, labelled=60)])
    write_record(tmp_path / "record.json", record)

    assert read_record(tmp_path / "record.json") == record
    with pytest.raises(InputError):
        read_record(tmp_path / "missing.json")
