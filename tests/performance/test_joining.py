"""Which answer a label belongs to, which label an answer has, and what is counted."""

import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support import logged
from support.labelled_log import NOON, answer, joined, minute, truths
from tiffin.errors import InputError
from tiffin.performance.answers import load_answers
from tiffin.performance.joining import join
from tiffin.performance.label_sources import read_labels
from tiffin.performance.workspace import open_workspace
from tiffin.serving.log_reading import open_log


def clock(number):
    """Return the text of a time that many minutes after noon."""
    return minute(number).isoformat()


class TestNothing:
    def test_no_answers(self, tmp_path):
        with joined(tmp_path, [answer("r", version=2)], "request_id,label\nr,1\n") as (_, _, _, found):
            assert (found.answers, found.labelled, found.unknown, found.coverage, found.hours) == (0, 0, 1, None, ())

    def test_no_labels(self, tmp_path):
        with joined(tmp_path, [answer("r")], "request_id,label\n") as (_, _, _, found):
            assert (found.answers, found.labelled, found.coverage) == (1, 0, 0.0)

    def test_no_table(self, tmp_path):
        logged.write(tmp_path, [answer("r")])
        with open_workspace() as workspace:
            log = open_log(str(tmp_path), "taxi", NOON, NOON + timedelta(hours=1))
            found = join(workspace, load_answers(workspace, log, 3, "binary"), None)

        assert (found.answers, found.labelled, found.labels) == (1, 0, 0)


class TestByRequest:
    def test_labels_and_coverage(self, tmp_path):
        rows = [answer("a", 0), answer("b", 1), answer("c", 61), answer("d", 62)]

        with joined(tmp_path, rows, "request_id,label\nc,0\na,1\nb,1\nx,1\ny,1\n") as (workspace, _, _, found):
            assert truths(workspace, found) == {"a": 1, "b": 1, "c": 0}

        assert (found.coverage, found.unknown, found.unknown_example) == (0.75, 2, "x")
        assert [(one.start[11:16], one.answers, one.labelled, one.mature) for one in found.hours] == [
            ("12:00", 2, 2, None),
            ("13:00", 2, 1, None),
        ]

    def test_rows_of_a_request(self, tmp_path):
        rows = [answer("a", row=0, rows=2), answer("a", row=1, rows=2, probability=0.9)]

        with joined(tmp_path, rows, "request_id,row,label\na,1,1\na,2,0\n") as (workspace, _, _, found):
            shown = workspace.fetch(f"SELECT row, truth FROM read_parquet('{found.path}') ORDER BY answer")

        assert (shown, found.unknown, found.left_out) == ([(0, None), (1, 1)], 1, {})

    def test_several_rows_need_the_column(self, tmp_path):
        rows = [answer("a", row=0, rows=2), answer("a", row=1, rows=2), answer("b")]

        with joined(tmp_path, rows, "request_id,label\na,1\nb,1\n") as (workspace, _, _, found):
            assert truths(workspace, found) == {"b": 1}

        assert (found.left_out, found.answers) == ({"rows": 2}, 3)

    def test_answers_that_were_logged_twice(self, tmp_path):
        rows = [answer("a", 0, 0.2), answer("a", 1, 0.7), {**answer("b", 2), "request_id": None}]

        with joined(tmp_path, rows, "request_id,label\na,1\n") as (workspace, _, _, found):
            shown = workspace.fetch(f"SELECT score_0 FROM read_parquet('{found.path}') WHERE truth = 1")

        assert (found.answers, found.repeated_answers, found.left_out) == (2, 1, {"no_key": 1})
        assert shown[0][0] == pytest.approx(0.2)

    def test_delays_and_mature_hours(self, tmp_path):
        rows = [answer("a", 0), answer("b", 1), answer("c", 100)]
        labels = f"request_id,time,label\na,{clock(10)},1\nb,{clock(31)},1\n"

        with joined(tmp_path, rows, labels, hours=2) as (_, _, _, found):
            pass

        # Delays of 10 and 30 minutes: median 20, and 28 at nine of ten. The second hour has just ended.
        assert (found.median_delay_seconds, found.late_delay_seconds) == (1200, pytest.approx(28 * 60))
        assert [one.mature for one in found.hours] == [True, False]

    def test_labels_before_their_answers_are_told(self, tmp_path):
        with joined(tmp_path, [answer("a", 5)], f"request_id,time,label\na,{clock(3)},1\n") as (_, _, _, found):
            assert (found.labelled, found.early, found.earliest_seconds) == (1, 1, 120)


