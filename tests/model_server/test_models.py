"""The selection of a model by its ModelSpec, for every call that has one."""

import pytest
import tensorflow as tf
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    predict_pb2,
    regression_pb2,
)

CALLS = ("Predict", "Classify", "Regress", "MultiInference", "GetModelMetadata")
CASES = {
    "no spec": (None, "INVALID_ARGUMENT", "Missing ModelSpec"),
    "no name": ({}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    "no name but a label": ({"label": "stable"}, "INVALID_ARGUMENT", "ModelSpec has no name specified."),
    "unknown model": ({"name": "m"}, "NOT_FOUND", "Servable not found for request: Latest(m)"),
    "unknown model's version": (
        {"name": "m", "version": 7},
        "NOT_FOUND",
        "Servable not found for request: Specific(m, 7)",
    ),
    "unknown model's label": (
        {"name": "m", "label": "stable"},
        "INVALID_ARGUMENT",
        "Unrecognized servable version label: stable",
    ),
    "unknown version": (
        {"name": "tools", "version": 7},
        "NOT_FOUND",
        "Servable not found for request: Specific(tools, 7)",
    ),
    "version 0": ({"name": "tools", "version": 0}, "NOT_FOUND", "Servable not found for request: Specific(tools, 0)"),
    "unknown label": ({"name": "tools", "label": "X"}, "INVALID_ARGUMENT", "Unrecognized servable version label: X"),
    "label of a version that is not there": (
        {"name": "tools", "label": "next"},
        "NOT_FOUND",
        "Servable not found for request: Specific(tools, 9)",
    ),
}


@pytest.fixture(scope="module")
def server(launch, saved_models, write_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("which") / "config"
    labels = 'version_labels { key: "stable" value: 123 } version_labels { key: "next" value: 9 }'
    config.write_text(write_config(("tools", saved_models / "tools", labels)))
    return launch(f"--model_config_file={config}", "--allow_version_labels_for_unavailable_models").wait()


@pytest.fixture
def ask(server):
    """Call a method and return the ModelSpec of the reply."""

    def call(method, spec):
        feature = tf.train.Feature(float_list=tf.train.FloatList(value=[0.5]))
        example = tf.train.Example(features=tf.train.Features(feature={"x": feature}))
        if method == "Predict":
            request, response = predict_pb2.PredictRequest(), predict_pb2.PredictResponse
            request.inputs["inputs"].CopyFrom(tf.make_tensor_proto([example.SerializeToString()]))
        elif method == "GetModelMetadata":
            request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
            response = get_model_metadata_pb2.GetModelMetadataResponse
        elif method == "MultiInference":
            request, response = inference_pb2.MultiInferenceRequest(), inference_pb2.MultiInferenceResponse
            request.tasks.add(method_name="tensorflow/serving/classify")
        elif method == "Classify":
            request, response = classification_pb2.ClassificationRequest(), classification_pb2.ClassificationResponse
        else:
            request, response = regression_pb2.RegressionRequest(), regression_pb2.RegressionResponse
        if hasattr(request, "input"):
            request.input.example_list.examples.append(example)
        if spec is not None:
            asked = request.tasks[0].model_spec if method == "MultiInference" else request.model_spec
            asked.name = spec.get("name", "")
            asked.signature_name = {"Classify": "classify", "MultiInference": "classify"}.get(method, "")
            if "version" in spec:
                asked.version.value = spec["version"]
            if "label" in spec:
                asked.version_label = spec["label"]
            asked.SetInParent()
        answer = server.call(method, request, response)
        return answer.results[0].model_spec if method == "MultiInference" else answer.model_spec

    return call


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("method", CALLS)
def test_unknown_models(ask, fails, method, case):
    spec, code, text = CASES[case]
    if (method, case) == ("MultiInference", "no spec"):
        text = "ModelSpec has no name specified."  # the ModelSpec of task 0 is used, and a missing one is empty
    fails(code, text, lambda: ask(method, spec))


@pytest.mark.parametrize("more", [{}, {"version": 123}, {"label": "stable"}])
@pytest.mark.parametrize("method", CALLS)
def test_the_reply_has_the_version_and_never_the_label(ask, method, more):
    spec = ask(method, {"name": "tools", **more})

    assert (spec.name, spec.version.value, spec.version_label) == ("tools", 123, "")
    signature = {"Classify": "classify", "MultiInference": "classify", "GetModelMetadata": ""}
    assert spec.signature_name == signature.get(method, "serving_default")


def test_multi_inference_without_tasks(server, fails):
    request = inference_pb2.MultiInferenceRequest()
    text = "ModelSpec has no name specified."
    fails(
        "INVALID_ARGUMENT",
        text,
        lambda: server.call("MultiInference", request, inference_pb2.MultiInferenceResponse),
    )


@pytest.mark.parametrize(
    ("spec", "code", "text"),
    [
        (None, "INVALID_ARGUMENT", "Missing ModelSpec"),
        ({}, "NOT_FOUND", "Could not find any versions of model "),
        ({"name": "m"}, "NOT_FOUND", "Could not find any versions of model m"),
        ({"name": "m", "version": 7}, "NOT_FOUND", "Could not find version 7 of model m"),
        ({"name": "tools", "version": 7}, "NOT_FOUND", "Could not find version 7 of model tools"),
    ],
)
def test_status_uses_only_name_and_version(server, fails, spec, code, text):
    def ask(spec):
        request = get_model_status_pb2.GetModelStatusRequest()
        if spec is not None:
            request.model_spec.name = spec.get("name", "")
            request.model_spec.SetInParent()
            if "version" in spec:
                request.model_spec.version.value = spec["version"]
            if "label" in spec:
                request.model_spec.version_label = spec["label"]
        return server.call("GetModelStatus", request, get_model_status_pb2.GetModelStatusResponse)

    fails(code, text, lambda: ask(spec))
    assert [one.version for one in ask({"name": "tools", "label": "no such"}).model_version_status] == [123]
