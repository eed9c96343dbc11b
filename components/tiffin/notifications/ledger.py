"""What was sent and what waits: one document per pipeline, changed by compare-and-swap.

    <TIFFIN_NOTIFY_STATE>/<pipeline>/notifications.json                  locally `<state>/notifications`
    <artifact store>/<pipeline>/notifications/notifications.json         without that variable, beside the runs

A message is written here before it is sent, with the time until which its sender has it to itself, and removed once it is
sent. A process that is killed in between leaves it, and the next run of the pipeline sends it: it may arrive twice, and is never
lost. Of two processes at once, one takes it.
"""

import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TypeVar

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import Conflict
from tiffin.notifications.events import Event

VARIABLE = "TIFFIN_NOTIFY_STATE"
FOLDER = "notifications"
LEDGER = "notifications.json"
# The same is sent once in this time.
QUIET = timedelta(hours=24)
# How long a sender has a message to itself.
LEASE = timedelta(minutes=10)
# How long a message waits at most.
LONGEST = timedelta(days=7)
# Messages that wait at most: of more, the oldest are dropped. And entries about what was sent.
MOST_WAITING, _MOST_ENTRIES = 200, 500
# Characters.
_REASON = 4000
_ATTEMPTS = 40

_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Entry:
    """An event that was sent.

    Attributes:
        key: As of `Event.key`.
        kind: Its kind.
        about: Its model, or the pipeline.
        sent: Time of the last message about it, in ISO 8601, UTC.
        run: Run that sent it.
        repeated: How often it happened since, without a message.
        last: Run of the last repetition; empty before.
    """

    key: str
    kind: str
    about: str
    sent: str
    run: str
    repeated: int = 0
    last: str = ""


@dataclass(frozen=True)
class Waiting:
    """A message that is being sent, or that waits for the next run.

    Attributes:
        id: Digest of the event's key and the time.
        event: What happened.
        repeated: How often the same had happened without a message.
        since: Time of the message before.
        made: Time of the event's message, in ISO 8601, UTC.
        addresses: IDs of the addresses that do not have it; empty for all of the run that sends it.
        holder: Who sends it; empty for nobody.
        until: End of the time in which only the holder sends it.
        problem: Why it was not sent.
    """

    id: str
    event: Event
    repeated: int
    since: str
    made: str
    addresses: tuple[str, ...]
    holder: str = ""
    until: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Ledger:
    """The document.

    Attributes:
        entries: What was sent, oldest first.
        waiting: What is being sent or waits, oldest first.
        unwell: Model to its last verdict, of those that are degraded or have drifted.
        dropped: Messages that were dropped since the last one that was sent.
    """

    entries: tuple[Entry, ...] = ()
    waiting: tuple[Waiting, ...] = ()
    unwell: dict[str, str] = field(default_factory=dict)
    dropped: int = 0


def find_home(output_uri: str, step: str, pipeline: str) -> str:
    """Return the folder of a pipeline's ledger; empty if there is none.

    Args:
        output_uri: URI of an artifact of a step: `<root>/<pipeline>/<run>/<step>/...`.
        step: Name of the step's folder, without the number that KFP appends to repeated names.
        pipeline: Name of the pipeline.
    """
    if state := os.environ.get(VARIABLE, ""):
        return storage.join(state, re.sub(r"[^\w.-]+", "_", pipeline).strip(".") or "pipeline")
    found = re.match(rf"(.*)/[^/]+/{re.escape(step)}(-\d+)?/", output_uri)
    return storage.join(found[1], FOLDER) if found else ""


def change(home: str, make: Callable[[Ledger], tuple[Ledger, _Result]]) -> _Result:
    """Change the ledger, and return what `make` returned with its last state.

    Args:
        home: Folder of the ledger.
        make: Returns the new ledger and a result; called again if another process was first.

    Raises:
        Conflict: Other processes write it all the time.
        StorageError: It cannot be read or written.
        InputError: It is no ledger.
    """
    uri = storage.join(home, LEDGER)
    for attempt in range(_ATTEMPTS):
        found = storage.read(uri)
        before = documents.parse(found[0], Ledger, uri) if found else Ledger()
        after, result = make(before)
        if after == before:
            return result
        try:
            storage.compare_and_swap(uri, documents.format_document(after), found[1] if found else None)
        except Conflict:
            if attempt == _ATTEMPTS - 1:
                raise
            time.sleep(0.05 * (1 + attempt % 5))
            continue
        return result
    raise AssertionError