class TestCorrections:
    LABELS = (
        f"request_id,time,label\na,{clock(9)},0\na,{clock(5)},1\na,{clock(5)},1\nb,{clock(7)},1\nb,{clock(6)},1.0\n"
    )

    @pytest.mark.parametrize(
        ("rule", "expected", "corrected", "contradicting"),
        [("last", {"a": 0, "b": 1}, 1, 0), ("first", {"a": 1, "b": 1}, 1, 0), ("refuse", {"b": 1}, 0, 1)],
    )
    def test_rules(self, tmp_path, rule, expected, corrected, contradicting):
        rows = [answer("a"), answer("b")]

        with joined(tmp_path, rows, self.LABELS, corrections=rule) as (workspace, _, _, found):
            assert truths(workspace, found) == expected

        assert (found.repeated, found.corrected, found.contradicting) == (1, corrected, contradicting)

    def test_by_order_without_times(self, tmp_path):
        labels = "request_id,label\na,0\na,1\nb,1\nb,0\n"

        with joined(tmp_path, [answer("a"), answer("b")], labels) as (workspace, _, _, found):
            assert truths(workspace, found) == {"a": 1, "b": 0}

    def test_unknown_rule(self, tmp_path):
        with (
            pytest.raises(InputError, match="corrections"),
            joined(tmp_path, [answer("a")], "request_id,label\n", corrections="newest"),
        ):
            pass


class TestByKey:
    def keyed(self, *minutes):
        return [answer(f"r{number}", number, key="k") for number in minutes]

    def test_without_time_all_answers_have_the_label(self, tmp_path):
        with joined(tmp_path, self.keyed(0, 5), "key,label\nk,1\nx,1\n") as (workspace, _, _, found):
            assert truths(workspace, found) == {"r0": 1, "r5": 1}

        assert (found.unknown, found.repeated) == (1, 0)

    def test_the_nearest_answer_before(self, tmp_path):
        labels = f"key,time,label\nk,{clock(5)},1\nk,{clock(12)},0\n"

        with joined(tmp_path, self.keyed(0, 5, 10), labels) as (workspace, _, _, found):
            assert truths(workspace, found) == {"r5": 1, "r10": 0}

        assert (found.by, found.early, found.outside) == ("key", 0, 0)

    def test_an_answer_before_is_preferred_to_a_nearer_one_after(self, tmp_path):
        with joined(tmp_path, self.keyed(0, 4), f"key,time,label\nk,{clock(3)},1\n") as (workspace, _, _, found):
            assert truths(workspace, found) == {"r0": 1}

    def test_clocks_that_differ(self, tmp_path):
        labels = f"key,time,label\nk,{clock(6)},1\nk,{clock(-1)},0\n"

        with joined(tmp_path, self.keyed(10), labels) as (workspace, _, _, found):
            assert truths(workspace, found) == {"r10": 1}

        assert (found.early, found.earliest_seconds, found.outside, found.unknown) == (1, 240, 1, 0)

    def test_tolerance(self, tmp_path):
        labels = f"key,time,label\nk,{clock(30)},1\nk,{clock(31)},0\n"

        with joined(tmp_path, self.keyed(0), labels, tolerance=timedelta(minutes=30)) as (workspace, _, _, found):
            assert truths(workspace, found) == {"r0": 1}

        assert found.outside == 1

    def test_labels_without_time(self, tmp_path):
        labels = f"key,time,label\nk,,1\nk,{clock(1)},0\n"

        with joined(tmp_path, self.keyed(0), labels) as (workspace, _, _, found):
            assert truths(workspace, found) == {"r0": 0}

        assert found.without_time == 1

    def test_negative_tolerance(self, tmp_path):
        with (
            pytest.raises(InputError, match="clock_skew"),
            joined(tmp_path, self.keyed(0), "key,label\n", clock_skew=timedelta(seconds=-1)),
        ):
            pass

    @settings(max_examples=25, deadline=None)
    @given(
        asked=st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 50)), max_size=8, unique=True),
        told=st.lists(st.tuples(st.sampled_from("abc"), st.integers(-20, 90), st.integers(0, 1)), max_size=12),
    )
    def test_as_one_by_one(self, asked, told):
        tolerance, skew = 20, 5
        expected, counts = {}, {"unknown": 0, "outside": 0}
        for place, (key, time, label) in enumerate(told):
            own = [moment for name, moment in asked if name == key]
            before = [moment for moment in own if 0 <= time - moment <= tolerance]
            # The nearest one decides, also if it is out of reach.
            nearest = max((moment for moment in own if moment <= time), default=None)
            after = [moment for moment in own if 0 < moment - time <= skew]
            if before and nearest is not None:
                chosen = nearest
            elif after:
                chosen = min(after)
            else:
                counts["outside" if own else "unknown"] += 1
                continue
            expected.setdefault((key, chosen), []).append((time, place, label))
        with tempfile.TemporaryDirectory() as name:
            rows = [answer(f"{key}{time}", time, key=key) for key, time in asked] or [answer("none", version=1)]
            labels = "key,time,label\n" + "".join(f"{key},{clock(time)},{label}\n" for key, time, label in told)
            rules = {"tolerance": timedelta(minutes=tolerance), "clock_skew": timedelta(minutes=skew)}
            with joined(Path(name), rows, labels, **rules) as (workspace, _, _, found):
                assert truths(workspace, found) == {f"{k}{t}": max(some)[2] for (k, t), some in expected.items()}

        assert {"unknown": found.unknown, "outside": found.outside} == counts


