"""Entries of Envoy's access log as the gateway sends them, and a recorder to send them to; requires the environment `gateway`.

with access_log.recorder(tmp_path / "log") as place:
    place.send([access_log.predict({"x": [[1.0]]}, {"y": [[2.0]]})])
    place.stop()
"""

import base64
import contextlib
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pyarrow.parquet as pq
from envoy.config.core.v3 import base_pb2
from envoy.data.accesslog.v3 import accesslog_pb2
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc

from tiffin.recorder.calls import Policy, protect_key, read_call
from tiffin.recorder.entries import read_entry
from tiffin.recorder.files import OpenFile
from tiffin.serving import messages, tensors, wire

# Of yesterday, in UTC: the recorder removes what is old.
NOON = (time.time() // 86_400 - 0.5) * 86_400
_BATCH_BYTES = 64 << 10
_LARGEST_BYTES = 1 << 20


def frame(message: bytes, compressed: bool = False) -> bytes:
    """Return a gRPC message as it is in a body."""
    return bytes([compressed]) + len(message).to_bytes(4, "big") + message


def entry(
    *,
    model: str = "taxi",
    route: str = "stable",
    path: str = "/tensorflow.serving.PredictionService/Predict",
    request: bytes | None = b"",
    response: bytes | None = b"",
    code: int = 0,
    status: int = 200,
    request_id: str = "id",
    key: str = "",
    version: str = "",
    time: float = NOON,
    seconds: float = 0.004,
    request_encoding: str = "",
    response_encoding: str = "",
    throttled: int = 0,
) -> Any:
    """Return an entry of a gRPC or a REST call, by its path; a body that is None or above 1 MiB is missing."""
    found = accesslog_pb2.HTTPAccessLogEntry()
    common = found.common_properties
    is_rest = path.lower().startswith("/v1/")
    common.upstream_cluster = f"{model}/{route}/{'rest' if is_rest else 'grpc'}"
    common.start_time.FromNanoseconds(round(time * 1e6) * 1000)
    common.time_to_first_upstream_tx_byte.FromMicroseconds(1000)
    common.time_to_last_upstream_rx_byte.FromMicroseconds(1000 + round(seconds * 1e6))
    common.duration.FromMicroseconds(3000 + round(seconds * 1e6))
    fields = common.metadata.filter_metadata["tiffin"].fields
    for name, body in (("request", request), ("response", response)):
        if body is not None and len(body) <= _LARGEST_BYTES:
            fields[name].string_value = base64.b64encode(body).decode()
    if throttled:
        fields["throttled"].number_value = throttled
    found.request.request_method = base_pb2.POST
    found.request.path = path
    found.request.request_id = request_id
    found.request.request_body_bytes = len(request or b"")
    found.response.response_body_bytes = len(response or b"")
    found.response.response_code.value = status
    encoding = "content-encoding" if is_rest else "grpc-encoding"
    sent = {"x-tiffin-model": model, "x-tiffin-key": key, encoding: request_encoding}
    answered = {"x-tiffin-version": version, encoding: response_encoding}
    found.request.request_headers.update({name: value for name, value in sent.items() if value})
    found.response.response_headers.update({name: value for name, value in answered.items() if value})
    if not is_rest:
        found.response.response_trailers["grpc-status"] = str(code)
    return found


def predict(
    inputs: Mapping[str, Any],
    outputs: Mapping[str, Any] | None = None,
    version: int = 3,
    signature: str = "",
    **options: Any,
) -> Any:
    """Return the entry of a Predict call; without outputs, of one that failed with INVALID_ARGUMENT."""
    request = messages.predict_request((options.get("model", "taxi"), None, None), inputs, signature)
    if outputs is None:
        return entry(**{"request": frame(request.SerializeToString()), "code": 3, **options})
    response = wire.PredictResponse()
    response.model_spec.version.value = version
    for name, values in outputs.items():
        tensors.to_proto(values, response.outputs[name])
    return entry(
        **{"request": frame(request.SerializeToString()), "response": frame(response.SerializeToString()), **options}
    )


def rest(request: Any, response: Any, *, call: str = "predict", **options: Any) -> Any:
    """Return the entry of a REST call with JSON bodies."""
    path = f"/v1/models/{options.get('model', 'taxi')}:{call}"
    bodies = {"request": json.dumps(request).encode(), "response": json.dumps(response).encode()}
    return entry(**{"path": path, **bodies, "version": "3", **options})


def write(entries: Iterable[Any], policy: Policy | None = None) -> tuple[list[dict[str, Any]], Counter[str]]:
    """Return the rows that the recorder writes for entries, without a process, and the problems that it counts."""
    problems: Counter[str] = Counter()
    file = OpenFile("taxi", problems)
    policy = policy or Policy()
    for one in entries:
        call = read_entry(one)
        assert call is not None
        file.add(call, protect_key(call.key, policy), read_call(call, policy, problems))
    tables = [pq.read_table(io.BytesIO(content)) for content, _ in file.close()]
    return [row for table in tables for row in table.to_pylist()], problems


def values(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs and outputs of a row."""
    return {name: value for name, value in row.items() if name.startswith(("input.", "output."))}


def _batches(entries: Iterable[Any]) -> Iterator[Any]:
    """Yield messages of about 64 KiB, as Envoy sends them."""
    message, size = als_pb2.StreamAccessLogsMessage(), 0
    for one in entries:
        message.http_logs.log_entry.append(one)
        size += one.ByteSize()
        if size >= _BATCH_BYTES:
            yield message
            message, size = als_pb2.StreamAccessLogsMessage(), 0
    yield message


def send(address: str, entries: Iterable[Any]) -> None:
    """Stream entries to an access log service, and wait until it has received them."""
    with grpc.insecure_channel(address) as channel:
        als_pb2_grpc.AccessLogServiceStub(channel).StreamAccessLogs(_batches(entries))


@dataclass
class Recorder:
    """A process of the recorder."""

    process: subprocess.Popen[str]
    root: str
    address: str
    metrics_address: str
    errors: Path

    def send(self, entries: Iterable[Any]) -> None:
        send(self.address, entries)

    def page(self) -> str:
        with urllib.request.urlopen(f"http://{self.metrics_address}/metrics", timeout=10) as answer:
            return answer.read().decode()

    def metric(self, name: str, **labels: str) -> float:
        """Return the value of a metric, summed over the labels that are not given; 0 without a sample."""
        total = 0.0
        for line in self.page().splitlines():
            found = re.fullmatch(rf"tiffin_recorder_{name}(?:\{{(.*)\}})? (\S+)", line)
            if found and all(f'{key}="{value}"' in (found[1] or "") for key, value in labels.items()):
                total += float(found[2])
        return total

    def wait_for(self, name: str, least: float, seconds: float = 30, **labels: str) -> bool:
        """Wait until a metric has at least a value; return False on timeout."""
        deadline = time.monotonic() + seconds
        while self.metric(name, **labels) < least:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process, and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(60)


def start(root: Path | str, *arguments: str, errors: Path, **variables: str) -> Recorder:
    """Start a recorder, and wait until it is ready."""
    command = [sys.executable, "-m", "tiffin.recorder", "--log-root", str(root), *arguments]
    with open(errors, "a") as file:
        process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            env={**os.environ, **variables},
            # As the gateway starts it.
            start_new_session=True,
        )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("READY "), errors.read_text()
    ready = json.loads(line.removeprefix("READY "))
    return Recorder(process, str(root), ready["address"], ready["metrics"], errors)


@contextlib.contextmanager
def recorder(root: Path | str, *arguments: str, errors: Path, **variables: str) -> Iterator[Recorder]:
    """Run a recorder in the context; it is killed at its end unless it was stopped."""
    found = start(root, *arguments, errors=errors, **variables)
    try:
        yield found
    finally:
        found.stop(signal.SIGKILL)
        assert found.process.stdout is not None
        found.process.stdout.close()
