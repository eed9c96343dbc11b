"""Messages that the `tensorflow-serving-api` wheel lacks or declares differently, in a descriptor pool of their own.

The fields are those of tensorflow/serving's servables/tensorflow/session_bundle_config.proto (BatchingParameters),
config/ssl_config.proto, config/monitoring_config.proto and apis/internal/serialized_input.proto.
The request messages keep each tf.Example as bytes; TF Serving parses them lazily, too.
"""

import functools
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2
from tensorflow_serving.apis import model_pb2

_FLOAT, _INT64, _INT32, _BOOL, _STRING, _BYTES = 2, 3, 5, 8, 9, 12
_PACKAGE = "tensorflow.serving"

# message -> fields as (name, number, type: a scalar's number or a message's name, repeated)
_MESSAGES: dict[str, tuple[tuple[str, int, int | str, bool], ...]] = {
    "BatchingParameters": (
        ("max_batch_size", 1, "google.protobuf.Int64Value", False),
        ("batch_timeout_micros", 2, "google.protobuf.Int64Value", False),
        ("max_enqueued_batches", 3, "google.protobuf.Int64Value", False),
        ("num_batch_threads", 4, "google.protobuf.Int64Value", False),
        ("thread_pool_name", 5, "google.protobuf.StringValue", False),
        ("allowed_batch_sizes", 6, _INT64, True),
        ("pad_variable_length_inputs", 7, _BOOL, False),
        ("enable_large_batch_splitting", 8, "google.protobuf.BoolValue", False),
        ("max_execution_batch_size", 9, "google.protobuf.Int64Value", False),
    ),
    "SSLConfig": (
        ("server_key", 1, _STRING, False),
        ("server_cert", 2, _STRING, False),
        ("custom_ca", 3, _STRING, False),
        ("client_verify", 4, _BOOL, False),
    ),
    "PrometheusConfig": (("enable", 1, _BOOL, False), ("path", 2, _STRING, False)),
    "MonitoringConfig": (("prometheus_config", 1, f"{_PACKAGE}.PrometheusConfig", False),),
    "ExampleList": (("examples", 1, _BYTES, True),),
    "ExampleListWithContext": (("examples", 1, _BYTES, True), ("context", 2, _BYTES, False)),
    "Input": (
        ("example_list", 1, f"{_PACKAGE}.ExampleList", False),
        ("example_list_with_context", 2, f"{_PACKAGE}.ExampleListWithContext", False),
    ),
    # Messages that `plans` keeps partly as bytes: packed numbers, and messages used as dictionary keys.
    "TensorBytes": (
        ("dtype", 1, _INT32, False),
        ("tensor_shape", 2, _BYTES, False),
        ("tensor_content", 4, _BYTES, False),
        ("float_val", 5, _BYTES, False),
        ("double_val", 6, _BYTES, False),
    ),
    "InputBytes": (("key", 1, _STRING, False), ("value", 2, _BYTES, False)),
    "PredictBytes": (
        ("model_spec", 1, _BYTES, False),
        ("inputs", 2, f"{_PACKAGE}.InputBytes", True),
        ("output_filter", 3, _STRING, True),
    ),
    # Request of both Classify and Regress.
    "InferenceRequest": (
        ("model_spec", 1, f"{_PACKAGE}.ModelSpec", False),
        ("input", 2, f"{_PACKAGE}.Input", False),
    ),
    # Labels are bytes: C++ writes the model's output as it is, whereas Python's messages reject invalid UTF-8.
    "Class": (("label", 1, _BYTES, False), ("score", 2, _FLOAT, False)),
    "Classifications": (("classes", 1, f"{_PACKAGE}.Class", True),),
    "ClassificationResult": (("classifications", 1, f"{_PACKAGE}.Classifications", True),),
    "ClassificationResponse": (
        ("result", 1, f"{_PACKAGE}.ClassificationResult", False),
        ("model_spec", 2, f"{_PACKAGE}.ModelSpec", False),
    ),
    "Regression": (("value", 1, _FLOAT, False),),
    "RegressionResult": (("regressions", 1, f"{_PACKAGE}.Regression", True),),
    "RegressionResponse": (
        ("result", 1, f"{_PACKAGE}.RegressionResult", False),
        ("model_spec", 2, f"{_PACKAGE}.ModelSpec", False),
    ),
    "InferenceResult": (
        ("model_spec", 1, f"{_PACKAGE}.ModelSpec", False),
        ("classification_result", 2, f"{_PACKAGE}.ClassificationResult", False),
        ("regression_result", 3, f"{_PACKAGE}.RegressionResult", False),
    ),
    "MultiInferenceResponse": (("results", 1, f"{_PACKAGE}.InferenceResult", True),),
    "InferenceTask": (
        ("model_spec", 1, f"{_PACKAGE}.ModelSpec", False),
        ("method_name", 2, _STRING, False),
    ),
    "MultiInferenceRequest": (
        ("tasks", 1, f"{_PACKAGE}.InferenceTask", True),
        ("input", 2, f"{_PACKAGE}.Input", False),
    ),
}
_ONEOFS = {"Input": "kind"}


@functools.cache
def message_class(name: str) -> Any:
    """Return the class of a message declared above, or of `ModelSpec` in the same pool."""
    return message_factory.GetMessageClass(_pool().FindMessageTypeByName(f"{_PACKAGE}.{name}"))


def tensor(content: bytes) -> Any:
    """Parse a TensorProto.

    Raises:
        ValueError: The content is invalid.
    """
    return _parsed(tensor_pb2.TensorProto, content)


def tensor_shape(content: bytes) -> Any:
    """Parse a TensorShapeProto.

    Raises:
        ValueError: The content is invalid.
    """
    return _parsed(tensor_shape_pb2.TensorShapeProto, content)


def _parsed(message: Any, content: bytes) -> Any:
    try:
        return message.FromString(content)
    except DecodeError as error:
        raise ValueError(message.DESCRIPTOR.name) from error


@functools.cache
def _pool() -> descriptor_pool.DescriptorPool:
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(model_pb2.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="tiffin/server.proto", package=_PACKAGE, syntax="proto3")
    file.dependency.extend([wrappers_pb2.DESCRIPTOR.name, model_pb2.DESCRIPTOR.name])
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONEOFS:
            message.oneof_decl.add(name=_ONEOFS[name])
        for field_name, number, kind, repeated in fields:
            typed: dict[str, Any] = {"type": 11, "type_name": f".{kind}"} if isinstance(kind, str) else {"type": kind}
            field = message.field.add(name=field_name, number=number, label=3 if repeated else 1, **typed)
            if name in _ONEOFS:
                field.oneof_index = 0
    pool.Add(file)
    return pool
