"""Metrics of labelled answers: of the window, of periods, and of slices."""

import numpy as np
import pytest

from support.labelled_log import NOON, answer, joined
from tiffin.artifacts.measures import Slice
from tiffin.errors import InputError
from tiffin.performance.measured import choose_length, measure, measure_periods, measure_slices
from tiffin.performance.rows import Rows, read_rows

START = int(NOON.timestamp()) * 1_000_000


def rows_at(seconds, labelled=True):
    """Return answers at these seconds after noon, right and wrong in turns."""
    seconds = np.array(seconds, np.int32)
    truth = np.where(labelled, np.arange(len(seconds)) % 2, -1).astype(np.int8)
    return Rows("binary", 2, START, seconds, np.full(len(seconds), 0.6, np.float32), truth, {}, {})


class TestRead:
    LABELS = "request_id,label\na,1\nb,0\nc,1\n"

    def rows(self):
        return [
            answer("a", 0, 0.9, input_city="Oslo", input_km=1.5, input_new=True),
            answer("b", 61, 0.6, input_city="Bergen", input_km=9.0, input_new=False),
            answer("c", 122, 0.4, input_city="Oslo", input_km=9.5, input_new=True),
            answer("d", 122, 0.1, input_city=None, input_km=4.0, input_new=None),
        ]

    def read(self, folder, columns=(), reference=()):
        with joined(folder, self.rows(), self.LABELS, inputs=("city", "km", "new")) as (_, answers, _, found):
            return read_rows(answers, found, columns, reference)

    def test_arrays(self, tmp_path):
        rows = self.read(tmp_path)

        assert rows.seconds.tolist() == [0, 3660, 7320, 7320]
        assert rows.answer.tolist() == pytest.approx([0.9, 0.6, 0.4, 0.1])
        assert rows.truth.tolist() == [1, 0, 1, -1]
        assert (rows.labelled.tolist(), rows.outcomes().rows) == ([True, True, True, False], 3)

    def test_slices_by_hand(self, tmp_path):
        found, notes = measure_slices(self.read(tmp_path, ["city"]), [("city",)], "seed", min_rows=2)

        assert [(one.value, one.measured.rows, one.measured.metrics["accuracy"]) for one in found] == [
            ("city = Oslo", 2, 0.5)
        ]
        assert [(note.code, note.count) for note in notes] == [("SLICE_TOO_FEW_ROWS", 1)]

    def test_pairs(self, tmp_path):
        found, _ = measure_slices(self.read(tmp_path, ["city", "new"]), [("city", "new")], "seed", min_rows=1)

        assert {one.value for one in found} == {"city = Oslo, new = true", "city = Bergen, new = false"}

    @pytest.mark.parametrize(
        ("values", "expected"),
        [
            (("km <= 2", "2 < km <= 4", "km > 4"), {"km <= 2", "2 < km <= 4", "km > 4", "km = missing"}),
            (("km = 9", "km = other values"), {"km = 9", "km = other values", "km = missing"}),
            (("km = 2026-03-01",), None),
        ],
    )
    def test_numbers_are_cut_as_at_evaluation(self, tmp_path, values, expected):
        reference = [Slice(("km",), value, 100, {}, {}) for value in values]

        names = set(self.read(tmp_path, ["km"], reference).cuts["km"].names)

        assert names == (expected or {"km = 1.5", "km = 4", "km = 9", "km = 9.5", "km = other values", "km = missing"})

    def test_texts_are_cut_as_at_evaluation(self, tmp_path):
        reference = [
            Slice(("city",), "city = Bergen", 9, {}, {}),
            Slice(("city", "km"), "city = Voss, km = 1", 9, {}, {}),
        ]

        rows = self.read(tmp_path, ["city"], reference)

        assert [rows.cuts["city"].names[code] for code in rows.codes["city"]] == [
            "city = other values", "city = Bergen", "city = other values", "city = missing",
        ]  # fmt: skip

    def test_booleans(self, tmp_path):
        reference = [Slice(("new",), "new = true", 9, {}, {})]

        for one in ([], reference):
            rows = self.read(tmp_path, ["new"], one)
            assert [rows.cuts["new"].names[code] for code in rows.codes["new"]] == [
                "new = true", "new = false", "new = true", "new = missing",
            ]  # fmt: skip

    def test_unknown_column(self, tmp_path):
        with pytest.raises(InputError, match="'town'"):
            self.read(tmp_path, ["town"])


class TestPeriods:
    def test_no_answers(self):
        rows = rows_at([])

        assert (choose_length(rows), list(measure_periods(rows, 3600))) == (86_400, [])

    def test_by_hand(self):
        found = list(measure_periods(rows_at([0, 10, 3599, 3600, 9000]), 3600, "seed"))

        assert [(one.start[11:16], one.end[11:16], one.answers) for one in found] == [
            ("12:00", "13:00", 3),
            ("13:00", "14:00", 1),
            ("14:00", "15:00", 1),
        ]
        assert [one.measured.metrics["accuracy"] for one in found] == [pytest.approx(1 / 3), 1, 0]
        assert all(one.whole for one in found)

    def test_days_start_at_midnight_and_end_with_the_window(self):
        found = list(measure_periods(rows_at([0, 12 * 3600]), 86_400, end=START + 20 * 3_600_000_000))

        assert [one.whole for one in found] == [False, False]
        assert [(one.start[8:16], one.end[8:16]) for one in found] == [
            ("01T12:00", "02T00:00"),
            ("02T00:00", "02T08:00"),
        ]

    def test_without_labels(self):
        found = list(measure_periods(rows_at([0, 10], labelled=False), 3600))

        assert [(one.coverage, one.measured.rows, one.measured.metrics["auc"]) for one in found] == [(0.0, 0, None)]

    @pytest.mark.parametrize(
        ("rows", "hours", "length"),
        [
            (24 * 600, 24, 1),  # 600 rows an hour
            (24 * 300, 24, 2),
            (100, 24, 24),  # never enough: days
            (7 * 24 * 600, 7 * 24, 3),  # 168 hours are too many periods
            (100, 90 * 24, 48),
        ],
    )
    def test_length(self, rows, hours, length):
        assert choose_length(rows_at(np.linspace(0, hours * 3600 - 1, rows))) == length * 3600


def test_measure_is_the_same_for_the_same_seed():
    outcomes = rows_at(range(100)).outcomes()

    assert measure(outcomes, "a") == measure(outcomes, "a")
    assert measure(outcomes, "a").intervals != measure(outcomes, "b").intervals
