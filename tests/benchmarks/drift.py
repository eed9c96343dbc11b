"""False alarms and power of drift detection by simulation, and the time to compare wide statistics.

    python tests/benchmarks/drift.py --weeks 1000

A week is seven daily looks at 20 columns that do not change: normal, heavy-tailed, counts, a rare flag, zeros with missing
values, and texts with 3 to 3,000 values. Baselines have 1,000 to 100,000 rows, days 500 to 50,000.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from tiffin.drift.comparison import Sides, compare
from tiffin.drift.profiles import count_numbers, find_edges, make_texts

_SIDES = Sides("the baseline", "today")


def draw(rng, rows, shift=0.0):
    """Return 20 columns."""
    found = {f"normal {number}": rng.normal(size=rows) for number in range(8)}
    found["normal 0"] += shift
    found |= {f"heavy {number}": rng.lognormal(0, 2, size=rows) for number in range(3)}
    found["student"] = rng.standard_t(2, size=rows)
    found["few counts"] = rng.poisson(3, rows).astype(float)
    found["many counts"] = rng.poisson(30, rows).astype(float)
    found["flag"] = (rng.random(rows) < 0.02).astype(float)
    found["zeros"] = np.where(rng.random(rows) < 0.9, 0, rng.exponential(1, rows))
    found["zeros"][rng.random(rows) < 0.1] = np.nan
    for name, size, power in (("3 texts", 3, 1.0), ("30 texts", 30, 1.2), ("3000 texts", 3000, 1.1)):
        weights = 1 / np.arange(1, size + 1) ** power
        found[name] = rng.choice(size, rows, p=weights / weights.sum())
    found["ids"] = rng.integers(0, 10**9, rows)
    return found


def profile(columns, like=None):
    """Return the profiles of columns, in the bins of a baseline."""
    found = {}
    for name, values in columns.items():
        if values.dtype.kind == "f":
            found[name] = count_numbers(values, like[name].edges if like else find_edges(values)[:-1] or (0.0,))
        else:
            listed, counts = np.unique(values, return_counts=True)
            found[name] = make_texts(
                len(values), 0, dict(zip(listed.astype(str).tolist(), counts.tolist(), strict=True))
            )
    return found


def watch_week(seed):
    """Return whether any of seven looks drifted without a change."""
    rng = np.random.default_rng([1, seed])
    before = profile(draw(rng, int(rng.choice([1000, 5000, 20_000, 100_000]))))
    rows = int(np.exp(rng.uniform(np.log(500), np.log(50_000))))
    return any(compare(before, profile(draw(rng, rows), before), _SIDES).drifted for _ in range(7))


def find_shift(seed):
    """Return whether a shift of 0.2 deviations of one column is found within two days of 5,000 rows."""
    rng = np.random.default_rng([2, seed])
    before = profile(draw(rng, int(rng.choice([5000, 35_000]))))
    days = [compare(before, profile(draw(rng, 5000, 0.2), before), _SIDES) for _ in range(2)]
    return any(one.drifted and one.columns[0].column == "normal 0" for one in days)


def compare_wide(columns):
    """Return the seconds to compare the profiles of many columns of 10 million rows."""
    rng = np.random.default_rng(3)
    before, now = (profile(draw(rng, 100_000)) for _ in range(2))
    wide = [{f"{name} {n}": one for n in range(columns // 20) for name, one in side.items()} for side in (before, now)]
    start = time.perf_counter()
    found = compare(*wide, _SIDES)
    assert len(found.columns) == columns
    return time.perf_counter() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weeks", type=int, default=100)
    parser.add_argument("--shifts", type=int, default=100)
    options = parser.parse_args()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        alarms = sum(pool.map(watch_week, range(options.weeks), chunksize=4))
        print(f"drift: {alarms} of {options.weeks} weeks without a change had an alarm (target: at most 5 %)")
        found = sum(pool.map(find_shift, range(options.shifts), chunksize=4))
    print(f"drift: {found} of {options.shifts} shifts by 0.2 deviations were found within two days (target: 95 %)")
    print(f"drift: 1,000 columns compared in {compare_wide(1000):.1f} s (target: 10 s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
