"""The models of a serving root, as their documents show them: versions, shares of the requests, and the rollout."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tiffin.errors import TiffinError
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.traffic_document import read_traffic
from tiffin.observability.faults import Faults
from tiffin.rollout.document import Rollout, read_rollout
from tiffin.serving.history import read_history
from tiffin.serving.root import STABLE, ServedModel, find_models


@dataclass(frozen=True)
class Production:
    """A model in production.

    Attributes:
        model: Name of the model.
        version: Version that the stable servers answer with; None if there is none, or it is unknown.
        changed: Time of the last change of what is served; None without a history.
        traffic: Where its requests go; None if that cannot be read.
        rollout: The rollout under way, or the last one; None if there was none, or it cannot be read.
    """

    model: str
    version: int | None
    changed: datetime | None
    traffic: Traffic | None
    rollout: Rollout | None


def find_production(root: str, faults: Faults) -> Iterator[Production]:
    """Yield the models of a serving root, sorted by name.

    Args:
        root: The serving root, as `resolve_root` returns it.
        faults: Receives what could not be read.
    """
    try:
        names = find_models(root)
    except TiffinError as error:
        faults.note("serving_root", error)
        return
    for name in names:
        yield _read(ServedModel(root, name), faults)


def _read(served: ServedModel, faults: Faults) -> Production:
    version, changed = _read_version(served, faults)
    traffic: Traffic | None = None
    try:
        traffic = read_traffic(served).with_stable(version)
    except TiffinError as error:
        faults.note("traffic", error)
    rollout: Rollout | None = None
    try:
        rollout = read_rollout(served)[0]
    except TiffinError as error:
        faults.note("rollout", error)
    return Production(served.name, version, changed, traffic, rollout)


def _read_version(served: ServedModel, faults: Faults) -> tuple[int | None, datetime | None]:
    """Return the served version and the time of the last change: by the history, or else by the config of the servers."""
    try:
        history = read_history(served)
        for entry in history.entries:
            if entry.problem:
                faults.note("history", f"Record {entry.number} of '{served.name}': {entry.problem}")
        if history.newest:
            return history.newest.standing.served, history.newest.time
    except TiffinError as error:
        faults.note("history", error)
    try:
        return max(served.versions_in(served.read(STABLE)), default=None), None
    except TiffinError as error:
        faults.note("config", error)
        return None, None
