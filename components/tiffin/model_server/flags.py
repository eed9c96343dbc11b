"""The command line of `tensorflow_model_server`, limited to flags useful in development, plus a few flags of Tiffin.

The flags, defaults and texts are those of tensorflow/serving's model_servers/main.cc. Parsing follows tensorflow's
tsl/util/command_line_flags.cc: `--flag=value` or `-flag=value`; a bare `--flag` is true; an invalid value prints the usage
and ends the server; an unknown flag is printed and ignored.
"""

import dataclasses
import os
import re
import types
from collections.abc import Callable
from typing import Any

from tiffin.model_server.codes import invalid

CPUS = len(os.sched_getaffinity(0))


@dataclasses.dataclass(frozen=True)
class Flag:
    """One flag.

    Attributes:
        name: Name without dashes.
        default: Default, which also determines the type.
        text: Description in the usage.
    """

    name: str
    default: Any
    text: str


FLAGS = (
    Flag("port", 8500, "TCP port to listen on for gRPC/HTTP API. Disabled if port set to zero."),
    Flag("grpc_socket_path", "", "If non-empty, listen to a UNIX socket for gRPC API on the given path."),
    Flag("rest_api_port", 0, "Port to listen on for HTTP/REST API. If set to zero it will not be exported."),
    Flag("rest_api_num_threads", 4 * CPUS, "Number of threads for HTTP/REST API processing."),
    Flag("rest_api_timeout_in_ms", 30000, "Timeout for HTTP/REST API calls."),
    Flag("rest_api_enable_cors_support", False, "Enable CORS headers in response."),
    Flag("enable_batching", False, "Enable batching."),
    Flag(
        "allow_version_labels_for_unavailable_models",
        False,
        "If true, allows assigning unused version labels to models that are not available yet.",
    ),
    Flag("batching_parameters_file", "", "If non-empty, read an ascii BatchingParameters protobuf from this file."),
    Flag("model_config_file", "", "If non-empty, read an ascii ModelServerConfig protobuf from this file."),
    Flag(
        "model_config_file_poll_wait_seconds",
        0,
        "Interval in seconds between polls of model_config_file. Zero: read exactly once.",
    ),
    Flag("model_name", "default", "Name of model (ignored if --model_config_file flag is set)."),
    Flag("model_base_path", "", "Path to export (ignored if --model_config_file is set, otherwise required)."),
    Flag("num_load_threads", 0, "Threads that load servables. 0: loads happen one after another."),
    Flag("num_unload_threads", 0, "Threads that unload servables. 0: unloads happen one after another."),
    Flag("max_num_load_retries", 5, "Times a load is retried after the first failure, before giving up."),
    Flag("load_retry_interval_micros", 60_000_000, "Microseconds between load retries. Negative: no wait."),
    Flag(
        "file_system_poll_wait_seconds",
        1,
        "Interval in seconds between polls for new versions. Zero: once. Negative: never.",
    ),
    Flag("tensorflow_session_parallelism", 0, "Threads for running a session. Auto-configured by default."),
    Flag("tensorflow_intra_op_parallelism", 0, "Threads that parallelize an individual op."),
    Flag("tensorflow_inter_op_parallelism", 0, "Operators that can be executed simultaneously."),
    Flag("ssl_config_file", "", "If non-empty, read an ascii SSLConfig protobuf from this file."),
    Flag("saved_model_tags", "serve", "Comma-separated set of tags of the meta graph def to load."),
    Flag("grpc_channel_arguments", "", "A comma separated list of arguments to be passed to the grpc server."),
    Flag("grpc_max_threads", 4 * CPUS, "Max grpc server threads to handle grpc messages."),
    Flag("enable_model_warmup", True, "Run the model's warm-up requests at load time."),
    Flag("num_request_iterations_for_warmup", 0, "Times a request is run during warm-up, if > 0."),
    Flag("version", False, "Display version."),
    Flag("monitoring_config_file", "", "If non-empty, read an ascii MonitoringConfig protobuf from this file."),
    Flag("enable_signature_method_name_check", False, "Enable method_name check for SignatureDef."),
    Flag("xla_cpu_compilation_enabled", False, "Enable XLA:CPU JIT."),
    Flag("xla_gpu_compilation_enabled", False, "Enable XLA:CPU JIT and XLA:GPU JIT."),
    Flag("enable_grpc_healthcheck_service", False, "Enable the standard gRPC healthcheck service."),
    Flag("enable_serialization_as_tensor_content", False, "Serialize predict responses as tensor content."),
    # Tiffin's own flags. The default host is loopback, since this server is for development; TF Serving's is 0.0.0.0.
    Flag(
        "allow_reload_config",
        False,
        "Tiffin: allow HandleReloadConfigRequest, with which every client can load any SavedModel as the server's user.",
    ),
    Flag(
        "max_request_growth_bytes",
        16 << 20,
        "Tiffin: bytes by which a request may grow when it is decoded: values that fill a tensor's declared shape, the "
        "context of each example, and a decompressed body.",
    ),
    Flag("host", "127.0.0.1", "Tiffin: address to listen on."),
    Flag(
        "poll_wait_millis",
        0,
        "Tiffin: if positive, interval in milliseconds that replaces positive *_poll_wait_seconds.",
    ),
)


