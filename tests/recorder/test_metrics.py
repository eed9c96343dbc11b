"""Metrics, and lines of the log."""

import logging

import pytest

from tiffin.recorder import metrics
from tiffin.recorder.metrics import Metrics


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "tiffin.recorder")
    return caplog


def test_nothing_to_count_is_no_line(log: pytest.LogCaptureFixture) -> None:
    found = Metrics()
    found.drop({"queue": 0})
    found.count_problems({})

    assert log.records == []


def test_one_line_for_each_reason_and_minute(log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Metrics()
    for _ in range(3):
        found.drop({"queue": 2, "models": 1})
    monkeypatch.setattr(metrics, "_SILENT_SECONDS", 0.0)
    found.drop({"queue": 1})

    numbers = [record.args[1:] for record in log.records]  # type: ignore[index]
    assert numbers == [("queue", 2), ("models", 1), ("queue", 5)]
    assert found.registry.get_sample_value("tiffin_recorder_dropped_requests_total", {"reason": "queue"}) == 7


def test_every_reason_has_a_text() -> None:
    found = Metrics()
    for reason in metrics._TEXTS:
        found.count_problems({reason: 1})


def test_names_of_clients_are_escaped(log: pytest.LogCaptureFixture) -> None:
    Metrics().report("storage", "a\x1b[2Jb\n")

    assert log.messages[0].startswith("a\\x1b[2Jb\\n ")
