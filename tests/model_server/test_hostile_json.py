"""REST requests that Python and rapidjson read differently, or that a number or a text type cannot hold: 400, never 500."""

import base64
import http.client
import json

import pytest

from tiffin.errors import ServingError
from tiffin.model_server import json_requests

SURROGATE = "JSON Parse error: The surrogate pair in string is invalid. at offset: "
TOO_BIG = "JSON Parse error: Number too big to be stored in double."


@pytest.fixture(scope="module")
def server(launch, saved_models, write_config, tmp_path_factory):
    config = tmp_path_factory.mktemp("config") / "models"
    config.write_text(write_config(("score", saved_models / "score", ""), ("tools", saved_models / "tools", "")))
    return launch(f"--model_config_file={config}", rest=True).wait()


@pytest.fixture(autouse=True)
def has_no_internal_error(server):
    yield
    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("text", "offset"),
    [
        (rb'{"a": "\ud800"}', 7),
        (rb'{"a": "\uD800x"}', 7),
        (rb'{"a": "\ud800\n"}', 7),
        (rb'{"a": "\ud800\ud800"}', 7),
        (rb'{"a": "\ud800\u0041"}', 7),
        (rb'{"a": "\udc00"}', 7),
        (rb'{"a": "\ud83d\ude00\udfff"}', 19),
        (rb'{"\udfff": 1}', 2),
        (rb'["\\\ud800"]', 4),
    ],
)
def test_halves_of_surrogate_pairs(text, offset):
    with pytest.raises(ServingError) as caught:
        json_requests.parse(text)
    assert str(caught.value) == f"{SURROGATE}{offset}"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (rb'{"a": "\ud83d\ude00"}', "\U0001f600"),
        (rb'{"a": "\\ud800"}', r"\ud800"),
        (rb'{"a": "\\\\udc00"}', r"\\udc00"),
        (rb'{"a": "\u00e9"}', "\u00e9"),
        (b'{"a": "' + b"9" * 400 + b'"}', "9" * 400),
        (b'{"a": "1e400"}', "1e400"),
        (b'{"a": ' + b"9" * 308 + b"}", int("9" * 308)),
        (b'{"a": 1e308}', 1e308),
        (b'{"a": 1e-9999}', 0.0),
    ],
)
def test_texts_and_numbers_at_the_limits(text, value):
    assert json_requests.parse(text) == {"a": value}


@pytest.mark.parametrize("number", ["1e400", "-1E+309", "1" + "0" * 309, "-" + "9" * 400, "9" * 5000, "1.5e99999"])
def test_numbers_beyond_a_double(number):
    for body in (f'{{"instances": [[{number}, 1, 1]]}}', f'{{"x": {number}}}', f'{{"s": "{number}", "x": {number}}}'):
        with pytest.raises(ServingError) as caught:
            json_requests.parse(body.encode())
        assert str(caught.value) == TOO_BIG


BODIES = {
    "a lone surrogate": rb'{"instances": ["\ud800"]}',
    "a lone surrogate for bytes": rb'{"instances": [{"b64": "\ud800"}]}',
    "a lone surrogate in a key": rb'{"instances": [{"\ud800": 1}]}',
    "a lone surrogate in the signature": rb'{"signature_name": "\udfff", "instances": [1]}',
    "invalid UTF-8 in the signature": b'{"signature_name": "\xff", "instances": [1], "examples": [{}]}',
    "invalid UTF-8 in a feature": b'{"examples": [{"\xff": 1}]}',
    "invalid UTF-8 in a context": b'{"examples": [{}], "context": {"\xff": 1}}',
    "invalid UTF-8 outside a text": b'{"instances": \xff}',
    "a null byte outside a text": b'{"instances": \x00}',
    "a control character in a text": b'{"instances": ["\x01"]}',
    "a long integer": b'{"instances": [[' + b"9" * 400 + b", 1, 1]]}",
    "a very long integer": b'{"instances": [[' + b"9" * 5000 + b", 1, 1]]}",
    "a long integer in an example": b'{"examples": [{"x": ' + b"9" * 400 + b"}]}",
    "a large exponent": b'{"instances": [[1e400, 1, 1]]}',
    "a huge exponent": b'{"instances": [[1e' + b"9" * 500 + b", 1, 1]]}",
    "an integer beyond int64": b'{"signature_name": "slow", "inputs": [99999999999999999999]}',
    "NaN for an integer": b'{"signature_name": "slow", "inputs": [NaN]}',
    "a number for a text": b'{"examples": [NaN]}',
    "nesting": b'{"instances": ' + b"[" * 150 + b"1" + b"]" * 150 + b"}",
    "deep nesting": b'{"instances": ' + b"[" * 900 + b"1" + b"]" * 900 + b"}",
    "deep objects": b'{"instances": ' + b'{"x":' * 900 + b"1" + b"}" * 900 + b"}",
    "deep objects as examples": b'{"examples": [' + b'{"x":' * 900 + b"1" + b"}" * 900 + b"]}",
    "deeper nesting": b'{"instances": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "bad padding": b'{"signature_name": "other", "instances": [{"b64": "A"}]}',
    "bad base64": b'{"signature_name": "other", "instances": [{"b64": "\xc3\xa9==="}]}',
    "two keys in base64": b'{"instances": [{"b64": "", "b64 ": ""}]}',
    "a UTF-16 body": '{"instances": [1]}'.encode("utf-16"),
    "an empty body": b"",
    "null": b"null",
    "a text as the document": b'"instances"',
    "both keys": b'{"instances": [1], "inputs": [1]}',
    "a text among numbers": b'{"instances": [1.0, "' + b"x" * 1000 + b'"]}',
    "ragged rows": b'{"instances": [[1, 2, 3], [1, 2]]}',
}


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("verb", ["score:predict", "tools:predict", "tools:classify", "tools:regress"])
def test_bodies(server, verb, name):
    status, text = server.rest(f"/v1/models/{verb}", BODIES[name])
    assert (status, set(json.loads(text))) == (400, {"error"})


