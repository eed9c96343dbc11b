"""The comparison of a model server's answers with those in training."""

from contextlib import nullcontext
from types import SimpleNamespace

import grpc
import numpy as np
import pyarrow as pa
import pytest

from support import model_servers
from support.documents import make_training
from tiffin.artifacts.model import Answers, write_answers
from tiffin.serving import tensors
from tiffin.stages.evaluate import trial
from tiffin.stages.evaluate.document import ServingRule
from tiffin.stages.evaluate.predictions import load

REQUESTS = 3


@pytest.fixture
def server():
    """A model server with the model `model`, which answers the input `x` plus the attribute `shift`."""
    with model_servers.serve() as running:
        running.types, running.shift, running.output = {"x": "DT_FLOAT"}, {}, "probability"

        def metadata(request, context):
            request.model_spec.name = "taxi"
            return running.GetModelMetadata(request, context)

        def predict(request, _context):
            x = tensors.from_proto(request.inputs["x"]).reshape(-1)
            shift = np.array([running.shift.get(round(float(value), 3), 0.0) for value in x], np.float32)
            return running._respond(request, {running.output: x + shift})

        running.answers = {"GetModelMetadata": metadata, "Predict": predict}
        yield running


def sandbox_of(server):
    return SimpleNamespace(
        server="fake", address=server.address, problem=lambda error: f"failed: {error}", load=lambda *_: 0.5
    )


def answered(server, model, x, task="binary"):
    """Return the result of the trial for the column x."""
    return run(trial.Trial(model, make_training(task=task), sandbox_of(server), lambda: 0.5, REQUESTS), model, x)


def run(tried, model, x):
    batch = pa.record_batch({"x": pa.array(x, pa.float64())})
    half = len(x) // 2
    for part in (batch.slice(0, half), batch.slice(half)):
        tried.sample(load(model)["serving_default"], part, {}, np.asarray(part.column(0), np.float32), len(x))
    return tried.run()


def test_without_a_server_nothing_is_tried(binary):
    assert trial.Trial(binary, make_training()).run() is None


@pytest.mark.parametrize(("bound", "requests"), [(None, 50), (1e6, 200)])
def test_a_bound_takes_more_requests(bound, requests, server, binary, monkeypatch):
    monkeypatch.setattr(trial, "starting", lambda *_: nullcontext(sandbox_of(server)))
    monkeypatch.setattr(trial, "read_sample_rows", lambda *_: [])
    with trial.trying(("server",), ServingRule(max_p99_ms=bound), binary, "examples", make_training()) as tried:
        assert run(tried, binary, [0.25]).requests == requests


def test_of_equal_answers(server, binary):
    found = answered(server, binary, [0.25])

    assert (found.problem, found.rows, found.differing_rows, found.largest_difference) == ("", 1, 0, 0.0)
    assert (found.load_seconds, found.requests, found.trainer_rows) == (0.5, REQUESTS, 0)
    assert 0 < found.p50_ms <= found.p99_ms
    assert found.size_bytes == sum(
        file.stat().st_size for file in (binary / "saved_model").rglob("*") if file.is_file()
    )


def test_of_few_of_many_rows(server, binary):
    # Every fourth of 1,000 rows; the first is among them.
    found = answered(server, binary, [number / 1000 for number in range(1000)])

    assert (found.rows, found.differing_rows) == (250, 0)
    batches = [tensors.from_proto(request.inputs["x"]) for name, request in server.requests if name == "Predict"]
    assert np.concatenate(batches)[:250].tolist() == [np.float32(number / 250) for number in range(250)]


@pytest.mark.parametrize(("shift", "wrong"), [(5e-6, 0), (2e-5, 1), (-0.25, 1), (np.nan, 1)])
def test_of_another_probability(server, binary, shift, wrong):
    server.shift = {0.5: shift}
    found = answered(server, binary, [0.25, 0.5, 0.75])

    assert found.differing_rows == wrong
    assert bool(found.problem) == bool(wrong)
    assert found.largest_difference == (None if np.isnan(shift) else pytest.approx(abs(shift), abs=1e-7))
    assert trial.describe(found).startswith("fake ")


def test_of_predictions_that_are_not_a_number_on_both_sides(server, binary):
    assert answered(server, binary, [None, 0.5]).differing_rows == 0


def test_of_more_numbers_than_a_batch(server, echo):
    server.output = "prediction"
    numbers = [float(number) for number in range(70)]

    assert answered(server, echo("regression", classes=()), numbers, "regression").differing_rows == 0


@pytest.mark.parametrize(("shift", "wrong"), [(5e-3, 0), (0.02, 1)])
def test_of_numbers_is_relative(server, echo, shift, wrong):
    # The spread of 0 and 2,000 is 1,000.
    server.shift, server.output = {0.0: shift}, "prediction"

    assert answered(server, echo("regression", classes=()), [0.0, 2000.0], "regression").differing_rows == wrong


def test_of_answers_of_another_shape_or_name(server, binary):
    server.output = "scores"

    assert answered(server, binary, [0.25, 0.5]).differing_rows == 2


def test_of_a_row_that_is_refused(server, binary):
    def refuse(_request, context):
        context.abort(grpc.StatusCode.INVALID_ARGUMENT, "assertion failed: [bad row]")

    server.answers["Predict"] = refuse
    found = answered(server, binary, [0.25, 0.5])

    assert "[bad row]" in found.problem
    assert (found.differing_rows, found.load_seconds, found.p50_ms) == (None, 0.5, None)
    assert "[bad row]" in trial.describe(found)


@pytest.mark.parametrize(("answers", "wrong"), [((0.5, 0.25), 0), ((0.5, 0.75), 1)])
def test_with_the_trained_network(server, echo, answers, wrong):
    model = echo("binary", classes=("no", "yes"))
    write_answers(model, Answers({"x": (0.5, 0.25)}, tuple((value,) for value in answers)))
    found = answered(server, model, [0.125])

    assert (found.rows, found.trainer_rows, found.differing_rows) == (1, 2, wrong)
    assert bool(found.problem) == bool(wrong)
