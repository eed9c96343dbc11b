"""Time limits of requests: gRPC deadlines and the REST timeout apply to the session."""

import concurrent.futures
import json
import time

import grpc
import numpy as np
import pytest
from tensorflow_serving.apis import classification_pb2, inference_pb2, predict_pb2, regression_pb2

from tiffin.errors import ServingError
from tiffin.model_server import codes, conversion, declarations, flags, inference, metrics, models, plans, states
from tiffin.model_server import predict as predict_module

LONG = 1_000_000  # matrix products, which take minutes on any machine


@pytest.fixture(scope="module")
def server(launch, saved_models, write_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "models"
    config.write_text(write_config(("score", saved_models / "score", ""), ("tools", saved_models / "tools", "")))
    return launch(f"--model_config_file={config}", "--grpc_max_threads=2", rest=True).wait()


def slow(server, predict_request, products, timeout):
    request = predict_request("tools", {"n": np.array([products], np.int32)}, signature="slow")
    try:
        response = server.call("Predict", request, predict_pb2.PredictResponse, timeout)
    except grpc.RpcError as error:
        return error.code().name
    return list(response.outputs["done"].float_val)


def test_runs_past_their_deadline_free_their_threads(server, predict_request, predict):
    assert slow(server, predict_request, 1, 60) == [1.0]
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(lambda _: slow(server, predict_request, LONG, 0.5), range(2)))
    assert codes == ["DEADLINE_EXCEEDED"] * 2
    assert predict(server)["y"].tolist() == [[9.0]]


def test_a_request_that_expired_in_the_queue_does_not_run(server, predict_request, predict):
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        codes = list(pool.map(lambda _: slow(server, predict_request, LONG, 1), range(10)))
    assert codes == ["DEADLINE_EXCEEDED"] * 10
    assert predict(server)["y"].tolist() == [[9.0]]


@pytest.mark.parametrize(
    ("method", "response"),
    [
        ("Classify", classification_pb2.ClassificationResponse),
        ("Regress", regression_pb2.RegressionResponse),
        ("MultiInference", inference_pb2.MultiInferenceResponse),
    ],
)
def test_calls_with_a_deadline(server, method, response):
    if method == "MultiInference":
        request = inference_pb2.MultiInferenceRequest()
        for name, kind in (("classify", "classify"), ("regress_flat", "regress")):
            task = request.tasks.add(method_name=f"tensorflow/serving/{kind}")
            task.model_spec.name, task.model_spec.signature_name = "tools", name
    else:
        kinds = {"Classify": classification_pb2.ClassificationRequest, "Regress": regression_pb2.RegressionRequest}
        request = kinds[method]()
        request.model_spec.name = "tools"
        request.model_spec.signature_name = {"Classify": "classify", "Regress": "regress_flat"}[method]
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(3.0)
    assert "6" in str(server.call(method, request, response, timeout=60))


def test_no_deadline_at_all(server, predict_request):
    call = server.channel().unary_unary("/tensorflow.serving.PredictionService/Predict")
    for _ in range(30):
        reply = predict_pb2.PredictResponse.FromString(call(predict_request().SerializeToString()))
        assert list(reply.outputs["y"].float_val) == [9.0]


def test_many_requests_with_a_deadline(server, predict):
    """Fast runs eventually ignore a limit that is much longer."""
    for row in range(500):
        assert predict(server, inputs={"x": [[float(row), 0.0, 0.0]]})["y"].tolist() == [[row + 3.0]]


@pytest.fixture
def score(saved_models):
    """The model `score`, without a server."""
    options, _, _ = flags.parse([])
    return models.Model("score", 1, str(saved_models / "score" / "1"), options)


def test_a_large_request_after_small_ones_can_be_cancelled(score, monkeypatch):
    """Small runs are known to be fast, but a million times as many values may take a million times as long."""
    runner = score.signatures["serving_default"].runner(["y"])
    cancellable = []
    limited = runner._limited
    monkeypatch.setattr(
        runner, "_limited", lambda arrays, ms: cancellable.append(len(arrays[0])) or limited(arrays, ms)
    )
    small, large = np.ones((1, 3), np.float32), np.ones((1_000_000, 3), np.float32)
    while not runner.is_settled or runner._slowest_ms > 10:
        runner([small])
    runner([small], 10_000_000)
    assert cancellable == []
    assert len(runner([large], 10_000)[0]) == 1_000_000
    assert cancellable == [1_000_000]


@pytest.mark.parametrize("way", ["predict", "plan", "classify", "regress"])
def test_replies_are_not_made_after_the_deadline(way, score, monkeypatch, predict_request, saved_models):
    """The run is over, but nobody waits for its outputs any more."""
    late = ServingError("Deadline Exceeded", "DEADLINE_EXCEEDED")
    monkeypatch.setattr(codes, "time_limit", lambda ms: pytest.fail if ms != 5 else lambda: (_ for _ in ()).throw(late))
    monkeypatch.setattr(conversion, "encode", lambda *_: pytest.fail("encoded"))
    catalog = models.Catalog()
    catalog.loaded["score", 1] = score
    board = states.Board()
    board.set("score", 1, states.AVAILABLE)
    catalog.update(board.snapshot())
    planned = plans.Plans(catalog, metrics.Metrics(), as_content=False)
    planned.learn(predict_request().SerializeToString())
    tools = models.Model("tools", 123, str(saved_models / "tools" / "00000123"), flags.parse([])[0])
    request = declarations.message_class("InferenceRequest")()
    request.model_spec.signature_name = "classify_scores" if way == "classify" else "regress_flat"
    request.input.example_list.examples.append(b"")
    calls = {
        "predict": lambda: predict_module.predict(score, predict_request(), timeout_ms=5),
        "plan": lambda: planned.answer(predict_request().SerializeToString(), 5),
        "classify": lambda: inference.classify(tools, request, timeout_ms=5),
        "regress": lambda: inference.regress(tools, request, timeout_ms=5),
    }
    with pytest.raises(ServingError) as caught:
        calls[way]()
    assert caught.value is late


def test_a_time_limit():
    codes.time_limit(0)()
    codes.time_limit(1_000_000)()
    check = codes.time_limit(1)
    time.sleep(0.01)
    with pytest.raises(ServingError) as caught:
        check()
    assert caught.value.code == "DEADLINE_EXCEEDED"


def test_a_batch_has_the_latest_deadline_of_its_tasks(launch, saved_models, predict_request):
    flags = ["--model_name=tools", f"--model_base_path={saved_models / 'tools'}", "--enable_batching"]
    server = launch(*flags, "--rest_api_timeout_in_ms=1000", rest=True).wait()
    assert slow(server, predict_request, 1, 60) == [1.0]
    body = {"signature_name": "slow", "inputs": [LONG]}
    status, reply = server.rest("/v1/models/tools:predict", body)
    assert (status, json.loads(reply)["error"]) == (504, "Timed out waiting for notification")
    assert slow(server, predict_request, LONG, 1) == "DEADLINE_EXCEEDED"
    start = time.monotonic()
    while slow(server, predict_request, 1, 60) != [1.0]:
        assert time.monotonic() < start + 90