def test_duplicate_keys_and_names_of_numbers_are_answered(server):
    for body in (b'{"instances": [[1, 1, 1]], "instances": [[1, 1, 1]]}', b'{"inputs": [[NaN, Infinity, -Infinity]]}'):
        assert server.rest("/v1/models/score:predict", body)[0] == 200
    status, text = server.rest("/v1/models/tools:predict", b'{"signature_name": "pair", "inputs": [1e300, 1e-300, 1]}')
    assert (status, json.loads(text)["outputs"]["y"][1:]) == (200, [0.0, 1.0])


def test_bytes_that_are_not_utf8_pass_unchanged(server):
    """As with rapidjson, which does not validate texts."""
    body = (
        b'{"signature_name": "types", "inputs": {"long": [1], "text": ["\xff\x80"], "flag": [true], "double": [1e300], '
    )
    body += b'"byte": [1], "int": [1]}}'
    status, text = server.rest("/v1/models/tools:predict", body)
    assert status == 200
    assert base64.b64decode(json.loads(text)["outputs"]["text_bytes"][0]["b64"]) == b"\xff\x80"


LONG = "9" * 5000
PATHS = [
    ("POST", f"/v1/models/score/versions/{LONG}:predict", 400),
    ("POST", f"/v1/models/score/versions/{2**63}:predict", 400),
    ("POST", f"/v1/models/score/versions/{2**63 - 1}:predict", 404),
    ("POST", "/v1/models/score/versions/-1:predict", 400),
    ("POST", "/v1/models/score/versions/1e3:predict", 400),
    ("POST", "/v1/models/score/versions/%31:predict", 400),
    ("POST", f"/v1/models/score/versions/{'0' * 5000}3:predict", 200),
    ("POST", f"/v1/models/score/labels/{'x' * 30_000}:predict", 400),
    ("POST", "/v1/models/score/labels/%FF%00:predict", 400),
    ("POST", "/v1/models/%FF%00:predict", 404),
    ("POST", "/v1/models/%:predict", 404),
    ("POST", "/v1/models/score:predict?x=%FF", 200),
    ("GET", f"/v1/models/score/versions/{LONG}", 400),
    ("GET", f"/v1/models/score/versions/{LONG}/metadata", 400),
    ("GET", "/v1/models/score/versions/99/metadata", 404),
    ("GET", "/v1/models/%00", 404),
    ("GET", "/v1/models/score/labels/x/metadata", 400),
    ("GET", "/v1/models/score:predict", 400),
    ("POST", "/v1/models/score", 400),
    ("HEAD", "/v1/models/score", 400),
    ("PUT", "/v1/models/score:predict", 400),
    ("OPTIONS", "/v1/models/score:predict", 400),
    ("GET", "/v1/../../etc/passwd", 400),
    ("GET", "/", 404),
]


@pytest.mark.parametrize(("method", "path", "status"), PATHS, ids=lambda value: str(value)[:40])
def test_paths(server, method, path, status):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
    connection.request(method, path, b'{"instances": [[1, 1, 1]]}')
    assert connection.getresponse().status == status
    connection.close()
