"""The gRPC methods, from bytes to bytes.

The handlers receive and return raw bytes, so that gRPC does not parse requests and replies need no message objects. The
metrics follow tensorflow/serving's model_servers/prediction_service_impl.cc.
"""

import logging
import time
from collections.abc import Callable
from concurrent import futures
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_management_pb2,
    predict_pb2,
)

from tiffin.errors import ServingError
from tiffin.model_server import codes, declarations, inference, management
from tiffin.model_server.codes import invalid
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Catalog
from tiffin.model_server.plans import Plans
from tiffin.model_server.predict import predict

_log = logging.getLogger(__name__)
PREDICTION_SERVICE = "tensorflow.serving.PredictionService"
MODEL_SERVICE = "tensorflow.serving.ModelService"
_MANAGEMENT_THREADS = 8
_NO_DEADLINE_SECONDS = 2**31 / 1000  # RunOptions.timeout_in_ms is an int32
Respond = Callable[[bytes, int], bytes]  # (request, time limit in milliseconds, 0 for none) -> reply


def handlers(catalog: Catalog, options: Any, metrics: Metrics, reload: Callable[[Any], None]) -> list[Any]:
    """Return the handlers of both services.

    Args:
        catalog: The models.
        options: The flags.
        metrics: Metrics to record the requests in.
        reload: Function that applies a ModelServerConfig and returns when its new models are available.
    """
    # Slow methods must not occupy the few threads of predictions, nor reloads that wait those of the other methods.
    pool = futures.ThreadPoolExecutor(_MANAGEMENT_THREADS, "management")
    reloads = futures.ThreadPoolExecutor(_MANAGEMENT_THREADS, "reload")
    predictions = {name: _method(respond) for name, respond in _predictions(catalog, options, metrics).items()}
    predictions["GetModelMetadata"] = _method(
        _plain(get_model_metadata_pb2.GetModelMetadataRequest, lambda r, _: management.model_metadata(catalog, r)), pool
    )
    management_methods = {
        "GetModelStatus": _method(
            _plain(get_model_status_pb2.GetModelStatusRequest, lambda r, _: management.model_status(catalog, r)), pool
        ),
        "HandleReloadConfigRequest": _method(
            _plain(
                model_management_pb2.ReloadConfigRequest,
                lambda r, _: management.reload_config(r, reload, metrics, options.allow_reload_config),
            ),
            reloads,
        ),
    }
    return [
        grpc.method_handlers_generic_handler(PREDICTION_SERVICE, predictions),
        grpc.method_handlers_generic_handler(MODEL_SERVICE, management_methods),
    ]


def _predictions(catalog: Catalog, options: Any, metrics: Metrics) -> dict[str, Respond]:
    check = options.enable_signature_method_name_check
    as_content = options.enable_serialization_as_tensor_content
    growth = options.max_request_growth_bytes

    plans = Plans(catalog, metrics, as_content, growth)

    def run_predict(request: Any, timeout_ms: int) -> bytes:
        _check_spec(request)
        model = catalog.find(request.model_spec)
        return predict(
            model, request, as_content, check_method=check, growth=growth, metrics=metrics, timeout_ms=timeout_ms
        )

    whole_way = _counted(predict_pb2.PredictRequest, "Predict", metrics, run_predict)

    def answer_predict(content: bytes, timeout_ms: int) -> bytes:
        try:
            reply = plans.answer(content, timeout_ms)
        except DecodeError:
            reply = None
        if reply is None:
            reply = whole_way(content, timeout_ms)
            try:
                plans.learn(content)
            except Exception:  # noqa: BLE001 - the request has its reply; it must not fail any more
                _log.exception("Internal error while making the plan of a request:")
        return reply

    def run_classify(request: Any, timeout_ms: int) -> bytes:
        _check_spec(request)
        model = catalog.find(request.model_spec)
        return _bytes(inference.classify(model, request, check, growth, metrics=metrics, timeout_ms=timeout_ms))

    def run_regress(request: Any, timeout_ms: int) -> bytes:
        _check_spec(request)
        model = catalog.find(request.model_spec)
        return _bytes(inference.regress(model, request, check, growth, metrics=metrics, timeout_ms=timeout_ms))

    def run_inference(request: Any, timeout_ms: int) -> Any:
        spec = request.tasks[0].model_spec if request.tasks else declarations.message_class("ModelSpec")()
        return inference.infer(catalog.find(spec), request, check, growth, metrics=metrics, timeout_ms=timeout_ms)

    inference_request = declarations.message_class("InferenceRequest")
    return {
        "Predict": answer_predict,
        "Classify": _counted(inference_request, "Classify", metrics, run_classify),
        "Regress": _counted(inference_request, "Regress", metrics, run_regress),
        "MultiInference": _plain(declarations.message_class("MultiInferenceRequest"), run_inference),
    }


def _check_spec(request: Any) -> None:
    if not request.HasField("model_spec"):
        raise invalid("Missing ModelSpec")


def _bytes(message: Any) -> bytes:
    return bytes(message.SerializeToString())


def _parse(message: Any, content: bytes) -> Any:
    """Parse a request; invalid bytes are INTERNAL, as in gRPC's C++ library."""
    try:
        return message.FromString(content)
    except DecodeError as error:
        raise ServingError(f"Failed to parse {message.DESCRIPTOR.name}", "INTERNAL") from error


def _plain(message: Any, respond: Callable[[Any, int], Any]) -> Respond:
    return lambda content, timeout_ms: _bytes(respond(_parse(message, content), timeout_ms))


def _counted(message: Any, api: str, metrics: Metrics, respond: Callable[[Any, int], bytes]) -> Respond:
    def handle(content: bytes, timeout_ms: int) -> bytes:
        start = time.perf_counter()
        request = _parse(message, content)
        status = "INTERNAL"
        try:
            response = respond(request, timeout_ms)
            status = "OK"
        except ServingError as error:
            status = error.code
            raise
        finally:
            elapsed = (time.perf_counter() - start) * 1e6
            metrics.count_request(request.model_spec.name, status, api, "GRPC", elapsed)
        return response

    return handle


def _method(respond: Respond, pool: futures.ThreadPoolExecutor | None = None) -> Any:
    def handle(content: bytes, context: Any) -> bytes:
        seconds = context.time_remaining()
        try:
            if seconds <= 0:
                # It expired while it waited for a thread: do not run it.
                raise ServingError("Deadline Exceeded", "DEADLINE_EXCEEDED")
            return respond(content, 0 if seconds >= _NO_DEADLINE_SECONDS else max(1, int(seconds * 1000)))
        except ServingError as error:
            code, text = error.code, codes.truncated(str(error))
        except MemoryError:
            code, text = "RESOURCE_EXHAUSTED", "Out of memory"
        except Exception as error:  # noqa: BLE001 - the server must reply to every request
            _log.exception("Internal error while handling a request:")
            code, text = "INTERNAL", codes.truncated(f"{type(error).__name__}: {error}")
        context.set_code(grpc.StatusCode[code])
        context.set_details(text)
        return b""

    if pool is not None:
        handle.experimental_thread_pool = pool  # type: ignore[attr-defined]
    return grpc.unary_unary_rpc_method_handler(handle)
