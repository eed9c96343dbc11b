"""Batching under --enable_batching."""

import concurrent.futures
import re

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2

from tiffin.errors import ServingError
from tiffin.model_server import batches, declarations


@pytest.fixture
def start(launch, saved_models, tmp_path):
    def run(parameters, *flags, model="score"):
        (tmp_path / "batching").write_text(parameters)
        (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
        return launch(
            f"--model_name={model}",
            f"--model_base_path={saved_models / model}",
            "--enable_batching",
            f"--batching_parameters_file={tmp_path / 'batching'}",
            f"--monitoring_config_file={tmp_path / 'monitoring'}",
            *flags,
            rest=True,
        ).wait()

    return run


def runs(server):
    page = server.rest("/monitoring/prometheus/metrics")[1]
    found = re.search(r"batching_session:wrapped_run_count{} (\d+)", page)
    return int(found[1]) if found else 0


def test_requests_share_a_run(start, predict):
    server = start("max_batch_size { value: 8 } batch_timeout_micros { value: 2000000 }", "--grpc_max_threads=16")
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        rows = [[[float(row), 0.0, 0.0]] for row in range(8)]
        results = list(pool.map(lambda row: predict(server, inputs={"x": row})["y"].item(), rows))
    assert results == [3.0 + row for row in range(8)]
    assert runs(server) == 1
    page = server.rest("/monitoring/prometheus/metrics")[1]
    assert 'batching_session:queuing_latency_count{thread_pool_name="batch_threads"} 8' in page
    assert "batching_session:input_batch_size_count{} 8" in page
    assert "batching_session:processed_batch_size_sum{} 8" in page
    assert 'batching_session:padding_size_sum{execution_batch_size="8"} 0' in page


def test_task_sizes(start, predict, fails):
    server = start("max_batch_size { value: 4 }")
    assert predict(server, inputs={"x": np.ones((4, 3), np.float32)})["y"].shape == (4, 1)
    text = "Task size 5 is larger than maximum input batch size 4"
    fails("INVALID_ARGUMENT", text, lambda: predict(server, inputs={"x": np.ones((5, 3), np.float32)}))
    text = "Batching Run() input tensors must have equal 0th-dimension size"
    two = {"a": [1.0], "b": [1.0, 2.0]}
    fails("INVALID_ARGUMENT", text, lambda: predict(server, "score", two, signature="two"))
    text = "Batching Run() input tensors must have at least one dimension"
    scalars = {"a": np.float32(1), "b": np.float32(1)}
    fails("INVALID_ARGUMENT", text, lambda: predict(server, "score", scalars, signature="two"))
    text = "Expects arg[0] to be float but double is provided"
    fails("INVALID_ARGUMENT", text, lambda: predict(server, inputs={"x": np.ones((1, 3))}))


def test_large_tasks_are_split(start, predict):
    server = start(
        "max_batch_size { value: 64 } max_execution_batch_size { value: 4 } enable_large_batch_splitting { value: true }"
        " max_enqueued_batches { value: 20 }"
    )
    x = np.arange(30, dtype=np.float32).reshape(10, 3)
    np.testing.assert_allclose(predict(server, inputs={"x": x})["y"], x @ [[1], [2], [3]] + 3)
    assert runs(server) == 3


def test_padding_to_allowed_sizes(start, predict):
    server = start("max_batch_size { value: 8 } allowed_batch_sizes: 4 allowed_batch_sizes: 8")
    assert predict(server, inputs={"x": np.ones((3, 3), np.float32)})["y"].tolist() == [[9.0]] * 3
    page = server.rest("/monitoring/prometheus/metrics")[1]
    assert 'batching_session:padding_size_sum{execution_batch_size="4"} 1' in page
    assert "batching_session:processed_batch_size_sum{} 4" in page
    assert "batching_session:input_batch_size_sum{} 3" in page


def test_the_last_allowed_size_must_be_the_maximum(launch, saved_models, tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 8 } allowed_batch_sizes: 4")
    flags = ["--model_name=score", f"--model_base_path={saved_models / 'score'}", "--max_num_load_retries=0"]
    server = launch(*flags, "--enable_batching", f"--batching_parameters_file={tmp_path / 'batching'}")
    assert server.exit() == 255
    assert "Last entry in allowed_batch_sizes must match max_batch_size; last entry was 4; expected 8" in server.log


@pytest.mark.parametrize("threads", [0, -1])
def test_the_number_of_threads_must_be_positive(launch, saved_models, tmp_path, threads):
    (tmp_path / "batching").write_text(f"num_batch_threads {{ value: {threads} }}")
    flags = ["--model_name=score", f"--model_base_path={saved_models / 'score'}", "--enable_batching"]
    server = launch(*flags, f"--batching_parameters_file={tmp_path / 'batching'}")
    assert server.exit() == 255
    text = f"Failed to start server. Error: INVALID_ARGUMENT: num_batch_threads must be positive; was {threads}"
    assert text in server.log


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ("max_batch_size { value: 0 }", "input_batch_size_limit must be positive; was 0"),
        ("max_batch_size { value: -3 }", "input_batch_size_limit must be positive; was -3"),
        ("batch_timeout_micros { value: -1 }", "batch_timeout_micros must be non-negative; was -1"),
        ("max_enqueued_batches { value: -1 }", "max_enqueued_batches must be positive; was -1"),
        (
            "max_enqueued_batches { value: 0 } enable_large_batch_splitting { value: true }",
            "max_enqueued_batches must be positive; was 0",
        ),
        (
            "max_batch_size { value: 8 } max_execution_batch_size { value: 16 }"
            " enable_large_batch_splitting { value: true }",
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            "max_execution_batch_size.1816",
        ),
    ],
)
def test_invalid_parameters(parameters, text):
    """They fail each load of a model, with the messages of TensorFlow's shared_batch_scheduler.h."""
    message = text_format.Parse(parameters, declarations.message_class("BatchingParameters")())
    with pytest.raises(ServingError) as caught:
        batches.read_parameters(message)
    assert (caught.value.code, str(caught.value)) == ("INVALID_ARGUMENT", text)


