"""Requests of a few bytes that would take gigabytes: --max_request_growth_bytes bounds them before memory is allocated."""

import contextlib
import gzip
import json
import shutil

import grpc
import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    inference_pb2,
    predict_pb2,
    prediction_log_pb2,
    regression_pb2,
)

FLAG = "--max_request_growth_bytes"
LIMIT = 1 << 20
INPUTS = 15
STRINGS = LIMIT // 32  # an empty string takes 32 bytes


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Base path of a model with 15 inputs, which returns each of them three times."""
    folder = tmp_path_factory.mktemp("wide")
    names = [f"x{index}" for index in range(INPUTS)]
    body = lambda **inputs: {f"{name}_{copy}": value + copy for name, value in inputs.items() for copy in (0, 1, 2)}  # noqa: E731
    signature = tf.function(body).get_concrete_function(
        **{name: tf.TensorSpec([None, 1], tf.float32, name=name) for name in names}
    )
    tf.saved_model.save(tf.Module(), str(folder / "1"), signatures={"serving_default": signature})
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory, saved_models, wide, write_config):
    config = tmp_path_factory.mktemp("config") / "models"
    config.write_text(write_config(("tools", saved_models / "tools", ""), ("wide", wide, "")))
    return config


@pytest.fixture(scope="module", params=["", "--enable_batching"])
def server(request, launch, config):
    flags = [f"--model_config_file={config}", f"{FLAG}={LIMIT}", *filter(None, [request.param])]
    return launch(*flags, rest=True).wait()


def tensor(type_, size, **values):
    """A tensor of one dimension with fewer values than elements."""
    proto = tf.make_tensor_proto(np.zeros(0, tf.dtypes.as_dtype(type_).as_numpy_dtype))
    proto.tensor_shape.dim[0].size = size
    for name, value in values.items():
        if isinstance(value, bytes):
            setattr(proto, name, value)
        else:
            getattr(proto, name).extend(value)
    return proto


def types_request(predict_request, **given):
    """A request for `types` of the model `tools`: one value per input, unless given."""
    inputs = {
        "long": np.zeros(1, np.int64),
        "text": np.array([b""], object),
        "flag": np.zeros(1, bool),
        "double": np.zeros(1),
        "byte": np.zeros(1, np.uint8),
        "int": np.zeros(1, np.int32),
    }
    return predict_request("tools", inputs | given, signature="types", outputs=tuple(given))


def refused(call):
    with pytest.raises(grpc.RpcError, match=FLAG) as caught:
        call()
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert str(LIMIT) in caught.value.details()


def filled(server, request):
    return server.call("Predict", request, predict_pb2.PredictResponse)


@pytest.mark.parametrize(
    ("alias", "most", "build"),
    [
        ("long", LIMIT // 8 + 1, lambda n: tensor("int64", n, int64_val=[7])),
        ("long", LIMIT // 8, lambda n: tensor("int64", n)),
        ("double", LIMIT // 8 + 2, lambda n: tensor("float64", n, double_val=[1.0, 2.0])),
        ("byte", LIMIT + 1, lambda n: tensor("uint8", n, int_val=[7])),
        ("flag", LIMIT + 1, lambda n: tensor("bool", n, bool_val=[True])),
        ("int", LIMIT // 4 + 1, lambda n: tensor("int32", n, int_val=[7])),
        ("text", STRINGS, lambda n: tensor("string", n)),
        ("text", STRINGS + 1, lambda n: tensor("string", n, string_val=[b""])),
        # The last string is copied: it is 992 + 32 bytes.
        ("text", LIMIT // 1024 + 1, lambda n: tensor("string", n, string_val=[b"x" * 992])),
    ],
)
def test_values_that_fill_a_shape(server, config, launch, predict_request, alias, most, build):
    request = types_request(predict_request, **{alias: build(most)})
    if "--enable_batching" not in server.argv:  # all inputs of a batch have the same number of rows
        assert filled(server, request).outputs[alias].tensor_shape.dim[0].size == most
    for size in (most + 1, 1 << 40, (1 << 62) // 8):
        refused(lambda size=size: filled(server, types_request(predict_request, **{alias: build(size)})))


def test_sent_values_are_not_bounded(server, predict_request):
    """Fifteen times the limit as numbers; and strings that take twice the limit, but two bytes each on the wire."""
    sent = np.ones((LIMIT // 4, 1), np.float32)
    names = {f"x{index}": sent for index in range(INPUTS)}
    texts = np.full(2 * STRINGS, b"", object)
    if "--enable_batching" in server.argv:  # at most 1000 rows
        names, texts = {alias: array[:1000] for alias, array in names.items()}, texts[:1]
    reply = filled(server, predict_request("wide", names, outputs=("x0_0",)))
    assert reply.outputs["x0_0"].tensor_shape.dim[0].size == len(names["x0"])
    reply = filled(server, types_request(predict_request, text=texts))
    assert reply.outputs["text"].tensor_shape.dim[0].size == len(texts)


def test_all_inputs_of_a_request_count(server, predict_request, tmp_path):
    """The attack: one value and a million rows in each of 15 inputs. Memory does not grow, however often it is sent."""

    def request(rows):
        one = tensor("float32", rows, float_val=[1.0])
        one.tensor_shape.dim.add(size=1)
        return predict_request("wide", {f"x{index}": one for index in range(INPUTS)})

    # With batching, a task has at most 1000 rows.
    rows = min(LIMIT // (4 * INPUTS), 1000 if "--enable_batching" in server.argv else LIMIT)
    assert len(request(1_000_000).SerializeToString()) < 500
    for _ in range(3):
        assert len(filled(server, request(rows)).outputs) == 3 * INPUTS
    before = server.resident_mib()
    for _ in range(200):
        refused(lambda: filled(server, request(1_000_000)))
    refused(lambda: filled(server, request(LIMIT // (4 * INPUTS) + 2)))
    assert server.resident_mib() < before + 100


def with_context(request, size, count):
    request.input.example_list_with_context.context.features.feature["x"].bytes_list.value.append(b"x" * size)
    for _ in range(count):
        request.input.example_list_with_context.examples.add()
    return request


@pytest.mark.parametrize("method", ["Classify", "Regress", "MultiInference"])
def test_a_context_is_copied_to_each_example(server, method):
    if method == "MultiInference":
        request, response = inference_pb2.MultiInferenceRequest(), inference_pb2.MultiInferenceResponse
        task = request.tasks.add(method_name="tensorflow/serving/classify")
        task.model_spec.name, task.model_spec.signature_name = "tools", "classify_labels"
    elif method == "Classify":
        request, response = classification_pb2.ClassificationRequest(), classification_pb2.ClassificationResponse
        request.model_spec.name, request.model_spec.signature_name = "tools", "classify_labels"
    else:
        request, response = regression_pb2.RegressionRequest(), regression_pb2.RegressionResponse
        request.model_spec.name, request.model_spec.signature_name = "tools", "regress_named"
    refused(lambda: server.call(method, with_context(request, LIMIT // 100, 103), response))


def test_a_context_in_json(server):
    document = {"signature_name": "classify_labels", "examples": [{}] * 103, "context": {"x": "x" * (LIMIT // 100)}}
    status, text = server.rest("/v1/models/tools:classify", document)
    assert (status, FLAG in text) == (400, True)
    document["examples"] = [{}] * 50
    assert server.rest("/v1/models/tools:classify", document)[0] == 200


def test_a_compressed_body(server):
    headers = {"Content-Encoding": "gzip"}
    before = server.resident_mib()
    for content in (b" " * (100 * LIMIT), b"[" * (3 * LIMIT), b'{"instances": [' + b"[]," * LIMIT + b"[]]}"):
        status, text = server.rest("/v1/models/tools:predict", gzip.compress(content), **headers)
        assert (status, FLAG in json.loads(text)["error"]) == (400, True)
    assert server.resident_mib() < before + 100
    document = {"signature_name": "pair", "inputs": [1.0]}
    body = gzip.compress(json.dumps(document).encode() + b" " * (LIMIT // 2))
    assert server.rest("/v1/models/tools:predict", body, **headers)[0] == 200


def test_a_long_text_among_numbers(server):
    """NumPy would make each of a million elements as long as the text: 400 GB."""
    body = json.dumps({"signature_name": "half", "inputs": [1.0] * 1_000_000 + ["x" * 100_000]}).encode()
    before = server.resident_mib()
    assert server.rest("/v1/models/tools:predict", body)[0] == 400
    assert server.resident_mib() < before + 400


def test_warm_up_requests(launch, saved_models, predict_request, tmp_path):
    shutil.copytree(saved_models / "tools", tmp_path / "tools")
    record = prediction_log_pb2.PredictionLog()
    record.predict_log.request.CopyFrom(types_request(predict_request, byte=tensor("uint8", 1 << 40, int_val=[7])))
    extra = tmp_path / "tools" / "00000123" / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        writer.write(record.SerializeToString())
    flags = ["--model_name=tools", f"--model_base_path={tmp_path / 'tools'}", "--max_num_load_retries=0"]
    server = launch(*flags)
    assert server.exit() == 255
    assert FLAG in server.log


@pytest.mark.parametrize("parameters", ["pad_variable_length_inputs: true", "allowed_batch_sizes: 1000"])
def test_padding_of_batches(launch, config, predict_request, parameters, tmp_path):
    """A batch grows by at most 16 times the limit: 16 MiB. One row of 1 MiB would be filled up to a thousand."""
    file = tmp_path / "batching"
    file.write_text(f"max_batch_size {{ value: 1000 }} batch_timeout_micros {{ value: 300000 }} {parameters}")
    flags = ["--enable_batching", f"--batching_parameters_file={file}", f"{FLAG}={LIMIT}"]
    server = launch(f"--model_config_file={config}", *flags).wait()
    call = server.channel().unary_unary("/tensorflow.serving.PredictionService/Predict")
    request = lambda rows, columns: predict_request(  # noqa: E731
        "tools", {"x": np.ones((rows, columns), np.float32)}, signature="half"
    )
    before = server.resident_mib()
    shapes = [(1, LIMIT // 4), (900, 1)] if "pad" in parameters else [(1, LIMIT // 4)]
    sent = [call.future(request(*shape).SerializeToString(), timeout=60) for shape in shapes]
    found = []
    for future in sent:
        with contextlib.suppress(grpc.RpcError):
            future.result()
        found.append((future.code(), FLAG in future.details()))
    assert set(found) == {(grpc.StatusCode.INVALID_ARGUMENT, True)}
    assert server.resident_mib() < before + 200


@pytest.mark.parametrize("value", ["-1", "many"])
def test_invalid_limits(launch, saved_models, value):
    server = launch("--model_name=tools", f"--model_base_path={saved_models / 'tools'}", f"{FLAG}={value}")
    assert server.exit() == 255
    assert FLAG.removeprefix("--") in server.log
