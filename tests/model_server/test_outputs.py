"""Signature keys and outputs that Classify, Regress and MultiInference accept or reject."""

import re

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
PAGE = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Base path of a model with outputs that Classify or Regress reject; `inputs` has N examples."""
    inputs = [tf.TensorSpec([None], tf.string, name="inputs")]
    other = [tf.TensorSpec([None], tf.string, name="other")]

    def grid(inputs, columns, value, dtype=tf.float32):
        return tf.fill([tf.size(inputs), columns], tf.constant(value, dtype))

    bodies = {
        "good": (lambda inputs: {"classes": grid(inputs, 2, "a", tf.string), "scores": grid(inputs, 2, 0.5)}, inputs),
        "numbers": (lambda inputs: {"classes": grid(inputs, 2, 1, tf.int64)}, inputs),
        "doubles": (lambda inputs: {"scores": grid(inputs, 2, 0.5, tf.float64)}, inputs),
        "texts": (lambda inputs: {"scores": grid(inputs, 2, "a", tf.string)}, inputs),
        "flat": (lambda inputs: {"classes": inputs}, inputs),
        "deep": (lambda inputs: {"scores": grid(inputs, 2, 0.5)[:, None]}, inputs),
        "no rows": (lambda inputs: {"classes": grid(inputs, 2, "a", tf.string)[:0]}, inputs),
        "one row": (lambda inputs: {"scores": grid(inputs, 2, 0.5)[:1]}, inputs),
        "widths": (lambda inputs: {"classes": grid(inputs, 2, "a", tf.string), "scores": grid(inputs, 3, 0.5)}, inputs),
        "no classes": (lambda inputs: {"classes": grid(inputs, 0, "a", tf.string)}, inputs),
        "both wrong": (lambda inputs: {"classes": inputs, "scores": grid(inputs, 2, 1, tf.int32)}, inputs),
        "scores and more": (lambda inputs: {"scores": grid(inputs, 1, 0.5), "more": inputs}, inputs),
        "keys": (lambda inputs: {"labels": inputs, "more": inputs}, inputs),
        "input": (lambda other: {"scores": grid(other, 2, 0.5), "classes": other}, other),
        "regress": (lambda inputs: {"outputs": grid(inputs, 1, 2.0)}, inputs),
        "regress scalar": (lambda inputs: {"outputs": tf.constant(2.0)}, inputs),
        "regress texts": (lambda inputs: {"outputs": inputs}, inputs),
        "regress input": (lambda other: {"outputs": other}, other),
    }
    folder = tmp_path_factory.mktemp("odd")
    signatures = {name: tf.function(body, input_signature=spec) for name, (body, spec) in bodies.items()}
    tf.saved_model.save(tf.Module(), str(folder / "1"), signatures=signatures)
    return folder


@pytest.fixture(scope="module")
def server(launch, odd, tmp_path_factory):
    monitoring = tmp_path_factory.mktemp("odd") / "monitoring"
    monitoring.write_text("prometheus_config { enable: true }")
    flags = ["--model_name=odd", f"--model_base_path={odd}", f"--monitoring_config_file={monitoring}"]
    return launch(*flags, rest=True).wait()


@pytest.fixture
def ask(server):
    """Call a method with two or more examples, and return the reply."""

    def call(method, signature, count=2):
        if method == "MultiInference":
            request, response = inference_pb2.MultiInferenceRequest(), inference_pb2.MultiInferenceResponse
            for name in signature.split(" + "):
                task = request.tasks.add(method_name=REGRESS if name.startswith("regress") else CLASSIFY)
                task.model_spec.name, task.model_spec.signature_name = "odd", name
        else:
            classes = {
                "Classify": classification_pb2.ClassificationRequest,
                "Regress": regression_pb2.RegressionRequest,
            }
            request = classes[method]()
            request.model_spec.name, request.model_spec.signature_name = "odd", signature
            response = (
                classification_pb2.ClassificationResponse if method == "Classify" else regression_pb2.RegressionResponse
            )
        for _ in range(count):
            request.input.example_list.examples.add()
        return server.call(method, request, response)

    return call


CLASSIFY_ERRORS = {
    "numbers": "Expected classes Tensor of DT_STRING. Got: DT_INT64",
    "doubles": "Expected scores Tensor of DT_FLOAT. Got: DT_DOUBLE",
    "texts": "Expected scores Tensor of DT_FLOAT. Got: DT_STRING",
    "flat": "Expected Tensor shape: [batch_size num_classes] but got [2]",
    "deep": "Expected Tensor shape: [batch_size num_classes] but got [2,1,2]",
    "no rows": "Expected classes output batch size of 2. Got: 0",
    "one row": "Expected scores output batch size of 2. Got: 1",
    "widths": "Tensors class and score should match in dim_size(1). Got 2 vs. 3",
    "both wrong": "Expected Tensor shape: [batch_size num_classes] but got [2]",  # classes are checked first
}
REGRESS_ERRORS = {
    "regress scalar": "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got []",
    "regress texts": "Expected output Tensor of DT_FLOAT.  Got: DT_STRING",
}


def test_a_row_may_have_no_classes(ask):
    assert [len(row.classes) for row in ask("Classify", "no classes").result.classifications] == [0, 0]


def test_other_outputs_beside_scores_are_ignored(ask):
    response = ask("Classify", "scores and more")
    assert [[(one.label, one.score) for one in row.classes] for row in response.result.classifications] == [
        [("", 0.5)],
        [("", 0.5)],
    ]


@pytest.mark.parametrize("method", ["Classify", "MultiInference"])
@pytest.mark.parametrize("signature", CLASSIFY_ERRORS)
def test_classify_rejects_outputs(ask, fails, method, signature):
    fails("INVALID_ARGUMENT", CLASSIFY_ERRORS[signature], lambda: ask(method, signature))


@pytest.mark.parametrize("method", ["Regress", "MultiInference"])
@pytest.mark.parametrize("signature", REGRESS_ERRORS)
def test_regress_rejects_outputs(ask, fails, method, signature):
    fails("INVALID_ARGUMENT", REGRESS_ERRORS[signature], lambda: ask(method, signature))


@pytest.mark.parametrize(
    ("method", "signature", "start"),
    [
        ("Classify", "input", "No classification inputs found in SignatureDef: inputs {\n"),
        (
            "Classify",
            "keys",
            'Expected classification signature outputs to contain at least one of "classes" or "scores". Signature was: '
            "inputs {\n",
        ),
        ("Regress", "regress input", "No regression inputs found in SignatureDef: inputs {\n"),
        ("Regress", "flat", "No regression outputs found in SignatureDef: inputs {\n"),
        ("MultiInference", "input", "No classification inputs found in SignatureDef: inputs {\n"),
        ("MultiInference", "regress input", "No regression inputs found in SignatureDef: inputs {\n"),
    ],
)
def test_keys_of_a_signature(ask, method, signature, start):
    """The message ends with the SignatureDef, as far as gRPC transmits it."""
    with pytest.raises(grpc.RpcError) as caught:
        ask(method, signature)
    text = caught.value.details()
    assert (caught.value.code(), text[: len(start)]) == (grpc.StatusCode.INVALID_ARGUMENT, start)
    assert "dtype: DT_STRING\n" in text
    assert text.endswith('method_name: "tensorflow/serving/predict"\n') or (len(text), text[-12:]) == (
        1036,
        "...TRUNCATED",
    )


def examples_counted(server):
    page = server.rest(PAGE)[1]
    pattern = r':tensorflow:serving:request_example_count(s_count|s_sum|_total){model="odd"} (\S+)\n'
    return {name: float(value) for name, value in re.findall(pattern, page)}


def test_only_multi_inference_counts_examples(server, ask):
    """Buckets double from 1, so three examples are in the bucket up to 4. Requests with rejected outputs count, too."""
    ask("Classify", "good", 5)
    ask("Regress", "regress", 5)
    before = examples_counted(server) or {"s_count": 0, "s_sum": 0, "_total": 0}
    ask("MultiInference", "good + regress", 3)
    with pytest.raises(grpc.RpcError):
        ask("MultiInference", "numbers", 5)
    after = examples_counted(server)
    assert {name: after[name] - before[name] for name in after} == {"s_count": 2, "s_sum": 8, "_total": 8}
    page = server.rest(PAGE)[1]
    limits = re.findall(r':tensorflow:serving:request_example_counts_bucket{model="odd",le="([^"]+)"}', page)
    assert limits == [*(str(2**power) for power in range(15)), "+Inf"]
