"""Ports of this machine for local servers."""

import socket


def find_port(host: str, port: int) -> int:
    """Return a port that a server can listen on.

    Args:
        host: Address to listen on.
        port: The wanted port; 0 for a free one.

    Raises:
        OSError: The port is taken, or the address is not one of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # A recently closed port counts as free, one with a listener does not.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
        return int(probe.getsockname()[1])
