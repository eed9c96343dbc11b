"""Status codes of failed model runs, over gRPC and as HTTP codes, and of requests under load."""

import concurrent.futures
import json
import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf

from tiffin.model_server import batches, batching, codes, configs, declarations, flags, loading, metrics

PAGE = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def failing(tmp_path_factory):
    """Base path of a model that reads files, decompresses, counts and fills memory."""
    text = [tf.TensorSpec([None], tf.string, name="text")]
    numbers = [tf.TensorSpec([None], tf.int64, name="n")]
    bodies = {
        "read": (lambda text: {"y": tf.io.read_file(text[0])[None]}, text),
        "unzip": (lambda text: {"y": tf.io.decode_compressed(text, "ZLIB")}, text),
        "fill": (lambda n: {"y": tf.reduce_sum(tf.fill([n[0]], 1.0))[None]}, numbers),
        "first": (lambda n: {"y": next(iter(tf.data.Dataset.range(n[0])))[None]}, numbers),
    }
    folder = tmp_path_factory.mktemp("failing")
    signatures = {name: tf.function(body, input_signature=spec) for name, (body, spec) in bodies.items()}
    tf.saved_model.save(tf.Module(), str(folder / "1"), signatures=signatures)
    return folder


@pytest.fixture(scope="module")
def server(launch, failing):
    return launch("--model_name=failing", f"--model_base_path={failing}", rest=True).wait()


def test_successful_runs(server, predict):
    assert predict(server, "failing", {"n": np.array([3])}, signature="fill")["y"].tolist() == [3.0]
    assert predict(server, "failing", {"n": np.array([3])}, signature="first")["y"].tolist() == [0]


@pytest.mark.parametrize(
    ("signature", "value", "code", "status", "text"),
    [
        ("fill", -1, "INVALID_ARGUMENT", 400, "Dimension -1 must be >= 0"),
        ("read", "/", "FAILED_PRECONDITION", 400, "/; Is a directory"),
        ("first", 0, "OUT_OF_RANGE", 400, "End of sequence"),
        ("read", "/nowhere", "NOT_FOUND", 404, "/nowhere; No such file or directory"),
        (
            "fill",
            1 << 42,
            "RESOURCE_EXHAUSTED",
            429,
            "OOM when allocating tensor with shape[4398046511104] and type float",
        ),
        ("unzip", "no zip", "DATA_LOSS", 500, "inflate() failed with error"),
    ],
)
def test_errors_of_a_run(server, predict, signature, value, code, status, text):
    inputs = {"text": [value]} if isinstance(value, str) else {"n": np.array([value])}
    with pytest.raises(grpc.RpcError) as caught:
        predict(server, "failing", inputs, signature=signature)
    assert (caught.value.code().name, caught.value.details()[: len(text)]) == (code, text)
    body = {"signature_name": signature, "inputs": [value]}
    found, reply = server.rest("/v1/models/failing:predict", body)
    assert (found, json.loads(reply)["error"][: len(text)]) == (status, text)
    assert json.loads(reply)["error"] == caught.value.details(), "the same message over gRPC and REST"


def test_a_signature_with_another_method_name_is_500(launch, saved_models):
    flags = ["--model_name=tools", f"--model_base_path={saved_models / 'tools'}"]
    server = launch(*flags, "--enable_signature_method_name_check", rest=True).wait()
    body = {"signature_name": "nonsense_named", "inputs": [1.0]}
    status, reply = server.rest("/v1/models/tools:predict", body)
    text = (
        "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
        "tensorflow/serving/classify, tensorflow/serving/regress}. Was: nonsense"
    )
    assert (status, json.loads(reply)["error"]) == (500, text)


def test_a_full_queue_is_503(launch, saved_models, tmp_path):
    """By default ten batches wait; further tasks are rejected."""
    (tmp_path / "batching").write_text("max_batch_size { value: 1 } num_batch_threads { value: 1 }")
    server = launch(
        "--model_name=tools",
        f"--model_base_path={saved_models / 'tools'}",
        "--enable_batching",
        f"--batching_parameters_file={tmp_path / 'batching'}",
        "--rest_api_num_threads=20",
        rest=True,
    ).wait()
    body = {"signature_name": "slow", "inputs": [250]}
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: server.rest("/v1/models/tools:predict", body), range(20)))
    text = (
        "The batch scheduling queue to which this task was submitted is full; currently 10 batches enqueued and "
        "max_enqueued_batches is 10"
    )
    assert {status for status, _ in replies} == {200, 503}
    assert {json.loads(reply)["error"] for status, reply in replies if status == 503} == {text}


