"""Drive a rollout from its start to its end: load, look, go on, promote or abort.

Whoever drives may be killed at any moment. Another process goes on from `rollout.json`: every state is written before what
follows from it, and what follows from it can be done again.
"""

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from tiffin.errors import Conflict, InputError, ServingError, TiffinError
from tiffin.governance.promotion import promoting
from tiffin.rollout import answer_limits, course, recorded
from tiffin.rollout.descriptions import describe, explain
from tiffin.rollout.document import Rollout
from tiffin.rollout.evidence import Progress, begin, begin_step, look
from tiffin.rollout.places import Places, accept_all, divide, stop_servers, wait_for_gateway
from tiffin.rollout.recorded import Recorded
from tiffin.rollout.settling import settle
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel

# Time for which requests that went to the candidate are answered, before its servers are emptied.
_DRAIN_SECONDS = 2.0


@dataclass(frozen=True)
class Pace:
    """The times of a rollout, in seconds.

    Attributes:
        look: Time between looks.
        load: Time for servers to load the version and answer.
        traffic: Time after a step's least duration for its least number of requests; the rollout is then inconclusive.
        deadline: Time from the start of the rollout to its end; it is then inconclusive.
    """

    look: float = 5.0
    load: float = 120.0
    traffic: float = 1800.0
    deadline: float = math.inf


