"""Dates of the examples as a model takes them."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.artifacts.shards import iso_texts

DAY = 86_400


def texts(values, logical):
    return iso_texts(pa.array(values, pa.int64()), logical).to_pylist()


def test_of_no_values():
    assert texts([], "date") == texts([], "timestamp") == []


@pytest.mark.parametrize(
    ("seconds", "date", "timestamp"),
    [
        (0, "1970-01-01", "1970-01-01T00:00:00"),
        (-1, "1969-12-31", "1969-12-31T23:59:59"),
        (1_709_164_800, "2024-02-29", "2024-02-29T00:00:00"),
        (253_402_300_799, "9999-12-31", "9999-12-31T23:59:59"),
        (253_402_300_800, "10000-01-01", "10000-01-01T00:00:00"),
        (-62_135_596_800, "0001-01-01", "0001-01-01T00:00:00"),
        (-62_135_596_801, "0000-12-31", "0000-12-31T23:59:59"),
        (-62_167_219_201, "-0001-12-31", "-0001-12-31T23:59:59"),
        (None, None, None),
    ],
)
def test_by_hand(seconds, date, timestamp):
    assert (texts([seconds], "date"), texts([seconds], "timestamp")) == ([date], [timestamp])


@pytest.mark.parametrize("logical", ["date", "timestamp"])
def test_years_that_arrow_does_not_write_are_not_dates(logical):
    [found] = texts([10**12], logical)

    assert "1000000000000" in found


@given(st.datetimes())
def test_are_those_of_python(moment):
    moment = moment.replace(microsecond=0)
    seconds = (moment - type(moment)(1970, 1, 1)).days * DAY + moment.hour * 3600 + moment.minute * 60 + moment.second

    assert texts([seconds], "timestamp") == [moment.isoformat()]
    assert texts([seconds], "date") == [moment.date().isoformat()]
