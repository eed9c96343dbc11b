"""Read what a program wrote to a pseudo-terminal."""

import contextlib
import os


def read_terminal(terminal: int) -> str:
    """Return everything that was written to a terminal whose other end is closed, and close it."""
    parts = []
    # Reading a terminal at its end raises an error.
    with contextlib.suppress(OSError):
        while part := os.read(terminal, 65_536):
            parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()