_POLLS = ("model_config_file_poll_wait_seconds", "file_system_poll_wait_seconds")
_INT64 = frozenset(
    (
        "load_retry_interval_micros",
        "max_request_growth_bytes",
        "tensorflow_session_parallelism",
        "tensorflow_intra_op_parallelism",
        "tensorflow_inter_op_parallelism",
    )
)


def parse(argv: list[str]) -> tuple[Any, list[str], list[str]]:
    """Parse a command line.

    Args:
        argv: Arguments without the program's name.

    Returns:
        The options, with the value of each flag under its name and the names of the flags present in `given`; the unknown
        arguments; one message for each invalid value.
    """
    values = {flag.name: flag.default for flag in FLAGS}
    known = {flag.name: flag for flag in FLAGS}
    given, unknown, wrong = [], [], []
    for argument in argv:
        name, equals, value = argument.removeprefix("-").removeprefix("-").partition("=")
        flag = known.get(name)
        if not argument.startswith("-") or flag is None or (not equals and not isinstance(flag.default, bool)):
            unknown.append(argument)
            continue
        try:
            values[name] = _reader(flag)(value) if equals else True
            given.append(name)
        except ValueError:
            wrong.append(f"Couldn't interpret value {value} for flag {name}.")
    for name in _POLLS:
        if values[name] > 0 and values["poll_wait_millis"] > 0:
            values[name] = values["poll_wait_millis"] / 1000
    return types.SimpleNamespace(**values, given=frozenset(given)), unknown, wrong


def address(host: str, port: int) -> str:
    """Return `host:port`; an IPv6 host is put in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check(options: Any) -> None:
    """Check that the flags do not contradict one another.

    Raises:
        ServingError: Flags are missing or contradict one another.
    """
    if options.port == 0 and not options.grpc_socket_path:
        raise invalid("At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.")
    if not options.model_base_path and not options.model_config_file:
        raise invalid("Both server_options.model_base_path and server_options.model_config_file are empty!")
    if options.batching_parameters_file and not options.enable_batching:
        raise invalid(
            "server_options.batching_parameters_file is set without setting server_options.enable_batching to true."
        )
    if options.max_request_growth_bytes < 0:
        raise invalid(f"max_request_growth_bytes must be non-negative; was {options.max_request_growth_bytes}")
    parallelism = (
        options.tensorflow_intra_op_parallelism,
        options.tensorflow_inter_op_parallelism,
        options.tensorflow_session_parallelism,
    )
    if min(parallelism) > 0:
        raise invalid(
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all."
        )


def usage(program: str) -> str:
    """Return the list of flags, in TF Serving's format."""
    lines = [f"\t{'--' + flag.name + '=' + _shown(flag.default):<48}\t{_kind(flag)}\t{flag.text}" for flag in FLAGS]
    return "\n".join([f"usage: {program}", "Flags:", *lines, ""])


def _shown(default: Any) -> str:
    return f'"{default}"' if isinstance(default, str) else str(default).lower()


def _kind(flag: Flag) -> str:
    kinds = {bool: "bool", int: "int32", str: "string"}
    return "int64" if flag.name in _INT64 else kinds[type(flag.default)]


def _reader(flag: Flag) -> Callable[[str], Any]:
    readers: dict[str, Callable[[str], Any]] = {
        "bool": _read_bool,
        "int32": lambda value: read_int(value, 32),
        "int64": lambda value: read_int(value, 64),
        "string": str,
    }
    return readers[_kind(flag)]


def read_int(value: str, bits: int) -> int:
    """Parse a signed integer, more strictly than int(), which accepts underscores.

    Args:
        value: Text to parse.
        bits: Number of bits the integer must fit in.

    Raises:
        ValueError: The text is not an integer, or does not fit.
    """
    if not re.fullmatch(r"\s*[+-]?[0-9]+", value) or not -(1 << bits - 1) <= int(value) < 1 << bits - 1:
        raise ValueError(value)
    return int(value)


def _read_bool(value: str) -> bool:
    if value.lower() not in ("true", "1", "false", "0"):
        raise ValueError(value)
    return value.lower() in ("true", "1")
