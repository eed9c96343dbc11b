"""Watch a version after it was put into service, and roll it back if its errors pass the bound."""

import os
import re
from dataclasses import dataclass, replace

from tiffin.artifacts.logs import WARNING
from tiffin.errors import Conflict, InputError, ServingError
from tiffin.governance.promotion import check_in_service, roll_back
from tiffin.serving import counters
from tiffin.serving.counters import Counts, read_counters
from tiffin.serving.history import Author
from tiffin.serving.root import ServedModel
from tiffin.serving.watch import check_max_error_share, watch
from tiffin.stages.deploy.parameters import check_watch

_VARIABLE = "TIFFIN_WATCH"
_DEFAULT = "2m"
_SECONDS = {"s": 1, "m": 60, "h": 3600}


@dataclass(frozen=True)
class Watch:
    """What to watch.

    Attributes:
        url: URL of the servers' metrics; empty if it is unknown.
        seconds: Duration in seconds; 0 for no watch.
        max_error_share: Share of requests that may fail on top of the share before.
        before: Requests before the change.
    """

    url: str
    seconds: float
    max_error_share: float
    before: Counts


def prepare(duration: str, max_error_share: float, model: str) -> Watch:
    """Return what to watch, with the requests before the change.

    Args:
        duration: Time, such as 2m; empty for TIFFIN_WATCH, and without it for two minutes.
        max_error_share: Share of requests, above 0 and below 1, that may fail on top of the share before.
        model: Name of the model.

    Raises:
        InputError: A value is invalid.
    """
    check_watch(duration)
    check_max_error_share(max_error_share)
    if not duration:
        duration = os.environ.get(_VARIABLE) or _DEFAULT
        try:
            check_watch(duration)
        except InputError as error:
            raise InputError(f"{_VARIABLE}: {error}") from None
    url, seconds = os.environ.get(counters.VARIABLE, ""), seconds_of(duration)
    before = read_counters(url, model).total if url and seconds else Counts()
    return Watch(url, seconds, max_error_share, before)


def seconds_of(duration: str) -> float:
    """Return the seconds of a time such as 2m or 30s."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", duration)
    return float(match[1]) * _SECONDS[match[2] or "s"] if match else 0.0


def follow(served: ServedModel, version: int, author: Author, plan: Watch) -> str:
    """Watch a version that was put into service, and return the result in one line; empty without a watch.

    Raises:
        ServingError: Its errors passed the bound, so the version before is served again; or there is none before it.
    """
    if not plan.seconds:
        return ""
    if not plan.url:
        return f"{WARNING}version {version} was not watched: {counters.VARIABLE} is not set."
    try:
        watched = watch(
            lambda: read_counters(plan.url, served.name),
            seconds=plan.seconds,
            max_error_share=plan.max_error_share,
            before=plan.before,
            check=lambda: check_in_service(served, version),
        )
    except Conflict as replaced:
        return f"the watch ended: {replaced}"
    if not watched.is_worse:
        is_unsure = watched.problem or watched.unread or watched.restarts
        restarts = f"; servers restarted {watched.restarts} times" if watched.restarts else ""
        unread = "".join(f"; {server} was not read: {reason}" for server, reason in watched.unread.items())
        return f"{WARNING if is_unsure else ''}watched version {version}: {watched.summary}{restarts}{unread}"
    reason = f"version {version} has too many errors: {watched.summary}"
    try:
        made = roll_back(served, replace(author, why=reason), leaving=version)
    except InputError as error:
        raise ServingError(f"The {reason}. It stays in production. {error}", "ABORTED") from None
    raise ServingError(
        f"The {reason}. Version {made.standing.champion} is in production again; version {version} stays loaded as "
        f"{served.name}@{version}.",
        "ABORTED",
    )
