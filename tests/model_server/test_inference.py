"""Classify, Regress and MultiInference over gRPC."""

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import classification_pb2, inference_pb2, regression_pb2

CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"


@pytest.fixture(scope="module")
def server(launch, saved_models):
    return launch("--model_name=tools", f"--model_base_path={saved_models / 'tools'}").wait()


@pytest.fixture(scope="module")
def checking(launch, saved_models):
    flags = ["--model_name=tools", f"--model_base_path={saved_models / 'tools'}"]
    return launch(*flags, "--enable_signature_method_name_check").wait()


def example(value):
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature={"x": feature}))


def fill(request, signature, values, model="tools", context=None):
    if model is not None:
        request.model_spec.name = model
        request.model_spec.signature_name = signature
    if context is None:
        request.input.example_list.examples.extend(map(example, values))
    else:
        request.input.example_list_with_context.examples.extend(map(example, values))
        request.input.example_list_with_context.context.CopyFrom(context)
    return request


class Reply:
    """Returns the bytes of a reply unparsed."""

    @staticmethod
    def FromString(content):  # noqa: N802 - the name in protobuf
        return content


@pytest.fixture
def classify(server):
    def call(signature, values=(0.25, 0.5), to=server, **more):
        request = fill(classification_pb2.ClassificationRequest(), signature, values, **more)
        return to.call("Classify", request, classification_pb2.ClassificationResponse)

    return call


@pytest.fixture
def regress(server):
    def call(signature="", values=(1.0, 2.0), to=server, **more):
        request = fill(regression_pb2.RegressionRequest(), signature, values, **more)
        return to.call("Regress", request, regression_pb2.RegressionResponse)

    return call


@pytest.fixture
def infer(server):
    def call(*tasks, values=(1.0,)):
        request = inference_pb2.MultiInferenceRequest()
        for name, signature, method in tasks:
            task = request.tasks.add(method_name=method)
            if name is not None:
                task.model_spec.name = name
                task.model_spec.signature_name = signature
        request.input.example_list.examples.extend(map(example, values))
        return server.call("MultiInference", request, inference_pb2.MultiInferenceResponse)

    return call


def test_classify(classify):
    response = classify("classify")
    found = [[(one.label, one.score) for one in row.classes] for row in response.result.classifications]
    assert found == [[("no", 0.5), ("yes", 0.5)], [("no", 0.0), ("yes", 1.0)]]
    spec = response.model_spec
    assert (spec.name, spec.signature_name, spec.version.value) == ("tools", "classify", 123)


def test_labels_that_are_not_utf8(server, infer):
    """The reply has the model's bytes, as in TF Serving; Python's messages reject them."""
    request = fill(classification_pb2.ClassificationRequest(), "classify_bytes", [1.0])
    assert b"\x0a\x02\xff\xfe" in server.call("Classify", request, Reply)
    request = inference_pb2.MultiInferenceRequest(input=request.input)
    task = request.tasks.add(method_name=CLASSIFY)
    task.model_spec.name, task.model_spec.signature_name = "tools", "classify_bytes"
    assert b"\x0a\x02\xff\xfe" in server.call("MultiInference", request, Reply)


def test_classify_scores_or_labels_alone(classify):
    assert [row.classes[0].score for row in classify("classify_scores").result.classifications] == [0.5, 1.0]
    assert [row.classes[1].label for row in classify("classify_labels").result.classifications] == ["yes", "yes"]


@pytest.mark.parametrize("signature", ["", "regress_flat"])
def test_regress(regress, signature):
    response = regress(signature)
    assert [one.value for one in response.result.regressions] == [2.0, 4.0]
    assert response.model_spec.signature_name == (signature or "serving_default")


def test_context_goes_before_each_example(server, regress):
    """protobuf uses the last of two values for a feature, so an example overrides its context."""
    both = regress(values=(3.0,), context=example(5.0))
    assert [one.value for one in both.result.regressions] == [6.0]
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "tools"
    request.input.example_list_with_context.context.CopyFrom(example(5.0))
    request.input.example_list_with_context.examples.add()
    response = server.call("Regress", request, regression_pb2.RegressionResponse)
    assert [one.value for one in response.result.regressions] == [10.0]


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("s", "No signature was found with the name: s"),
        ("types", "Expected one input Tensor."),
        ("three", "Expected one or two output Tensors, found 3"),
        ("classify_flat", "Expected Tensor shape: [batch_size num_classes] but got [2]"),
    ],
)
def test_classify_errors(classify, fails, signature, text):
    fails("INVALID_ARGUMENT", text, lambda: classify(signature))


