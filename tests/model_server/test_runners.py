"""Runners choose the faster of two modes; plans are the fast path of repeated requests."""

import itertools

import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from tiffin.model_server import flags, metrics, models, plans, states

X = np.ones((2, 3), np.float32)


@pytest.fixture
def catalog(saved_models):
    options, _, _ = flags.parse([])
    catalog = models.Catalog()
    catalog.loaded["score", 1] = models.Model("score", 1, str(saved_models / "score" / "1"), options)
    board = states.Board()
    board.set("score", 1, states.AVAILABLE)
    catalog.update(board.snapshot())
    return catalog


def test_the_first_calls_choose_the_faster_mode(catalog):
    runner = catalog.loaded["score", 1].signatures["serving_default"].runner(["y"])
    calls = 0
    while not runner.is_settled:
        assert runner([X])[0].tolist() == [[7.0], [7.0]]
        calls += 1
    assert calls == 16, "three untimed and five timed calls per mode"
    assert runner([X])[0].tolist() == [[7.0], [7.0]]


def test_a_long_time_limit_has_no_cost(catalog):
    """Until runs are known to be fast, they use the cancellable mode."""
    runner = catalog.loaded["score", 1].signatures["serving_default"].runner(["y"])
    for _ in range(20):
        assert runner([X], 1000)[0].tolist() == [[7.0], [7.0]]
    assert not runner.is_settled
    for _ in range(10_000):
        assert runner([X], 1_000_000)[0].tolist() == [[7.0], [7.0]]
        if runner.is_settled:
            break
    assert runner.is_settled


def test_the_number_of_cached_callables_is_limited(catalog):
    signature = catalog.loaded["score", 1].signatures["two"]
    for aliases in itertools.islice(itertools.product(["sum", "difference"], repeat=8), 135):
        signature.runner(aliases)
    assert len(signature._runners) == 128


def test_plans_give_equal_replies_and_are_dropped_with_the_models(catalog, predict_request):
    counts = metrics.Metrics()
    short = plans.Plans(catalog, counts, as_content=False)
    content = predict_request(inputs={"x": X}).SerializeToString()
    assert short.answer(content) is None
    short.learn(content)
    response = predict_pb2.PredictResponse.FromString(short.answer(content))
    assert list(response.outputs["y"].float_val) == [7.0, 7.0]
    assert (response.model_spec.name, response.model_spec.version.value) == ("score", 1)
    assert short.answer(predict_request(inputs={"x": X.astype(float)}).SerializeToString()) is None
    assert short.answer(predict_request(inputs={"z": X}).SerializeToString()) is None
    assert short.answer(predict_request(inputs={"x": X}, outputs=("y",)).SerializeToString()) is None
    catalog.update({"models": {}, "labels": {}})
    assert short.answer(content) is None
    short.learn(content)
    assert catalog.plans == {}


def test_a_plan_made_while_the_models_change_is_dropped(catalog, saved_models, predict_request, monkeypatch):
    """The request is for the latest version, and a newer one becomes available."""
    short = plans.Plans(catalog, metrics.Metrics(), as_content=False)
    find = catalog.find

    def find_before_the_change(spec):
        model = find(spec)
        catalog.loaded["score", 2] = models.Model("score", 2, str(saved_models / "score" / "2"), flags.parse([])[0])
        board = states.Board()
        for version in (1, 2):
            board.set("score", version, states.AVAILABLE)
        catalog.update(board.snapshot())
        return model

    monkeypatch.setattr(catalog, "find", find_before_the_change)
    short.learn(predict_request(inputs={"x": X}).SerializeToString())
    assert catalog.plans == {}


def test_only_short_keys_and_valid_shapes_are_cached(catalog, predict_request):
    short = plans.Plans(catalog, metrics.Metrics(), as_content=False)
    request = predict_request(inputs={"x": X})
    request.model_spec.signature_name = "serving_default"
    good = request.SerializeToString()
    short.learn(good)
    assert short.answer(good) is not None
    request.inputs["x"].tensor_shape.dim[0].size = -1
    assert short.answer(request.SerializeToString()) is None
    request.inputs["x"].tensor_shape.dim[0].size = 2
    request.inputs["x"].tensor_shape.dim[0].name = "n" * 1000
    assert short.answer(request.SerializeToString()) is not None
    assert len(short._shapes) == 1
    request = predict_request(signature="s" * 2000)
    short.learn(request.SerializeToString())
    assert len(catalog.plans) == 1
