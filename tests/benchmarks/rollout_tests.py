"""How often a rollout's tests abort a candidate that is not worse, and how soon one that is, by simulation.

    .venvs/sdk/bin/python tests/benchmarks/rollout_tests.py [--draws 2000]

All tests of a rollout are on: errors, latency p50 and p99, predictions. A rollout is looked at every 50 requests of both
versions together and ends after 2,000 requests of the candidate, or at the end of its last step. Targets: at most 5 % of the
rollouts of an unchanged candidate are aborted; of those with 2 points more errors, on base rates up to 2 %, at least 95 %.
`limit` is what the best test of a fixed number of requests, at the whole level of 5 %, would find after 2,000 requests: no test
that is valid at repeated looks finds more. Base rates without a target show where 95 % cannot be reached.
"""

import argparse
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from support.simulated_rollouts import Plan, best_power, run

SPLITS = {
    "5:95": ((0.05, 1000),),
    "50:50": ((0.5, 100),),
    "5, 25, 50 %": ((0.05, 150), (0.25, 50), (0.5, 60)),
}
SAME_ERRORS = (0.0, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
MORE_ERRORS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.05)
WITH_TARGET = 0.02


def main() -> int:
    """Print a table and return 1 if a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--draws", type=int, default=2000, help="rollouts with an unchanged candidate (default: 2000)")
    parser.add_argument("--workers", type=int, default=2, help="processes (default: 2)")
    options = parser.parse_args()
    with ProcessPoolExecutor(options.workers) as pool:
        met = [show_unchanged(pool, options.draws), show_worse(pool, options.draws)]
    return int(not all(met))


def show_unchanged(pool: ProcessPoolExecutor, draws: int) -> bool:
    """Print how often an unchanged candidate is aborted; return whether the target is met."""
    print("unchanged candidate")
    print(f"{'split':<12} {'errors':>7} {'rollouts':>9} {'aborted':>8}  by test")
    each = math.ceil(draws / len(SPLITS) / len(SAME_ERRORS))
    aborted = rollouts = 0
    for name, steps in SPLITS.items():
        for errors in SAME_ERRORS:
            found = [test for test, _ in draw(pool, Plan(steps, errors), each) if test]
            tests = ", ".join(f"{test} {found.count(test)}" for test in sorted({*found}))
            print(f"{name:<12} {errors:>7.1%} {each:>9} {len(found) / each:>8.1%}  {tests}", flush=True)
            aborted, rollouts = aborted + len(found), rollouts + each
    share = aborted / rollouts
    print(f"all {rollouts} rollouts: {share:.2%} aborted (target: at most 5 %): {_told(share <= 0.05)}\n")
    return share <= 0.05


def show_worse(pool: ProcessPoolExecutor, draws: int) -> bool:
    """Print how often a candidate with 2 points more errors is aborted; return whether the targets are met."""
    print("candidate with 2 points more errors, within 2,000 requests")
    print(
        f"{'split':<7} {'errors':>7} {'rollouts':>9} {'aborted':>8} {'limit':>7} {'median requests':>16}  target 95 %"
    )
    all_met = True
    for name in ("5:95", "50:50"):
        weight, each = SPLITS[name][0][0], draws if name == "50:50" else max(1, draws // 5)
        for errors in MORE_ERRORS:
            found = [when for test, when in draw(pool, Plan(SPLITS[name], errors, 0.02), each) if test]
            share, limit = len(found) / each, best_power(errors, 0.02, weight, 2000, 0.05)
            told = "none" if errors > WITH_TARGET else _told(share >= 0.95)
            median = float(np.median(found)) if found else math.nan
            print(
                f"{name:<7} {errors:>7.1%} {each:>9} {share:>8.1%} {limit:>7.1%} {median:>16,.0f}  {told}", flush=True
            )
            all_met &= told != "missed"
    return all_met


def draw(pool: ProcessPoolExecutor, plan: Plan, number: int) -> list[tuple[str, int]]:
    """Return the results of rollouts with fixed seeds."""
    return list(pool.map(_run, [plan] * number, range(number), chunksize=max(1, number // 8)))


def _run(plan: Plan, seed: int) -> tuple[str, int]:
    return run(
        plan, np.random.default_rng([seed, *(int(1000 * weight) for weight, _ in plan.steps), int(1e4 * plan.errors)])
    )


def _told(is_met: bool) -> str:
    return "met" if is_met else "missed"


if __name__ == "__main__":
    sys.exit(main())
