"""A window of the log from end to end, as `monitor_model` puts the parts together: answers, labels, metrics, estimate, cause."""

from datetime import timedelta

import numpy as np
import pytest

from support import logged
from support.drifting import binary
from support.labelled_log import NOON
from tiffin.artifacts.measures import Slice
from tiffin.artifacts.verdict import Check, Evaluation
from tiffin.performance.answers import load_answers
from tiffin.performance.calibrated import find_map
from tiffin.performance.comparison import check_bounds, compare, reference_of, worse
from tiffin.performance.diagnosis import diagnose
from tiffin.performance.estimation import estimate
from tiffin.performance.joining import join
from tiffin.performance.label_sources import read_labels
from tiffin.performance.measured import choose_length, measure, measure_periods, measure_slices
from tiffin.performance.record import Record, extend, make_entries, summarize
from tiffin.performance.rows import mask_between, read_rows
from tiffin.performance.workspace import open_workspace
from tiffin.quality import calibration
from tiffin.quality.cuts import OTHER
from tiffin.serving.log_reading import open_log

ROWS, HOURS = 8400, 12


@pytest.fixture(scope="module")
def evaluation():
    """The evaluation of the model on 10,000 rows."""
    outcomes = binary(np.random.default_rng(1), 10_000)
    found = measure(outcomes, "evaluation")
    return Evaluation(
        True, "", (Check("auc", found.metrics["auc"], 0.8, True, ""),), found.metrics, "binary", "eval", 10_000, "", "",
        classes=("no", "yes"), intervals=found.intervals, calibration=calibration.measure(outcomes),
        slices=(Slice(("city",), "city = Oslo", 5000, {}, {}),),
    )  # fmt: skip


def write(folder, **drift):
    """Write a log of half a day and labels of three quarters of it."""
    outcomes = binary(np.random.default_rng(2), ROWS, **drift)
    minutes = HOURS * 60 / ROWS
    rows, lines = [], ["order,when,late"]
    for number, (truth, score) in enumerate(zip(outcomes.truth, outcomes.answer.tolist(), strict=True)):
        time = NOON + timedelta(minutes=number * minutes)
        city = ("Oslo", "Bergen")[number % 2]
        rows.append(
            logged.row("stable", 3, f"r{number}", time, key=f"o{number}", output_probability=[score], input_city=city)
        )
        if number < 0.75 * ROWS:
            lines.append(f"o{number},{(time + timedelta(hours=1)).isoformat()},{('no', 'yes')[truth]}")
    for hour in range(HOURS):
        part = rows[hour * ROWS // HOURS : (hour + 1) * ROWS // HOURS]
        logged.write(folder, part)
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("drift", "code", "is_worse", "bound"),
    [
        ({}, "NO_DECAY", False, "WITHIN_BOUND"),
        ({"spread": 0.6}, "DATA_DRIFT", True, "BEYOND_BOUND"),
        ({"concept": 0.6}, "CONCEPT_DRIFT", True, "BEYOND_BOUND"),
    ],
)
def test_window(tmp_path, evaluation, drift, code, is_worse, bound):
    write(tmp_path, **drift)
    reference, known = reference_of(evaluation), find_map(evaluation.calibration)
    names = {"key": "order", "time": "when", "label": "late"}
    with open_workspace() as workspace:
        log = open_log(str(tmp_path), "taxi", NOON, NOON + timedelta(hours=HOURS))
        answers = load_answers(workspace, log, 3, "binary", inputs=["city"])
        table = read_labels(workspace, str(tmp_path / "labels.csv"), names)
        joining = join(workspace, answers, table, classes=evaluation.classes)
        rows = read_rows(answers, joining, ["city"], evaluation.slices)
    outcomes = rows.outcomes()
    measured = measure(outcomes, "taxi")
    compared = compare(measured, reference, counts=outcomes.counts.tolist())
    slices, _ = measure_slices(rows, [("city",)], "taxi")
    guess = estimate(outcomes.answer, known, "taxi", fixed=True)

    assert (joining.coverage, joining.unknown) == (0.75, 0)
    assert [one.labelled for one in joining.hours] == [700] * 9 + [0] * 3
    assert bool(worse(compared)) is is_worse
    assert [one.code for one in check_bounds(evaluation.checks, measured)] == [bound]
    assert [one.value for one in slices] == [f"city = {name}" for name in ("Oslo", OTHER)]
    assert diagnose("auc", measured, reference, guess).code == code

    record = Record("taxi")
    length = choose_length(rows)
    periods = list(measure_periods(rows, length, "taxi", rounds=200))
    for number, period in enumerate(periods):
        of = mask_between(rows, number * length, (number + 1) * length)
        estimated = estimate(rows.answer[of], known, "taxi", period.start, rounds=200)
        record = extend(record, make_entries(period.start, period.end, 3, estimated, period.measured))
    track = {one.metric: one for one in summarize(record)}

    assert (len(periods), length) == (12, 3600)
    assert (track["auc"].periods, track["auc"].error < 0.04) == (9, code != "CONCEPT_DRIFT")
