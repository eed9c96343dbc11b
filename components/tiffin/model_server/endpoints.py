"""The REST API.

Paths, codes and messages are those of tensorflow/serving's model_servers/{http_server,http_rest_api_handler,
http_rest_api_util}.cc.
"""

import re
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

import numpy as np
from google.protobuf import json_format
from tensorflow_serving.apis import get_model_metadata_pb2, get_model_status_pb2, model_pb2

from tiffin.errors import ServingError
from tiffin.model_server import codes, declarations, inference, json_arrays, json_replies, json_requests, management
from tiffin.model_server.codes import invalid
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Catalog
from tiffin.model_server.predict import check_method_name, run
from tiffin.model_server.runners import DEFAULT_SIGNATURE

# Paths of the REST API; all others are Not Found.
OURS = re.compile(r"/v1/.*", re.IGNORECASE)
_PREDICTION = re.compile(
    r"/v1/models/([^/:]+)(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?:(classify|regress|predict)", re.IGNORECASE
)
_STATUS = re.compile(
    r"/v1/models(?:/([^/:]+))?(?:(?:/versions/([0-9]+))|(?:/labels/([^/:]+)))?(?:/(metadata))?", re.IGNORECASE
)
Reply = tuple[int, dict[str, str], bytes]


def answerer(catalog: Catalog, options: Any, metrics: Metrics) -> Callable[[str, str, bytes, str], Reply]:
    """Return the request handler: (method, path, body, Origin header) -> (status, headers, body).

    Args:
        catalog: The models.
        options: The flags.
        metrics: Metrics to record the requests in.
    """
    running = {"timeout_ms": max(0, options.rest_api_timeout_in_ms), "metrics": metrics}
    check = options.enable_signature_method_name_check
    growth = options.max_request_growth_bytes

    def answer(method: str, path: str, body: bytes, origin: str) -> Reply:
        start = time.perf_counter()
        model, verb, status, text = "", "", "OK", ""
        headers = {} if method == "OPTIONS" else {"Content-Type": "application/json"}
        try:
            if method == "OPTIONS":
                if not re.search("https?://", origin):
                    raise ServingError("Origin header is missing in CORS preflight", "FAILED_PRECONDITION")
            else:
                spec, verb = _parsed(method, path)
                model = spec.name
                text = _answered(method, spec, verb, body)
        except RecursionError:
            status, text = "INVALID_ARGUMENT", json_replies.error("The JSON document is nested too deeply.")
        except MemoryError:
            status, text = "RESOURCE_EXHAUSTED", json_replies.error("Out of memory")
        except ServingError as error:
            status, text = error.code, "" if method == "OPTIONS" else json_replies.error(str(error))
        if options.rest_api_enable_cors_support:
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Access-Control-Allow-Methods"] = "POST, GET"
            headers["Access-Control-Allow-Headers"] = "Content-Type"
        api = verb if method == "POST" else ""
        metrics.count_request(model, status, api, "REST", (time.perf_counter() - start) * 1e6)
        return codes.HTTP.get(status, 500), headers, text.encode("utf-8", errors="replace")

    def _answered(method: str, spec: Any, verb: str, body: bytes) -> str:
        if method == "GET":
            return _metadata(catalog, spec) if verb == "metadata" else _status(catalog, spec)
        document = json_requests.parse(body)
        if verb == "predict":
            return _predict(catalog, spec, document, check, running)
        request = _inference_request(spec, document)
        model = catalog.find(spec)
        if verb == "classify":
            return json_replies.classifications(inference.classify(model, request, check, growth, **running).result)
        return json_replies.regressions(inference.regress(model, request, check, growth, **running).result)

    return answer


def _parsed(method: str, path: str) -> tuple[Any, str]:
    """Return the ModelSpec and the verb of a path."""
    pattern = {"POST": _PREDICTION, "GET": _STATUS}.get(method)
    match = pattern.fullmatch(path) if pattern else None
    if match is None:
        raise invalid(f"Malformed request: {method} {path}")
    name, version, label, verb = match.groups()
    spec = model_pb2.ModelSpec(name=urllib.parse.unquote(name or "", errors="replace"))
    if version:
        version = version.lstrip("0") or "0"
        # Python does not read integers of thousands of digits.
        if len(version) > 19 or int(version) >= 2**63:
            raise invalid(f"Failed to convert version: {version} to numeric.")
        spec.version.value = int(version)
    if label:
        spec.version_label = urllib.parse.unquote(label, errors="replace")
    # TF Serving keeps the verb's case and accepts only lower case: /v1/models/m:PREDICT is malformed.
    if method == "POST" and verb not in ("classify", "regress", "predict"):
        raise invalid(f"Malformed request: {method} {path}")
    return spec, verb or ""


def _predict(catalog: Catalog, spec: Any, document: Any, check: bool, running: dict[str, Any]) -> str:
    check_time = codes.time_limit(running["timeout_ms"])
    name = json_requests.signature_name(document) or DEFAULT_SIGNATURE
    model = catalog.find(spec)
    signature = model.signatures.get(name)
    if signature is None:
        raise invalid(f'Serving signature name: "{name}" not found in signature def')
    types = {alias: signature.inputs[alias].dtype for alias in sorted(signature.inputs)}
    if not types:
        raise invalid(f"Failed to get input map for signature: {json_requests.signature_name(document) or 'DEFAULT'}")
    arrays, is_rows = json_arrays.predict_inputs(document, types)
    if check:
        check_method_name(signature)
    aliases = list(signature.outputs)
    ordered = [arrays[alias] for alias in signature.inputs]
    check_time()
    outputs = run(signature.runner, aliases, ordered, model=model.name, api="Predict", **running)
    check_time()
    named = {alias: np.asarray(output) for alias, output in zip(aliases, outputs, strict=True)}
    return json_replies.rows(named) if is_rows else json_replies.columns(named)


def _inference_request(spec: Any, document: Any) -> Any:
    request = declarations.message_class("InferenceRequest")()
    request.model_spec.name = spec.name
    request.model_spec.signature_name = json_requests.signature_name(document)
    examples, context = json_requests.examples(document)
    if context is None:
        request.input.example_list.examples.extend(examples)
    else:
        request.input.example_list_with_context.examples.extend(examples)
        request.input.example_list_with_context.context = context
    return request


def _status(catalog: Catalog, spec: Any) -> str:
    if not spec.name:
        raise invalid("Missing model name in request.")
    request = get_model_status_pb2.GetModelStatusRequest(model_spec=spec)
    return _json(management.model_status(catalog, request))


def _metadata(catalog: Catalog, spec: Any) -> str:
    if not spec.name:
        raise invalid("Missing model name in request.")
    request = get_model_metadata_pb2.GetModelMetadataRequest(model_spec=spec, metadata_field=["signature_def"])
    response = management.model_metadata(catalog, request)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    response.metadata["signature_def"].Unpack(signatures)
    spec_text, signatures_text = _json(response.model_spec), _json(signatures)
    return f'{{\n"model_spec":{spec_text},\n"metadata": {{"signature_def": {signatures_text}}}\n}}\n'


def _json(message: Any) -> str:
    return (
        json_format.MessageToJson(
            message, indent=1, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        + "\n"
    )
