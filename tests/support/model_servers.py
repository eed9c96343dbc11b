"""A small model server for tests of the client: TensorFlow Serving's gRPC API, with a model in numpy.

The model `taxi` takes miles (float32), passengers (int64) and company (string), each `[batch, 1]`, and returns
`scores` = 2 * miles + passengers, and `company` unchanged. Tests override methods in `answers`.
"""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from tiffin.serving import tensors, wire

INPUTS = {"miles": "DT_FLOAT", "passengers": "DT_INT64", "company": "DT_STRING"}
NUMBERS = {value.name: value.number for value in wire.DataType.values}


@dataclass
class ModelServer:
    """The state of the server, for tests to read and change.

    Attributes:
        address: `host:port` or `unix:path` of the server.
        answers: Name of a method to a function of (request, context) that overrides it.
        requests: Method and request of every call.
        headers: Headers of the last call.
        versions: Version, state, error code and message of each version.
        types: Name of an input to its type, for the metadata and for predictions.
        by_tiffin: Whether the metadata is that of a model trained by Tiffin.
        recipe: Recipe that the signature `recipe` returns; empty for a model without this signature.
        config: Last config that was loaded.
    """

    address: str = ""
    answers: dict[str, Callable[[Any, Any], Any]] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    versions: list[tuple[int, str, int, str]] = field(
        default_factory=lambda: [(2, "AVAILABLE", 0, ""), (1, "END", 0, "")]
    )
    types: dict[str, str] = field(default_factory=lambda: dict(INPUTS))
    by_tiffin: bool = True
    recipe: str = ""
    config: Any = None

    def calls(self, method: str) -> int:
        return sum(name == method for name, _ in self.requests)

    def handle(self, method: str, request: Any, context: Any) -> Any:
        self.requests.append((method, request))
        self.headers = dict(context.invocation_metadata())
        return self.answers.get(method, getattr(self, method))(request, context)

    def _check(self, spec: Any, context: Any) -> None:
        if spec.name != "taxi":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Latest({spec.name})")
        if spec.HasField("version") and spec.version.value not in {number for number, *_ in self.versions}:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Servable not found for request: Specific({spec.name}, 7)")
        if spec.version_label not in ("", "stable"):
            context.abort(
                grpc.StatusCode.INVALID_ARGUMENT, f"Unrecognized servable version label: {spec.version_label}"
            )

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.model_spec, context)
        arrays = {name: tensors.from_proto(value) for name, value in request.inputs.items()}
        if request.model_spec.signature_name == "recipe":
            return self._respond(request, {"recipe": np.full(len(arrays["inputs"]), self.recipe.encode(), object)})
        if set(arrays) != set(self.types):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"input size does not match signature: {sorted(arrays)}")
        for name, kind in self.types.items():
            if request.inputs[name].dtype != NUMBERS[kind]:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"Expects arg[0] to be {kind}: {name}")
        if b"bad" in arrays["company"]:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "assertion failed: [bad company]")
        outputs = {
            "scores": (2 * arrays["miles"] + arrays["passengers"]).astype(np.float32),
            "company": arrays["company"],
        }
        if request.model_spec.signature_name == "explain":
            outputs["attributions"] = np.concatenate([2 * arrays["miles"], arrays["passengers"]], axis=1).astype("f4")
        return self._respond(request, outputs)

    def _respond(self, request: Any, outputs: dict[str, Any]) -> Any:
        response = wire.PredictResponse()
        response.model_spec.name = request.model_spec.name
        response.model_spec.signature_name = request.model_spec.signature_name
        response.model_spec.version.value = self.versions[0][0]
        for name, value in outputs.items():
            if not request.output_filter or name in request.output_filter:
                tensors.to_proto(value, response.outputs[name])
        return response

    def Classify(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.model_spec, context)
        response = wire.ClassificationResponse()
        for example in request.input.example_list.examples:
            score = example.features.feature["miles"].float_list.value[0]
            classes = response.result.classifications.add().classes
            classes.add(label="no", score=1 - score)
            classes.add(label="yes", score=score)
        return response

    def Regress(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.model_spec, context)
        response = wire.RegressionResponse()
        for example in request.input.example_list.examples:
            response.result.regressions.add(value=len(example.features.feature))
        return response

    def MultiInference(self, _request: Any, context: Any) -> Any:  # noqa: N802
        context.abort(grpc.StatusCode.UNIMPLEMENTED, "not implemented")

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802
        self._check(request.model_spec, context)
        found = wire.SignatureDefMap()
        for signature in ("serving_default", "explain"):
            for name, kind in self.types.items():
                info = found.signature_def[signature].inputs[name]
                info.dtype = NUMBERS[kind]
                info.tensor_shape.dim.add(size=-1)
                info.tensor_shape.dim.add(size=1)
            found.signature_def[signature].outputs["scores"].dtype = NUMBERS["DT_FLOAT"]
            found.signature_def[signature].method_name = "tensorflow/serving/predict"
        if self.by_tiffin:
            found.signature_def["examples"].inputs["inputs"].dtype = NUMBERS["DT_STRING"]
        if self.recipe:
            found.signature_def["recipe"].inputs["inputs"].dtype = NUMBERS["DT_STRING"]
            found.signature_def["recipe"].inputs["inputs"].tensor_shape.dim.add(size=-1)
            found.signature_def["recipe"].outputs["recipe"].dtype = NUMBERS["DT_STRING"]
        found.signature_def["__saved_model_init_op"].outputs["__saved_model_init_op"].dtype = NUMBERS["DT_INVALID"]
        response = wire.GetModelMetadataResponse()
        response.metadata["signature_def"].Pack(found)
        return response

    def GetModelStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        if request.model_spec.name != "taxi":
            context.abort(grpc.StatusCode.NOT_FOUND, f"Could not find any versions of model {request.model_spec.name}")
        states = wire.ModelVersionStatus.DESCRIPTOR.enum_types_by_name["State"].values_by_name
        response = wire.GetModelStatusResponse()
        for version, state, code, message in self.versions:
            found = response.model_version_status.add(version=version, state=states[state].number)
            found.status.error_code, found.status.error_message = code, message
        return response

    def HandleReloadConfigRequest(self, request: Any, _context: Any) -> Any:  # noqa: N802
        self.config = request.config
        return wire.ReloadConfigResponse()


