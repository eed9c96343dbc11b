"""How often the gate against the model in production passes, by simulation, and the time and memory of an evaluation.

    .venvs/model/bin/python tests/benchmarks/gate.py simulate [DRAWS]
    .venvs/model/bin/python tests/benchmarks/gate.py measure [ROWS]

`simulate` draws labels from known probabilities, and predictions of two models that know the log odds up to normal noise. The
noise of the new model is set so that its expected log loss is that of the model in production times a factor. A regression has
normal errors.
"""

import resource
import sys
import time

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from tiffin.artifacts.verdict import Check
from tiffin.quality import cuts, intervals, metrics, slices
from tiffin.quality.outcomes import Outcomes
from tiffin.stages.evaluate import comparison
from tiffin.stages.evaluate.document import Production

# The standard deviations of the log odds, and of the noise of the model in production.
SPREAD, NOISE = 1.5, 0.5
CASES = [
    # mode, factor of the expected metric, rows
    ("improvement", 1.0, 5000),
    ("improvement", 1.0, 500),
    ("improvement", 1.0, 100),
    ("non_inferiority", 1.05, 5000),
    ("non_inferiority", 1.05, 500),
    ("not_worse", 1.10, 5000),
    ("not_worse", 1.0, 100),
    ("not_worse", 1.0, 500),
    ("not_worse", 1.0, 5000),
    ("not_worse", 1.0, 50_000),
]


def expected_loss(noise: float) -> float:
    """Return the expected log loss of predictions with normal noise on the log odds, by quadrature."""
    nodes, weights = hermegauss(60)
    weights = weights / weights.sum()
    odds, shift = np.meshgrid(nodes * SPREAD, nodes * noise, indexing="ij")
    truth, given = 1 / (1 + np.exp(-odds)), odds + shift
    losses = truth * np.logaddexp(0, -given) + (1 - truth) * np.logaddexp(0, given)
    return float(weights @ losses @ weights)


def noise_for(factor: float) -> float:
    """Return the noise with which the expected log loss is that of NOISE times a factor."""
    low, high, wanted = 0.0, 5.0, expected_loss(NOISE) * factor
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if expected_loss(middle) < wanted else (low, middle)
    return low


def draw(task: str, factor: float, rows: int, rng: np.random.Generator) -> tuple[Outcomes, Outcomes]:
    """Return the outcomes of a new model and of the one in production."""
    if task == "regression":
        truth = rng.normal(size=rows)
        common = rng.normal(size=rows) * 0.5
        pair = [truth + common + rng.normal(size=rows) * noise for noise in (np.sqrt(1.25 * factor**2 - 0.25), 1.0)]
        return tuple(Outcomes(task, 0, truth, answer.astype(np.float32)) for answer in pair)
    odds = rng.normal(size=rows) * SPREAD
    truth = (rng.random(rows) < 1 / (1 + np.exp(-odds))).astype(np.int8)
    pair = [odds + rng.normal(size=rows) * noise for noise in (NOISES[factor], NOISE)]
    return tuple(Outcomes("binary", 2, truth, (1 / (1 + np.exp(-one))).astype(np.float32)) for one in pair)


NOISES = {factor: noise_for(factor) for factor in {factor for _, factor, _ in CASES}}


def simulate(draws: int) -> None:
    """Print the share of draws in which each gate passes."""
    print(
        f"{'task':<11} {'mode':<16} {'factor':>6} {'rows':>7} {'draws':>6} {'passes':>8} {'of them shown worse or margin':>10}"
    )
    for task in ("binary", "regression"):
        for mode, factor, rows in CASES:
            found: list[Check] = []
            for number in range(draws):
                rng = np.random.default_rng([number, rows, int(factor * 100)])
                new, old = draw(task, factor, rows, rng)
                found.append(comparison.compare(Production(mode=mode), new, old, "the other", str(number)))
            passed = np.mean([check.passed for check in found])
            beyond = np.mean([check.value - check.bound > check.margin for check in found])
            print(
                f"{task:<11} {mode:<16} {factor:6.2f} {rows:7,} {draws:6,} {passed:8.1%} {beyond:10.1%} beyond the margin",
                flush=True,
            )


def measure(rows: int) -> None:
    """Print time and memory of an evaluation with 20 slices, without the predictions."""
    rng = np.random.default_rng(1)
    new, old = draw("binary", 1.0, rows, rng)
    start = time.perf_counter()
    values = metrics.measure(new)
    marks = [("metrics", time.perf_counter())]
    intervals.find_intervals(new, values, "seed")
    marks.append(("intervals", time.perf_counter()))
    comparison.compare(Production(), new, old, "the other", "seed")
    marks.append(("against production", time.perf_counter()))
    for groups in (4, 20):
        columns = {f"c{number}": rng.integers(0, groups, rows).astype(np.int16) for number in range(20)}
        named = {name: cuts.Cut(name, tuple(f"{name} = {group}" for group in range(groups)), len) for name in columns}
        for name in columns:
            found, _ = slices.divide((name,), named, columns, 100)
            list(slices.measure(new, (name,), found, "seed"))
        marks.append((f"20 columns of {groups} slices", time.perf_counter()))
    for name, end in marks:
        print(f"{name:<24} {end - start:7.2f} s")
        start = end
    print(f"{'peak memory':<24} {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:7.0f} MiB")


if __name__ == "__main__":
    if sys.argv[1:2] == ["simulate"]:
        simulate(int(sys.argv[2]) if len(sys.argv) > 2 else 2000)
    else:
        measure(int(sys.argv[2]) if len(sys.argv) > 2 else 1_000_000)