def test_zero_enqueued_batches_count_as_one(start, predict):
    server = start("max_enqueued_batches { value: 0 }")
    assert predict(server)["y"].tolist() == [[9.0]]


def test_the_parameters_are_read_once(launch, models, predict, states, eventually, tmp_path):
    (tmp_path / "batching").write_text("max_batch_size { value: 4 }")
    path = models(1)
    flags = ["--model_name=score", f"--model_base_path={path}", "--enable_batching"]
    server = launch(*flags, f"--batching_parameters_file={tmp_path / 'batching'}").wait()
    (tmp_path / "batching").unlink()
    models(2)
    eventually(lambda: states(server) == {2: 30, 1: 50})
    assert predict(server)["y"].tolist() == [[8.0]]


def test_a_full_queue(start, predict):
    server = start(
        "max_batch_size { value: 1 } max_enqueued_batches { value: 1 } num_batch_threads { value: 1 }",
        "--grpc_max_threads=16",
        model="tools",
    )

    def ask(_):
        try:
            return predict(server, "tools", {"n": [60]}, signature="slow")["done"].tolist()
        except grpc.RpcError as error:
            return error.code().name, error.details()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = list(pool.map(ask, range(8)))
    text = (
        "The batch scheduling queue to which this task was submitted is full; currently 1 batches enqueued and "
        "max_enqueued_batches is 1"
    )
    assert [60.0] in results
    assert ("UNAVAILABLE", text) in results


@pytest.mark.parametrize("pads", [False, True])
def test_tasks_of_different_shapes(start, predict_request, pads):
    server = start(
        f"max_batch_size {{ value: 2 }} batch_timeout_micros {{ value: 2000000 }} "
        f"pad_variable_length_inputs: {str(pads).lower()}",
        "--grpc_max_threads=16",
    )

    def ask(width):
        ones = np.ones((1, width), np.float32)
        request = predict_request("score", {"a": ones, "b": ones}, signature="two")
        try:
            response = server.call("Predict", request, predict_pb2.PredictResponse)
        except grpc.RpcError as error:
            return error.code().name, error.details()[:28]
        return list(response.outputs["sum"].float_val)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = list(pool.map(ask, (1, 2)))
    if pads:
        assert results == [[2.0, 2.0], [2.0, 2.0]]
    else:
        assert {code for code, _ in results} == {"FAILED_PRECONDITION"}
        assert results[0][1].startswith("Tensors with name 'two_")


def test_outputs_without_rows(start, predict, fails):
    server = start("", model="tools")
    x = {"x": [1.0, 2.0]}
    text = "Batched output tensor has 0 dimensions"
    fails("FAILED_PRECONDITION", text, lambda: predict(server, "tools", x, signature="scalar"))
    text = (
        "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of the input tensors"
    )
    fails("FAILED_PRECONDITION", text, lambda: predict(server, "tools", x, signature="pair"))


def test_queues_are_added_and_removed_with_their_models(launch, models, predict, states, eventually):
    path = models(1)
    server = launch("--model_name=score", f"--model_base_path={path}", "--enable_batching").wait()
    assert predict(server)["y"].tolist() == [[7.0]]
    models(2)
    eventually(lambda: states(server) == {2: 30, 1: 50})
    assert predict(server)["y"].tolist() == [[8.0]]


def test_the_file_requires_enable_batching(launch, tmp_path):
    server = launch("--model_name=m", "--model_base_path=/m", f"--batching_parameters_file={tmp_path}")
    assert server.exit() == 255
    text = "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
    assert f"Failed to start server. Error: INVALID_ARGUMENT: {text}" in server.log
