"""Notify people of events: once, at each address, also after a server was down."""

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from tiffin.artifacts.notifications import Notified
from tiffin.errors import InputError, TiffinError
from tiffin.notifications import ledger
from tiffin.notifications.addresses import Address, choose_addresses
from tiffin.notifications.events import UNWELL, Event, is_wanted
from tiffin.notifications.ledger import Ledger, Waiting
from tiffin.notifications.messages import make_message
from tiffin.notifications.sending import TIMEOUT, send

# Seconds for all messages of a run; those that do not fit wait for the next one.
_BUDGET = 120.0
_FAILURES = ("failure", "stopped")
_ELSEWHERE = "the address is none of this run"
_REASONS = {
    "repeated": "the same was sent within a day; it is counted, and the next message has the count",
    "told": "another step of this run has sent it",
}


@dataclass(frozen=True)
class Health:
    """The verdict of monitoring about a model.

    Attributes:
        model: Name of the model.
        verdict: `healthy`, `degraded` or `drifted`.
        recovered: The event to send if the model was not healthy before.
    """

    model: str
    verdict: str
    recovered: Event


def notify(
    events: Sequence[Event],
    to: Sequence[str],
    on: Sequence[str],
    home: str,
    healths: Sequence[Health] = (),
    *,
    succeeded: str = "",
    timeout: float = TIMEOUT,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> tuple[Notified, ...]:
    """Send what was not sent before, and what waits from earlier runs, and return what became of it. Only bugs are raised.

    Args:
        events: What happened in a run.
        to: Tags of TIFFIN_NOTIFY and URLs; empty for all addresses of TIFFIN_NOTIFY.
        on: Kinds to send; empty for all, `none` for nothing.
        home: Folder of the ledger; empty to send without one.
        healths: Verdicts about models. A model that is healthy, and was not before, has recovered.
        succeeded: Pipeline whose run succeeded: its next failure is news. Defaults to none.
        timeout: Seconds for each address. Defaults to 20.
        now: The clock. Defaults to the time.
    """
    wanted = [one for one in events if is_wanted(one.kind, on)]
    try:
        addresses = choose_addresses(to)
    except (InputError, ImportError) as error:
        return _keep(wanted, home, str(error), now())
    if not addresses:
        return ()
    ids = tuple(one.id for one in addresses)
    holder = f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"

    def enter(before: Ledger) -> tuple[Ledger, tuple[tuple[Waiting, ...], list[Notified]]]:
        recovered = [one for one in _recovered(before, healths) if is_wanted(one.kind, on)]
        after = ledger.end_events(before, _FAILURES, succeeded) if succeeded else before
        for one in healths:
            after = ledger.end_events(after, UNWELL, one.model) if one.verdict == "healthy" else after
        after = ledger.drop_old(after, now())
        after, told = _enter(after, [*wanted, *recovered], ids, now())
        told += _dropped(after.dropped)
        after, mine = ledger.take(replace(after, unwell=_unwell(before, healths), dropped=0), holder, now())
        return after, (mine, told)

    problem = "there is no folder for their record" if not home else ""
    mine: tuple[Waiting, ...] = ()
    told: list[Notified] = []
    if home:
        try:
            mine, told = ledger.change(home, enter)
        except TiffinError as error:
            problem = str(error)
    if problem:
        # Without the record: rather twice than not at all.
        mine = tuple(Waiting(f"{one.key}", one, 0, "", ledger.in_utc(now()), ids) for one in wanted)
    new = {one.key for one in wanted}
    results, left = _send_all(sorted(mine, key=lambda one: one.event.key not in new), addresses, timeout)
    if not problem and mine:
        try:
            ledger.change(home, lambda before: (ledger.give_back(before, holder, left), None))
        except TiffinError as error:
            problem = str(error)
            reason = f"it could not be recorded as sent, and the next run may send it again: {error}"
            told += [Notified(one.event.kind, one.event.subject, "kept", reason=reason) for one in mine[:1]]
    elif problem:
        results = [replace(one, outcome="lost") if one.outcome == "kept" else one for one in results]
    return (*results, *told)


def _enter(
    before: Ledger, events: Sequence[Event], ids: tuple[str, ...], now: datetime
) -> tuple[Ledger, list[Notified]]:
    told = []
    for event in events:
        before, result = ledger.add_event(before, event, ids, now)
        if result == "repeated":
            told.append(Notified(event.kind, event.subject, "repeated", reason=_REASONS["repeated"]))
        elif result == "told":
            told.append(Notified(event.kind, event.subject, "told", reason=_REASONS["told"]))
    return before, told


def _keep(events: Sequence[Event], home: str, problem: str, now: datetime) -> tuple[Notified, ...]:
    """Keep events for the next run, whose addresses may be right."""
    try:
        if not home:
            raise InputError("There is no folder for the record of notifications.")
        told = ledger.change(home, lambda before: _enter(before, events, (), now))
    except TiffinError as error:
        return tuple(Notified(one.kind, one.subject, "lost", reason=f"{problem} {error}") for one in events)
    known = {(one.kind, one.subject) for one in told}
    kept = [
        Notified(one.kind, one.subject, "kept", reason=problem)
        for one in events
        if (one.kind, one.subject) not in known
    ]
    return (*kept, *told)


def _recovered(before: Ledger, healths: Sequence[Health]) -> list[Event]:
    return [one.recovered for one in healths if one.verdict == "healthy" and one.model in before.unwell]


def _unwell(before: Ledger, healths: Sequence[Health]) -> dict[str, str]:
    found = dict(before.unwell)
    for one in healths:
        found.pop(one.model, None)
        if one.verdict in UNWELL:
            found[one.model] = one.verdict
    return dict(sorted(found.items()))


def _dropped(count: int) -> list[Notified]:
    if not count:
        return []
    reason = f"they waited for more than {ledger.LONGEST.days} days, or more than {ledger.MOST_WAITING} waited"
    return [Notified("", f"{count} message{'s' * (count > 1)} of earlier runs", "dropped", reason=reason)]


def _send_all(
    messages: Sequence[Waiting], addresses: Sequence[Address], timeout: float
) -> tuple[list[Notified], dict[str, Waiting]]:
    """Send messages one after the other, and return what became of them, and those that did not reach all their addresses."""
    results: list[Notified] = []
    left: dict[str, Waiting] = {}
    down: dict[str, str] = {}
    elsewhere = 0
    end = time.monotonic() + _BUDGET
    for one in messages:
        targets = [address for address in addresses if not one.addresses or address.id in one.addresses]
        problems = {address.id: down[address.id] for address in targets if address.id in down}
        able = [address for address in targets if address.id not in down]
        if time.monotonic() > end:
            problems |= {address.id: "too many messages are waiting" for address in able}
        elif able:
            found = send(make_message(one.event, one.repeated, one.since), able, timeout)
            problems |= {address.id: result.problem for address, result in zip(able, found, strict=True)}
            # One that is down is not asked again for each message.
            down |= {address.id: problems[address.id] for address in able if problems[address.id]}
        for address in targets:
            outcome: Literal["kept", "sent"] = "kept" if problems[address.id] else "sent"
            results.append(Notified(one.event.kind, one.event.subject, outcome, address.name, problems[address.id]))
        others = set(one.addresses) - problems.keys()
        elsewhere += bool(others)
        missing = tuple(sorted([*others, *(name for name, problem in problems.items() if problem)]))
        if missing:
            left[one.id] = replace(one, addresses=missing, problem=problems.get(missing[0], _ELSEWHERE))
    if elsewhere:
        results.append(
            Notified("", f"{elsewhere} message{'s' * (elsewhere > 1)} of earlier runs", "kept", reason=_ELSEWHERE)
        )
    return results, left
