"""The ledger: what is sent once, what waits, and changes by several processes."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from support import gcs_emulator
from tiffin.errors import InputError
from tiffin.notifications import ledger
from tiffin.notifications.events import Event
from tiffin.notifications.ledger import Ledger

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
DRIFT = Event("drifted", "m version 1", "far", "DATA_DRIFT fare", "m", 1, "monitoring", "r1")


def add(before, event=DRIFT, hours=0.0, names=("a",)):
    return ledger.add_event(before, event, names, NOON + timedelta(hours=hours))


def test_an_empty_ledger(tmp_path):
    assert ledger.read_ledger(str(tmp_path)) == Ledger()
    assert ledger.take(Ledger(), "me", NOON) == (Ledger(), ())


def test_nothing_is_written_without_a_change(tmp_path):
    assert ledger.change(str(tmp_path / "x"), lambda before: (before, 3)) == 3
    assert not (tmp_path / "x").exists()


def test_the_same_is_sent_once_in_a_day_and_counted():
    after, result = add(Ledger())
    assert result == "send"
    for number in (1, 2, 3):
        after, result = add(after, replace(DRIFT, run=f"r{number + 1}"), hours=number)
        assert (result, after.entries[0].repeated) == ("repeated", number)
    after, result = add(after, replace(DRIFT, run="r9"), hours=24)
    assert (result, after.waiting[-1].repeated, after.waiting[-1].since) == ("send", 3, "2026-03-01T12:00:00+00:00")
    assert after.entries[0].repeated == 0


def test_a_second_step_of_a_run_does_not_count():
    after, _ = add(Ledger())
    assert add(after) == (after, "told")
    after, _ = add(after, replace(DRIFT, run="r2"))
    assert add(after, replace(DRIFT, run="r2")) == (after, "repeated")
    assert after.entries[0].repeated == 1


def test_another_cause_is_news():
    after, _ = add(Ledger())
    after, result = add(after, replace(DRIFT, cause="DATA_DRIFT tip", run="r2"))
    assert (result, len(after.entries)) == ("send", 2)


def test_the_end_of_an_event_makes_it_news_again():
    after, _ = add(Ledger())
    other, _ = add(after, replace(DRIFT, model="n"))
    other = ledger.end_events(other, ("degraded", "drifted"), "m")
    assert [one.about for one in other.entries] == ["n"]
    assert add(other, replace(DRIFT, run="r2"), hours=1)[1] == "send"


def test_a_message_is_in_one_hand():
    after, _ = add(Ledger())
    after, mine = ledger.take(after, "me", NOON)
    assert [one.event for one in mine] == [DRIFT]
    assert ledger.take(after, "you", NOON + timedelta(minutes=9))[1] == ()
    assert len(ledger.take(after, "you", NOON + timedelta(minutes=10))[1]) == 1


def test_messages_that_arrived_are_removed_and_others_are_kept():
    after, _ = add(Ledger())
    after, _ = add(after, replace(DRIFT, cause="other"))
    after, (first, second) = ledger.take(after, "me", NOON)
    after = ledger.give_back(after, "me", {second.id: replace(second, addresses=("b",), problem="down")})
    assert [(one.id, one.addresses, one.holder, one.problem) for one in after.waiting] == [
        (second.id, ("b",), "", "down")
    ]
    assert first.id != second.id


def test_the_messages_of_others_are_not_given_back():
    after, _ = ledger.take(add(Ledger())[0], "you", NOON)
    assert ledger.give_back(after, "me", {}) == after


def test_at_most_200_wait_and_the_dropped_are_counted():
    after = Ledger()
    for number in range(203):
        after, _ = add(after, replace(DRIFT, cause=chr(1000 + number)))
    assert (len(after.waiting), after.dropped) == (200, 3)
    assert after.waiting[0].event.cause == chr(1003)


def test_a_document_comes_back_as_it_was(tmp_path):
    after, _ = add(replace(Ledger(), unwell={"m": "drifted"}, dropped=2))
    ledger.change(str(tmp_path), lambda _: (after, None))
    assert ledger.read_ledger(str(tmp_path)) == after


def test_all_of_many_writers_are_kept(tmp_path):
    def write(number):
        event = replace(DRIFT, cause=chr(1000 + number))
        return ledger.change(str(tmp_path), lambda before: add(before, event))

    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(write, range(12))) == {"send"}
    assert len(ledger.read_ledger(str(tmp_path)).entries) == 12


def test_in_a_bucket():
    with gcs_emulator.serve():
        for number in range(2):
            event = replace(DRIFT, cause=str(number))
            assert (
                ledger.change("gs://bucket/training/notifications", lambda before, event=event: add(before, event))
                == "send"
            )
        assert len(ledger.read_ledger("gs://bucket/training/notifications").entries) == 2


def test_another_file_in_its_place_is_told(tmp_path):
    (tmp_path / "notifications.json").write_text("[]")
    with pytest.raises(InputError, match="Ledger"):
        ledger.read_ledger(str(tmp_path))


@pytest.mark.parametrize(
    ("uri", "home"),
    [
        (
            "minio://mlpipeline/v2/artifacts/training/6f/summarize-run/a1/summary",
            "minio://mlpipeline/v2/artifacts/training",
        ),
        ("gs://bucket/root/training/6f/summarize-run-2/a1/summary", "gs://bucket/root/training"),
        ("/state/runs/r1/summarize-run/summary", "/state/runs"),
    ],
)
def test_the_ledger_is_beside_the_runs(uri, home):
    assert ledger.find_home(uri, "summarize-run", "training") == f"{home}/notifications"


def test_the_variable_names_another_place(monkeypatch):
    monkeypatch.setenv("TIFFIN_NOTIFY_STATE", "s3://b/told")
    assert ledger.find_home("anything", "notify-people", "my pipeline/../x") == "s3://b/told/my_pipeline_.._x"
    assert ledger.find_home("anything", "notify-people", "..") == "s3://b/told/pipeline"


def test_no_folder_of_the_step_no_ledger():
    assert ledger.find_home("/elsewhere/summary", "summarize-run", "training") == ""
