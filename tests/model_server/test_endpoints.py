"""The REST API and the metrics page."""

import base64
import http.client
import json

import pytest

PAGE = "/monitoring/prometheus/metrics"


@pytest.fixture(scope="module")
def server(launch, saved_models, write_config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rest")
    labels = 'model_version_policy { specific { versions: 1 versions: 2 } } version_labels { key: "old" value: 1 }'
    models = (("score", saved_models / "score", labels), ("tools", saved_models / "tools", ""))
    (folder / "config").write_text(write_config(*models))
    (folder / "monitoring").write_text("prometheus_config { enable: true }")
    flags = [f"--model_config_file={folder / 'config'}", f"--monitoring_config_file={folder / 'monitoring'}"]
    return launch(*flags, "--allow_version_labels_for_unavailable_models", rest=True).wait()


@pytest.fixture
def post(server):
    def send(body, model="score", verb="predict", at=""):
        return server.rest(f"/v1/models/{model}{at}:{verb}", body)

    return send


@pytest.fixture
def refused(post):
    """Check that a request fails with this code and exactly this message."""

    def check(code, text, body, **more):
        status, reply = post(body, **more)
        assert (json.loads(reply)["error"], status) == (text, code)

    return check


def test_instances(post):
    body = {"instances": [[1, 1, 1], [0.5, 0, 0]]}
    assert post(body) == (200, '{"predictions": [[8.0], [2.5]]}')
    assert json.loads(post({"instances": [{"x": [1, 1, 1]}]})[1]) == {"predictions": [[8.0]]}


def test_inputs(post):
    text = '{"outputs": [[8.0]]}'
    assert post({"inputs": [[1, 1, 1]]}) == (200, text)
    assert post({"inputs": {"x": [[1, 1, 1]]}}) == (200, text)


def test_several_inputs_and_outputs(post):
    body = {"signature_name": "two", "instances": [{"a": 1.5, "b": 1}, {"a": 2, "b": 3}]}
    status, reply = post(body)
    assert (status, json.loads(reply)) == (
        200,
        {"predictions": [{"difference": 0.5, "sum": 2.5}, {"difference": -1.0, "sum": 5.0}]},
    )
    status, reply = post({"signature_name": "two", "inputs": {"a": [1, 2], "b": [1, 3]}})
    assert json.loads(reply) == {"outputs": {"difference": [0.0, -1.0], "sum": [2.0, 5.0]}}


def test_labels_that_are_not_utf8(post):
    body = {"signature_name": "classify_bytes", "examples": [{"x": 1.0}]}
    assert json.loads(post(body, model="tools", verb="classify")[1]) == {"results": [[["\ufffd\ufffd", 0.0]]]}


def test_method_names_are_checked_on_demand(launch, saved_models):
    flags = ["--model_name=tools", f"--model_base_path={saved_models / 'tools'}"]
    server = launch(*flags, "--enable_signature_method_name_check", rest=True).wait()
    body = {"signature_name": "nonsense_named", "inputs": [1.0]}
    status, reply = server.rest("/v1/models/tools:predict", body)
    assert (status, json.loads(reply)["error"]) == (
        500,
        "Expected prediction signature method_name to be one of {tensorflow/serving/predict, "
        "tensorflow/serving/classify, tensorflow/serving/regress}. Was: nonsense",
    )


@pytest.mark.parametrize("at", ["/versions/1", "/labels/old"])
def test_version_and_label(post, at):
    assert json.loads(post({"instances": [[1, 1, 1]]}, at=at)[1]) == {"predictions": [[7.0]]}


def test_paths_are_case_insensitive(server):
    body = {"instances": [[1, 1, 1]]}
    assert server.rest("/V1/Models/score/Versions/1:predict", body)[0] == 200
    assert server.rest("/v1/models/score/METADATA")[0] == 200


def test_types(post):
    row = {
        "long": -(2**63),
        "text": "é",
        "flag": True,
        "double": 0.1,
        "byte": 255,
        "int": -1,
    }
    text, reply = {"b64": base64.b64encode(b"\xff\x00").decode()}, None
    status, reply = post({"signature_name": "types", "instances": [row, {**row, "text": "a"}]}, "tools")
    assert status == 200, reply
    first = json.loads(reply)["predictions"][0]
    assert first == {**row, "text_bytes": {"b64": base64.b64encode("é".encode()).decode()}}
    status, reply = post({"signature_name": "types", "instances": [{**row, "text": text}]}, "tools")
    assert json.loads(reply)["predictions"][0]["text_bytes"] == text


def test_classify_and_regress(post):
    examples = {"examples": [{"x": 0.25}, {"x": [0.5]}]}
    body = {"signature_name": "classify", **examples}
    assert post(body, "tools", "classify") == (
        200,
        '{"results": [[["no", 0.5], ["yes", 0.5]], [["no", 0.0], ["yes", 1.0]]]}',
    )
    assert post(examples, "tools", "regress") == (200, '{"results": [0.5, 1.0]}')
    context = {"context": {"x": 2.0}, "examples": [{}, {"x": 1.0}]}
    assert json.loads(post(context, "tools", "regress")[1]) == {"results": [4.0, 2.0]}


def test_status(server):
    status, text = server.rest("/v1/models/score/versions/2")
    assert status == 200
    assert text == (
        '{\n "model_version_status": [\n  {\n   "version": "2",\n   "state": "AVAILABLE",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )
    assert [one["version"] for one in json.loads(server.rest("/v1/models/score")[1])["model_version_status"]] == [
        "2",
        "1",
    ]


def test_metadata(server):
    status, text = server.rest("/v1/models/score/metadata")
    document = json.loads(text)
    assert (status, document["model_spec"]) == (200, {"name": "score", "signature_name": "", "version": "2"})
    signature = document["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["inputs"]["x"]["dtype"] == "DT_FLOAT"
    assert server.rest("/v1/models/score/labels/old/metadata")[0] == 200


@pytest.mark.parametrize(
    ("path", "body", "code", "text"),
    [
        ("/v1/models/m", None, 404, "Could not find any versions of model m"),
        ("/v1/models/score/versions/7", None, 404, "Could not find version 7 of model score"),
        ("/v1/models", None, 400, "Missing model name in request."),
        ("/v1/nonsense", None, 400, "Malformed request: GET /v1/nonsense"),
        ("/v1/models/../../etc/passwd", None, 400, "Malformed request: GET /v1/models/../../etc/passwd"),
        ("/v1/models/score", b"{}", 400, "Malformed request: POST /v1/models/score"),
        ("/v1/models/score:PREDICT", b"{}", 400, "Malformed request: POST /v1/models/score:PREDICT"),
        ("/v1/models/score:explain", b"{}", 400, "Malformed request: POST /v1/models/score:explain"),
        ("/v1/models/m:predict", b"{}", 404, "Servable not found for request: Latest(m)"),
        ("/v1/models/score/versions/7:predict", b"{}", 404, "Servable not found for request: Specific(score, 7)"),
        ("/v1/models/score/labels/no:predict", b"{}", 400, "Unrecognized servable version label: no"),
        (
            f"/v1/models/score/versions/{2**64}:predict",
            b"{}",
            400,
            f"Failed to convert version: {2**64} to numeric.",
        ),
    ],
)
def test_path_errors(server, path, body, code, text):
    status, reply = server.rest(path, body)
    assert (json.loads(reply)["error"], status) == (text, code)


def test_other_methods_and_paths(server):
    assert json.loads(server.rest("/v1/models/score", method="DELETE")[1])["error"] == (
        "Malformed request: DELETE /v1/models/score"
    )
    status, text = server.rest("/")
    assert (status, "Not Found" in text) == (404, True)


X = "JSON Value: "


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "JSON Parse error: Expecting value at offset: 0"),
        (b"[1, 2]", "JSON Value: [1, 2] Is not object"),
        (b"{}", "Missing 'inputs' or 'instances' key"),
        (
            {"signature_name": 1},
            "JSON Value: {\"signature_name\": 1} not formatted correctly. 'signature_name' key must be a string value.",
        ),
        ({"signature_name": "s"}, 'Serving signature name: "s" not found in signature def'),
        (
            {"instances": [], "inputs": []},
            'JSON Value: {"instances": [], "inputs": []} Not formatted correctly expecting only one of '
            "'inputs' or 'instances' keys to exist ",
        ),
        ({"instances": 1}, "JSON Value: {\"instances\": 1} Expecting 'instances' to be an list/array"),
        ({"instances": []}, "JSON Value: {\"instances\": []} No values in 'instances' array"),
        ({"inputs": [["a"]]}, 'JSON Value: "a" Type: String is not of expected type: float'),
        ({"inputs": [[True, 1.0]]}, "JSON Value: true Type: True is not of expected type: float"),
        ({"inputs": [[1, [1]]]}, "Encountered list at unexpected level: 2 expected < 2"),
        ({"inputs": [[1], 1]}, "JSON Value: 1 found at incorrect level: 2 in the JSON DOM. Expected at level: 2"),
        ({"inputs": [[1], [1, 2]]}, "Encountered list at unexpected size: 2 at level: 1 expected size: 1"),
        ({"inputs": {"y": [[1]]}}, "Missing named input: x in 'inputs' object."),
        (
            {"instances": [{"y": 1}]},
            "Failed to process element: 0 key: y of 'instances' list. Error: INVALID_ARGUMENT: JSON object: does not "
            "have named input: y",
        ),
        ({"instances": [{"x": [1]}, 1]}, "Expecting object but got list at item 1 of input list"),
        ({"instances": [1, {"x": 1}]}, "Expecting value/list but got object at item 1 of input list"),
        (
            {"instances": [[1], [1, 2]]},
            "Failed to process element: 1 of 'instances' list. Error: INVALID_ARGUMENT: Expecting tensor size: 1 but "
            "got: 2",
        ),
        (
            {"signature_name": "two", "instances": [1]},
            "instances is a plain list, but expecting list of objects as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        (
            {"signature_name": "two", "instances": [{"a": 1}]},
            "Failed to process element: 0 of 'instances' list. JSON object: {\"a\": 1} keys must be equal to: a,b",
        ),
        (
            {"signature_name": "two", "inputs": [1]},
            "inputs is a plain value/list, but expecting an object as multiple input tensors required as per "
            "tensorinfo_map",
        ),
        (
            {"inputs": ["x" * 400]},
            f'JSON Value: "{"x" * 400}" Type: String is not of expected type: float',
        ),
    ],
)
def test_predict_errors(refused, body, text):
    refused(400, text, body)


