"""Promote and roll back versions under load, and count the requests that fail.

    .venvs/sdk/bin/python tests/benchmarks/rollout_load.py [--minutes 1] [--rate 300] [--every 10]

A development server answers a steady load of requests that name no version, while a promotion or a rollback happens every
few seconds, in turn. The times of changes end when the server answers with the version. A request counts as one during a
change if it was due between its start and two seconds after its end. Target: no request fails.
"""

import argparse
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
from support import load, rollouts

WARM_UP_SECONDS = 5


def main() -> int:
    """Print the requests, the latencies, the times of the changes and the server's memory; return 1 if a request failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--minutes", type=float, default=1, help="duration of the load (default: 1)")
    parser.add_argument("--rate", type=float, default=300, help="requests per second (default: 300)")
    parser.add_argument("--every", type=float, default=10, help="seconds between changes (default: 10)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, rollouts.serve(Path(folder)) as (served, server):
        arguments = (server.address, served.name, rollouts.INPUTS)
        with load.sent_to(*arguments, per_second=options.rate, seconds=WARM_UP_SECONDS) as requests:
            requests.wait()
        memory = rollouts.resident_mib(server)
        with load.sent_to(*arguments, per_second=options.rate) as requests:
            changes = rollouts.change_in_turn(served, server.address, options.minutes * 60, options.every)
            sent = requests.stop()
        memory_after = rollouts.resident_mib(server)
    show(sent, changes)
    print(f"memory of the server: {memory:.0f} MiB at the start, {memory_after:.0f} MiB at the end")
    print(f"failed requests: {sent.failed} (target: 0): {'missed' if sent.failed else 'met'}")
    return int(sent.failed > 0)


def show(sent: load.Sent, changes: list[rollouts.Change]) -> None:
    """Print the requests, the latencies and the times of the changes."""
    print(f"{sent.requests:,} requests in {sent.seconds:.0f} s, {sent.per_second:.0f} per second: {sent.codes}")
    for message, number in sent.failures.items():
        print(f"  {number} times: {message}")
    still, changing = rollouts.latencies_by_change(sent, changes)
    print(f"{'latency':<12} {'no change':>12} {'a change':>12} {'ratio':>8}")
    for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("maximum", 1.0)):
        without, with_ = (load.percentile(values, share) * 1000 for values in (still, changing))
        print(f"{name:<12} {without:>9.2f} ms {with_:>9.2f} ms {with_ / without:>8.2f}")
    print(f"{'requests':<12} {len(still):>12,} {len(changing):>12,}")
    for action, name in (("promote", "promotions"), ("rollback", "rollbacks")):
        number = sum(one.action == action for one in changes)
        median, longest = rollouts.median_and_longest(changes, action)
        print(f"{number} {name}: {median:.2f} s median, {longest:.2f} s at most")


if __name__ == "__main__":
    sys.exit(main())