@contextlib.contextmanager
def serve(address: str = "127.0.0.1:0", credentials: Any = None) -> Iterator[ModelServer]:
    """Serve in the context."""
    server = ModelServer()
    grpc_server = grpc.server(
        futures.ThreadPoolExecutor(8),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    services: dict[str, dict[str, Any]] = {}
    for name, method in wire.METHODS.items():
        services.setdefault(method.path.split("/")[1], {})[name] = grpc.unary_unary_rpc_method_handler(
            lambda request, context, name=name: server.handle(name, request, context),
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
    for service, handlers in services.items():
        grpc_server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = grpc_server.add_secure_port(address, credentials) if credentials else grpc_server.add_insecure_port(address)
    server.address = address if address.startswith("unix:") else f"127.0.0.1:{port}"
    grpc_server.start()
    try:
        yield server
    finally:
        grpc_server.stop(0).wait()


def fail_times(times: int, code: grpc.StatusCode, then: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an override that fails `times` times, then calls `then`."""
    left = [times]

    def answer(request: Any, context: Any) -> Any:
        if left[0]:
            left[0] -= 1
            context.abort(code, "injected failure")
        return then(request, context)

    return answer


def slow(seconds: float, then: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return an override that sleeps, then calls `then`."""

    def answer(request: Any, context: Any) -> Any:
        time.sleep(seconds)
        return then(request, context)

    return answer
