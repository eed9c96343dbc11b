"""Predict over gRPC: the selection of a model, the checks of a request, and the reply."""

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2


@pytest.fixture(scope="module")
def server(launch, saved_models, write_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "models"
    labels = 'model_version_policy { specific { versions: 1 versions: 2 } } version_labels { key: "stable" value: 1 }'
    config.write_text(write_config(("score", saved_models / "score", labels), ("tools", saved_models / "tools", "")))
    flags = ["--allow_version_labels_for_unavailable_models", f"--model_config_file={config}"]
    return launch(*flags).wait()


@pytest.fixture
def call(server, predict_request):
    def send(*arguments, **named):
        request = predict_request(*arguments, **named)
        return server.call("Predict", request, predict_pb2.PredictResponse)

    return send


def test_no_model_spec(call, fails):
    fails("INVALID_ARGUMENT", "Missing ModelSpec", lambda: call(None))


def test_empty_name(call, fails):
    fails("INVALID_ARGUMENT", "ModelSpec has no name specified.", lambda: call(""))


def test_unknown_model(call, fails):
    fails("NOT_FOUND", "Servable not found for request: Latest(m)", lambda: call("m"))


def test_unknown_version(call, fails):
    fails("NOT_FOUND", "Servable not found for request: Specific(score, 7)", lambda: call(version=7))


def test_unknown_label(call, fails):
    fails("INVALID_ARGUMENT", "Unrecognized servable version label: X", lambda: call(label="X"))


def test_the_newest_version_answers(call):
    response = call()
    assert list(response.outputs["y"].float_val) == [8.0]
    assert response.model_spec.version.value == 2


def test_selection_by_version_and_label(call):
    for response in (call(version=1), call(label="stable")):
        assert list(response.outputs["y"].float_val) == [7.0]
        spec = response.model_spec
        assert (spec.name, spec.signature_name, spec.version.value) == ("score", "serving_default", 1)
        assert spec.WhichOneof("version_choice") == "version"


def test_repeated_requests_have_equal_replies(call):
    """The fast path gives the same replies as the slow one."""
    content = tf.make_tensor_proto(np.array([[1, 1, 1]], np.float32))
    typed = tf.make_tensor_proto([[1.0, 1.0, 1.0]])
    typed.ClearField("tensor_content")
    typed.float_val[:] = [1.0, 1.0, 1.0]
    repeated = tf.make_tensor_proto([[1.0, 1.0, 1.0]])
    repeated.ClearField("tensor_content")
    repeated.float_val[:] = [1.0]
    for _ in range(12):
        for proto in (content, typed, repeated):
            assert list(call(inputs={"x": proto}).outputs["y"].float_val) == [8.0]


def test_repeated_fields_are_merged(server, predict_request):
    """As in protobuf, also on the fast path."""
    request = predict_request()
    for _ in range(30):
        server.call("Predict", request, predict_pb2.PredictResponse)
    more = predict_pb2.PredictRequest()
    more.model_spec.version.value = 1
    content = request.SerializeToString() + more.SerializeToString()
    response = server.call("Predict", content, predict_pb2.PredictResponse)
    assert list(response.outputs["y"].float_val) == [7.0]


def test_unknown_signature(call, fails):
    fails("FAILED_PRECONDITION", 'Serving signature key "s" not found.', lambda: call(signature="s"))


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        (
            {"a": [1.0]},
            "input size does not match signature: 1!=2 len({a}) != len({a,b}). Sent extra: {}. "
            "Missing but required: {b}.",
        ),
        (
            {"c": [1.0], "b": [1.0], "a": [1.0]},
            "input size does not match signature: 3!=2 len({a,b,c}) != len({a,b}). Sent extra: {c}. "
            "Missing but required: {}.",
        ),
    ],
)
def test_number_of_inputs(call, fails, inputs, text):
    fails("INVALID_ARGUMENT", text, lambda: call("score", inputs, signature="two"))


def test_missing_input_with_defaults(call, fails):
    text = (
        "Signature input alias: a(feed name: defaults_a:0) not found in request and no default value provided. "
        "Inputs expected to be in the request {b}, or default input alias set: b"
    )
    fails("INVALID_ARGUMENT", text, lambda: call("score", {"b": [1.0]}, signature="defaults"))


def test_a_default_is_used(predict, server):
    assert predict(server, "score", {"a": [1.0]}, signature="defaults")["sum"].tolist() == [11.0]


def test_wrong_name_with_the_right_count(call, fails):
    text = (
        "Signature input alias: b(feed name: two_b:0) not found in request and no default value provided. Inputs "
        "expected to be in the request {a,c}, or default input alias set: "
    )
    fails("INVALID_ARGUMENT", text, lambda: call("score", {"a": [1.0], "c": [1.0]}, signature="two"))


def test_extra_name_beside_a_default(call, fails):
    text = "Inputs contains invalid name. Used request inputs: a, request input: a,c"
    fails("INVALID_ARGUMENT", text, lambda: call("score", {"a": [1.0], "c": [1.0]}, signature="defaults"))


