"""A client of TensorFlow Serving's REST API, for networks that allow only HTTP."""

import base64
import json
import urllib.parse
from collections.abc import Mapping
from typing import Any

import numpy as np
import requests
import requests.adapters
import urllib3.util
from google.protobuf import json_format

from tiffin.errors import InputError, ServingError
from tiffin.serving import connection, wire
from tiffin.serving.messages import Which
from tiffin.serving.signatures import Signature, TensorSpec, read_signatures
from tiffin.serving.stream import plain
from tiffin.serving.tensors import Array

DEFAULT_PORT = 8501
_CODES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    413: "RESOURCE_EXHAUSTED",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


class RestClient:
    """A thread-safe connection to a server's REST port.

    Args:
        address: `host:port` or `http[s]://host:port`; the port defaults to 8501.
        timeout_seconds: Deadline of a request, in seconds. Defaults to 30.
        connections: Maximum number of requests in flight. Defaults to 8.
    """

    def __init__(self, address: str, *, timeout_seconds: float = 30.0, connections: int = 8) -> None:
        self._root = _root(address)
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        # Predictions are read-only, so they are retried while the server is unavailable.
        retries = urllib3.util.Retry(
            3,
            backoff_factor=0.1,
            status_forcelist=[503],
            allowed_methods=["GET", "POST"],
            raise_on_status=False,
            read=0,
        )
        adapter = requests.adapters.HTTPAdapter(pool_maxsize=connections, max_retries=retries)
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, adapter)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def metadata(self, which: Which) -> dict[str, Signature]:
        """Return the model's signatures by name."""
        answer = self._ask("GET", which, "/metadata")
        found = wire.SignatureDefMap()
        try:
            definition = answer["metadata"]["signature_def"]
            json_format.ParseDict(definition, found, ignore_unknown_fields=True, descriptor_pool=wire.POOL)
        except (KeyError, TypeError, json_format.ParseError) as error:
            raise ServingError(f"Could not parse 'signature_def' in the model's metadata: {error!r}.") from None
        return read_signatures(found.signature_def)

    def predict(
        self, which: Which, arrays: Mapping[str, Array], signature: str, outputs: Mapping[str, TensorSpec]
    ) -> list[Any]:
        """Return the outputs of each row by name.

        Args:
            which: Model with its version or label.
            arrays: Inputs by name, with one element per row.
            signature: Name of the signature; empty for `serving_default`.
            outputs: Outputs of the signature. Their types determine the precision of numbers; a response with a single
                output omits its name.
        """
        columns = [[(name, _plain_input(value)) for value in array.tolist()] for name, array in arrays.items()]
        body: dict[str, Any] = {"instances": [dict(row) for row in zip(*columns, strict=True)]}
        if signature:
            body["signature_name"] = signature
        answer = self._ask("POST", which, ":predict", body)
        predictions = answer.get("predictions")
        if not isinstance(predictions, list) or len(predictions) != len(body["instances"]):
            raise ServingError(
                f"The response's 'predictions' should have one item per row. Received: {str(answer)[:200]}. "
                "Check the server's log."
            )
        name = next(iter(outputs), "output")
        rows = [row if isinstance(row, dict) else {name: row} for row in predictions]
        narrow = {name for name, spec in outputs.items() if spec.dtype == "float32"}
        return [{name: _plain_output(value, name in narrow) for name, value in row.items()} for row in rows]

    def _ask(self, verb: str, which: Which, call: str, body: Any = None) -> dict[str, Any]:
        model, version, label = which
        path = f"/v1/models/{urllib.parse.quote(model, safe='')}"
        if version is not None:
            path += f"/versions/{version}"
        elif label is not None:
            path += f"/labels/{urllib.parse.quote(label, safe='')}"
        try:
            response = self._session.request(
                verb,
                self._root + path + call,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Content-Type": "application/json"},
                timeout=self._timeout_seconds,
            )
        except requests.Timeout:
            raise self._error(
                call, model, "DEADLINE_EXCEEDED", f"no response within {self._timeout_seconds:g} s"
            ) from None
        except requests.RequestException as error:
            raise self._error(call, model, "UNAVAILABLE", str(error)) from None
        try:
            answer = response.json()
        except ValueError:
            answer = {"error": f"the response is not JSON: {response.text[:200]!r}"}
        if not isinstance(answer, dict):
            answer = {"error": f"the response is not a JSON object: {str(answer)[:200]!r}"}
        if not response.ok or "error" in answer:
            raise self._error(
                call, model, _CODES.get(response.status_code, "UNKNOWN"), str(answer.get("error", answer))
            )
        return answer

    def _error(self, call: str, model: str, code: str, detail: str) -> ServingError:
        return connection.failure(call.strip(":/"), model, self._root, code, detail)


def _root(address: str) -> str:
    url = address if "://" in address else f"http://{address}"
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        raise InputError(f"address should be host:port or http://host:port. Received: '{address}'.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def _plain_input(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_input(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    return value


def _plain_output(value: Any, narrow: bool) -> Any:
    """Return a row's value of an output like `split_rows`: a single value loses its dimensions."""
    only = value
    while isinstance(only, list) and len(only) == 1:
        only = only[0]
    return _read(value if isinstance(only, list) else only, narrow)


def _read(value: Any, narrow: bool) -> Any:
    if isinstance(value, list):
        return [_read(item, narrow) for item in value]
    if isinstance(value, dict):  # the server's encoding of strings in outputs whose names end in _bytes
        try:
            value = base64.b64decode(value["b64"])
        except (KeyError, TypeError, ValueError):
            return value
    if narrow and isinstance(value, float):
        value = float(str(np.float32(value)))  # the server writes nine digits: 0.300000012 for 0.3
    return plain(value)
