"""Envoy's access log service: takes the entries of each stream, and never makes a stream wait."""

from collections.abc import Iterator
from concurrent import futures
from typing import Any, NamedTuple

import grpc
from envoy.service.accesslog.v3 import als_pb2

from tiffin.errors import ServingError
from tiffin.recorder.inbox import Inbox
from tiffin.recorder.metrics import Metrics

# Each worker of each Envoy has one stream, which lasts, and takes a thread that mostly sleeps.
_STREAMS = 256
_MESSAGE_BYTES = 64 << 20
_SERVICE = "envoy.service.accesslog.v3.AccessLogService"


class _Message(NamedTuple):
    entries: Any
    size_bytes: int


def _parse(content: bytes) -> _Message:
    return _Message(als_pb2.StreamAccessLogsMessage.FromString(content).http_logs.log_entry, len(content))


def start(address: str, inbox: Inbox, metrics: Metrics) -> tuple[Any, int]:
    """Start the gRPC server.

    Args:
        address: `host:port`; a free port if it is 0.
        inbox: Takes the entries.
        metrics: Counts the entries that do not fit.

    Returns:
        The server and its port.

    Raises:
        ServingError: The port cannot be opened.
    """

    def receive(messages: Iterator[_Message], _context: Any) -> Any:
        for message in messages:
            if dropped := inbox.put(message.entries, message.size_bytes):
                metrics.drop({"queue": dropped})
        return als_pb2.StreamAccessLogsResponse()

    method = grpc.stream_unary_rpc_method_handler(receive, _parse, als_pb2.StreamAccessLogsResponse.SerializeToString)
    server = grpc.server(
        futures.ThreadPoolExecutor(_STREAMS, "stream"),
        handlers=[grpc.method_handlers_generic_handler(_SERVICE, {"StreamAccessLogs": method})],
        options=[("grpc.max_receive_message_length", _MESSAGE_BYTES), ("grpc.so_reuseport", 0)],
        # More would wait for a thread without an answer.
        maximum_concurrent_rpcs=_STREAMS,
    )
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise ServingError(f"Could not open {address}: {error}. Choose another port.", "UNAVAILABLE") from None
    server.start()
    return server, int(port)
