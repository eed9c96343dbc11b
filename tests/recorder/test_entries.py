"""Which call an entry of the access log is of."""

from collections import Counter
from typing import Any

import pytest
from envoy.data.accesslog.v3 import accesslog_pb2
from google.protobuf import text_format

from support.access_log import NOON, entry
from tiffin.recorder.calls import Policy, read_call
from tiffin.recorder.entries import Call, read_entry

# Of Envoy 1.40.
REAL = """
common_properties {
  start_time { seconds: 1795879469 nanos: 820732000 }
  time_to_first_upstream_tx_byte { nanos: 901612 }
  time_to_last_upstream_rx_byte { nanos: 7229392 }
  duration { nanos: 7466045 }
  upstream_cluster: "taxi/candidate/grpc"
  metadata { filter_metadata { key: "tiffin" value {
    fields { key: "response" value {
      string_value: "AAAAADcKGwoFc2NvcmUSEggBEggSAggBEgIIASoEnRy4BhIYCgFtEgIIARoPc2VydmluZ19kZWZhdWx0" } }
    fields { key: "request" value {
      string_value: "AAAAAGoKAwoBbRJjCgF4El4IARIIEgIIARICCBQqUAAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8A"
        "AAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8AAAA/AAAAPwAAAD8AAAA/" } }
  } } }
}
protocol_version: HTTP2
request {
  request_method: POST
  path: "/tensorflow.serving.PredictionService/Predict"
  request_id: "b90fc274-8259-4115-b832-e72f6e6663d0"
  request_body_bytes: 111
}
response {
  response_code { value: 200 }
  response_body_bytes: 60
  response_trailers { key: "grpc-status" value: "0" }
}
"""


def read(**options: Any) -> Call:
    found = read_entry(entry(**options))
    assert found is not None
    return found


def test_an_empty_entry_is_no_call() -> None:
    assert read_entry(accesslog_pb2.HTTPAccessLogEntry()) is None


def test_an_entry_of_a_real_envoy() -> None:
    call = read_entry(text_format.Parse(REAL, accesslog_pb2.HTTPAccessLogEntry()))
    assert call is not None
    problems: Counter[str] = Counter()
    rows = read_call(call, Policy(), problems)

    assert (call.model, call.route, call.protocol, call.method) == ("taxi", "candidate", "grpc", "Predict")
    assert (call.code, call.key, call.is_too_large, problems) == ("OK", None, False, {})
    assert call.micros == 1_795_879_469_820_732
    assert call.latency_seconds == pytest.approx(0.00632778)
    assert (rows.length, rows.version, rows.signature) == (1, 1, "serving_default")
    assert rows.columns["input.x"] == ("list<float32>", [[0.5] * 20])
    assert rows.columns["output.score"].kind == "float32"


@pytest.mark.parametrize(
    "path",
    [
        "/tensorflow.serving.PredictionService/GetModelMetadata",
        "/tensorflow.serving.ModelService/GetModelStatus",
        "/v1/models/taxi",
        "/v1/models/taxi/metadata",
        "/v1/models/a/b:predict",
        "/healthz",
    ],
)
def test_other_requests_are_no_calls(path: str) -> None:
    assert read_entry(entry(path=path)) is None


def test_a_rest_path_is_only_a_call_if_it_is_posted() -> None:
    found = entry(path="/v1/models/taxi:predict")
    found.request.request_method = 1

    assert read_entry(found) is None


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/v1/models/taxi:predict", "Predict"),
        ("/v1/models/taxi:classify?x=1", "Classify"),
        ("/v1/models/taxi/versions/3:regress", "Regress"),
        ("/v1/models/taxi/labels/canary:predict", "Predict"),
        ("/V1/Models/taxi:Predict", "Predict"),
    ],
)
def test_paths_of_rest(path: str, method: str) -> None:
    call = read(path=path, version="3", key="ada")

    assert (call.protocol, call.method, call.model, call.version, call.key) == ("rest", method, "taxi", 3, "ada")


def test_the_header_has_the_model_and_the_path_if_there_is_none() -> None:
    found = entry(path="/v1/models/my%2Emodel:predict", model="taxi")
    assert read_entry(found).model == "taxi"  # type: ignore[union-attr]
    del found.request.request_headers["x-tiffin-model"]
    assert read_entry(found).model == "my.model"  # type: ignore[union-attr]


def test_a_version_that_a_rollback_left_loaded_is_of_its_model() -> None:
    assert read(model="taxi@3").model == "taxi"


@pytest.mark.parametrize("cluster", ["", "*/stable/grpc", "else"])
def test_a_cluster_without_a_route_is_stable(cluster: str) -> None:
    found = entry()
    found.common_properties.upstream_cluster = cluster

    assert read_entry(found).route == "stable"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"code": 0}, "OK"),
        ({"code": 3}, "INVALID_ARGUMENT"),
        ({"code": 14}, "UNAVAILABLE"),
        ({"code": 99}, "UNKNOWN"),
        ({"path": "/v1/models/taxi:predict"}, "OK"),
        ({"path": "/v1/models/taxi:predict", "status": 400}, "HTTP_400"),
        ({"path": "/v1/models/taxi:predict", "status": 0}, "CANCELLED"),
    ],
)
def test_codes(options: dict[str, Any], code: str) -> None:
    assert read(**options).code == code


@pytest.mark.parametrize("path", ["/tensorflow.serving.PredictionService/Predict", "/v1/models/taxi:predict"])
def test_a_client_that_went_away(path: str) -> None:
    found = entry(path=path)
    found.response.response_trailers.clear()
    found.common_properties.response_flags.downstream_connection_termination = True
    del found.common_properties.metadata.filter_metadata["tiffin"].fields["response"]
    call = read_entry(found)

    assert call is not None
    assert (call.code, call.response, call.is_too_large) == ("CANCELLED", None, False)


def test_the_code_of_a_reply_without_trailers() -> None:
    found = entry()
    del found.response.response_trailers["grpc-status"]
    found.response.response_headers["grpc-status"] = "8"

    assert read_entry(found).code == "RESOURCE_EXHAUSTED"  # type: ignore[union-attr]


def test_the_whole_duration_without_an_answer() -> None:
    found = entry(seconds=1.0)
    assert read_entry(found).latency_seconds == pytest.approx(1.0)  # type: ignore[union-attr]
    found.common_properties.ClearField("time_to_last_upstream_rx_byte")
    assert read_entry(found).latency_seconds == pytest.approx(1.003)  # type: ignore[union-attr]


def test_the_time_is_that_of_the_request() -> None:
    assert read().micros == NOON * 1e6


@pytest.mark.parametrize("bodies", [{"request": bytes(2 << 20)}, {"response": bytes(2 << 20)}])
def test_a_body_that_envoy_did_not_send(bodies: dict[str, bytes]) -> None:
    assert read(**bodies).is_too_large
