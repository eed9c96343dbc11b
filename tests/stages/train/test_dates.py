"""Dates in the graph: the texts that ingest reads, as the seconds since 1970."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
import tensorflow as tf

from tiffin.recipe.patterns import DAYS, date_formats
from tiffin.stages.train.dates import Dates, is_known

FEBRUARY = 1706745600  # 2024-02-01


def read(*texts, formats=(), **options):
    found, unreadable = Dates({"at": formats}, **options).read({"at": tf.constant(texts, tf.string, [len(texts)])})
    seconds = [None if math.isnan(value) else value for value in found["at"].numpy()]
    return seconds, unreadable.numpy().tolist()


def test_no_rows():
    assert read() == ([], [])


def test_no_dates():
    inputs = {"a": tf.constant([1.0])}
    assert Dates({}).read(inputs) == (inputs, None)


def test_an_empty_text_is_missing_and_readable():
    assert read("", "  ") == ([None, None], [0, 0])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1970-01-01", 0), ("1970-1-1", 0), ("1969-12-31 23:59:59.5", -1), ("2024-02-01", FEBRUARY),
        ("2024-02-01T10:00", FEBRUARY + 36_000), ("2024-02-01 10:00:07.999", FEBRUARY + 36_007),
        ("2024-02-01T10:00:00Z", FEBRUARY + 36_000), ("2024-02-01 10:00:00+02:00", FEBRUARY + 28_800),
        ("2024-02-01 10:00-0330", FEBRUARY + 48_600), ("2024-02-01T10:00+02", FEBRUARY + 28_800), ("2024-01-31 24:00", FEBRUARY),
        ("2024-02-29", FEBRUARY + 28 * 86_400), ("0001-01-01", -62135596800), ("10000-01-01", 253402300800),
        ("-0001-01-01", -62198755200),
    ],
)  # fmt: skip
def test_iso_8601(text, seconds):
    assert read(text) == ([seconds], [0])


@pytest.mark.parametrize(
    "text",
    ["x", "2024-02-30", "2023-02-29", "1900-02-29", "2024-13-01", "2024-00-01", "2024-01-00", "2024-02-01 24:01", "10:00",
     "20240201", "2024-02-01 23:60", "2024-02-01 10", "1706745600", "2024-02-01 10:00 Europe/Berlin", "01.02.2024"],
)  # fmt: skip
def test_unreadable_texts_are_missing_and_counted(text):
    assert read(text, "2024-02-01") == ([None, FEBRUARY], [1, 0])


@pytest.mark.parametrize(
    ("format_", "text", "seconds"),
    [
        ("%d.%m.%Y", "1.2.2024", 0), ("%d.%m.%Y", "01.02.2024 10:30", 37_800), ("%d/%m/%Y", "1/2/2024", 0),
        ("%m/%d/%Y", "2/1/2024 1:05 PM", 47_100), ("%m/%d/%Y", "2/1/2024, 12:00 am", 0), 
        ("%m/%d/%Y", "02/01/2024 12:30PM", 45_000),
        ("%d-%b-%Y", "01-FEB-2024", 0), ("%d %b %Y", "1 February 2024 9:05", 32_700), ("%b %d, %Y", "Feb 1 2024", 0),
        ("%b %d, %Y", "february 1, 2024 23:59:59", 86_399), ("%Y.%m.%d", "2024.02.01", 0), ("%d.%m.%y", "01.02.24", 0),
        ("%Y%m%dT%H%M%S", "20240201T010203", 3723), ("%A, %d %B %Y %I:%M%p", "Thursday, 01 February 2024 01:00AM", 3600),
        ("%Y-%d-%m", "2024-01-02", 0), ("%d.%m.%Y", "2024-02-01T00:00:05", 5),
    ],
)  # fmt: skip
def test_formats_of_the_data(format_, text, seconds):
    assert read(text, formats=(format_,)) == ([FEBRUARY + seconds], [0])


@pytest.mark.parametrize(
    ("format_", "text"),
    [("%d.%m.%Y", "31.02.2024"), ("%d.%m.%Y", "01.02.24"), ("%d.%m.%Y", "01.02.0024"), ("%m/%d/%Y", "13/01/2024"),
     ("%m/%d/%Y", "1/1/2024 13:00 PM"), ("%m/%d/%Y", "1/1/2024 0:30 AM"), ("%d %b %Y", "1 Foo 2024")],
)  # fmt: skip
def test_texts_that_do_not_fit_a_format(format_, text):
    assert read(text, formats=(format_,)) == ([None], [1])


@pytest.mark.parametrize("name", sorted(DAYS))
def test_every_known_format(name):
    chance = random.Random(name)
    texts, seconds = [], []
    for format_ in date_formats(name) * 5:
        moment = datetime(chance.randint(1000, 9999), 1, 1) + timedelta(seconds=chance.randrange(365 * 86_400))
        texts.append(moment.strftime(format_))
        seconds.append(math.floor(datetime.strptime(texts[-1], format_).replace(tzinfo=UTC).timestamp()))
    assert read(*texts, formats=(name,)) == (seconds, [0] * len(texts))


@pytest.mark.parametrize("format_", ["%j %Y", "%s", "%d.%m", "%Y %Y", "x"])
def test_formats_that_the_graph_cannot_read(format_):
    assert not is_known(format_)
    assert read("2024-02-01", "1", formats=(format_,)) == ([FEBRUARY, None], [0, 1])


def test_several_columns_are_counted_together():
    dates = Dates({"a": (), "b": ("%d.%m.%Y",), "c": ()})
    found, unreadable = dates.read({"a": ["x"], "b": ["01.02.2024"], "c": ["y"], "d": [1.0]})
    assert found["b"].numpy().tolist() == [FEBRUARY]
    assert unreadable.numpy().tolist() == [2]
    assert found["d"] == [1.0]


def test_refused():
    assert read("", "2024-02-01", unreadable="refuse") == ([None, FEBRUARY], [0, 0])
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"at .*%d\.%m\.%Y(.|\n)*'?soon"):
        read("2024-02-01", "soon", formats=("%d.%m.%Y",), unreadable="refuse")
