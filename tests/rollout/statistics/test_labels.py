"""Labels that arrive later."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tiffin.errors import InputError
from tiffin.rollout.statistics.intervals import Interval
from tiffin.rollout.statistics.labels import Answer, Labels, Metric, collect, measure


def logged(route: str, outputs: dict[str, object]) -> list[Answer]:
    return [Answer(key, route, output) for key, output in outputs.items()]  # type: ignore[arg-type]


def test_empty() -> None:
    for task, names in (
        ("binary", ["log_loss", "auc"]),
        ("multiclass", ["accuracy", "log_loss"]),
        ("regression", ["rmse"]),
    ):
        found = measure([], collect([]), task)  # type: ignore[arg-type]

        assert found.metrics == dict.fromkeys(names, Metric(None, None, None, None))
        assert found.matched == found.unlabelled == found.not_finite == {"stable": 0, "candidate": 0}


def test_labels_by_key() -> None:
    found = collect([("a", 1), ("b", 0), ("a", 1), ("b", 1), ("c", 1), ("b", 0)])

    assert found == Labels({"a": 1, "c": 1}, repeated=2, contradicting=1)


def test_the_counts() -> None:
    answers = [
        *logged("stable", {"a": 0.5, "b": 0.5, "x": 0.5}),
        *logged("candidate", {"a": 0.5, "c": math.nan}),
        Answer("a", "stable", 0.5),
        Answer("a", "stable", 0.6),
    ]
    found = measure(answers, collect([("a", 1), ("b", 0), ("c", 1), ("d", 1), ("e", 1), ("e", 0), ("d", 1)]), "binary")

    assert (found.matched, found.unlabelled) == ({"stable": 3, "candidate": 2}, {"stable": 1, "candidate": 0})
    assert (found.unused, found.repeated_labels, found.contradicting, found.repeated_outputs) == (1, 1, 1, 1)
    assert found.not_finite == {"stable": 0, "candidate": 1}


def test_binary_by_hand() -> None:
    labels = collect([("a", "no"), ("b", "yes"), ("c", "no"), ("d", "yes")])
    answers = [
        *logged("stable", {"a": 0.1, "b": 0.8, "c": 0.8, "d": 0.9}),
        *logged("candidate", {"a": [0.1], "b": [0.2], "c": [0.3], "d": [0.0]}),
    ]
    found = measure(answers, labels, "binary", classes=("no", "yes")).metrics

    # Pairs of a positive and a negative row: b ties with c.
    assert (found["auc"].stable, found["auc"].candidate, found["auc"].difference) == (3.5 / 4, 1 / 4, -2.5 / 4)
    assert found["auc"].interval == Interval(-1, 1)
    assert found["log_loss"].stable == pytest.approx(-np.log([0.9, 0.8, 0.2, 0.9]).mean())
    assert found["log_loss"].candidate == pytest.approx(-np.log([0.9, 0.2, 0.7, 2**-23]).mean())


def test_multiclass_by_hand() -> None:
    labels = collect([("a", 0), ("b", 1), ("c", 2)])
    stable, candidate = [2.0, 1.0, 1.0], [0.2, 0.3, 0.5]
    answers = [*logged("stable", dict.fromkeys("abc", stable)), *logged("candidate", dict.fromkeys("abc", candidate))]
    found = measure(answers, labels, "multiclass").metrics

    assert (found["accuracy"].stable, found["accuracy"].candidate) == (1 / 3, 1 / 3)
    assert found["log_loss"].stable == pytest.approx(-np.log([0.5, 0.25, 0.25]).mean())
    assert found["log_loss"].difference == pytest.approx(
        -np.log([0.2, 0.3, 0.5]).mean() + np.log([0.5, 0.25, 0.25]).mean()
    )


def test_regression_by_hand() -> None:
    labels = collect([("a", 1.0), ("b", "2.5")])
    answers = [*logged("stable", {"a": 1, "b": 2.5}), *logged("candidate", {"a": 4.0, "b": 6.5})]

    assert measure(answers, labels, "regression").metrics == {"rmse": Metric(0, math.sqrt(12.5), math.sqrt(12.5), None)}


def drawn(task: str, rows: int, noise: float, seed: int) -> tuple[list[Answer], Labels]:
    """Return answers of both routes, and labels; the candidate has more noise."""
    chance = np.random.default_rng(seed)
    odds = chance.normal(size=rows) * 1.5
    on_candidate = chance.random(rows) < 0.5
    given = odds + chance.normal(size=rows) * np.where(on_candidate, noise, 0)
    positive = 1 / (1 + np.exp(-given))
    truth = (
        odds + chance.normal(size=rows)
        if task == "regression"
        else (chance.random(rows) < 1 / (1 + np.exp(-odds))).astype(int)
    )
    outputs = {"binary": positive, "multiclass": np.stack([1 - positive, positive], axis=1), "regression": given}[task]
    routes = np.where(on_candidate, "candidate", "stable")
    answers = [
        Answer(key, route, output)
        for key, route, output in zip(range(rows), routes.tolist(), outputs.tolist(), strict=True)
    ]
    return answers, collect(enumerate(truth.tolist()))


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_differences_and_their_intervals(task: str) -> None:
    same = measure(*drawn(task, 3000, 0.0, 1), task).metrics  # type: ignore[arg-type]
    worse = measure(*drawn(task, 30_000, 8.0, 2), task).metrics  # type: ignore[arg-type]

    for name, metric in same.items():
        assert metric.interval is not None
        assert metric.difference is not None
        assert metric.interval.low <= min(0, metric.difference) <= max(0, metric.difference) <= metric.interval.high, (
            name
        )
    for name, metric in worse.items():
        assert metric.interval is not None
        assert metric.interval.high < 0 if name in ("auc", "accuracy") else metric.interval.low > 0, name


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([0.1, 0.2, 0.3, 0.4])), min_size=1, max_size=20))
def test_the_auc_is_the_share_of_pairs_in_order(rows: list[tuple[bool, float]]) -> None:
    answers = [Answer(number, "stable", score) for number, (_, score) in enumerate(rows)]
    found = measure(answers, collect((number, int(label)) for number, (label, _) in enumerate(rows)), "binary").metrics[
        "auc"
    ]
    pairs = [
        (high > low) + (high == low) / 2
        for is_positive, high in rows
        if is_positive
        for other, low in rows
        if not other
    ]

    assert found.stable == (pytest.approx(np.mean(pairs)) if pairs else None)


@pytest.mark.parametrize(
    ("task", "classes", "label", "output", "named"),
    [
        ("binary", (), 2, 0.5, "'a'.*0 to 1.*2"),
        ("binary", ("no", "yes"), "maybe", 0.5, "'a'.*no, yes.*'maybe'"),
        ("binary", (), 1, [0.5, 0.5], "binary.*2"),
        ("multiclass", (), 3, [0.2, 0.3, 0.5], "'a'.*0 to 2.*3"),
        ("multiclass", (), 0.5, [0.2, 0.3, 0.5], "'a'.*0.5"),
        ("regression", (), "x", 0.5, "'a'.*'x'"),
        ("regression", (), math.nan, 0.5, "'a'.*nan"),
        ("regression", (), None, 0.5, "'a'.*None"),
    ],
)
def test_labels_and_outputs_that_do_not_fit(
    task: str, classes: tuple[str, ...], label: object, output: object, named: str
) -> None:
    with pytest.raises(InputError, match=named):
        measure(logged("stable", {"a": output}), collect([("a", label)]), task, classes=classes)  # type: ignore[arg-type]


def test_an_unknown_route() -> None:
    with pytest.raises(InputError, match="'shadow'"):
        measure([Answer("a", "shadow", 0.5)], collect([]), "binary")
