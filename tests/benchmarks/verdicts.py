"""False alarms of the whole verdict of monitoring by simulation, and how soon a decay is found.

    .venvs/data/bin/python tests/benchmarks/verdicts.py --weeks 200 --decays 50

A week is seven daily runs of `monitor` on log files and labels, of a model whose inputs and labels do not change: inputs,
anomalies, predictions, quality with labels, also by city, and the estimate without. The 20 inputs are normal, heavy-tailed,
counts and texts; the evaluation has 2,000 to 20,000 rows, a day 500 to 20,000. In a decay, the AUC falls by 0.03 with 5,000
labels a day.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np

from support.watched import NOON, draw, write_hour, write_watched_reference

MORE_COLUMNS = 17
# Part of the relation of inputs and labels that is gone when the AUC is smaller by 0.03; it is 0.85 in the beginning.
DECAY = 0.16


def watch(seed, rows_at_training, rows, concept=0.0):
    """Yield the result of each of seven days."""
    from tiffin.stages.monitor.monitoring import monitor
    from tiffin.stages.monitor.performance import Labels

    rng = np.random.default_rng([7, seed])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reference = write_watched_reference(
            folder, rows_at_training, int(rng.integers(1 << 31)), more_columns=MORE_COLUMNS
        )
        labels = folder / "labels.csv"
        for day in range(7):
            end = NOON + timedelta(days=day)
            values = draw(rng, rows, concept=concept, more_columns=MORE_COLUMNS)
            path = write_hour(folder / "log", end - timedelta(hours=1), values)
            keys = [f"{end - timedelta(hours=1):%d%H}-{path.stem}-{number}" for number in range(rows)]
            lines = "".join(f"{key},{label}\n" for key, label in zip(keys, values["late"], strict=True))
            labels.write_text("request_id,label\n" + lines)
            log = str(folder / "log")
            yield monitor(
                reference, folder / "out", log_root=log, labels=Labels(str(labels), slices=(("city",),)), now=end
            )


def watch_week(seed):
    """Return the codes of the findings of a week without a change that are alarms."""
    rng = np.random.default_rng([8, seed])
    at_training, rows = (int(np.exp(rng.uniform(*np.log(ends)))) for ends in ((2000, 20_000), (500, 20_000)))
    return sorted(
        {one.code for day in watch(seed, at_training, rows) for one in day.findings if one.severity != "info"}
    )


def find_decay(seed):
    """Return the number of days until a run says that the model is degraded; 8 if none does."""
    days = watch(1_000_000 + seed, 20_000, 5000, DECAY)
    return next((number for number, day in enumerate(days, 1) if day.verdict == "degraded"), 8)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--weeks", type=int, default=40)
    parser.add_argument("--decays", type=int, default=10)
    options = parser.parse_args()
    with ProcessPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        weeks = list(pool.map(watch_week, range(options.weeks)))
        days = sorted(pool.map(find_decay, range(options.decays)))
    alarms = Counter(code for codes in weeks for code in codes)
    listed = ", ".join(f"{code} {count}" for code, count in sorted(alarms.items())) or "none"
    print(
        f"verdicts: {sum(map(bool, weeks))} of {len(weeks)} weeks without a change had an alarm (target: at most 5 %): {listed}"
    )
    if days:
        print(
            f"verdicts: an AUC that is lower by 0.03 was found after {days[len(days) // 2]} days (median), "
            f"{sum(day <= 2 for day in days)} of {len(days)} times within 2 (5,000 labels a day)"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
