"""Outputs that cannot be fetched or written: requests of the other outputs succeed, and nothing fails after the run."""

import json
import shutil

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tiffin.model_server import flags, metrics, models, plans, services, states

X = [1.0, 2.0]
# Each model has the output `n`, which is [2] or x itself, and for most of them another one.
UNFETCHABLE = ("ragged", "sparse")
UNWRITABLE = {
    "resource": "resource",
    "variant": "variant",
    "float8": "float8_e5m2",
    "int4": "int4",
    "quantized": "qint8",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    module = tf.Module()
    initial = tf.lookup.KeyValueTensorInitializer(["a"], [1.0])
    module.table = tf.lookup.StaticHashTable(initial, 0.0)
    experimental = tf.dtypes.experimental
    others = {
        "ragged": lambda x: tf.RaggedTensor.from_row_lengths(x, [tf.size(x)]),
        "sparse": tf.sparse.from_dense,
        "resource": lambda _: module.table.resource_handle,
        "variant": lambda _: tf.raw_ops.TensorListReserve(element_shape=[1], num_elements=2, element_dtype=tf.float32),
        "float8": lambda x: tf.cast(x, experimental.float8_e5m2),
        "int4": lambda x: tf.cast(tf.cast(x, tf.int32), experimental.int4),
        "quantized": lambda x: tf.raw_ops.QuantizeV2(input=x, min_range=-1.0, max_range=1.0, T=tf.qint8)[0],
        "bfloat16": lambda x: tf.cast(x, tf.bfloat16),
        "texts": lambda x: tf.fill([tf.size(x)], b"\xff"),
        "empty": lambda x: tf.zeros([tf.size(x), 0], tf.string),
    }
    folder = tmp_path_factory.mktemp("outputs")
    for name, other in others.items():
        body = lambda x, other=other: {"n": tf.identity(x), "other": other(x)}  # noqa: E731
        signature = tf.function(body, input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
        tf.saved_model.save(module, str(folder / name / "1"), signatures={"serving_default": signature})
    return folder


@pytest.fixture(scope="module", params=["", "--enable_batching"])
def server(request, launch, folder, write_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "models"
    config.write_text(write_config(*((path.name, path, "") for path in sorted(folder.iterdir()))))
    flags = [f"--model_config_file={config}", *filter(None, [request.param])]
    return launch(*flags, rest=True).wait()


@pytest.fixture(scope="module")
def predictions(folder):
    """Return the gRPC methods of a server for the model `ragged`, without the server."""
    options, _, _ = flags.parse([])
    catalog = models.Catalog()
    catalog.loaded["ragged", 1] = models.Model("ragged", 1, str(folder / "ragged" / "1"), options)
    board = states.Board()
    board.set("ragged", 1, states.AVAILABLE)
    catalog.update(board.snapshot())
    return services._predictions(catalog, options, metrics.Metrics())


@pytest.mark.parametrize("model", [*UNFETCHABLE, *UNWRITABLE, "bfloat16", "texts", "empty"])
def test_other_outputs_can_be_requested(server, predict, model):
    """More than once, since the first success makes the plan of the next ones."""
    for _ in range(3):
        assert {alias: array.tolist() for alias, array in predict(server, model, {"x": X}, outputs=("n",)).items()} == {
            "n": X
        }


@pytest.mark.parametrize("model", UNFETCHABLE)
def test_composite_outputs_are_errors_of_the_request(server, predict, model):
    for outputs in ((), ("other",), ("n", "other")):
        with pytest.raises(grpc.RpcError) as caught:
            predict(server, model, {"x": X}, outputs=outputs)
        assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert server.rest(f"/v1/models/{model}:predict", {"inputs": X})[0] == 400


@pytest.mark.parametrize("model", UNWRITABLE)
def test_types_without_an_encoding_are_refused(server, predict, model):
    for outputs in ((), ("other",), ("n", "other")):
        with pytest.raises(grpc.RpcError, match=rf"\b{UNWRITABLE[model]}\b") as caught:
            predict(server, model, {"x": X}, outputs=outputs)
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
    assert server.rest(f"/v1/models/{model}:predict", {"inputs": X})[0] == 501


@pytest.mark.parametrize(
    ("model", "expected", "status", "reply"),
    [
        ("bfloat16", X, 400, None),
        ("texts", [b"\xff"] * 2, 200, ["\ufffd"] * 2),
        ("empty", [[], []], 200, [[], []]),
    ],
)
def test_outputs_of_other_types(server, predict, model, expected, status, reply):
    for _ in range(3):
        assert predict(server, model, {"x": X})["other"].tolist() == expected
        assert predict(server, model, {"x": X}, outputs=("other", "n")).keys() == {"n", "other"}
    found, text = server.rest(f"/v1/models/{model}:predict", {"inputs": X})
    assert found == status
    assert reply is None or json.loads(text)["outputs"] == {"n": X, "other": reply}


def test_names_in_the_filter(server, predict, fails):
    fails(
        "INVALID_ARGUMENT",
        "duplicate output tensor alias: n",
        lambda: predict(server, "ragged", {"x": X}, outputs=("n", "n")),
    )
    text = "output tensor alias not found in signature: z Outputs expected to be in the set {n,other}."
    fails("INVALID_ARGUMENT", text, lambda: predict(server, "ragged", {"x": X}, outputs=("n", "z")))


def test_warm_up_requests_with_a_filter(launch, folder, predict_request, tmp_path, predict):
    shutil.copytree(folder / "ragged", tmp_path / "ragged")
    record = prediction_log_pb2.PredictionLog()
    record.predict_log.request.CopyFrom(predict_request("ragged", {"x": X}, outputs=("n",)))
    (tmp_path / "ragged" / "1" / "assets.extra").mkdir()
    path = tmp_path / "ragged" / "1" / "assets.extra" / "tf_serving_warmup_requests"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(record.SerializeToString())
    server = launch("--model_name=ragged", f"--model_base_path={tmp_path / 'ragged'}").wait()
    assert predict(server, "ragged", {"x": X}, outputs=("n",))["n"].tolist() == X


def test_a_request_with_a_reply_does_not_fail(predictions, predict_request, monkeypatch, caplog):
    def learn(_plans, _content):
        raise RuntimeError("learn")

    monkeypatch.setattr(plans.Plans, "learn", learn)
    content = predict_request("ragged", {"x": X}, outputs=("n",)).SerializeToString()
    reply = predict_pb2.PredictResponse.FromString(predictions["Predict"](content, 0))
    assert list(reply.outputs["n"].float_val) == X
    assert "learn" in caplog.text
