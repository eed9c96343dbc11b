"""Whether a model is trained again, rule by rule and in their order."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.artifacts.retraining import POLICIES, TRIGGERS, Attempt, Pause, RetrainingState
from tiffin.errors import InputError
from tiffin.retraining.decision import (
    Asked,
    Rules,
    check_budget,
    check_cool_down,
    check_roll_back_hours,
    codes_of,
    decide,
    rolls_back,
)

NOON = datetime(2026, 3, 8, 12, tzinfo=UTC)
NOTHING = RetrainingState("trips")
WORSE = Asked("r9", "monitoring", "degraded", "CONCEPT_DRIFT", 3, "d9")
RETRAIN = Rules("retrain")


def attempt(hours, outcome="rejected", **changed):
    """Return a retraining that started so many hours ago."""
    started = (NOON - timedelta(hours=hours)).isoformat(timespec="seconds")
    ended = "" if outcome == "running" else started
    one = Attempt(f"r{hours}", "monitoring", "CONCEPT_DRIFT", 3, f"d{hours}", started, outcome, ended)
    return replace(one, **changed)


def state(*attempts, paused=None):
    return RetrainingState("trips", attempts, paused)


def code(before, asked=WORSE, rules=RETRAIN):
    return decide(before, asked, rules, NOON)[0]


def test_a_model_that_was_never_trained_again():
    assert decide(NOTHING, WORSE, RETRAIN, NOON) == ("START", "'trips' is trained again because of CONCEPT_DRIFT.")


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_nothing_starts_while_retrainings_are_paused(trigger):
    paused = Pause("2026-03-01T00:00:00+00:00", "ada", "labels are wrong")
    found, reason = decide(state(paused=paused), replace(WORSE, trigger=trigger), RETRAIN, NOON)
    assert found == "PAUSED"
    assert "ada" in reason
    assert "labels are wrong" in reason


@pytest.mark.parametrize("trigger", TRIGGERS)
def test_one_at_a_time(trigger):
    assert code(state(attempt(30, "running")), replace(WORSE, trigger=trigger)) == "RUNNING"


def test_another_attempt_of_the_same_run_goes_on():
    assert code(state(attempt(1, "running", run="r9"))) == "START"
    assert code(state(attempt(1, "failed", run="r9"))) == "COOL_DOWN"


def test_a_person_is_stopped_by_no_policy_cool_down_or_budget():
    before = state(*(attempt(hours) for hours in (5, 4, 3, 2)))
    for policy in POLICIES:
        assert code(before, Asked("r9", "hand"), Rules(policy)) == "START"


@pytest.mark.parametrize(("verdict", "wanted"), [("healthy", "NOTHING_WRONG"), ("no_data", "NOTHING_WRONG"),
                                                 ("drifted", "START"), ("degraded", "START")])  # fmt: skip
def test_verdicts(verdict, wanted):
    assert code(NOTHING, replace(WORSE, verdict=verdict)) == wanted


@pytest.mark.parametrize(
    ("cause", "wanted"),
    [
        ("ERROR_RATE", "NOT_BY_TRAINING"),
        ("ANOMALY:zone LATENCY", "NOT_BY_TRAINING"),
        ("ANOMALY:zone DATA_DRIFT:km,zone", "START"),
        ("", "NOT_BY_TRAINING"),
    ],
)
def test_what_training_cures(cause, wanted):
    assert code(NOTHING, replace(WORSE, cause=cause)) == wanted


def test_policies():
    assert [code(NOTHING, WORSE, Rules(policy)) for policy in POLICIES] == ["POLICY_NONE", "ASK", "START"]
    assert [code(NOTHING, Asked("r", "schedule"), Rules(policy)) for policy in POLICIES] == [
        "POLICY_NONE",
        "ASK",
        "START",
    ]


def test_the_cool_down_counts_from_the_start_whatever_the_end():
    for outcome in ("failed", "rejected", "promoted", "expired"):
        assert code(state(attempt(23, outcome))) == "COOL_DOWN"
        assert code(state(attempt(24, outcome))) == "START"
    assert code(state(attempt(23)), rules=replace(RETRAIN, cool_down=timedelta(0))) == "START"


def test_the_same_cause_version_and_data():
    before = state(attempt(30, data="d9"))
    assert code(before) == "SAME_DATA"
    assert code(before, replace(WORSE, version=4)) == "START"
    assert code(before, replace(WORSE, cause="DATA_DRIFT:km")) == "START"
    assert code(before, replace(WORSE, data="d10")) == "START"
    assert code(before, replace(WORSE, data="")) == "START"
    assert code(before, replace(WORSE, is_labelled=True)) == "START"


def test_the_data_of_the_training_teach_nothing_new():
    assert code(NOTHING, replace(WORSE, known_data="d9")) == "SAME_DATA"
    assert code(NOTHING, replace(WORSE, known_data="d9", is_labelled=True)) == "START"
    assert code(NOTHING, replace(WORSE, known_data="d9", trigger="schedule")) == "START"
    assert code(NOTHING, replace(WORSE, known_data="d9"), Rules("ask")) == "ASK"


def test_a_new_span():
    asked = Asked("r9", "data", data="d9", known_data="d8")
    assert code(NOTHING, asked) == "START"
    assert code(NOTHING, replace(asked, known_data="d9")) == "NO_NEW_DATA"
    assert code(state(attempt(30, data="d9")), asked) == "NO_NEW_DATA"
    assert code(state(attempt(40, data="d9"), attempt(30, data="d7")), asked) == "START"


def test_the_budget_of_a_week_ends_in_a_question():
    week = 7 * 24
    before = state(attempt(week), attempt(80), attempt(60), attempt(40, trigger="hand"))
    assert code(before) == "START"
    found, reason = decide(state(*before.attempts, attempt(30)), WORSE, RETRAIN, NOON)
    assert found == "BUDGET"
    assert "3 retrainings" in reason
    assert code(NOTHING, rules=replace(RETRAIN, budget=0)) == "BUDGET"


@given(
    st.lists(st.integers(0, 300), max_size=12, unique=True),
    st.sampled_from(TRIGGERS),
    st.sampled_from(POLICIES),
    st.integers(0, 5),
    st.integers(0, 48),
)
def test_no_loop_starts_more_than_the_budget(hours, trigger, policy, budget, cool_down):
    """Whatever happened before, within a week no more start without a person than the budget, each after its cool-down."""
    attempts = tuple(attempt(one) for one in sorted(hours, reverse=True))
    rules = Rules(policy, timedelta(hours=cool_down), budget)
    found = code(state(*attempts), replace(WORSE, trigger=trigger), rules)
    if trigger != "hand" and found == "START":
        assert policy == "retrain"
        assert sum(one < 168 for one in hours) < budget
        assert min(hours, default=cool_down) >= cool_down


class TestRollBack:
    WEEK = timedelta(days=7)

    def test_a_new_version_that_is_worse(self):
        assert rolls_back(WORSE, NOON - timedelta(hours=5), self.WEEK, NOON)

    @pytest.mark.parametrize(
        ("changed", "hours"),
        [({}, 200), ({"verdict": "drifted"}, 5), ({"trigger": "schedule"}, 5)],
    )
    def test_others_stay(self, changed, hours):
        assert not rolls_back(replace(WORSE, **changed), NOON - timedelta(hours=hours), self.WEEK, NOON)

    def test_never(self):
        assert not rolls_back(WORSE, NOON, timedelta(0), NOON)
        assert not rolls_back(WORSE, None, self.WEEK, NOON)


def test_codes():
    assert codes_of("") == set()
    assert codes_of("CONCEPT_DRIFT DATA_DRIFT:km,zone") == {"CONCEPT_DRIFT", "DATA_DRIFT"}


@pytest.mark.parametrize(
    ("check", "good", "bad"),
    [
        (check_cool_down, 0, -1),
        (check_cool_down, 0.5, float("nan")),
        (check_budget, 0, -1),
        (check_roll_back_hours, 0, -0.1),
    ],
)
def test_rules_of_parameters(check, good, bad):
    check(good)
    with pytest.raises(InputError):
        check(bad)
