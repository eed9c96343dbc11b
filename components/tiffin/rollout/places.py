"""The servers and the gateway of a rollout, and what a rollout needs of them."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from tiffin.errors import InputError, TiffinError
from tiffin.gateway.applied import State, find_state
from tiffin.gateway.stats import find_addresses, read_stats
from tiffin.governance.acceptance import accept
from tiffin.rollout.evidence import Reading
from tiffin.rollout.settling import find_candidates
from tiffin.serving.root import ServedModel


@dataclass(frozen=True)
class Places:
    """The servers and the gateway of a rollout.

    Attributes:
        stable: `host:port` of the stable servers' gRPC API.
        candidate: `host:port` of the candidate servers' gRPC API; empty while there are none.
        gateway: What divides the requests: `host:port` of the gateways, or another that `divide` takes.
        metrics: Where requests are counted: `http://host:port` of the gateways' metrics, or another that `read` takes.
        log: Root of the prediction log; empty if requests are not recorded. Defaults to empty.
        read: Returns what was counted, from `metrics` and the name of a model.
        divide: Brings `gateway` in line with a serving root, if it does not follow it by itself, and returns whether it
            sends requests accordingly.
        scale: Starts the candidate servers if there are none (True), or stops them (False).
    """

    stable: str
    candidate: str
    gateway: str
    metrics: str
    log: str = ""
    read: Callable[[str, str], Reading] = read_stats
    divide: Callable[[str, str], State] = find_state
    scale: Callable[[bool], None] = lambda _: None


def divide(served: ServedModel, places: Places, say: Callable[[str], None]) -> State:
    """Bring the gateway in line with the serving root, and return whether it is.

    Raises:
        InputError: It cannot divide the requests of this model.
    """
    try:
        return places.divide(places.gateway, served.root)
    except InputError:
        raise
    except TiffinError as error:
        say(str(error))
        return "pending"


def stop_servers(root: str, places: Places, say: Callable[[str], None], leaving: str = "") -> None:
    """Stop the candidate servers if no model has a candidate, except one that is about to have none."""
    try:
        if not find_candidates(root) - {leaving}:
            places.scale(False)
    except TiffinError as error:
        say(f"the candidate servers keep running: {error}")


def accept_all(
    address: str, served: ServedModel, version: int, deadline_seconds: float, check: Callable[[], None]
) -> None:
    """Wait until each server behind an address answers with a version: those that run already load it later."""
    deadline = time.monotonic() + deadline_seconds
    # The name of servers that are being started. gRPC would look it up again after half a minute at the earliest.
    while not (found := _find_servers(address)) and time.monotonic() < deadline:
        check()
        time.sleep(0.2)
    for one in found if len(found) > 1 else [address]:
        accept(one, served, version, None, max(1.0, deadline - time.monotonic()), check)


def _find_servers(address: str) -> list[str]:
    """Return the address of each server behind one; none if its name does not resolve."""
    host, _, port = address.rpartition(":")
    try:
        found = find_addresses(host.strip("[]"), int(port))
    except (OSError, ValueError):
        return []
    return [f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in found]


def wait_for_gateway(
    served: ServedModel, places: Places, timeout_seconds: float, say: Callable[[str], None] = lambda _: None
) -> bool:
    """Wait until requests go as the serving root says; return False if they do not within the time.

    Where some gateways do not answer at the end of the time, and all others have taken over the traffic, they are left out:
    a gateway that does not answer sends no requests, and follows the serving root once it does.
    """
    deadline = time.monotonic() + timeout_seconds
    state: State = "pending"
    why = ""
    while time.monotonic() < deadline:
        try:
            state, why = places.divide(places.gateway, served.root), ""
        except TiffinError as error:
            state, why = "pending", f" ({error})"
        if state == "applied":
            return True
        time.sleep(0.1)
    if state == "silent":
        say(f"not every gateway at {places.gateway} answers: those that do have taken over the traffic")
        return True
    say(f"the gateway at {places.gateway} has not taken over the traffic{why}: the candidate servers stay as they are")
    return False