def test_batching_by_default(launch, saved_models, predict, fails):
    """At most 1000 rows, no timeout, ten waiting batches, and as many threads as CPUs."""
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    server = launch(*argv, "--enable_batching").wait()
    assert predict(server, inputs={"x": np.ones((1000, 3), np.float32)})["y"].shape == (1000, 1)
    text = "Task size 1001 is larger than maximum input batch size 1000"
    fails("INVALID_ARGUMENT", text, lambda: predict(server, inputs={"x": np.ones((1001, 3), np.float32)}))
    parameters = batches.read_parameters(declarations.message_class("BatchingParameters")())
    assert (parameters.max_batch_size, parameters.batch_timeout_micros, parameters.max_enqueued_batches) == (
        1000,
        0,
        10,
    )
    before = _threads("of this test")
    message = declarations.message_class("BatchingParameters")()
    message.thread_pool_name.value = "of this test"
    batching.Scheduler(message, metrics.Metrics())
    assert _threads("of this test") - before == configs.CPUS


def _threads(name):
    return sum(thread.name == name for thread in threading.enumerate())


def test_a_failed_batch_is_400(launch, saved_models):
    server = launch(
        "--model_name=tools", f"--model_base_path={saved_models / 'tools'}", "--enable_batching", rest=True
    ).wait()
    body = {"signature_name": "scalar", "inputs": [1.0, 2.0]}
    status, reply = server.rest("/v1/models/tools:predict", body)
    assert (status, json.loads(reply)["error"]) == (400, "Batched output tensor has 0 dimensions")


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_of_rest(launch, saved_models, tmp_path, pause, threads):
    """With one thread, a fast request waits until the slow one before it was replied to and recorded."""
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
    server = launch(
        "--model_name=tools",
        f"--model_base_path={saved_models / 'tools'}",
        f"--monitoring_config_file={tmp_path / 'monitoring'}",
        f"--rest_api_num_threads={threads}",
        rest=True,
    ).wait()
    counted = ':tensorflow:serving:request_latency_count{model_name="tools",API="predict",entrypoint="REST"} 1\n'
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        body = {"signature_name": "wait", "inputs": pause.inputs}
        long = pool.submit(server.rest, "/v1/models/tools:predict", body)
        pause.wait()
        quick = pool.submit(server.rest, "/v1/models/tools")
        if threads == 2:
            assert quick.result()[0] == 200
            assert counted not in server.rest(PAGE)[1]
        pause.end()
        assert quick.result()[0] == 200
        assert counted in server.rest(PAGE)[1] or threads == 2
        assert long.result()[0] == 200
    assert counted in server.rest(PAGE)[1]


def test_parallelism_of_sessions(launch, saved_models, predict):
    """One number sets both pools of threads, or two numbers one each; 0 is TensorFlow's default."""

    def pools(*argv):
        config = loading.session_config(flags.parse(list(argv))[0])
        return config.intra_op_parallelism_threads, config.inter_op_parallelism_threads

    assert pools() == (0, 0)
    assert pools("--tensorflow_session_parallelism=3") == (3, 3)
    assert pools("--tensorflow_intra_op_parallelism=2", "--tensorflow_inter_op_parallelism=1") == (2, 1)
    assert pools("--tensorflow_intra_op_parallelism=2") == (2, 0)
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    assert predict(launch(*argv, "--tensorflow_session_parallelism=1").wait())["y"].tolist() == [[9.0]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a" * 1024, "a" * 1024),
        ("a" * 1025, "a" * 1024 + "...TRUNCATED"),
        ("é" * 512, "é" * 512),
        ("é" * 513, "é" * 512 + "...TRUNCATED"),
        ("a" + "é" * 512, "a" + "é" * 511 + "\ufffd...TRUNCATED"),
    ],
)
def test_messages_are_truncated_by_bytes(text, expected):
    """As in C++; an incomplete character becomes U+FFFD."""
    assert codes.truncated(text) == expected
