"""Paired answers of shadow mode."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.rollout.statistics.agreement import Agreement, Answers, Pair, Rule, add, find_spread, merge, pair, start

SCORE = {"score": Rule("probability")}
NUMBER = {"y": Rule("number", spread=10.0, tolerance=0.01)}


def answers(values: object, keys: str | list[str] = "", name: str = "score", **inputs: np.ndarray) -> Answers:
    array = np.array(values, dtype=np.float64)
    return Answers(list(keys) or [str(number) for number in range(len(array))], {name: array}, inputs)


def test_empty() -> None:
    found = add(start(SCORE), answers([]), answers([]))

    assert found == add(start(SCORE), answers(np.empty((0, 1))), answers(np.empty((0, 1))))
    assert (found.pairs, found.agreeing, found.share) == (0, 0, None)
    assert (found.interval().low, found.interval().high) == (0, 1)
    assert found.outputs["score"].quantile(0.5) is None
    assert found.outputs["score"].differences.mean is None
    assert pair([], [])[0].shape == (0,)


def test_probabilities_by_hand() -> None:
    found = add(start(SCORE), answers([0.2, 0.5, 0.9, 0.7]), answers([0.3, 0.49, 0.9, 0.2]))
    output = found.outputs["score"]

    assert (found.pairs, found.agreeing, found.share) == (4, 2, 0.5)
    assert output.differences.mean == pytest.approx((0.1 + 0.01 + 0 + 0.5) / 4)
    assert [(one.key, one.stable, one.candidate) for one in output.largest] == [
        ("3", (0.7,), (0.2,)), ("0", (0.2,), (0.3,)), ("1", (0.5,), (0.49,)),
    ]  # fmt: skip
    assert output.quantile(1.0) == pytest.approx(0.5, rel=0.12)
    assert output.quantile(0.25) == pytest.approx(0, abs=1e-6)


def test_classes_by_hand() -> None:
    stable, candidate = [[0.5, 0.3, 0.2], [0.1, 0.2, 0.7]], [[0.4, 0.35, 0.25], [0.1, 0.5, 0.4]]
    found = add(start({"score": Rule("class")}), answers(stable), answers(candidate))

    assert (found.pairs, found.agreeing) == (2, 1)
    assert found.outputs["score"].largest[0].difference == pytest.approx(0.3)


def test_numbers_by_hand() -> None:
    """The tolerance is 1 % of a spread of 10."""
    found = add(start(NUMBER), answers([1, 2, 3], name="y"), answers([1.09, 2.11, -50], name="y"))

    assert (found.pairs, found.agreeing) == (3, 1)
    assert found.outputs["y"].quantile(1.0) == pytest.approx(53, rel=0.12)


def test_pairs_by_id() -> None:
    found = add(start(NUMBER), answers([1, 2, 3, 4], "abca", name="y"), answers([3, 30, 1, 9], "ccax", name="y"))

    # a and c are pairs; b and x have no partner; the second a and the second c are left out.
    assert (found.pairs, found.agreeing, found.unpaired_stable, found.unpaired_candidate, found.repeated) == (
        2,
        2,
        1,
        1,
        2,
    )


def test_the_largest_differences_have_their_inputs() -> None:
    size = {"size": np.array([10, 20, 30]), "kind": np.array([b"x", b"y", b"\xff"], object), "box": np.ones((3, 2))}
    found = add(start(SCORE), answers([0.1, 0.2, 0.3], "abc", **size), answers([0.6, 0.2, 0.2], "cba"), largest=1)

    assert found.outputs["score"].largest == (
        Pair("c", pytest.approx(0.3), (0.3,), (0.6,), {"size": 30, "kind": "\ufffd", "box": [1.0, 1.0]}),
    )


def test_values_that_are_not_finite() -> None:
    inf, nan = math.inf, math.nan
    found = add(
        start(NUMBER),
        answers([1, nan, nan, inf, 1, 1e308], name="y"),
        answers([nan, nan, 1, inf, -inf, -1e308], name="y"),
    )
    output = found.outputs["y"]

    assert (found.pairs, found.agreeing) == (6, 2)
    assert (output.not_finite_stable, output.not_finite_candidate) == (3, 4)
    assert (output.differences.rows, output.largest) == (0, ())


def test_several_outputs_agree_together() -> None:
    both = SCORE | NUMBER
    stable = Answers(["a", "b"], {"score": np.array([0.1, 0.9]), "y": np.array([1.0, 1.0])})
    candidate = Answers(
        ["a", "b"], {"score": np.array([0.1, 0.9]), "y": np.array([1.0, 9.0]), "more": np.array(["x", "y"])}
    )
    found = add(start(both), stable, candidate)

    assert (found.agreeing, found.outputs["score"].agreeing, found.outputs["y"].agreeing) == (1, 2, 1)


VALUES = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([math.nan, math.inf, -math.inf, 0.0]))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(VALUES, VALUES), max_size=40), st.integers(1, 7), st.integers(1, 5))
def test_batches_and_processes_add_up(rows: list[tuple[float, float]], size: int, largest: int) -> None:
    ours, theirs = ([row[side] for row in rows] for side in (0, 1))
    keys = [f"r{number}" for number in range(len(rows))]
    whole = (
        add(start(NUMBER), answers(ours, keys, "y"), answers(theirs, keys, "y"), largest=largest)
        if rows
        else start(NUMBER)
    )
    parts = [start(NUMBER)]
    for at in range(0, len(rows), size):
        part = slice(at, at + size)
        parts.append(
            add(
                start(NUMBER),
                answers(ours[part], keys[part], "y"),
                answers(theirs[part], keys[part], "y"),
                largest=largest,
            )
        )
    found = merge(parts, largest=largest)

    assert (found.pairs, found.agreeing) == (whole.pairs, whole.agreeing)
    one, other = found.outputs["y"], whole.outputs["y"]
    assert (one.bins, one.differences.rows, one.not_finite_stable) == (
        other.bins,
        other.differences.rows,
        other.not_finite_stable,
    )
    assert one.differences.total == pytest.approx(other.differences.total)
    assert [pair.difference for pair in one.largest] == [pair.difference for pair in other.largest]
    text = json.dumps(documents.to_json(found), allow_nan=False)
    assert documents.parse(text, Agreement, "rollout.json") == found


def test_the_spread() -> None:
    assert find_spread(np.array([])) == find_spread(np.array([math.nan])) == find_spread(np.zeros(3)) == 1
    assert find_spread(np.array([-4.0, -4.0])) == 4
    assert find_spread(np.array([1.0, 3.0, math.inf])) == 1


@pytest.mark.parametrize(
    ("rule", "values"),
    [
        (Rule("probability"), np.zeros((2, 3))),
        (Rule("class"), np.zeros(2)),
        (Rule("number"), np.zeros(3)),
        (Rule("number"), np.array(["a", "b"])),
        (Rule("number"), np.zeros((2, 2, 2))),
    ],
)
def test_outputs_of_another_kind(rule: Rule, values: np.ndarray) -> None:
    answered = Answers(["a", "b"], {"y": values})

    with pytest.raises(InputError, match=f"'y'.*{values.dtype}"):
        add(start({"y": rule}), answered, answered)
    with pytest.raises(InputError, match=r"'x'.*none"):
        add(start({"x": rule}), answered, answered)


def test_outputs_of_another_shape() -> None:
    with pytest.raises(InputError, match=r"'y'.*2.*3"):
        add(start(NUMBER), answers(np.zeros((1, 2)), "a", "y"), answers(np.zeros((1, 3)), "a", "y"))


def test_other_rules_do_not_add_up() -> None:
    with pytest.raises(InputError, match="Received"):
        merge([start(SCORE), start(NUMBER)])


@pytest.mark.parametrize(("spread", "tolerance"), [(0, 0.1), (math.nan, 0.1), (1, -0.1), (1, math.inf)])
def test_no_rule(spread: float, tolerance: float) -> None:
    with pytest.raises(InputError, match="Received"):
        Rule("number", spread, tolerance)
