"""Whether a model is trained again: pure functions of the state, the trigger and the rules.

paused                            no, whatever asks                      PAUSED
another retraining runs           no: one at a time                      RUNNING
a person asks                     yes                                    START
nothing is wrong                  no                                     NOTHING_WRONG
not cured by training             no: errors, latency, broken data       NOT_BY_TRAINING
policy none                       no                                     POLICY_NONE
one began a short time ago        no                                     COOL_DOWN
nothing new to learn from         no: it would end in the same way       SAME_DATA
no span is new                    no                                     NO_NEW_DATA
the budget of the week is used    a person is asked                      BUDGET
policy ask                        a person is asked                      ASK
otherwise                         yes                                    START
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from tiffin.artifacts.retraining import Attempt, Code, Policy, RetrainingState, Trigger
from tiffin.errors import InputError

WEEK = timedelta(days=7)
# Codes of findings of the monitoring that newer data may cure. Errors and latency are no matter of training, and a column
# that breaks the schema would be learnt as it is.
CURED = frozenset(
    {
        "CONCEPT_DRIFT",
        "WORSE_THAN_TRAINING",
        "WORSE_BY_DATA_DRIFT",
        "BEYOND_BOUND",
        "ESTIMATED_WORSE",
        "DATA_DRIFT",
        "PREDICTION_DRIFT",
    }
)


@dataclass(frozen=True)
class Rules:
    """When a model may be trained again without a person.

    Attributes:
        policy: `none`, `ask` a person, or `retrain`.
        cool_down: Time from the start of a retraining to the next one.
        budget: Retrainings that may start within a week; those that a person asked for do not count.
        expiry: Time after which a retraining that told no end counts as ended.
    """

    policy: Policy = "ask"
    cool_down: timedelta = timedelta(hours=24)
    budget: int = 3
    expiry: timedelta = timedelta(hours=96)


@dataclass(frozen=True)
class Asked:
    """What asks for a retraining.

    Attributes:
        run: ID of the pipeline run; an attempt of the same run goes on with its retraining.
        trigger: What asks.
        verdict: The verdict of the monitoring; empty without.
        cause: Codes and columns of what monitoring found; empty without.
        version: Version in production; 0 without one.
        data: Digest of the files of the newest spans; empty if unknown.
        known_data: Digest of the files that the version in production was trained on; empty if unknown.
        is_labelled: Whether newly labelled answers are added to the data.
    """

    run: str
    trigger: Trigger
    verdict: str = ""
    cause: str = ""
    version: int = 0
    data: str = ""
    known_data: str = ""
    is_labelled: bool = False


Found = tuple[Code, str]


def decide(state: RetrainingState, asked: Asked, rules: Rules, now: datetime) -> Found:
    """Return whether a model is trained again, and the reason in one sentence.

    Args:
        state: State of the model, in which expired retrainings are ended.
        asked: What asks.
        rules: When it may be.
        now: Time, with a zone.
    """
    for rule in (_others, _by_hand, _without_need, _by_policy, _cooling_down, _without_news, _beyond_budget):
        if (found := rule(state, asked, rules, now)) is not None:
            return found
    because = f" because of {asked.cause}" if asked.cause else ""
    if rules.policy == "ask":
        return "ASK", f"'{state.model}' should be trained again{because}; the policy is to ask."
    return "START", f"'{state.model}' is trained again{because}."


def _others(state: RetrainingState, asked: Asked, _rules: Rules, _now: datetime) -> Found | None:
    """Of persons, and of runs."""
    running = [one for one in state.attempts if one.outcome == "running"]
    if state.paused:
        why = f": {state.paused.why}" if state.paused.why else ""
        return (
            "PAUSED",
            f"Retraining of '{state.model}' is paused since {state.paused.since} by {state.paused.by}{why}.",
        )
    if any(one.run == asked.run for one in running):
        return "START", f"Retraining of '{state.model}' goes on: this run started it at {running[-1].started}."
    if running:
        return "RUNNING", f"A retraining of '{state.model}' runs since {running[-1].started}: run {running[-1].run}."
    return None


def _by_hand(state: RetrainingState, asked: Asked, _rules: Rules, _now: datetime) -> Found | None:
    return ("START", f"'{state.model}' is trained again: a person asked for it.") if asked.trigger == "hand" else None


def _without_need(state: RetrainingState, asked: Asked, _rules: Rules, _now: datetime) -> Found | None:
    if asked.trigger != "monitoring":
        return None
    if asked.verdict not in ("degraded", "drifted"):
        return (
            "NOTHING_WRONG",
            f"'{state.model}' is not trained again: its verdict is {asked.verdict.replace('_', ' ')}.",
        )
    if not codes_of(asked.cause) & CURED:
        return "NOT_BY_TRAINING", f"Training '{state.model}' again would not cure what was found: {asked.cause}."
    return None


def _by_policy(state: RetrainingState, _asked: Asked, rules: Rules, _now: datetime) -> Found | None:
    return (
        ("POLICY_NONE", f"'{state.model}' is not trained again: the policy is none.")
        if rules.policy == "none"
        else None
    )


def _cooling_down(state: RetrainingState, _asked: Asked, rules: Rules, now: datetime) -> Found | None:
    last = state.attempts[-1] if state.attempts else None
    if last is None or now - _moment(last.started) >= rules.cool_down:
        return None
    ends = (_moment(last.started) + rules.cool_down).isoformat(timespec="minutes")
    return "COOL_DOWN", (
        f"The last retraining of '{state.model}' started at {last.started} and {_ended(last)}; the next may start at {ends}."
    )


def _without_news(state: RetrainingState, asked: Asked, rules: Rules, _now: datetime) -> Found | None:
    """Of data that a retraining has seen."""
    if not asked.data:
        return None
    seen = [asked.known_data, *(one.data for one in state.attempts[-1:])]
    if asked.trigger == "data" and asked.data in seen:
        return "NO_NEW_DATA", f"There is no newer data for '{state.model}' than it was trained on."
    # A person who is asked may have newer data.
    if asked.trigger != "monitoring" or asked.is_labelled or rules.policy == "ask":
        return None
    if asked.data == asked.known_data:
        return "SAME_DATA", f"The data for '{state.model}' are those that it was trained on."
    wanted = (asked.cause, asked.version, asked.data)
    same = [one for one in state.attempts if (one.cause, one.version, one.data) == wanted]
    if same:
        return "SAME_DATA", (
            f"'{state.model}' was trained again for the same cause on the same data at {same[-1].started}, and "
            f"{_ended(same[-1])}."
        )
    return None


def _beyond_budget(state: RetrainingState, _asked: Asked, rules: Rules, now: datetime) -> Found | None:
    started = [one for one in state.attempts if one.trigger != "hand" and now - _moment(one.started) < WEEK]
    if len(started) < rules.budget:
        return None
    return "BUDGET", (
        f"{len(started)} retrainings of '{state.model}' started within a week, and the budget is {rules.budget}: "
        f"{_outcomes(started)}."
    )


def rolls_back(asked: Asked, since: datetime | None, within: timedelta, now: datetime) -> bool:
    """Return whether the version in production is rolled back, because it is worse and new.

    A version that was good for months is not cured by an older one.

    Args:
        asked: What asks.
        since: Time since when the version is in production; None if unknown.
        within: Time in which a version is new; 0 to never roll back.
        now: Time, with a zone.
    """
    return bool(
        asked.trigger == "monitoring" and asked.verdict == "degraded" and since is not None and now - since < within
    )


def codes_of(cause: str) -> set[str]:
    """Return the codes in a cause, such as `CONCEPT_DRIFT` of `CONCEPT_DRIFT DATA_DRIFT:zone`."""
    return {part.partition(":")[0] for part in cause.split()}


def check_cool_down(hours: float) -> None:
    """Raise an InputError unless the parameter `cool_down_hours` is a number of at least 0."""
    if not 0 <= hours < math.inf:
        raise InputError(f"cool_down_hours should be at least 0. Received: cool_down_hours={hours}.")


def check_budget(budget: int) -> None:
    """Raise an InputError unless the parameter `max_per_week` is at least 0."""
    if budget < 0:
        raise InputError(f"max_per_week should be at least 0. Received: max_per_week={budget}.")


def check_roll_back_hours(hours: float) -> None:
    """Raise an InputError unless the parameter `roll_back_hours` is a number of at least 0."""
    if not 0 <= hours < math.inf:
        raise InputError(f"roll_back_hours should be at least 0. Received: roll_back_hours={hours}.")


def _ended(one: Attempt) -> str:
    return f"ended as {one.outcome}" if one.ended else "runs"


def _outcomes(attempts: Sequence[Attempt]) -> str:
    return ", ".join(f"{one.started[:16].replace('T', ' ')} {one.outcome}" for one in attempts) or "none was needed"


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
