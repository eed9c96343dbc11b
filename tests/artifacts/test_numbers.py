"""Numbers, shares and times as texts."""

import pytest

from tiffin.artifacts.numbers import format_moment, format_number, format_share


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (1234567, "1234567"),
        (60601.0, "60601"),
        (123456.75, "123456.8"),
        (0.000123, "0.000123"),
        (-1e-9, "-1e-09"),
        (1e18, "1e+18"),
        (100.0, "100"),
        (17031081401.5, "17031081401.5"),
    ],
)
def test_format_number(value, text):
    assert format_number(value) == text


@pytest.mark.parametrize(
    ("seconds", "logical", "text"),
    [(0, "date", "1970-01-01"), (1408630500, "timestamp", "2014-08-21 14:15:00"), (1e18, "date", "1e+18"),
     (float("inf"), "date", "inf"), (float("nan"), "date", "nan")],
)  # fmt: skip
def test_format_moment(seconds, logical, text):
    assert format_moment(seconds, logical) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(0, "0 %"), (1e-6, "under 0.01 %"), (1 / 3, "33.3 %"), (0.99999, "over 99.9 %"), (1, "100 %")],
)
def test_format_share(share, text):
    assert format_share(share) == text
