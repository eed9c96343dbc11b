import math

import hypothesis.strategies as st
import pytest
from hypothesis import given

from tiffin.serving import load_figures
from tiffin.serving.load import Answer, Course
from tiffin.serving.load_figures import Histogram, Latency, Second, Tally

NONE = Latency(None, None, None, None)


def answer(due: float, seconds: float, code: str = "OK", late: float = 0.0, version: int | None = 1) -> Answer:
    return Answer(None, due, late, seconds, code, "" if code == "OK" else f"{code}!", version)


def test_no_latencies() -> None:
    assert Histogram().quantile(0.5) is None


def test_one_latency_is_exact() -> None:
    found = Histogram()
    found.add(0.25)

    assert [found.quantile(share) for share in (0, 0.5, 1)] == [0.25, 0.25, 0.25]


@given(st.lists(st.floats(0, 1e5), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_at_most_a_bin_above_the_exact_one(seconds: list[float], share: float) -> None:
    found = Histogram()
    for one in seconds:
        found.add(one)
    exact = sorted(seconds)[max(0, math.ceil(share * len(seconds) - 1e-9) - 1)]

    quantile = found.quantile(share)
    assert quantile is not None
    assert exact <= quantile * (1 + 1e-9)
    assert quantile <= max(exact, 1e-6) * 1.01 * (1 + 1e-9)
    assert found.longest == max(seconds)


def test_no_requests() -> None:
    found = Tally().figures(Course(0.0, 0.0, 0.0, 5, False))

    assert (found.requests, found.answered, found.failed, found.unsent, found.sent_per_second) == (0, 0, 0, 5, 0.0)
    assert (found.codes, found.messages, found.versions, found.by_second) == ({}, {}, {}, ())
    assert found.latency_seconds == NONE


def test_figures() -> None:
    tally = Tally()
    for one in (
        answer(1.5, 0.5, version=2),
        answer(0.0, 0.25),
        answer(0.5, 0.25, late=0.005),
        answer(1.0, 9.0, "INTERNAL", late=0.125, version=None),
        answer(1.75, 9.0, "INTERNAL", version=None),
        answer(2.0, 9.0, "UNAVAILABLE", late=0.0625, version=None),
    ):
        tally.record(one, rows=10)
    found = tally.figures(Course(7.0, 2.0, 11.0, 1, False))

    assert (tally.requests, tally.failed) == (6, 3)
    assert (found.requests, found.answered, found.failed, found.rows, found.unsent) == (6, 3, 3, 60, 1)
    assert (found.seconds, found.sent_per_second) == (11.0, 3.0)
    assert (found.late, found.longest_late_seconds) == (2, 0.125)
    assert [*found.codes.items()] == [("OK", 3), ("INTERNAL", 2), ("UNAVAILABLE", 1)]
    assert found.messages == {"INTERNAL": "INTERNAL!", "UNAVAILABLE": "UNAVAILABLE!"}
    assert found.versions == {1: 2, 2: 1}
    assert found.latency_seconds == Latency(pytest.approx(0.25, rel=0.01), 0.5, 0.5, 0.5)
    assert found.by_second == (
        Second(0, 2, 0, Latency(0.25, 0.25, 0.25, 0.25)),
        Second(1, 3, 2, Latency(0.5, 0.5, 0.5, 0.5)),
        Second(2, 1, 1, NONE),
    )


def test_only_the_first_seconds_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load_figures, "MAX_SECONDS", 2)
    tally = Tally()
    for second in range(4):
        tally.record(answer(second, 0.5), rows=1)
    found = tally.figures(Course(0.0, 4.0, 4.0, 0, False))

    assert [one.second for one in found.by_second] == [0, 1]
    assert found.requests == 4
