"""The REST API of the small model server in `model_servers`."""

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from support.model_servers import INPUTS


@dataclass
class RestServer:
    """The state of the server, for tests to read and change.

    Attributes:
        address: `host:port` of the server.
        failures: Status codes of the next responses.
        body: Body of every response; None for the server's own.
        requests: Path and body of every request.
        recipe: Recipe that the signature `recipe` returns; empty for a model without this signature.
    """

    address: str = ""
    failures: list[int] = field(default_factory=list)
    body: bytes | None = None
    requests: list[tuple[str, Any]] = field(default_factory=list)
    recipe: str = ""


def _metadata(has_recipe: bool) -> dict[str, Any]:
    shape = {"dim": [{"size": "-1", "name": ""}, {"size": "1", "name": ""}], "unknown_rank": False}
    inputs = {name: {"dtype": kind, "tensor_shape": shape, "name": f"{name}:0"} for name, kind in INPUTS.items()}
    definition = {
        "inputs": inputs,
        "outputs": {"scores": {"dtype": "DT_FLOAT", "tensor_shape": shape, "name": "y:0"}},
        "method_name": "tensorflow/serving/predict",
        "defaults": {},
    }
    examples = {"inputs": {"inputs": {"dtype": "DT_STRING", "tensor_shape": {"unknown_rank": True}}}}
    signatures = {
        "serving_default": definition,
        "examples": examples,
        "explain": definition,
        "__saved_model_init_op": {},
    }
    if has_recipe:
        text = {"dtype": "DT_STRING", "tensor_shape": {"dim": [{"size": "-1"}]}}
        signatures["recipe"] = {"inputs": {"inputs": text}, "outputs": {"recipe": text}}
    return {"model_spec": {"name": "taxi"}, "metadata": {"signature_def": {"signature_def": signatures}}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: RestServer

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.loads(content) if content else None
        self.server_state.requests.append((self.path, body))
        status, answer = self._answer(body)
        if self.server_state.failures:
            status, answer = self.server_state.failures.pop(0), {"error": "injected failure"}
        sent = json.dumps(answer).encode() if self.server_state.body is None else self.server_state.body
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        self.wfile.write(sent)

    do_GET = do_POST = _handle  # noqa: N815 - http.server calls them by these names

    def _answer(self, body: Any) -> tuple[int, dict[str, Any]]:
        path, _, call = self.path.partition(":")
        if not path.startswith("/v1/models/taxi"):
            return 404, {"error": "Servable not found for request: Latest(bus)"}
        if path.endswith("/metadata"):
            return 200, _metadata(bool(self.server_state.recipe))
        if call != "predict":
            return 400, {"error": f"Malformed request: {self.command} {self.path}"}
        if body.get("signature_name") == "recipe":
            return 200, {"predictions": [self.server_state.recipe] * len(body["instances"])}
        predictions: list[Any] = []
        for row in body["instances"]:
            if row["company"] == ["bad"]:
                return 400, {"error": "assertion failed: [bad company]"}
            score = 2 * row["miles"][0] + row["passengers"][0]
            explained = {"scores": [score], "attributions": [2 * row["miles"][0], row["passengers"][0]]}
            # TensorFlow Serving omits the name of a single output.
            predictions.append(explained if body.get("signature_name") == "explain" else [score])
        return 200, {"predictions": predictions}


@contextlib.contextmanager
def serve() -> Iterator[RestServer]:
    """Serve in the context."""
    state = RestServer()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"server_state": state}))
    state.address = f"127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
