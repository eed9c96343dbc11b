"""Loads a version: the SavedModel, then its warm-up requests.

Warm-up requests are a TFRecord of at most 1000 PredictionLogs in assets.extra/tf_serving_warmup_requests. They run before
the version is available, and an error fails the load. Follows tensorflow/serving's
servables/tensorflow/saved_model_warmup{,_util}.cc.
"""

import logging
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import config_pb2
from tensorflow.python.lib.io import _pywrap_record_io
from tensorflow_serving.apis import prediction_log_pb2

from tiffin.errors import ServingError
from tiffin.model_server import batches, batching, codes, declarations, inference
from tiffin.model_server.codes import invalid
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Model
from tiffin.model_server.predict import evaluate

_log = logging.getLogger(__name__)
_RECORDED = os.path.join("assets.extra", "tf_serving_warmup_requests")
_MAX_RECORDS = 1000
_BATCH_GROWTH = 16
_SWITCH_SECONDS = 0.00005


def loader(options: Any, metrics: Metrics) -> Callable[[str, int, str], Model]:
    """Return the function that loads a version: (model, version, directory) -> Model.

    Args:
        options: The flags.
        metrics: Metrics to record loads in.

    Raises:
        ServingError: The batching parameters cannot be read, or num_batch_threads is not positive.
    """
    config = session_config(options)
    scheduler = None
    if options.enable_batching:
        # Images of the usual size, filled up to a batch of 64, grow by more than a single request may.
        growth = _BATCH_GROWTH * options.max_request_growth_bytes
        scheduler = batching.Scheduler(batches.message(options), metrics, growth)

    give_way = _GiveWay()

    def load(name: str, version: int, path: str) -> Model:
        with give_way:
            return load_now(name, version, path)

    def load_now(name: str, version: int, path: str) -> Model:
        start = time.perf_counter()
        try:
            model = Model(name, version, path, options, config, scheduler)
        except ServingError:
            metrics.count("load_attempt_count", (path, "fail"))
            raise
        metrics.count("load_attempt_count", (path, "success"))
        metrics.count("load_latency", (path,), round((time.perf_counter() - start) * 1e6))
        if options.enable_model_warmup:
            try:
                warm_up(
                    model,
                    metrics,
                    options.num_request_iterations_for_warmup,
                    options.enable_signature_method_name_check,
                    options.max_request_growth_bytes,
                )
            except BaseException:
                model.closer()()
                raise
        return model

    return load


class _GiveWay:
    """A context in which threads of requests need not wait long for Python's lock.

    A thread that is busy in Python, as a load is, gives the lock to others after 5 ms. A request needs it several times, so
    300 requests per second would wait for the whole load.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loads = 0
        self._usual_seconds = sys.getswitchinterval()

    def __enter__(self) -> None:
        with self._lock:
            self._loads += 1
            sys.setswitchinterval(_SWITCH_SECONDS)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._loads -= 1
            if not self._loads:
                sys.setswitchinterval(self._usual_seconds)


def session_config(options: Any) -> Any:
    """Return the session's ConfigProto for the flags (model_servers/server.cc, `BuildAndStart`)."""
    intra, inter = options.tensorflow_intra_op_parallelism, options.tensorflow_inter_op_parallelism
    if max(intra, inter) <= 0:
        intra = inter = options.tensorflow_session_parallelism
    return config_pb2.ConfigProto(intra_op_parallelism_threads=intra, inter_op_parallelism_threads=inter)


def warm_up(
    model: Model, metrics: Metrics, iterations: int = 1, check_method: bool = False, growth: float = math.inf
) -> int:
    """Run a model's warm-up requests.

    Args:
        model: The model.
        metrics: Metrics to record the latency in.
        iterations: Number of runs per request.
        check_method: Require the signature's method_name to match the request.
        growth: Bytes by which a request may grow. Defaults to no limit.

    Returns:
        Number of records.

    Raises:
        ServingError: A record cannot be read or run, or there are more than 1000.
    """
    path = os.path.join(model.path, _RECORDED)
    if not tf.io.gfile.exists(path):
        _log.info("No warmup data file found at %s", path)
        return 0
    _log.info("Starting to read warmup data for model at %s", path)
    start = time.perf_counter()
    count = 0

    def record(status: str) -> None:
        metrics.observe("model_warmup_latency", (model.path, status), (time.perf_counter() - start) * 1e6)
        metrics.count("model_warmup_records_read", (model.path, status), count)

    try:
        # The implementation of `tf_record_iterator`, without its deprecation warning.
        for content in _pywrap_record_io.RecordIterator(path, ""):
            log = _parsed(content, path)
            for _ in range(max(1, iterations)):
                _run(model, log, check_method, growth)
            count += 1
            if count > _MAX_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({_MAX_RECORDS}) at {path}")
    except tf.errors.DataLossError as error:
        record(f"DATA_LOSS: {error.message}")
        text = f"{error.message}. Please verify your warmup data is in TFRecord format."
        raise ServingError(text, "DATA_LOSS") from error
    except tf.errors.OpError as error:
        raise codes.from_tensorflow(error) from error
    record("OK")
    _log.info("Finished reading warmup data for model at %s. Number of warmup records read: %d.", path, count)
    return count


def _parsed(content: bytes, path: str) -> Any:
    try:
        return prediction_log_pb2.PredictionLog.FromString(content)
    except DecodeError as error:
        shown = content.decode(errors="replace")
        raise invalid(f"Failed to parse warmup record: {shown} from {path}") from error


def _run(model: Model, log: Any, check_method: bool, growth: float) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        evaluate(model, log.predict_log.request, check_method, growth)
    elif kind == "classify_log":
        inference.classify(model, _request("InferenceRequest", log.classify_log), check_method, growth)
    elif kind == "regress_log":
        inference.regress(model, _request("InferenceRequest", log.regress_log), check_method, growth)
    elif kind == "multi_inference_log":
        inference.infer(model, _request("MultiInferenceRequest", log.multi_inference_log), check_method, growth)
    elif kind is not None:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(f"Unsupported log_type for warmup: {number}", "UNIMPLEMENTED")


def _request(name: str, log: Any) -> Any:
    return declarations.message_class(name).FromString(log.request.SerializeToString())