def bad_tensors():
    short = tf.make_tensor_proto([[1.0, 1.0, 1.0]])
    short.tensor_content = short.tensor_content[:-1] or b"123"
    negative = tf.make_tensor_proto([[1.0, 1.0, 1.0]])
    negative.tensor_shape.dim[0].size = -1
    unknown = tf.make_tensor_proto([[1.0, 1.0, 1.0]])
    unknown.tensor_shape.unknown_rank = True
    untyped = tf.make_tensor_proto([[1.0, 1.0, 1.0]])
    untyped.dtype = 0
    odd = tf.make_tensor_proto([[1.0, 1.0, 1.0]])
    odd.dtype = 9999
    overflowing = tf.make_tensor_proto([[1.0]])
    overflowing.tensor_shape.dim[0].size = overflowing.tensor_shape.dim[1].size = 1 << 62
    many = tf.make_tensor_proto([1.0])
    many.tensor_shape.dim.extend([many.tensor_shape.dim[0]] * 300)
    return locals().items()


@pytest.mark.parametrize(("name", "proto"), bad_tensors())
def test_bad_tensor_proto(call, fails, name, proto):
    fails("INVALID_ARGUMENT", "tensor parsing error: x", lambda: call(inputs={"x": proto}))


def test_bad_string_content(call, fails):
    proto = tf.make_tensor_proto(["ab", "c"])
    proto.ClearField("string_val")
    proto.tensor_content = b"\x02\x09abc"
    call_it = lambda: call("tools", {"inputs": proto})  # noqa: E731
    fails("INVALID_ARGUMENT", "tensor parsing error: inputs", call_it)


def test_string_content(server, predict):
    proto = tf.make_tensor_proto(["ab", "c"])
    proto.ClearField("string_val")
    proto.tensor_content = b"\x02\x01abc"
    outputs = predict(server, "tools", {"inputs": proto}, signature="other")
    assert outputs["other"].tolist() == [b"ab", b"c"]


def test_unknown_output(call, fails):
    text = "output tensor alias not found in signature: z Outputs expected to be in the set {difference,sum}."
    inputs = {"a": [1.0], "b": [2.0]}
    fails("INVALID_ARGUMENT", text, lambda: call("score", inputs, signature="two", outputs=("sum", "z")))


def test_duplicate_output(call, fails):
    inputs = {"a": [1.0], "b": [2.0]}
    fails(
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: sum",
        lambda: call("score", inputs, signature="two", outputs=("sum", "sum")),
    )


def test_output_filter(server, predict):
    inputs = {"a": [1.0], "b": [2.0]}
    assert list(predict(server, "score", inputs, signature="two", outputs=("sum",))) == ["sum"]
    assert sorted(predict(server, "score", inputs, signature="two")) == ["difference", "sum"]


def test_wrong_type(call, fails):
    for _ in range(2):
        fails(
            "INVALID_ARGUMENT",
            "Expects arg[0] to be float but double is provided",
            lambda: call(inputs={"x": np.ones((1, 3))}),
        )
    fails(
        "INVALID_ARGUMENT",
        "Expects arg[1] to be float but string is provided",
        lambda: call("score", {"a": [1.0], "b": ["no"]}, signature="two"),
    )


def test_feeds_are_not_checked_against_shapes(server, predict):
    """A placeholder of (?, 1) accepts (1,); only ops check shapes."""
    assert predict(server, "score", {"a": [[1.0]], "b": [[2.0]]}, signature="two")["sum"].tolist() == [[3.0]]


def test_ops_check_shapes(call):
    with pytest.raises(grpc.RpcError, match=r"In\[0\]: \[1,4\], In\[1\]: \[3,1\]") as caught:
        call(inputs={"x": [[1.0, 1.0, 1.0, 1.0]]})
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_long_messages_are_truncated(call):
    with pytest.raises(grpc.RpcError) as caught:
        call("m" * 2000)
    assert caught.value.details() == ("Servable not found for request: Latest(" + "m" * 2000)[:1024] + "...TRUNCATED"


def test_every_type_round_trips(server, predict):
    inputs = {
        "long": np.array([0, 1, 127, 128, 300, 2**40, -1, 2**63 - 1, -(2**63)], np.int64),
        "text": np.array([b"", b"a\x00b", "é".encode()], object),
        "flag": np.array([True, False]),
        "double": np.array([0.1, np.nan, np.inf]),
        "byte": np.array([0, 255], np.uint8),
        "int": np.array([-1, 2**31 - 1], np.int32),
    }
    for _ in range(20):
        outputs = predict(server, "tools", inputs, signature="types")
        for alias, array in inputs.items():
            np.testing.assert_array_equal(outputs[alias], array)
    assert predict(server, "tools", {"x": [0.5, -2.0]}, signature="half")["y"].tolist() == [0.5, -2.0]
    half = np.array([0.5, 3.0], np.float16)
    assert predict(server, "tools", {"x": half}, signature="half_in")["y"].tolist() == [0.5, 3.0]
    assert predict(server, "tools", {"x": [1.0, 2.0]}, signature="scalar")["y"] == 3.0


def test_empty_batch_and_nan(server, predict):
    assert predict(server, inputs={"x": np.zeros((0, 3), np.float32)})["y"].shape == (0, 1)
    assert np.isnan(predict(server, inputs={"x": [[float("nan"), 1.0, 1.0]]})["y"]).all()


def test_outputs_are_typed_fields_by_default(server, call, launch, saved_models, predict_request):
    tensor = call().outputs["y"]
    assert (list(tensor.float_val), tensor.tensor_content) == ([8.0], b"")
    flags = [f"--model_base_path={saved_models / 'score'}", "--model_name=score"]
    other = launch(*flags, "--enable_serialization_as_tensor_content").wait()
    tensor = other.call("Predict", predict_request(), predict_pb2.PredictResponse).outputs["y"]
    assert (list(tensor.float_val), np.frombuffer(tensor.tensor_content, np.float32).tolist()) == ([], [9.0])
    assert other.stop() == 0
