"""Invalid requests: the server reports an error, keeps serving and frees its memory."""

import concurrent.futures
import contextlib
import json
import socket

import grpc
import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import text_format
from hypothesis import strategies
from tensorflow_serving.apis import model_management_pb2, predict_pb2

METHODS = (
    "Predict",
    "Classify",
    "Regress",
    "MultiInference",
    "GetModelMetadata",
    "GetModelStatus",
    "HandleReloadConfigRequest",
)
BOUNDED = hypothesis.settings(
    max_examples=120,
    deadline=None,
    derandomize=True,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)
JSON = strategies.recursive(
    strategies.none()
    | strategies.booleans()
    | strategies.integers()
    | strategies.floats()
    | strategies.text(max_size=5)
    | strategies.just({"b64": "AAAA"}),
    lambda inner: (
        strategies.lists(inner, max_size=4)
        | strategies.dictionaries(strategies.sampled_from(["x", "a", "b", "b64"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def server(launch, saved_models, write_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "models"
    config.write_text(write_config(("score", saved_models / "score", ""), ("tools", saved_models / "tools", "")))
    return launch(f"--model_config_file={config}", rest=True).wait()


@pytest.fixture(autouse=True)
def keeps_serving(server, predict):
    yield
    assert predict(server)["y"].tolist() == [[9.0]]
    assert "Traceback" not in server.log


class Reply:
    """Returns the bytes of a reply unparsed."""

    @staticmethod
    def FromString(content):  # noqa: N802 - the name in protobuf
        return content


def code_of(server, method, content):
    try:
        server.call(method, content, Reply)
    except grpc.RpcError as error:
        assert error.code() != grpc.StatusCode.UNKNOWN  # noqa: PT017
        return error.code().name
    return "OK"


@BOUNDED
@hypothesis.given(strategies.sampled_from(METHODS), strategies.binary(max_size=200))
def test_any_bytes(server, method, content):
    code_of(server, method, content)


@BOUNDED
@hypothesis.given(strategies.data())
def test_damaged_requests(server, predict_request, data):
    request = data.draw(
        strategies.sampled_from(
            [
                predict_request(),
                predict_request("score", {"a": [1.0], "b": [2.0]}, signature="two", outputs=("sum",)),
                predict_request("tools", {"inputs": ["a", "b"]}, signature="other"),
            ]
        )
    )
    content = bytearray(request.SerializeToString())
    if data.draw(strategies.booleans()):
        del content[data.draw(strategies.integers(0, len(content) - 1)) :]
    for _ in range(data.draw(strategies.integers(0, 3))):
        if content:
            content[data.draw(strategies.integers(0, len(content) - 1))] = data.draw(strategies.integers(0, 255))
    code_of(server, "Predict", bytes(content))


@BOUNDED
@hypothesis.given(
    strategies.integers(-2, 30),
    strategies.lists(strategies.integers(-3, 6) | strategies.sampled_from([1 << 31, 1 << 40, 1 << 62]), max_size=4),
    strategies.binary(max_size=64),
    strategies.lists(strategies.floats(width=32), max_size=20),
)
def test_any_tensor(server, dtype, sizes, content, values):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "score"
    tensor = request.inputs["x"]
    tensor.dtype = dtype
    for size in sizes:
        tensor.tensor_shape.dim.add(size=size)
    tensor.tensor_content = content
    tensor.float_val.extend(values)
    assert code_of(server, "Predict", request.SerializeToString()) in ("OK", "INVALID_ARGUMENT")


@BOUNDED
@hypothesis.given(strategies.sampled_from(["score", "tools"]), strategies.sampled_from(["instances", "inputs"]), JSON)
def test_any_json(server, model, key, value):
    status, text = server.rest(f"/v1/models/{model}:predict", json.dumps({key: value}).encode())
    assert status in (200, 400, 501)
    if status != 200:
        assert set(json.loads(text)) == {"error"}


@BOUNDED
@hypothesis.given(JSON)
def test_any_examples(server, value):
    body = json.dumps({"signature_name": "regress_flat", "examples": [value]}).encode()
    assert server.rest("/v1/models/tools:regress", body)[0] in (200, 400)


def test_truncated_requests_are_internal_errors(server, predict_request):
    content = predict_request().SerializeToString()
    assert code_of(server, "Predict", content[:-3]) == "INTERNAL"


def test_ten_thousand_inputs(server, predict_request):
    request = predict_request(inputs={f"x{index}": [1.0] for index in range(10_000)})
    with pytest.raises(grpc.RpcError) as caught:
        server.call("Predict", request, predict_pb2.PredictResponse)
    assert caught.value.details().startswith("input size does not match signature: 10000!=1")
    assert caught.value.details().endswith("...TRUNCATED")


def test_strings_instead_of_numbers(server, predict_request, fails):
    call = lambda: server.call("Predict", predict_request(inputs={"x": ["a"]}), predict_pb2.PredictResponse)  # noqa: E731
    fails("INVALID_ARGUMENT", "Expects arg[0] to be float but string is provided", call)


def varint(number):
    octets = []
    while number > 127:
        octets.append(number & 127 | 128)
        number >>= 7
    return bytes([*octets, number])


def delimited(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def raw_predict(spec, shape):
    """Return a PredictRequest for `score` with the bytes of a ModelSpec and of a TensorShapeProto."""
    tensor = b"\x08\x01" + delimited(2, shape) + delimited(4, np.ones(3, np.float32).tobytes())
    return delimited(1, spec) + delimited(2, delimited(1, b"x") + delimited(2, tensor))


SPEC, SHAPE = delimited(1, b"score"), delimited(2, b"\x08\x01") + delimited(2, b"\x08\x03")


def test_a_hundred_thousand_dimensions(server, fails):
    content = raw_predict(SPEC, delimited(2, b"\x08" + varint((1 << 62) - 1)) * 100_000)
    fails("INVALID_ARGUMENT", "tensor parsing error: x", lambda: server.call("Predict", content, Reply))


def test_more_dimensions_than_numpy_supports(server):
    content = raw_predict(SPEC, delimited(2, b"\x08\x01") * 100)
    with pytest.raises(grpc.RpcError, match=r"\b64\b.*\b100\b") as caught:
        server.call("Predict", content, Reply)
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    body = b'{"instances": ' + b"[" * 100 + b"1" + b"]" * 100 + b"}"
    assert server.rest("/v1/models/score:predict", body)[0] in (400, 501)


@pytest.mark.parametrize("place", ["spec", "shape"])
def test_unknown_fields_use_no_lasting_memory(server, predict, place):
    for _ in range(20):
        predict(server)
    before = server.resident_mib()
    for letter in range(60):
        unknown = delimited(15, bytes([letter]) * 4_000_000)
        content = raw_predict(SPEC + unknown, SHAPE) if place == "spec" else raw_predict(SPEC, SHAPE + unknown)
        assert code_of(server, "Predict", content) == "OK"
    assert server.resident_mib() < before + 120


@pytest.fixture(scope="module")
def reloaded(launch, saved_models):
    return launch("--model_name=score", f"--model_base_path={saved_models / 'score'}").wait()


@hypothesis.settings(BOUNDED, max_examples=60)
@hypothesis.given(strategies.data())
def test_any_configuration(reloaded, reload, predict, eventually, saved_models, write_config, data):
    """After any configuration, the manager still applies a valid one."""
    good = ("score", saved_models / "score", "")
    request = model_management_pb2.ReloadConfigRequest()
    text_format.Parse(write_config(good), request.config)
    model = request.config.model_config_list.config[0]
    model.base_path = data.draw(
        strategies.sampled_from([model.base_path, "s3://b/m", "nope://", "://", "", "/", "/\0", "p", "/nowhere"])
    )
    content = bytearray(request.SerializeToString())
    if data.draw(strategies.booleans()):
        content[data.draw(strategies.integers(0, len(content) - 1))] = data.draw(strategies.integers(0, 255))
    if b"score" in content:  # another model may have no version, for which TF Serving waits forever
        code_of(reloaded, "HandleReloadConfigRequest", bytes(content))

    def is_serving():
        with contextlib.suppress(grpc.RpcError):  # the model may still be unloading, or loading again
            reload(reloaded, good)
            return predict(reloaded)["y"].tolist() == [[9.0]]

    eventually(is_serving)
    assert "Traceback" not in reloaded.log


def test_deep_json(server):
    body = b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    status, text = server.rest("/v1/models/score:predict", body)
    assert (status, "error" in json.loads(text)) == (400, True)
    body = b'{"instances": ' + b"[" * 300 + b"1" + b"]" * 300 + b"}"
    assert server.rest("/v1/models/score:predict", body)[0] == 400


def test_long_numbers(server):
    assert server.rest("/v1/models/score:predict", b'{"instances": [' + b"9" * 10_000 + b"]}")[0] == 400


def test_broken_connections(server):
    for content in (b"POST /v1/models/score:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n{", b"\x00\xff\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.rest_port)) as connection:
            connection.sendall(content)
    with socket.create_connection(("127.0.0.1", server.rest_port), 10) as connection:
        connection.sendall(b"POST /v1/x HTTP/1.1\r\nContent-Length: nonsense\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_large_requests_use_no_lasting_memory(server, predict_request, predict):
    """The process does not grow with the number of large requests, valid or not, over gRPC or REST."""
    ones = np.ones((200_000, 3), np.float32)
    huge = tf.make_tensor_proto(ones[:1])
    huge.tensor_shape.dim[0].size = 1 << 34
    body = b'{"instances": [' + b",".join([b"[1.0,1.0,1.0]"] * 200_000) + b"]}"
    bad = b"[" + b"1," * 8_000_000

    def turn():
        predict(server, inputs={"x": ones})
        assert code_of(server, "Predict", predict_request(inputs={"x": huge}).SerializeToString()) == "INVALID_ARGUMENT"
        assert server.rest("/v1/models/score:predict", body)[0] == 200
        assert server.rest("/v1/models/score:predict", bad)[0] == 400

    turn()
    before = server.resident_mib()
    for _ in range(3):
        turn()
    assert server.resident_mib() < before + 150


def test_a_hundred_megabytes_of_json(server):
    status, text = server.rest("/v1/models/score:predict", b" " * 100_000_000)
    assert (status, json.loads(text)["error"]) == (400, "JSON Parse error: Expecting value at offset: 100000000")
    status, text = server.rest("/v1/models/score:predict", b'{"instances": ["' + b"x" * 100_000_000 + b'"]}')
    assert (status, len(text) < 10_000) == (400, True)


def test_many_concurrent_requests(server, predict):
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        results = pool.map(
            lambda row: predict(server, inputs={"x": [[row, 0.0, 0.0]]})["y"].item(), map(float, range(200))
        )
        assert list(results) == [row + 3.0 for row in range(200)]