def read_ledger(home: str) -> Ledger:
    """Return the ledger of a folder; an empty one if there is none."""
    uri = storage.join(home, LEDGER)
    found = storage.read(uri)
    return documents.parse(found[0], Ledger, uri) if found else Ledger()


def add_event(ledger: Ledger, event: Event, addresses: tuple[str, ...], now: datetime) -> tuple[Ledger, str]:
    """Return the ledger with an event, and what it leads to: `send`, `repeated`, or `told` if this run has told it already.

    Args:
        ledger: The ledger.
        event: The event.
        addresses: IDs of the addresses of the run.
        now: Time of the event.
    """
    moment = in_utc(now)
    before = next((one for one in ledger.entries if one.key == event.key), None)
    if before and now - datetime.fromisoformat(before.sent) < QUIET:
        if event.run and event.run in (before.run, before.last):
            return ledger, "told" if event.run == before.run else "repeated"
        again = replace(before, repeated=before.repeated + 1, last=event.run)
        return replace(ledger, entries=_with(ledger.entries, again)), "repeated"
    sent = Entry(event.key, event.kind, event.model or event.pipeline, moment, event.run)
    repeated, since = (before.repeated, before.sent) if before else (0, "")
    # A reason may be a whole log, and messages have its start only.
    event = replace(event, cause=event.cause[:_REASON], reason=event.reason[:_REASON])
    item = Waiting(f"{event.key}-{now:%Y%m%dT%H%M%S%f}", event, repeated, since, moment, addresses)
    waiting = (*ledger.waiting, item)
    dropped = ledger.dropped + max(0, len(waiting) - MOST_WAITING)
    return replace(
        ledger, entries=_with(ledger.entries, sent), waiting=waiting[-MOST_WAITING:], dropped=dropped
    ), "send"


def end_events(ledger: Ledger, kinds: Sequence[str], about: str) -> Ledger:
    """Return the ledger after events are over: the same again is news.

    Args:
        ledger: The ledger.
        kinds: Kinds of the events.
        about: Their model, or their pipeline if they have no model.
    """
    entries = tuple(one for one in ledger.entries if not (one.about == about and one.kind in kinds))
    return replace(ledger, entries=entries)


def drop_old(ledger: Ledger, now: datetime) -> Ledger:
    """Return the ledger without messages that have waited for too long, which are counted."""
    oldest = in_utc(now - LONGEST)
    waiting = tuple(one for one in ledger.waiting if one.made >= oldest)
    return replace(ledger, waiting=waiting, dropped=ledger.dropped + len(ledger.waiting) - len(waiting))


def take(ledger: Ledger, holder: str, now: datetime) -> tuple[Ledger, tuple[Waiting, ...]]:
    """Return the ledger with all messages that nobody is sending in the hands of a holder, and these messages."""
    moment = in_utc(now)
    taken = {one.id for one in ledger.waiting if not one.holder or one.holder == holder or one.until <= moment}
    waiting = tuple(
        replace(one, holder=holder, until=in_utc(now + LEASE)) if one.id in taken else one for one in ledger.waiting
    )
    return replace(ledger, waiting=waiting), tuple(one for one in waiting if one.id in taken)


def give_back(ledger: Ledger, holder: str, left: dict[str, Waiting]) -> Ledger:
    """Return the ledger after a holder has sent its messages.

    Args:
        ledger: The ledger.
        holder: Who sent them.
        left: ID to message, of those that did not reach all addresses.
    """
    waiting = [
        one if one.holder != holder else replace(left[one.id], holder="", until="")
        for one in ledger.waiting
        if one.holder != holder or one.id in left
    ]
    return replace(ledger, waiting=tuple(waiting))


def in_utc(moment: datetime) -> str:
    """Return a time in ISO 8601, to the second, so that texts are in the order of the times."""
    return moment.isoformat(timespec="seconds")


def _with(entries: tuple[Entry, ...], new: Entry) -> tuple[Entry, ...]:
    return (*(one for one in entries if one.key != new.key), new)[-_MOST_ENTRIES:]
