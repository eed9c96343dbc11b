import math

import numpy as np
import pytest

from support import rest_server
from tiffin.errors import InputError, ServingError
from tiffin.serving.rest import RestClient
from tiffin.serving.signatures import TensorSpec

TAXI = ("taxi", None, None)
SCORES = {"scores": TensorSpec("float32", (None, 1))}


def arrays(miles=1.5, company=b"a"):
    return {
        "miles": np.array([[miles]], "f4"),
        "passengers": np.array([[2]], "i8"),
        "company": np.array([[company]], object),
    }


@pytest.fixture
def server():
    with rest_server.serve() as served:
        yield served


@pytest.fixture
def client(server):
    client = RestClient(server.address, timeout_seconds=10)
    yield client
    client.close()


def test_predict(client, server):
    assert client.predict(TAXI, arrays(), "", SCORES) == [{"scores": 5.0}]
    assert server.requests[-1] == (
        "/v1/models/taxi:predict",
        {"instances": [{"miles": [1.5], "passengers": [2], "company": ["a"]}]},
    )


def test_several_outputs_keep_their_names(client):
    assert client.predict(TAXI, arrays(), "explain", {}) == [{"scores": 5.0, "attributions": [3.0, 2]}]


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        ("[]", []),
        ("4", 4),
        ("[4]", 4),
        ("[[4]]", 4),
        ("[[1, 2]]", [[1, 2]]),
        ("[[NaN]]", None),
        ("[0.300000012, Infinity]", [0.3, None]),
        ('["é"]', "é"),
        ('[{"b64": "w6k="}]', "é"),
        ('[{"b64": "/w=="}]', {"b64": "/w=="}),
        ('[[{"b64": "w6k="}, {"b64": "/w=="}]]', [["é", {"b64": "/w=="}]]),
        ('[{"b64": 1}]', {"b64": 1}),
        ('[{"b": 1}]', {"b": 1}),
    ],
)
def test_values_are_those_of_grpc(client, server, sent, read):
    """As in TestSplitRows, only a row's single value loses its dimensions."""
    server.body = b'{"predictions": [{"y": %s}]}' % sent.encode()

    assert client.predict(TAXI, arrays(), "", {"y": TensorSpec("float32", None)}) == [{"y": read}]


def test_nan(client):
    assert client.predict(TAXI, arrays(math.nan), "", SCORES) == [{"scores": None}]


def test_bytes_that_are_not_text(client, server):
    client.predict(TAXI, arrays(company=b"\xff"), "", SCORES)

    assert server.requests[-1][1]["instances"][0]["company"] == [{"b64": "/w=="}]


def test_version_and_label(client, server):
    client.predict(("taxi", 3, None), arrays(), "", SCORES)
    client.predict(("taxi", None, "a/b"), arrays(), "", SCORES)

    assert [path for path, _ in server.requests] == [
        "/v1/models/taxi/versions/3:predict",
        "/v1/models/taxi/labels/a%2Fb:predict",
    ]


def test_metadata(client):
    signatures = client.metadata(TAXI)

    assert sorted(signatures) == ["examples", "explain", "serving_default"], "without TensorFlow's initializers"
    assert signatures["explain"].inputs["company"].dtype == "string"
    assert signatures["serving_default"].inputs["miles"].shape == (None, 1)


def test_unavailable_is_retried(client, server):
    server.failures = [503, 503]

    assert client.predict(TAXI, arrays(), "", SCORES) == [{"scores": 5.0}]
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "code"), [(400, "INVALID_ARGUMENT"), (404, "NOT_FOUND"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL")]
)
def test_errors_have_grpcs_codes(client, server, status, code):
    server.failures = [status]
    with pytest.raises(ServingError, match=rf"predict .*'taxi'.*{code}: ") as caught:
        client.predict(TAXI, arrays(), "", SCORES)

    assert caught.value.code == code
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        (b"<html>", "JSON: '<html>'"),
        (b"[]", r"JSON object: '\[\]'"),
        (b"{}", r"'predictions'.*Received: \{\}"),
        (b'{"predictions": [1, 2]}', r"'predictions'.*Received: .*\[1, 2\]"),
        (b'{"error": "late"}', "late"),
    ],
)
def test_invalid_responses(client, server, body, pattern):
    server.body = body
    with pytest.raises(ServingError, match=pattern):
        client.predict(TAXI, arrays(), "", SCORES)


def test_invalid_metadata(client, server):
    server.body = b'{"metadata": {"signature_def": 3}}'
    with pytest.raises(ServingError, match="'signature_def'"):
        client.metadata(TAXI)


def test_no_server():
    with pytest.raises(ServingError, match=r"UNAVAILABLE.*127\.0\.0\.1:9 \(") as caught:
        RestClient("127.0.0.1:9").metadata(TAXI)

    assert caught.value.code == "UNAVAILABLE"


@pytest.mark.parametrize("address", ["", "ftp://host", "host:port", "http://"])
def test_invalid_addresses(address):
    with pytest.raises(InputError, match=f"http://host:port.*Received: '{address}'"):
        RestClient(address)
