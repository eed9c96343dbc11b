"""Configuration files in protobuf's text format, and the validation of model configurations.

The rules and messages are those of tensorflow/serving's model_servers/server_core.cc. BatchingParameters,
SSLConfig and MonitoringConfig are not in the `tensorflow-serving-api` wheel; `declarations` has them.
"""

import logging
import os
import sys
from typing import Any

import tensorflow as tf
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tiffin.errors import ServingError
from tiffin.model_server import codes
from tiffin.model_server.codes import invalid
from tiffin.model_server.states import Board

_log = logging.getLogger(__name__)
CPUS = len(os.sched_getaffinity(0))
PLATFORM = "tensorflow"


def new_config() -> Any:
    """Return an empty ModelServerConfig."""
    return model_server_config_pb2.ModelServerConfig()


def single_model(name: str, base_path: str) -> Any:
    """Return the configuration for --model_name and --model_base_path."""
    _log.info("Building single TensorFlow model file config:  model_name: %s model_base_path: %s", name, base_path)
    config = new_config()
    config.model_config_list.config.add(name=name, base_path=base_path, model_platform=PLATFORM)
    return config


def read_text(path: str, message: Any) -> Any:
    """Parse a text-format file into a message and return it, as util/proto_util.h `ParseProtoTextFile` does.

    Raises:
        ServingError: The file cannot be read (such as NOT_FOUND) or parsed (INVALID_ARGUMENT).
    """
    content = read_bytes(path)
    try:
        return text_format.Parse(content, message)
    except (text_format.ParseError, UnicodeDecodeError) as error:
        # libprotobuf itself writes this line, at any log level.
        sys.stderr.write(f"Error parsing text-format {message.DESCRIPTOR.full_name}: {error}\n")
        sys.stderr.flush()
        raise invalid(f"Invalid protobuf file: '{path}'") from error


def read_bytes(path: str) -> bytes:
    """Return the content of a file on any file system that TensorFlow supports.

    Raises:
        ServingError: The file cannot be read.
    """
    try:
        return bytes(tf.io.gfile.GFile(path, "rb").read())
    except tf.errors.OpError as error:
        raise codes.from_tensorflow(error) from error


def check_transition(old: Any, new: Any) -> bool:
    """Check whether a configuration may replace the current one.

    Returns:
        Whether to apply the new configuration: False if it is empty, which is allowed before any other was applied.

    Raises:
        ServingError: The new configuration or the transition is invalid.
    """
    before, after = old.WhichOneof("config"), new.WhichOneof("config")
    if not (before is None or old == new or before == after == "model_config_list"):
        _log.error(
            "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to another."
        )
        raise ServingError(
            "Cannot transition to requested config. It is only legal to transition from one ModelConfigList to "
            "another.",
            "FAILED_PRECONDITION",
        )
    if after is None:
        _log.info("Taking no action for empty config.")
        return False
    if after == "custom_model_config":
        raise ServingError("ModelServer does not yet support custom model config.", "UNIMPLEMENTED")
    _check_models(new.model_config_list.config)
    platforms = {model.name: _platform(model) for model in old.model_config_list.config}
    for model in new.model_config_list.config:
        platform = _platform(model) if platforms else ""
        if platforms.get(model.name, platform) != platform:
            raise invalid(
                f"Illegal to change a model's platform. For model {model.name} platform was "
                f"{platforms[model.name]} and new platform requested is {platform}"
            )
    return True


def check_platforms(config: Any) -> None:
    """Check that the platform of each model is `tensorflow`.

    Raises:
        ServingError: A model has another platform.
    """
    for model in config.model_config_list.config:
        platform = _platform(model)
        if platform != PLATFORM:
            raise invalid(f"Model {model.name} requests unsupported platform {platform}")


def check_logging(config: Any) -> None:
    """Check that no model requests logging, which the stock binary does not support either.

    Raises:
        ServingError: A model has a logging_config.
    """
    if any(model.HasField("logging_config") for model in config.model_config_list.config):
        raise invalid("No request-logger-creator provided.")


def assign_labels(config: Any, board: Board, allow_unavailable: bool) -> dict[str, dict[str, int]]:
    """Return the labels of a configuration: model -> label -> version.

    Args:
        config: The new configuration.
        board: The current states and labels.
        allow_unavailable: Allow an unavailable version for a label that is new or unchanged.

    Raises:
        ServingError: A label names a version that is not available.
    """
    labels: dict[str, dict[str, int]] = {}
    for model in config.model_config_list.config:
        for label, version in model.version_labels.items():
            moves = board.labels.get(model.name, {}).get(label, version) != version
            if not board.is_available(model.name, version) and (moves or not allow_unavailable):
                raise ServingError(
                    f"Request to assign label to version {version} of model {model.name}, which is not currently "
                    "available for inference",
                    "FAILED_PRECONDITION",
                )
            labels.setdefault(model.name, {})[label] = version
    return labels


def _check_models(models: Any) -> None:
    seen = set()
    for model in models:
        if model.name in seen:
            raise invalid(f"Illegal to list model {model.name} multiple times in config list")
        seen.add(model.name)
    for model in models:
        if "://" not in model.base_path and not model.base_path.startswith("/"):
            raise invalid(
                f"Expected model {model.name} to have an absolute path or URI; got base_path()={model.base_path}"
            )


def _platform(model: Any) -> str:
    settings = "ModelServerConfig::model_type (deprecated)"
    if model.model_type:
        _log.warning("Deprecated ModelServerConfig::model_type field used. Prefer ModelServerConfig::model_platform.")
        if model.model_platform:
            raise invalid(
                f"Illegal setting both {settings} and ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise invalid(f"ModelServerConfig::model_type choice {model.model_type} not supported.")
        return PLATFORM
    if not model.model_platform:
        raise invalid(
            f"Illegal setting neither {settings} nor ModelServerConfig::model_platform, model name is {model.name}"
        )
    return str(model.model_platform)
