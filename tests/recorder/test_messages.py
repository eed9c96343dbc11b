"""Calls of the gRPC API as rows of the log."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from support.access_log import entry, frame, predict, values, write
from tiffin.serving import messages, wire
from tiffin.serving.examples import make_examples

PATH = "/tensorflow.serving.PredictionService/"


def one(found: Any) -> list[dict[str, Any]]:
    rows, problems = write([found])
    assert problems == {}
    return rows


def framed(message: Any) -> bytes:
    return frame(message.SerializeToString())


class TestEmpty:
    def test_a_request_without_inputs(self) -> None:
        [row] = one(predict({}, {}))

        assert (row["row"], row["rows"], row["code"], values(row)) == (0, 1, "OK", {})

    def test_a_request_without_rows_is_one_row_without_values(self) -> None:
        [row] = one(predict({"x": np.zeros((0, 1))}, {"y": np.zeros((0, 1))}))

        assert (row["row"], row["rows"], values(row)) == (0, 0, {})

    def test_a_call_without_bodies(self) -> None:
        [row] = one(entry(code=1, request=None, response=None))

        assert (row["code"], row["rows"], row["signature"], row["version"], values(row)) == (
            "CANCELLED",
            1,
            None,
            None,
            {},
        )


class TestPredict:
    def test_each_row_has_its_values(self) -> None:
        inputs = {"x": np.array([[1], [2]], np.int32), "text": np.array(["a", "b"], object), "flag": [True, False]}
        outputs = {"y": np.array([0.5, 1.5], np.float32), "scores": np.array([[[1.0, 2.0]], [[3.0, 4.0]]])}
        rows = one(predict(inputs, outputs, version=7, signature="score", key="ada"))

        assert [values(row) for row in rows] == [
            {"input.flag": True, "input.text": "a", "input.x": 1, "output.scores": [1.0, 2.0], "output.y": 0.5},
            {"input.flag": False, "input.text": "b", "input.x": 2, "output.scores": [3.0, 4.0], "output.y": 1.5},
        ]
        assert [(row["row"], row["rows"]) for row in rows] == [(0, 2), (1, 2)]
        assert {(row["version"], row["signature"], row["key"], row["request_id"]) for row in rows} == {
            (7, "score", "ada", "id")
        }

    def test_the_columns_are_in_order(self) -> None:
        [row] = one(predict({"b": [1], "a": [1]}, {"d": [1], "c": [1]}))

        assert list(row)[-5:] == ["key", "input.a", "input.b", "output.c", "output.d"]

    def test_a_tensor_of_rank_0_belongs_to_each_row(self) -> None:
        rows = one(predict({"x": [1.0, 2.0], "scale": 3.0}, {"y": [1.0, 2.0]}))

        assert [row["input.scale"] for row in rows] == [3.0, 3.0]

    def test_without_a_common_number_of_rows_the_request_is_one_row(self) -> None:
        [row] = one(predict({"x": [[1.0, 2.0], [3.0, 4.0]]}, {"y": [5.0, 6.0, 7.0], "z": [8.0]}))

        assert (row["rows"], values(row)) == (
            1,
            {"input.x": [1.0, 2.0, 3.0, 4.0], "output.y": [5.0, 6.0, 7.0], "output.z": 8.0},
        )

    def test_a_failed_request_has_its_inputs(self) -> None:
        rows = one(predict({"x": [1.0, 2.0]}))

        assert [(row["code"], row["version"], values(row)) for row in rows] == [
            ("INVALID_ARGUMENT", None, {"input.x": 1.0}),
            ("INVALID_ARGUMENT", None, {"input.x": 2.0}),
        ]

    def test_types_without_a_kind_of_their_own(self) -> None:
        large = np.array([1 << 63, 1], np.uint64)
        inputs = {"half": np.array([1.5, 2.5], np.float16), "large": large, "complex": np.array([1 + 2j, 0j])}
        first, _ = one(predict(inputs, {}))

        assert values(first) == {"input.complex": "1+2j", "input.half": 1.5, "input.large": str(1 << 63)}

    def test_text_that_is_not_utf_8_is_counted(self) -> None:
        [row], problems = write([predict({"x": np.array([b"a\xff"], object)}, {})])

        assert (row["input.x"], problems) == ("a\\xff", {"text": 1})

    def test_text_of_a_request_of_another_form_is_counted_once(self) -> None:
        [row], problems = write([predict({"x": np.array([b"\xff"], object)}, {"y": [1.0, 2.0]})])

        assert (values(row), problems) == ({"input.x": "\\xff", "output.y": [1.0, 2.0]}, {"text": 1})

    def test_serialized_examples_are_features(self) -> None:
        examples = make_examples({"fare": [1.5, 2.0], "city": ["Ulm", "Bonn"], "days": [[1, 2], [3]]})
        sent = np.array([example.SerializeToString() for example in examples], object)
        rows = one(predict({"examples": sent}, {"y": [1.0, 2.0]}))

        assert [values(row) for row in rows] == [
            {"input.city": "Ulm", "input.days": [1, 2], "input.fare": 1.5, "output.y": 1.0},
            {"input.city": "Bonn", "input.days": [3], "input.fare": 2.0, "output.y": 2.0},
        ]

    def test_an_input_named_examples_with_other_text(self) -> None:
        [row] = one(predict({"examples": np.array(["no message"], object)}, {}))

        assert values(row) == {"input.examples": "no message"}

    def test_a_value_that_stands_for_too_many(self) -> None:
        request = wire.PredictRequest()
        request.inputs["x"].dtype = 1
        request.inputs["x"].float_val.append(1.0)
        request.inputs["x"].tensor_shape.dim.add(size=1 << 24)
        [row], problems = write([entry(request=framed(request))])

        assert (row["rows"], values(row), problems) == (1, {}, {"too_large": 1})

    def test_a_value_of_rank_0_for_too_many_rows(self) -> None:
        inputs = {"x": np.zeros(100_000, bool), **{f"c{number}": number for number in range(100)}}

        assert write([predict(inputs, {})])[1] == {"too_large": 1}

    def test_more_names_than_a_request_may_have(self) -> None:
        request = wire.PredictRequest()
        for number in range(10_001):
            request.inputs[str(number)].dtype = 1

        assert write([entry(request=framed(request))])[1] == {"too_large": 1}

    @pytest.mark.parametrize("size", [-1, 3])
    def test_a_tensor_that_contradicts_itself(self, size: int) -> None:
        request = messages.predict_request(("taxi", None, None), {"x": np.zeros(4, np.float32)})
        request.inputs["x"].tensor_shape.dim[0].size = size

        assert write([entry(request=framed(request))])[1] == {"message": 1}

    def test_a_body_that_is_no_message(self) -> None:
        [row], problems = write([entry(request=frame(b"\xff\xff"))])

        assert (row["rows"], values(row), problems) == (1, {}, {"message": 1})


class TestExamples:
    def request(self, method: str, **columns: Any) -> Any:
        return messages.examples_request(method, ("taxi", None, None), columns)

    def test_classify(self) -> None:
        response = wire.ClassificationResponse()
        response.model_spec.version.value = 4
        for score in (0.25, 0.5):
            row = response.result.classifications.add()
            row.classes.add(label="no", score=1 - score)
            row.classes.add(label="yes", score=score)
        request = self.request("Classify", x=[1.0, 2.0])
        rows = one(entry(path=f"{PATH}Classify", request=framed(request), response=framed(response)))

        assert [values(row) for row in rows] == [
            {"input.x": 1.0, "output.classes": ["no", "yes"], "output.scores": [0.75, 0.25]},
            {"input.x": 2.0, "output.classes": ["no", "yes"], "output.scores": [0.5, 0.5]},
        ]
        assert {(row["method"], row["version"]) for row in rows} == {("Classify", 4)}

    def test_regress_with_a_context(self) -> None:
        request = wire.RegressionRequest()
        request.input.example_list_with_context.examples.extend(make_examples({"x": [1, 2]}))
        request.input.example_list_with_context.context.CopyFrom(make_examples({"x": [0], "z": [9]})[0])
        response = wire.RegressionResponse()
        for value in (1.5, 2.5):
            response.result.regressions.add(value=value)
        rows = one(entry(path=f"{PATH}Regress", request=framed(request), response=framed(response)))

        assert [values(row) for row in rows] == [
            {"input.x": 1, "input.z": 9, "output.outputs": 1.5},
            {"input.x": 2, "input.z": 9, "output.outputs": 2.5},
        ]

    def test_a_feature_that_a_row_lacks(self) -> None:
        request = self.request("Regress", x=[1.0, None], y=["a", "b"])
        rows = one(entry(path=f"{PATH}Regress", request=framed(request), code=3))

        assert [values(row) for row in rows] == [{"input.x": 1.0, "input.y": "a"}, {"input.x": None, "input.y": "b"}]

    def test_multi_inference_names_the_signatures(self) -> None:
        request, response = wire.MultiInferenceRequest(), wire.MultiInferenceResponse()
        for name in ("class", "value"):
            request.tasks.add().model_spec.signature_name = name
        request.input.example_list.examples.extend(make_examples({"x": [1.0]}))
        classes = response.results.add()
        classes.model_spec.version.value = 2
        classes.classification_result.classifications.add().classes.add(label="yes", score=0.5)
        response.results.add().regression_result.regressions.add(value=3.0)
        [row] = one(entry(path=f"{PATH}MultiInference", request=framed(request), response=framed(response)))

        assert (row["signature"], row["version"], values(row)) == (
            "class,value",
            2,
            {"input.x": 1.0, "output.class.classes": "yes", "output.class.scores": 0.5, "output.value.outputs": 3.0},
        )


TYPES = st.sampled_from(["float32", "float64", "int64", "int32", "uint8", "bool", "object"])
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@st.composite
def batches(draw: st.DrawFn) -> dict[str, Any]:
    """Return arrays with the same first dimension, from 1 to 5."""
    count = draw(st.integers(1, 5))
    names = draw(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=8), max_size=4, unique=True))
    found = {}
    for name in names:
        shape = (count, *draw(st.lists(st.integers(1, 3), max_size=2)))
        dtype = draw(TYPES)
        found[name] = draw(arrays.arrays(dtype, shape, elements=TEXTS if dtype == "object" else None))
    return found


@settings(max_examples=80, deadline=None)
@given(batches(), batches())
def test_rows_have_the_values_of_their_tensors(inputs: dict[str, Any], outputs: dict[str, Any]) -> None:
    sizes = {len(array) for array in [*inputs.values(), *outputs.values()]}
    count = sizes.pop() if len(sizes) == 1 else 1
    rows, problems = write([predict(inputs, outputs)])
    given_arrays = {f"input.{name}": array for name, array in inputs.items()}
    given_arrays |= {f"output.{name}": array for name, array in outputs.items()}

    assert problems == {}
    assert [(row["row"], row["rows"]) for row in rows] == [(number, count) for number in range(count)]
    for name, array in given_arrays.items():
        expected = array.reshape(count, -1).tolist()
        for row, items in zip(rows, expected, strict=True):
            np.testing.assert_equal(row[name], items[0] if len(items) == 1 else items)
