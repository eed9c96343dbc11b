"""How a signature runs: the faster of two ways, and the short way of requests that are like one before."""

import itertools

import numpy as np
import pytest
from tensorflow_serving.apis import predict_pb2

from tiffin.local.server import flags, metrics, models, plans, states

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


def test_the_first_calls_choose_the_faster_way(catalog):
    runner = catalog.loaded["score", 1].signatures["serving_default"].runner(["y"])
    calls = 0
    while not runner.is_settled:
        assert runner([X])[0].tolist() == [[7.0], [7.0]]
        calls += 1
    assert calls == 16, "three to settle and five to time, for each way"
    assert runner([X])[0].tolist() == [[7.0], [7.0]]


def test_callables_of_output_filters_are_bounded(catalog):
    signature = catalog.loaded["score", 1].signatures["two"]
    for aliases in itertools.islice(itertools.product(["sum", "difference"], repeat=8), 135):
        signature.runner(aliases)
    assert len(signature._runners) == 128


def test_plans_answer_like_the_whole_way_and_go_with_the_models(catalog, predict_request):
    counts = metrics.Metrics()
    short = plans.Plans(catalog, counts, as_content=False)
    content = predict_request(inputs={"x": X}).SerializeToString()
    assert short.answer(content) is None
    runner = catalog.loaded["score", 1].signatures["serving_default"].runner(["y"])
    while not runner.is_settled:
        runner([X])
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