class TestLabels:
    @pytest.mark.parametrize(
        ("classes", "label", "truth"),
        [
            ((), "1", 1),
            ((), "true", 1),
            ((), "False", 0),
            (("no", "yes"), "yes", 1),
            (("0.0", "1.0"), "1", 1),
            (("false", "true"), "true", 1),
        ],
    )
    def test_classes(self, tmp_path, classes, label, truth):
        with joined(tmp_path, [answer("a")], f"request_id,label\na,{label}\n", classes=classes) as (work, _, _, found):
            assert truths(work, found) == {"a": truth}

    def test_labels_that_are_no_class(self, tmp_path):
        labels = "request_id,label\na,maybe\nb,1\n"

        with joined(tmp_path, [answer("a"), answer("b")], labels) as (workspace, _, _, found):
            assert truths(workspace, found) == {"b": 1}

        assert (found.invalid, found.invalid_example, found.labelled) == (1, "maybe", 1)

    def test_numbers(self, tmp_path):
        rows = [logged.row("stable", 3, name, NOON, output_prediction=1.0) for name in "abcd"]
        labels = "request_id,label\na,2.5\nb,inf\nc,much\nd,-1e3\n"

        with joined(tmp_path, rows, labels, task="regression") as (workspace, _, _, found):
            assert truths(workspace, found) == {"a": 2.5, "d": -1000}

        assert found.invalid == 2

    def test_number_of_classes(self, tmp_path):
        with (
            pytest.raises(InputError, match="classes"),
            joined(tmp_path, [answer("a")], "request_id,label\na,1\n", classes=("x", "x")),
        ):
            pass


def test_memory_of_the_database_is_bounded(tmp_path):
    """Labels and answers that do not fit into its memory are on disk."""
    rows = 100_000
    logged.write(tmp_path, [answer(f"{'request' * 5}-{number}") for number in range(rows)])
    lines = "".join(f"{'request' * 5}-{number},{number % 2}\n" for number in range(rows))
    (tmp_path / "labels.csv").write_text(f"request_id,label\n{lines}")
    with open_workspace(memory_mib=48) as workspace:
        log = open_log(str(tmp_path), "taxi", NOON, NOON + timedelta(hours=1))
        answers = load_answers(workspace, log, 3, "binary")
        found = join(workspace, answers, read_labels(workspace, str(tmp_path / "labels.csv")))

    assert (found.labelled, found.unknown) == (rows, 0)