@pytest.mark.parametrize(
    ("signature", "text"),
    [
        ("s", "No signature was found with the name: s"),
        ("types", "Expected one input Tensor."),
        ("classify", "Expected one output Tensor."),
        (
            "regress_wide",
            "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got [2,2]",
        ),
        ("regress_double", "Expected output Tensor of DT_FLOAT.  Got: DT_DOUBLE"),
        ("regress_short", "Input batch size did not match output batch size: 2 vs. 1"),
    ],
)
def test_regress_errors(regress, fails, signature, text):
    fails("INVALID_ARGUMENT", text, lambda: regress(signature))


@pytest.mark.parametrize(
    ("signature", "start"),
    [
        ("other", "No regression outputs found in SignatureDef: "),
        ("half", "No regression inputs found in SignatureDef: "),
    ],
)
def test_keys_of_a_signature(regress, classify, signature, start):
    with pytest.raises(grpc.RpcError) as caught:
        regress(signature)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert caught.value.details().startswith(start)
    texts = {
        "other": 'Expected classification signature outputs to contain at least one of "classes" or "scores". ',
        "half": "No classification inputs found in SignatureDef: ",
    }
    with pytest.raises(grpc.RpcError) as caught:
        classify(signature)
    assert caught.value.details().startswith(texts[signature])


def test_input_is_empty(classify, regress, infer, fails):
    for call in (
        lambda: classify("classify", ()),
        lambda: regress("", ()),
        lambda: infer(("tools", "", REGRESS), values=()),
    ):
        fails("INVALID_ARGUMENT", "Input is empty.", call)


def test_which_model(classify, regress, infer, fails):
    for call in (classify, regress):
        fails("INVALID_ARGUMENT", "Missing ModelSpec", lambda call=call: call("classify", model=None))
        fails("INVALID_ARGUMENT", "ModelSpec has no name specified.", lambda call=call: call("classify", model=""))
        fails("NOT_FOUND", "Servable not found for request: Latest(m)", lambda call=call: call("s", model="m"))
    # The ModelSpec of task 0 is used, and there is none.
    fails("INVALID_ARGUMENT", "ModelSpec has no name specified.", lambda: infer((None, "", REGRESS)))
    fails("INVALID_ARGUMENT", "ModelSpec has no name specified.", infer)


def test_bad_example(server):
    """The model itself parses the examples."""
    request = regression_pb2.RegressionRequest()
    request.model_spec.name = "tools"
    content = request.SerializeToString() + b"\x12\x06\x0a\x04\x0a\x02\xff\xff"
    with pytest.raises(grpc.RpcError) as caught:
        server.call("Regress", content, regression_pb2.RegressionResponse)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT
    assert "Could not parse example input" in caught.value.details()


def test_method_name_is_checked_on_demand(checking, classify, regress, fails, predict_request):
    assert classify("classify_named", to=checking).result.classifications
    assert regress("regress_named", to=checking).result.regressions
    text = "Expected {} signature method_name to be {}. Was: tensorflow/serving/predict"
    fails("INVALID_ARGUMENT", text.format("classification", CLASSIFY), lambda: classify("classify", to=checking))
    fails("INVALID_ARGUMENT", text.format("regression", REGRESS), lambda: regress("regress_flat", to=checking))
    request = predict_request("tools", {"x": [1.0]}, signature="nonsense_named")
    text = (
        "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
        "tensorflow/serving/classify, tensorflow/serving/regress}. Was: nonsense"
    )
    fails("INTERNAL", text, lambda: checking.call("Predict", request, regression_pb2.RegressionResponse))


def test_multi_inference(infer):
    response = infer(("tools", "classify", CLASSIFY), ("tools", "", REGRESS), values=(0.5, 1.0))
    first, second = response.results
    assert [one.score for row in first.classification_result.classifications for one in row.classes] == [0, 1, -1, 2]
    assert [one.value for one in second.regression_result.regressions] == [1.0, 2.0]
    assert [first.model_spec.signature_name, second.model_spec.signature_name] == ["classify", "serving_default"]
    assert second.model_spec.version.value == 123


@pytest.mark.parametrize(
    ("tasks", "code", "text"),
    [
        (
            [("tools", "", REGRESS), (None, "", REGRESS)],
            "INVALID_ARGUMENT",
            "Found ModelSpec with an empty model name.",
        ),
        (
            [("tools", "", REGRESS), ("m", "", REGRESS)],
            "INVALID_ARGUMENT",
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.",
        ),
        (
            [("tools", "regress_flat", REGRESS), ("tools", "regress_flat", REGRESS)],
            "INVALID_ARGUMENT",
            "Duplicate evaluation of signature: regress_flat",
        ),
        ([("tools", "s", REGRESS)], "INVALID_ARGUMENT", "Requested signature not found in model graph: s"),
        ([("tools", "", "m")], "UNIMPLEMENTED", "Unsupported signature method_name: m"),
    ],
)
def test_multi_inference_errors(infer, fails, tasks, code, text):
    fails(code, text, lambda: infer(*tasks))
