"""A recorder that only keeps what Envoy sends to it."""

import base64
import contextlib
from collections.abc import Iterator
from concurrent import futures
from typing import Any

import grpc
from envoy.service.accesslog.v3 import als_pb2, als_pb2_grpc

from support.waiting import free_port


class Kept(als_pb2_grpc.AccessLogServiceServicer):  # type: ignore[misc]
    """The entries so far."""

    def __init__(self) -> None:
        self.address = f"127.0.0.1:{free_port()}"
        self.entries: list[Any] = []

    def StreamAccessLogs(self, messages: Iterator[Any], _context: Any) -> Any:  # noqa: N802 - the name of the call
        for message in messages:
            self.entries += message.http_logs.log_entry
        return als_pb2.StreamAccessLogsResponse()

    @contextlib.contextmanager
    def running(self) -> Iterator["Kept"]:
        server = grpc.server(futures.ThreadPoolExecutor(4))
        als_pb2_grpc.add_AccessLogServiceServicer_to_server(self, server)
        assert server.add_insecure_port(self.address)
        server.start()
        try:
            yield self
        finally:
            server.stop(0).wait()

    def of(self, identifier: str) -> list[Any]:
        """Return the entries with a request ID."""
        return [entry for entry in self.entries if entry.request.request_id == identifier]


def body_of(entry: Any, name: str) -> bytes | None:
    """Return the body `request` or `response` of an entry, without gRPC's frame; None if the entry has none."""
    fields = entry.common_properties.metadata.filter_metadata["tiffin"].fields
    if name not in fields:
        return None
    content = base64.b64decode(fields[name].string_value, validate=True)
    is_grpc = entry.request.request_headers.get("content-type") == "application/grpc"
    return content[5:] if is_grpc else content