def test_text_errors(refused):
    base = {"signature_name": "other"}
    refused(400, "JSON Value: 1 Type: Number is not of expected type: string", {**base, "inputs": [1]}, model="tools")
    text = 'JSON Value: {"b64": 1} not formatted correctly for base64 data'
    refused(400, text, {**base, "inputs": [{"b64": 1}]}, model="tools")
    refused(400, "Unable to base64 decode", {**base, "inputs": [{"b64": "?"}]}, model="tools")


def test_output_errors(refused):
    body = {"signature_name": "half", "inputs": [1.0]}
    refused(400, "Failed to write JSON value for tensor type: half", body, model="tools")
    body = {"signature_name": "scalar", "instances": [1.0]}
    refused(400, "Tensor name: y has no shape information ", body, model="tools")
    body = {"signature_name": "pair", "instances": [1.0, 2.0]}
    refused(400, "Tensor name: y has inconsistent batch size: 2 expecting: 1", body, model="tools")
    body = {"signature_name": "half_in", "inputs": [1.0]}
    refused(501, "Conversion of JSON Value: 1.0 to type: half", body, model="tools")


def test_errors_of_the_run(post):
    status, reply = post({"instances": [[1, 2]]})
    assert (status, "Matrix size-incompatible" in reply) == (400, True)


def test_timeout(launch, saved_models):
    flags = ["--model_name=tools", f"--model_base_path={saved_models / 'tools'}", "--rest_api_timeout_in_ms=50"]
    server = launch(*flags, "--rest_api_enable_cors_support", rest=True).wait()
    body = {"signature_name": "slow", "inputs": [100000]}
    status, reply = server.rest("/v1/models/tools:predict", body)
    assert (status, json.loads(reply)["error"]) == (504, "Timed out waiting for notification")
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
    connection.request("OPTIONS", "/v1/models/tools:predict", headers={"Origin": "http://here"})
    response = connection.getresponse()
    response.read()
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (200, "*")
    connection.request("OPTIONS", "/v1/models/tools:predict")
    assert connection.getresponse().status == 400
    connection.close()
