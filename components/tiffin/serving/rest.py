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
from tiffin.serving import connection, failures, wire
from tiffin.serving.bfloat16 import is_bfloat16, widen
from tiffin.serving.messages import Which
from tiffin.serving.outputs import plain
from tiffin.serving.signatures import Signature, TensorSpec, read_signatures
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
_NARROW = {"float16": np.float16, "bfloat16": np.float32, "float32": np.float32}


class RestClient:
    """A thread-safe connection to a server's REST port.

    Args:
        address: `host:port` or `http[s]://host:port`; the port defaults to 8501.
        timeout_seconds: Deadline of a request, in seconds. Defaults to 30.
        connections: Maximum number of requests in flight. Defaults to 8.
        tls: Whether to encrypt the connection; `https://` in the address has the same effect. Defaults to False.
        ca_file: PEM file with the trusted CA certificates. Defaults to the system's.
    """

    def __init__(
        self,
        address: str,
        *,
        timeout_seconds: float = 30.0,
        connections: int = 8,
        tls: bool = False,
        ca_file: str | None = None,
    ) -> None:
        self._root = _root(address, tls)
        connection.read_pem("ca_file", ca_file)
        self._timeout_seconds = timeout_seconds
        self._session = requests.Session()
        self._session.verify = ca_file or True
        self._ca_file = ca_file
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
        # A tensor without a dimension for the batch is not part of an instance.
        is_whole = any(array.ndim == 0 for array in arrays.values()) or any(
            spec.shape == () for spec in outputs.values()
        )
        values = {name: _plain_input(name, array) for name, array in arrays.items()}
        body: dict[str, Any] = {"signature_name": signature} if signature else {}
        if is_whole:
            body["inputs"] = values
        else:
            body["instances"] = [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]
        answer = self._ask("POST", which, ":predict", body)
        predictions = _rows_of_whole(answer, outputs) if is_whole else answer.get("predictions")
        if not isinstance(predictions, list) or len(predictions) != len(body.get("instances", [0])):
            raise ServingError(
                f"The response's '{'outputs' if is_whole else 'predictions'}' should have one item per row. "
                f"Received: {str(answer)[:200]}. Check the server's log."
            )
        name = next(iter(outputs), "output")
        rows = [row if isinstance(row, dict) else {name: row} for row in predictions]
        types = {name: spec.dtype for name, spec in outputs.items()}
        return [{name: _plain_output(value, types.get(name, "")) for name, value in row.items()} for row in rows]

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
            raise self._error(call, model, "UNAVAILABLE", str(error), self._find_reason()) from None
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

    def _find_reason(self) -> str:
        """Return why the server cannot be reached; empty if it can."""
        from tiffin.serving import diagnosis

        parts = urllib.parse.urlsplit(self._root)
        endpoint = diagnosis.Endpoint(
            parts.hostname or "",
            parts.port or DEFAULT_PORT,
            parts.scheme == "https",
            self._ca_file,
            requests.certs.where(),
            is_http2=False,
        )
        return diagnosis.find_reason(endpoint)

    def _error(self, call: str, model: str, code: str, detail: str, reason: str = "") -> ServingError:
        return failures.failure(call.strip(":/"), model, self._root, code, detail, reason)


def _root(address: str, tls: bool) -> str:
    url = address if "://" in address else f"{'https' if tls else 'http'}://{address}"
    parts = urllib.parse.urlsplit(url)
    try:
        port = parts.port or DEFAULT_PORT
    except ValueError:
        port = 0
    if tls and parts.scheme == "http":
        raise InputError(f"address should start with https:// where TLS is set. Received: '{address}'.")
    if parts.scheme not in ("http", "https") or not parts.hostname or not port:
        raise InputError(f"address should be host:port or http://host:port. Received: '{address}'.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port}{parts.path.rstrip('/')}"


def _rows_of_whole(answer: Mapping[str, Any], outputs: Mapping[str, TensorSpec]) -> Any:
    """Return the only row of a response to whole tensors; None if the response has another form."""
    found = answer.get("outputs")
    if len(outputs) == 1:
        found = {next(iter(outputs)): found}
    if not isinstance(found, dict) or not found.keys() <= outputs.keys():
        return None
    row = {}
    for name, value in found.items():
        if outputs[name].shape != ():
            if not isinstance(value, list) or len(value) != 1:
                return None
            [value] = value  # noqa: PLW2901 - without the dimension of the batch
        row[name] = value
    return [row]


def _plain_input(name: str, array: Array) -> Any:
    """Return an input as JSON takes it."""
    if array.dtype.kind == "c":
        raise InputError(f"Input '{name}' has complex numbers, which the REST API does not support. Use gRPC.")
    return _plain_values((widen(array) if is_bfloat16(array) else array).tolist())


def _plain_values(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain_values(item) for item in value]
    return plain(value) if isinstance(value, bytes) else value


def _plain_output(value: Any, dtype: str) -> Any:
    """Return a row's value of an output like `split_rows`: a single value loses its dimensions."""
    only = value
    while isinstance(only, list) and len(only) == 1:
        only = only[0]
    return _read(value if isinstance(only, list) else only, dtype)


def _read(value: Any, dtype: str) -> Any:
    if isinstance(value, list):
        return [_read(item, dtype) for item in value]
    if isinstance(value, dict):  # the server's encoding of strings in outputs whose names end in _bytes
        try:
            value = base64.b64decode(value["b64"])
        except (KeyError, TypeError, ValueError):
            return value
    if isinstance(value, float) and dtype in _NARROW:
        value = float(str(_NARROW[dtype](value)))  # the server writes nine digits: 0.300000012 for 0.3
    return plain(value)
