"""Kinds of events, and when two of them are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.notifications.events import (
    KINDS,
    Event,
    check_event,
    check_notify_on,
    is_wanted,
    without_numbers,
)


def test_an_empty_list_has_all_kinds():
    check_notify_on([])
    assert all(is_wanted(kind, []) for kind in KINDS)


def test_the_names_of_kinds():
    check_notify_on([*KINDS])
    assert is_wanted("drifted", ["drifted"])
    assert not is_wanted("failure", ["drifted"])


def test_none_is_nothing():
    check_notify_on(["none"])
    assert not any(is_wanted(kind, ["none"]) for kind in KINDS)


@pytest.mark.parametrize(
    ("kinds", "hint"), [(["drifed"], "'drifted'"), (["none", "failure"], "'none' beside"), ([3], "Received: 3")]
)
def test_another_kind_is_refused(kinds, hint):
    with pytest.raises(InputError, match=hint):
        check_notify_on(kinds)


def test_the_event_of_the_component():
    check_event("")
    check_event("failure")
    with pytest.raises(InputError, match="'failure'"):
        check_event("failur")


def test_two_failures_are_the_same_if_only_numbers_differ():
    first = Event(
        "failure", "training", "Row 17 at 2026-03-01T11:00:00 of run 3f2a9c7e41d0 is bad.", pipeline="training"
    )
    second = Event(
        "failure", "training", "Row 9,812 at 2026-03-02T07:30:12 of run 00e1c77ab2f9 is bad.", pipeline="training"
    )
    assert first.key == second.key


@pytest.mark.parametrize(
    "changes",
    [{"kind": "stopped"}, {"pipeline": "other"}, {"reason": "Column 1 is bad."}, {"model": "m"}, {"cause": "x"}],
)
def test_events_differ_by_kind_subject_and_cause(changes):
    fields = {"kind": "failure", "subject": "training", "reason": "Row 1 is bad.", "pipeline": "training"}
    assert Event(**fields).key != Event(**{**fields, **changes}).key


def test_versions_of_a_model_are_different_subjects():
    assert Event("drifted", "m", "", "c", "m", 1).key != Event("drifted", "m", "", "c", "m", 2).key


@given(st.integers(0, 10**12), st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_do_not_count(number, value):
    assert without_numbers(f"share {number} of {value}.") == without_numbers("share 1 of 0.5.")
