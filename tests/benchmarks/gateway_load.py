"""Run the life of a model under load through the gateway, and count the requests that fail.

    .venvs/sdk/bin/python tests/benchmarks/gateway_load.py [--seconds 60] [--rate 300]

Clients send a steady load of requests that name no version to the gateway, with the recorder of the prediction log, while
these changes follow one another: a direct rollout, a rollback, a rollout with a shadow step and a canary of 5 and 50 %, a
version of which all copies fail and that is aborted, and another rollback. Between them nothing changes for a while. Targets:
no request fails, the p99 during changes is at most 3 times that without one, and a rollback takes effect in 2 seconds.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import load, rollouts
from tiffin.governance.promotion import roll_back
from tiffin.local import gateway, programs, serving
from tiffin.local.gateway import find_places
from tiffin.rollout import course
from tiffin.rollout.driving import Pace, drive
from tiffin.rollout.plan import Limits, Step, Strategy
from tiffin.serving import Client
from tiffin.serving.history import Author, read_history
from tiffin.serving.root import ServedModel

RATIO_TARGET, ROLLBACK_TARGET_SECONDS = 3.0, 2.0
QUIET_SECONDS = 10.0
BAD = 4
# The answer of a version is its number plus 12. The bad version fails for them; it loads, since its warm-up has smaller ones.
INPUTS = {"x": [[2.0, 2.0, 2.0]]}
_AUTHOR = Author("ada", "a load test")
_PACE = Pace(look=2.0, load=120, traffic=60)
# A busy machine is slow by chance.
_LIMITS = Limits(max_latency_ratio=1000.0)
_SHADOW = Step(mirror=100.0, minutes=0.1, min_requests=100)
_CANARY = (Step(weight=5.0, minutes=0.1, min_requests=20), Step(weight=50.0, minutes=0.1, min_requests=100))


def main() -> int:
    """Print the requests, the latencies, the changes and the memory; return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60, help="least duration of the load (default: 60)")
    parser.add_argument("--rate", type=float, default=300, help="requests per second (default: 300)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        served = rollouts.publish(Path(folder))
        rollouts.publish_versions(served, Path(folder) / "models", [BAD], fails_above=1.5)
        state = Path(served.root).parent
        server, _ = gateway.start_gateway(state)
        try:
            programs.wait_until_open(server)
            return measure(served, server.address, options.seconds, options.rate)
        finally:
            gateway.stop_gateway(state)
            serving.stop_server(state)


def measure(served: ServedModel, address: str, seconds: float, rate: float) -> int:
    """Send the load during the changes, and print what was found."""
    with load.sent_to(address, served.name, INPUTS, per_second=rate, seconds=5) as requests:
        requests.wait()
    before = memory(served)
    changes: list[rollouts.Change] = []
    with load.sent_to(address, served.name, INPUTS, per_second=rate) as requests:
        begun = time.monotonic()
        time.sleep(QUIET_SECONDS)
        while not changes or time.monotonic() < begun + seconds:
            changes += cycle(served, address)
        sent = requests.stop()
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    print(f"{sent.requests:,} requests in {sent.seconds:.0f} s, {sent.per_second:.0f} per second: {sent.codes}")
    for message, number in sent.failures.items():
        print(f"  {number} times: {message}")
    for change in changes:
        during = load.percentile(rollouts.latencies_by_change(sent, [change])[1], 0.99) * 1000
        print(
            f"  {change.begun - begun:6.1f} s  {change.action:<10} version {change.version} in {change.seconds:.1f} s, "
            f"p99 {during:.1f} ms"
        )
    still, changing = rollouts.latencies_by_change(sent, changes)
    print(f"{'latency':<8} {'no change':>12} {'a change':>12}")
    for name, share in (("p50", 0.5), ("p99", 0.99), ("maximum", 1.0)):
        quiet, busy = (load.percentile(values, share) * 1000 for values in (still, changing))
        print(f"{name:<8} {quiet:>9.2f} ms {busy:>9.2f} ms")
    for name, mib in memory(served).items():
        print(f"memory of {name}: {before.get(name, 0):.0f} MiB at the start, {mib:.0f} MiB at the end")
    ratio = load.percentile(changing, 0.99) / load.percentile(still, 0.99)
    rollback = max(change.seconds for change in changes if change.action == "rollback")
    met = (sent.failed == 0, ratio <= RATIO_TARGET, rollback <= ROLLBACK_TARGET_SECONDS)
    texts = (
        f"failed requests: {sent.failed} (target 0)",
        f"p99 during changes: {ratio:.1f} times that without one (target {RATIO_TARGET:.0f})",
        f"longest rollback: {rollback:.2f} s (target {ROLLBACK_TARGET_SECONDS:.0f})",
    )
    for text, is_met in zip(texts, met, strict=True):
        print(f"{text}: {'met' if is_met else 'missed'}")
    return int(not all(met))


def cycle(served: ServedModel, address: str) -> Iterator[rollouts.Change]:
    """Yield the changes of a model's life, each after it was made."""
    steps: tuple[tuple[str, int, Callable[[], str]], ...] = (
        ("direct", 2, lambda: roll_out(served, 2, "direct", ())),
        ("rollback", 1, lambda: back(served, address)),
        ("canary", 3, lambda: roll_out(served, 3, "shadow_canary", (_SHADOW, *_CANARY))),
        ("abort", BAD, lambda: roll_out(served, BAD, "shadow", (_SHADOW,))),
        ("rollback", 1, lambda: back(served, address)),
    )
    for action, version, change in steps:
        begun = time.monotonic()
        ended, wanted = change(), {"abort": "aborted", "rollback": "rolled back"}.get(action, "promoted")
        if ended != wanted:
            raise AssertionError(f"{action} of version {version} ended as: {ended}")
        yield rollouts.Change(action, version, begun, time.monotonic() - begun)
        # Quiet again after the old version was unloaded, and the candidate server stopped.
        time.sleep(QUIET_SECONDS)


def roll_out(served: ServedModel, version: int, strategy: Strategy, steps: tuple[Step, ...]) -> str:
    """Roll a version out; return the outcome, or the reason of an end that is not because of the version's errors."""
    started = course.start(served, version, _AUTHOR, strategy=strategy, steps=steps, limits=_LIMITS)
    ended = drive(served, started.id, lambda: find_places(Path(served.root).parent), _PACE)
    is_found = ended.progress is not None and ended.progress.decision.leading == "errors"
    return ended.outcome if ended.outcome == "promoted" or is_found else ended.reason


def back(served: ServedModel, address: str) -> str:
    """Roll back, and wait until the gateway answers with the version before."""
    wanted = read_history(served).standing.previous or 0
    with Client(address) as client:
        roll_back(served, _AUTHOR)
        while float(client.predict(served.name, INPUTS)["y"][0][0]) != 12 + wanted:
            time.sleep(0.02)
    return "rolled back"


def memory(served: ServedModel) -> dict[str, float]:
    """Return the resident memory of the model server and the gateway's processes in MiB."""
    state = Path(served.root).parent
    running, server = gateway.find_gateway(state), serving.find_server(state)
    found = {"the model server": server.pid, "the gateway": running.pid} if running and server else {}
    if running:
        for child in Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split():
            command = Path(f"/proc/{child}/cmdline").read_text()
            for mark, name in (("/envoy\0", "Envoy"), ("tiffin.recorder\0", "the recorder")):
                if mark in command:
                    found[name] = int(child)
    return {name: resident_mib(pid) for name, pid in found.items() if pid}


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


if __name__ == "__main__":
    sys.exit(main())