def drive(
    served: ServedModel,
    identifier: str,
    find_places: Callable[[], Places],
    pace: Pace | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Rollout:
    """Drive a rollout until it is over, and return it.

    Args:
        served: The model.
        identifier: ID of the rollout.
        find_places: Returns its servers and the gateway. Candidate servers may start, and move, during a rollout.
        pace: Its times. Defaults to `Pace()`.
        tell: Receives a line at each change.

    Raises:
        InputError: Another rollout has taken its place.
        StorageError: The serving root cannot be read or written.
    """
    pace = pace or Pace()
    told: set[str] = set()

    def say(line: str) -> None:
        # Once: the same may be found at each look.
        if line not in told:
            told.add(line)
            tell(line)

    while True:
        rollout = settle(served)
        if rollout is None or rollout.id != identifier:
            raise InputError(f"The rollout '{identifier}' of the model '{served.name}' was replaced by another one.")
        say(describe(rollout))
        if rollout.is_over:
            return rollout
        places = find_places()
        if rollout.phase in ("starting", "running", "paused") and (why := _find_obstacle(served, rollout, places, say)):
            course.stop(served, identifier, "aborted", why)
        elif rollout.phase in ("starting", "running", "paused") and _seconds_since(rollout.started) > pace.deadline:
            why = f"it was still {rollout.phase} after {pace.deadline / 3600:.3g} hours"
            course.stop(served, identifier, "inconclusive", why)
        elif rollout.phase == "starting":
            _load(served, rollout, places, pace, say)
        elif rollout.phase == "running":
            _look(served, rollout, places, pace, say)
            time.sleep(pace.look)
        elif rollout.phase == "paused":
            time.sleep(pace.look)
        elif rollout.phase == "promoting":
            _promote(served, rollout, places, pace)
        else:
            # Requests that still go to the candidate would find no version.
            if not wait_for_gateway(served, places, pace.load, say):
                continue
            time.sleep(_DRAIN_SECONDS)
            # Before the rollout is over, so that another process does it if this one is killed; and afterwards, since two
            # rollouts that end at once each find the candidate of the other one before.
            stop_servers(served.root, places, say, leaving=served.name)
            course.close(served, identifier)
            stop_servers(served.root, places, say)


def _find_obstacle(served: ServedModel, rollout: Rollout, places: Places, say: Callable[[str], None]) -> str:
    """Return why a rollout cannot go on; empty if it can: it then has servers, and requests are divided as it needs it.

    At each look: somebody may have stopped the servers, and no gateway but Envoy follows the serving root by itself.
    """
    if why := _is_obsolete(served, rollout):
        return why
    try:
        places.scale(True)
        divide(served, places, say)
    except InputError as error:
        return str(error)
    except ServingError as error:
        say(str(error))
    return ""


def _is_obsolete(served: ServedModel, rollout: Rollout) -> str:
    """Return why the candidate is compared with a version that is not in production any more; empty if it is."""
    history = read_history(served)
    now = history.standing.served
    if not history.entries or now == rollout.stable:
        return ""
    by = f" by {history.newest.author.who}" if history.newest else ""
    return f"version {now} was put into production{by}, in place of version {rollout.stable}"


def _load(served: ServedModel, rollout: Rollout, places: Places, pace: Pace, say: Callable[[str], None]) -> None:
    """Wait until the candidate servers answer with the version."""

    def check() -> None:
        now = course.find_active(served)
        if (now.id, now.phase) != (rollout.id, "starting"):
            raise Conflict("The rollout was changed meanwhile.")
        # The end of another rollout may have stopped the servers.
        with contextlib.suppress(ServingError):
            places.scale(True)

    if not places.candidate:
        if _seconds_since(rollout.since) > pace.load:
            course.stop(served, rollout.id, "aborted", f"no candidate server has started within {pace.load:g} s")
        time.sleep(0.2)
        return
    try:
        accept_all(places.candidate, served, rollout.version, pace.load, check)
    except (Conflict, InputError):
        return
    except ServingError as error:
        course.stop(served, rollout.id, "aborted", f"the candidate servers do not answer with it: {error}")
        return
    if divide(served, places, say) == "silent":
        if _seconds_since(rollout.since) > pace.load:
            course.stop(served, rollout.id, "aborted", f"the gateway at {places.gateway} does not answer")
        time.sleep(0.2)
        return
    course.begin(served, rollout.id)


def _look(served: ServedModel, rollout: Rollout, places: Places, pace: Pace, tell: Callable[[str], None]) -> None:
    """Look at what the gateways have counted and recorded, and go on with the rollout, end it, or wait."""
    problem = ""
    try:
        reading = places.read(places.metrics, served.name)
    except ServingError as error:
        problem = f"the requests cannot be counted: {error}"
        tell(problem)
        reading = {}
    answers = _read_answers(served, rollout, places, tell)
    progress = look(rollout.progress or begin(rollout.limits), reading, rollout.limits)
    progress = replace(progress, answers=answer_limits.find_worse(answers, rollout, progress.levels))
    step, seconds = rollout.steps[rollout.step], _seconds_since(rollout.since)
    missing = answer_limits.count_missing(answers, rollout)
    if progress.decision.is_worse:
        _keep(served, rollout, progress)
        course.stop(served, rollout.id, "aborted", explain(progress, answers, rollout.limits))
    elif reading and seconds >= 60 * step.minutes and progress.requests >= step.min_requests and not missing:
        _keep(served, rollout, begin_step(progress))
        course.advance(served, rollout.id, rollout.step)
    elif seconds >= 60 * step.minutes + pace.traffic:
        _keep(served, rollout, progress)
        why = f"{progress.requests} requests within {seconds / 60:.0f} minutes, and not {step.min_requests}"
        if missing and progress.requests >= step.min_requests:
            why = f"{step.min_requests - missing} recorded answers within {seconds / 60:.0f} minutes, and not {step.min_requests}"
        course.stop(served, rollout.id, "inconclusive", problem or why)
    else:
        _keep(served, rollout, progress)
        if seconds >= 60 * step.minutes:
            what = "recorded answers" if missing and progress.requests >= step.min_requests else "requests"
            tell(
                f"step {rollout.step + 1} waits for its {step.min_requests:,} {what}: tiffin rollout status {served.name}"
            )


def _read_answers(served: ServedModel, rollout: Rollout, places: Places, tell: Callable[[str], None]) -> Recorded:
    """Read what is new in the prediction log; without it, or if that fails, return what was found before."""
    try:
        if places.log:
            return recorded.follow(served, rollout, places.log)
        if rollout.limits.needs_answers:
            tell("requests are not recorded: the limits of agreement and distance cannot be tested")
        return recorded.read_recorded(served, rollout)[0]
    except TiffinError as error:
        tell(f"no answers could be read: {error}")
        return Recorded(rollout.id, rollout.started)


def _keep(served: ServedModel, rollout: Rollout, progress: Progress) -> None:
    def decide(now: Rollout) -> Rollout:
        # Another process that drives the rollout as well has looked meanwhile: its look counts.
        is_same = (now.phase, now.step, now.progress) == (rollout.phase, rollout.step, rollout.progress)
        return replace(now, progress=progress) if is_same else now

    course.change(served, rollout.id, decide)


def _promote(served: ServedModel, rollout: Rollout, places: Places, pace: Pace) -> None:
    """Put the version into production: the stable servers load it, while requests stay divided."""
    try:
        with promoting(served, rollout.version, rollout.author, replace_newer=True) as check:
            accept_all(places.stable, served, rollout.version, pace.load, check)
    except (ServingError, Conflict, InputError) as error:
        course.stop(served, rollout.id, "aborted", f"it could not be promoted: {error}")
        return
    course.stop(served, rollout.id, "promoted", "")


def _seconds_since(moment: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()
