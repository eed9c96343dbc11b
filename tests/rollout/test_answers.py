"""Which outputs are compared, and rows of the prediction log."""

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest

from tiffin.rollout.answers import Choice, Versions, choose, read_rows, wanted_columns
from tiffin.rollout.statistics.agreement import Rule

VERSIONS = Versions(1, 2, 0, 100)


def sample(signature: str = "serving_default", **outputs: list[Any]) -> list[dict[str, Any]]:
    rows = zip(*outputs.values(), strict=True)
    names = [f"output.{name}" for name in outputs]
    return [{"signature": signature, **dict(zip(names, row, strict=True))} for row in rows]


def kinds(choice: Choice) -> dict[str, tuple[str, int]]:
    return {output.name: (output.kind, output.width) for output in choice.outputs}


def batch(*rows: dict[str, Any]) -> dict[str, list[Any]]:
    base = {"request_id": "a", "row": 0, "rows": 1, "time": 50, "version": 1, "route": "stable", "code": "OK"}
    filled = [{**base, "signature": "serving_default", **row} for row in rows]
    return {name: [row.get(name) for row in filled] for name in dict.fromkeys(name for row in filled for name in row)}


def test_an_answer_without_outputs() -> None:
    assert choose([{"signature": None}]) == Choice("", ())


def test_answers_of_a_model_by_tiffin() -> None:
    binary = choose(sample(probability=[0.25, 1.0], classes=["yes", "yes"]))
    multiclass = choose(
        sample(probabilities=[[0.5, 0.3, 0.2]] * 2, classes=[["a", "b", "c"]] * 2, prediction=["a"] * 2)
    )

    assert (kinds(binary), binary.left_out) == ({"probability": ("probability", 1)}, ("classes",))
    assert binary.outputs[0].rule == Rule("probability")
    assert (kinds(multiclass), multiclass.left_out) == ({"probabilities": ("class", 3)}, ("classes", "prediction"))
    assert multiclass.outputs[0].bounds == ((0.5, 1.5),)
    assert multiclass.outputs[0].values_of(0, np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])).tolist() == [2, 0]


def test_answers_of_other_models_are_numbers() -> None:
    found = choose(
        sample(probability=[0.25, 0.75], point=[[1, 2.0], [3, math.nan]], ragged=[[1.0], [1.0, 2.0]], on=[True, False])
    )

    assert kinds(found) == {"on": ("number", 1), "point": ("number", 2), "probability": ("number", 1)}
    assert found.left_out == ("ragged",)
    assert {output.name: output.parts for output in found.outputs}["point"] == ["point[0]", "point[1]"]
    assert {output.name: output.spread for output in found.outputs}["probability"] == 0.25
    assert choose(sample(probability=[-0.1], classes=["yes"])).outputs[0].kind == "number"


def test_vectors_have_no_distributions() -> None:
    output = choose(sample(vector=[[0.5] * 11])).outputs[0]

    assert (output.width, output.parts) == (11, [])
    assert choose(sample(vector=[[0.5] * 1001])).outputs == ()


def test_the_signature_that_most_requests_call() -> None:
    found = choose([*sample("explain", fare=[1.0]), *sample(y=[1.0, 2.0])])

    assert (found.signature, kinds(found)) == ("serving_default", {"y": ("number", 1)})


def test_rest_does_not_name_an_only_output() -> None:
    only = choose(sample(outputs=[1.0]))
    both = choose(sample(outputs=[None, 1.0], y=[1.0, None]))
    found = read_rows(batch({"output.y": 1.5}, {"output.outputs": 2.5}), both, VERSIONS, Counter(), with_inputs=False)

    assert (kinds(only), kinds(both)) == ({"outputs": ("number", 1)}, {"y": ("number", 1)})
    assert [row.values for row in found["stable"]] == [((1.5,),), ((2.5,),)]


def test_rows_by_route() -> None:
    rows = batch(
        {"output.y": 1.0, "input.x": math.nan, "input.text": "t" * 200, "input.list": list(range(200))},
        {"output.y": 2.0, "input.x": 1.5, "rows": 2, "row": 1, "route": "candidate", "version": 2},
        {"output.y": 3.0, "input.x": 1.5, "route": "mirror", "version": 2},
    )
    found = read_rows(rows, choose(sample(y=[1.0])), VERSIONS, skipped := Counter[str](), with_inputs=True)

    assert {route: [(row.key, row.values) for row in of] for route, of in found.items()} == {
        "stable": [("a", ((1.0,),))],
        "candidate": [("a/1", ((2.0,),))],
        "mirror": [("a", ((3.0,),))],
    }
    inputs = found["stable"][0].inputs
    assert (inputs["x"], len(str(inputs["text"])), len(inputs["list"])) == (None, 101, 101)  # type: ignore[arg-type]
    assert not skipped


@pytest.mark.parametrize(
    "row", [{"version": 2}, {"version": None}, {"route": "mirror"}, {"route": "other"}, {"time": 101}, {"time": -1}]
)
def test_rows_of_other_versions_and_times(row: dict[str, Any]) -> None:
    found = read_rows(
        batch({"output.y": 1.0, **row}), choose(sample(y=[1.0])), VERSIONS, skipped := Counter(), with_inputs=False
    )

    assert (found, skipped) == ({"stable": [], "candidate": [], "mirror": []}, {})


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"code": "UNAVAILABLE"}, "failed"),
        ({"signature": "explain"}, "signatures"),
        ({"output.y": None}, "values"),
        ({"output.y": [1.0, 2.0]}, "values"),
        ({"output.y": "text"}, "values"),
        ({"output.y": [None]}, "values"),
    ],
)
def test_rows_that_are_left_out(row: dict[str, Any], reason: str) -> None:
    found = read_rows(
        batch({"output.y": 1.0, **row}), choose(sample(y=[1.0])), VERSIONS, skipped := Counter(), with_inputs=False
    )

    assert (found["stable"], skipped) == ([], {reason: 1})


def test_columns_that_are_read() -> None:
    columns = ["request_id", "key", *(f"input.{number}" for number in range(60)), "output.y"]

    assert [name for name in wanted_columns(columns, with_inputs=False) if "." in name] == ["output.y"]
    assert len([name for name in wanted_columns(columns, with_inputs=True) if name.startswith("input.")]) == 50
