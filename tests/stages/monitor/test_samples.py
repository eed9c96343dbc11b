"""Samples of the rows in the prediction log."""

from datetime import timedelta

import numpy as np
import pytest

from support import logged
from support.watched import NOON, VERSION, draw, write_hour
from tiffin.stages.monitor.samples import Sample, sample_rows
from tiffin.stages.monitor.windows import Window

DAY = Window(NOON - timedelta(hours=24), NOON)


def sample(log, first=(), most_inputs=10, **options):
    return sample_rows(str(log), "deliveries", VERSION, DAY, first, most_inputs, **options)


@pytest.fixture
def log(tmp_path):
    rng = np.random.default_rng(1)
    for number in range(4):
        write_hour(tmp_path / "log", NOON - timedelta(hours=1 + number), draw(rng, 50), f"f{number}")
    return tmp_path / "log"


def test_no_log(tmp_path):
    assert sample(tmp_path) == Sample(0, {}, (), 0, 0)


def test_all_rows_if_there_are_few(log):
    found = sample(log)
    assert (found.rows, found.sampled, found.lists, found.more) == (200, 200, (), 0)
    assert list(found.columns) == ["output.probability", "input.city", "input.km", "input.stops"]
    assert {len(values) for values in found.columns.values()} == {200}


def test_values_of_a_row_stay_together(log):
    """The probability of rows outside of Bonn rises with the distance."""
    found = sample(log, most=60).columns
    rows = [
        (km, probability)
        for km, city, probability in zip(
            found["input.km"], found["input.city"], found["output.probability"], strict=True
        )
        if city != "Bonn"
    ]
    assert [one for _, one in sorted(rows)] == sorted(one for _, one in rows)


def test_the_sample_does_not_depend_on_the_order_of_files(log, tmp_path):
    found = sample(log, most=30)
    assert (found.rows, found.sampled) == (200, 30)
    for path in (log / "deliveries").glob("date=*/hour=*/f*.parquet"):
        path.rename(path.with_name(f"{9 - int(path.stem[1])}.parquet"))
    assert sample(log, most=30) == found


def test_a_smaller_sample_is_part_of_a_larger_one(log):
    small, large = sample(log, most=20), sample(log, most=40)
    assert large.columns["input.km"][:20] == small.columns["input.km"]


def test_only_answers_of_the_version(log):
    rng = np.random.default_rng(2)
    hour = NOON - timedelta(hours=2)
    write_hour(log, hour, draw(rng, 9), "other", version=2)
    write_hour(log, hour, draw(rng, 9), "copy", route="mirror")
    write_hour(log, hour, draw(rng, 9), "failed", code="INTERNAL")
    write_hour(log, NOON, draw(rng, 9), "later")
    assert sample(log).rows == 200


def test_some_inputs(log):
    found = sample(log, first=["stops", "unknown"], most_inputs=1)
    assert (list(found.columns), found.more) == (["output.probability", "input.stops"], 2)


def test_lists(tmp_path):
    """A list of one value is that value; longer ones are left out."""
    rows = [
        logged.row(
            "stable", VERSION, f"r{number}", DAY.start, output_probability=[0.5], input_image=[1.0] * (1 + number)
        )
        for number in range(3)
    ]
    logged.write(tmp_path, rows)
    found = sample_rows(str(tmp_path), "taxi", VERSION, DAY, (), 10)
    assert (found.columns, found.lists) == ({"output.probability": [0.5] * 3}, ("input.image",))
