"""Warm-up: a model's recorded requests run before it is available.

A TFRecord of PredictionLog in assets.extra/tf_serving_warmup_requests, at most 1000 of them; an error fails the
load. After tensorflow/serving's servables/tensorflow/saved_model_warmup{,_util}.cc.
"""

import logging
import os
import time
from typing import Any

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow.python.lib.io import _pywrap_record_io
from tensorflow_serving.apis import prediction_log_pb2

from tiffin.errors import ServingError
from tiffin.model_server import codes, inference, messages
from tiffin.model_server.codes import invalid
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Model
from tiffin.model_server.predict import evaluate

_log = logging.getLogger(__name__)
FILE = os.path.join("assets.extra", "tf_serving_warmup_requests")
MAX_RECORDS = 1000


def warm_up(model: Model, metrics: Metrics, iterations: int = 1, check_method: bool = False) -> int:
    """Run a model's warm-up requests.

    Args:
        model: The model.
        metrics: Takes the time it took.
        iterations: How often each request runs.
        check_method: Whether a signature's method_name must fit the request.

    Returns:
        How many records there were.

    Raises:
        ServingError: A record cannot be read or run, or there are too many.
    """
    path = os.path.join(model.path, FILE)
    if not tf.io.gfile.exists(path):
        _log.info("No warmup data file found at %s", path)
        return 0
    _log.info("Starting to read warmup data for model at %s", path)
    start = time.perf_counter()
    count = 0
    try:
        # What `tf_record_iterator` comes down to, without its warning that it is deprecated.
        for record in _pywrap_record_io.RecordIterator(path, ""):
            log = _parsed(record, path)
            for _ in range(max(1, iterations)):
                _run(model, log, check_method)
            count += 1
            if count > MAX_RECORDS:
                raise invalid(f"Number of warmup records exceeds the maximum ({MAX_RECORDS}) at {path}")
    except tf.errors.DataLossError as error:
        text = f"{error.message}. Please verify your warmup data is in TFRecord format."
        _record(metrics, model, f"DATA_LOSS: {error.message}", start, count)
        raise ServingError(text, "DATA_LOSS") from error
    except tf.errors.OpError as error:
        raise codes.from_tensorflow(error) from error
    _record(metrics, model, "OK", start, count)
    _log.info("Finished reading warmup data for model at %s. Number of warmup records read: %d.", path, count)
    return count


def _parsed(record: bytes, path: str) -> Any:
    try:
        return prediction_log_pb2.PredictionLog.FromString(record)
    except DecodeError as error:
        shown = record.decode(errors="replace")
        raise invalid(f"Failed to parse warmup record: {shown} from {path}") from error


def _run(model: Model, log: Any, check_method: bool) -> None:
    kind = log.WhichOneof("log_type")
    if kind == "predict_log":
        evaluate(model, log.predict_log.request, check_method)
    elif kind == "classify_log":
        inference.classify(model, _request("InferenceRequest", log.classify_log), check_method)
    elif kind == "regress_log":
        inference.regress(model, _request("InferenceRequest", log.regress_log), check_method)
    elif kind == "multi_inference_log":
        inference.infer(model, _request("MultiInferenceRequest", log.multi_inference_log), check_method)
    elif kind is not None:
        number = log.DESCRIPTOR.fields_by_name[kind].number
        raise ServingError(f"Unsupported log_type for warmup: {number}", "UNIMPLEMENTED")


def _request(name: str, log: Any) -> Any:
    return messages.message_class(name).FromString(log.request.SerializeToString())


def _record(metrics: Metrics, model: Model, status: str, start: float, count: int) -> None:
    metrics.observe("model_warmup_latency", (model.path, status), (time.perf_counter() - start) * 1e6)
    metrics.count("model_warmup_records_read", (model.path, status), count)
