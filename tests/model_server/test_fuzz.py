"""Mutated requests against a running server: no internal error, no crash, no hang, and bounded memory.

`FUZZED_REQUESTS=10000` in the environment sends more of them; their number by status is printed with `pytest -s`.
"""

import collections
import contextlib
import gzip
import http.client
import os
import random
import socket
import sys

import grpc
import numpy as np
import pytest
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    predict_pb2,
    regression_pb2,
)

from support.request_mutations import HOSTILE, mutated_bytes, mutated_json, mutated_message

COUNT = int(os.environ.get("FUZZED_REQUESTS", "200"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
METHODS = {
    "Predict": predict_pb2.PredictRequest,
    "Classify": classification_pb2.ClassificationRequest,
    "Regress": regression_pb2.RegressionRequest,
    "MultiInference": inference_pb2.MultiInferenceRequest,
    "GetModelMetadata": get_model_metadata_pb2.GetModelMetadataRequest,
    "GetModelStatus": get_model_status_pb2.GetModelStatusRequest,
    "HandleReloadConfigRequest": model_management_pb2.ReloadConfigRequest,
}
# The server answers wrongly with these codes, or not at all.
WRONG = {"INTERNAL", "UNKNOWN", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "DATA_LOSS"}
TYPES = {
    "long": np.array([1, -2]),
    "text": np.array([b"a", b""], object),
    "flag": np.array([True, False]),
    "double": np.array([0.5, 1.0]),
    "byte": np.array([1, 2], np.uint8),
    "int": np.array([1, 2], np.int32),
}
DOCUMENTS = [
    ("/v1/models/score:predict", {"instances": [[1, 2, 3], [0.5, 0, 0]]}),
    ("/v1/models/score/versions/3:predict", {"signature_name": "two", "inputs": {"a": [1, 2], "b": [3, 4]}}),
    (
        "/v1/models/tools:predict",
        {
            "signature_name": "types",
            "inputs": {
                "long": [1, 2],
                "text": ["a", {"b64": "/w=="}],
                "flag": [True, False],
                "double": [0.5, 1],
                "byte": [1, 2],
                "int": [1, 2],
            },
        },
    ),
    ("/v1/models/tools:classify", {"signature_name": "classify", "examples": [{"x": 1.5, "y": ["a", "b"]}, {}]}),
    (
        "/v1/models/tools:regress",
        {"signature_name": "regress_flat", "context": {"x": [2.5]}, "examples": [{"z": [1, 2]}, {"x": 0.5}]},
    ),
]


@pytest.fixture(scope="module", params=["", "--enable_batching"])
def server(request, launch, saved_models, write_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "models"
    config.write_text(write_config(("score", saved_models / "score", ""), ("tools", saved_models / "tools", "")))
    flags = [f"--model_config_file={config}", "--allow_reload_config=false", *filter(None, [request.param])]
    return launch(*flags, rest=True).wait()


@pytest.fixture
def chance():
    return random.Random(SEED)


@pytest.fixture(autouse=True)
def keeps_serving(server, predict):
    assert predict(server)["y"].tolist() == [[9.0]]
    before = server.resident_mib()
    yield
    assert predict(server)["y"].tolist() == [[9.0]]
    assert "Traceback" not in server.log
    assert server.peak_mib() < before + 600
    assert server.resident_mib() < before + 300


@pytest.fixture
def seeds(predict_request):
    """Valid requests as (method, message)."""
    seeds = [
        ("Predict", predict_request()),
        ("Predict", predict_request("score", {"a": [1.0], "b": [2.0]}, signature="two", outputs=("sum",), version=3)),
        ("Predict", predict_request("score", {"a": [1.0]}, signature="defaults", label="x")),
        ("Predict", predict_request("tools", TYPES, signature="types")),
        ("Predict", predict_request("tools", {"inputs": np.array([b"", b"a"], object)}, signature="other")),
    ]
    for method, signature in (("Classify", "classify"), ("Regress", "regress_flat")):
        request = METHODS[method]()
        request.model_spec.name, request.model_spec.signature_name = "tools", signature
        request.input.example_list.examples.add().features.feature["x"].float_list.value.append(0.5)
        seeds.append((method, request))
        request = METHODS[method].FromString(request.SerializeToString())
        request.input.example_list_with_context.examples.add().features.feature["y"].int64_list.value.append(1)
        request.input.example_list_with_context.context.features.feature["x"].float_list.value.append(0.5)
        seeds.append((method, request))
    request = METHODS["MultiInference"]()
    for signature, kind in (("classify", "classify"), ("regress_flat", "regress")):
        task = request.tasks.add(method_name=f"tensorflow/serving/{kind}")
        task.model_spec.name, task.model_spec.signature_name = "tools", signature
    request.input.example_list.examples.add().features.feature["x"].float_list.value.append(0.5)
    seeds.append(("MultiInference", request))
    for method in ("GetModelMetadata", "GetModelStatus"):
        request = METHODS[method]()
        request.model_spec.name = "tools"
        if method == "GetModelMetadata":
            request.metadata_field.append("signature_def")
        seeds.append((method, request))
    request = METHODS["HandleReloadConfigRequest"](metric_names=["/m"])
    request.config.model_config_list.config.add(name="m", base_path="/m", model_platform="tensorflow")
    seeds.append(("HandleReloadConfigRequest", request))
    return seeds


def show(kind, server, counts):
    found = dict(counts.most_common())
    sys.stdout.write(f"\n{kind} {server.argv[-1]}, seed {SEED}: {sum(counts.values())} requests: {found}\n")


def is_message(method, content):
    try:
        METHODS[method].FromString(content)
    except DecodeError:
        return False
    return True


def test_grpc(server, chance, seeds):
    """Bytes that are no message are INTERNAL, as in gRPC's C++ library; no message is."""
    counts = collections.Counter()
    contents = [message.SerializeToString() for _, message in seeds]
    for _ in range(COUNT):
        method, message = chance.choice(seeds)
        if chance.random() < 0.5:
            content = mutated_message(chance, message)
        else:
            content = mutated_bytes(chance, message.SerializeToString(), contents)
        try:
            server.call(method, content, Raw)
            code, text = "OK", ""
        except grpc.RpcError as error:
            code, text = error.code().name, error.details()
        if code == "INTERNAL" and not is_message(method, content):
            code = "no message"
        counts[code] += 1
        assert code not in WRONG, (method, content, code, text)
    show("gRPC", server, counts)


class Raw:
    """Returns the bytes of a reply unparsed."""

    @staticmethod
    def FromString(content):  # noqa: N802 - the name in protobuf
        return content


def test_rest(server, chance):
    counts = collections.Counter()
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)) as connection:
        for _ in range(COUNT):
            counts[send_rest(connection, chance)] += 1
    show("REST", server, counts)


def send_rest(connection, chance):
    """Send one request and return the status, or `closed`."""
    path, document = chance.choice(DOCUMENTS)
    body, headers, method = mutated_json(chance, document), {}, "POST"
    if chance.random() < 0.4:
        body = mutated_bytes(chance, body)
    if chance.random() < 0.2:
        # http.client itself refuses white space and control characters.
        changed = mutated_bytes(chance, path[1:].encode()).translate(None, bytes(range(33)) + b"\x7f")
        path = "/" + changed.decode(errors="ignore").encode("ascii", errors="ignore").decode()
        method = chance.choice(["GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "DELETE", "ODD"])
    if chance.random() < 0.1:
        body, headers = gzip.compress(body), {"Content-Encoding": "gzip"}
        body = mutated_bytes(chance, body) if chance.random() < 0.5 else body
    connection.putrequest(method, path, skip_accept_encoding=True)
    for name, value in ({"Content-Length": str(len(body))} | headers).items():
        connection.putheader(name, value)
    try:
        connection.endheaders(body)
        reply = connection.getresponse()
        status, content = reply.status, reply.read()
    except (http.client.RemoteDisconnected, ConnectionError):
        connection.close()
        return "closed"
    assert status in (200, 400, 404, 501), (method, path, body, status, content)
    return status


def test_http(server, chance):
    """Mutated bytes of whole HTTP requests: each is answered, or its connection closed, or the server waits for the rest."""
    counts = collections.Counter()
    for _ in range(max(20, COUNT // 10)):
        body = b'{"instances": [[1, 1, 1]]}'
        head = b"POST /v1/models/score:predict HTTP/1.1\r\nHost: x\r\n"
        framing = chance.choice(
            [
                b"Content-Length: 26\r\n\r\n" + body,
                b"Transfer-Encoding: chunked\r\n\r\n1a\r\n" + body + b"\r\n0\r\n\r\n",
            ]
        )
        others = [*HOSTILE, b"\r\n", b"Content-Length: 99999999999999999999\r\n", b"Expect: 100-continue\r\n"]
        content = mutated_bytes(chance, head + framing, others)
        with socket.create_connection(("127.0.0.1", server.rest_port), 60) as connection:
            connection.sendall(content)
            connection.settimeout(1)
            try:
                reply = connection.recv(65_536)
            except TimeoutError:
                reply = b"HTTP/1.1 waits for the rest"
        line = reply.split(b"\r\n")[0].decode(errors="replace")
        counts[line[9:12] or "closed"] += 1
        assert line[9:12] in ("", "wai", "100", "200", "400", "404", "413", "431", "501"), (content, reply)
    show("HTTP", server, counts)
