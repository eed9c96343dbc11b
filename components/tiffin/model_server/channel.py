"""Messages between the owner of the model state and the processes that serve: one JSON object a line."""

import json
import socket
import threading
from collections.abc import Iterator
from typing import Any


class Channel:
    """One end of a pair of sockets; any thread may send."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end
        self._buffer = bytearray()
        self._lock = threading.Lock()

    def send(self, **message: Any) -> None:
        """Send a message; one to a process that is gone is dropped."""
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self.socket.sendall(line)
            except OSError:
                return

    def receive(self) -> list[dict[str, Any]] | None:
        """Return the messages that have come, after waiting for some; None at the end."""
        try:
            content = self.socket.recv(1 << 20)
        except ConnectionError:
            return None
        if not content:
            return None
        self._buffer += content
        *lines, rest = self._buffer.split(b"\n")
        self._buffer = bytearray(rest)
        return [json.loads(line) for line in lines]

    def messages(self) -> Iterator[dict[str, Any]]:
        """Yield messages until the other end is gone."""
        while (batch := self.receive()) is not None:
            yield from batch

    def close(self) -> None:
        """Close this end."""
        self.socket.close()


def pair() -> tuple[Channel, Channel]:
    """Return two connected ends."""
    one, other = socket.socketpair()
    return Channel(one), Channel(other)
