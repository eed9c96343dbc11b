"""What surrounds a command: standard streams that are closed or cannot be written any more, and signals that end it."""

import contextlib
import os
import signal
import sys
from typing import Any, TextIO

from tiffin.printing import printable_lines


def open_closed_streams() -> None:
    """Open standard streams that are closed on /dev/null; otherwise the next file that is opened would become one."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            file = os.open(os.devnull, os.O_RDWR)
            if file == number:
                os.set_inheritable(file, True)
            else:
                os.dup2(file, number)
                os.close(file)
            setattr(sys, name, os.fdopen(number, "r" if name == "stdin" else "w", closefd=False))


def end_on_signals() -> None:
    """Make SIGTERM, and SIGHUP unless `nohup` made it ignored, end the command as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def discard(stream: TextIO) -> None:
    """Redirect a stream to /dev/null, with the text in its buffer, which Python writes when it exits."""
    with contextlib.suppress(OSError, ValueError):
        file = os.open(os.devnull, os.O_WRONLY)
        os.dup2(file, stream.fileno())
        os.close(file)


def report(text: str) -> None:
    """Write text to standard error, if possible, with its control characters escaped."""
    try:
        sys.stderr.write(printable_lines(text))
        sys.stderr.flush()
    except (OSError, ValueError):
        discard(sys.stderr)


class Progress:
    """A stream for progress that never fails, since a run must not depend on its reader.

    The text is discarded once the pipe is closed, as in `tiffin run ... | head -1`, or the disk is full, with a warning on
    standard error in the latter case.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text."""
        self._try(lambda: self._stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Write the buffer."""
        self._try(self._stream.flush)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the stream itself, such as its encoding."""
        return getattr(self._stream, name)

    def _try(self, action: Any) -> None:
        try:
            action()
        except BrokenPipeError:
            discard(self._stream)
        except OSError as error:
            discard(self._stream)
            report(f"warning: Could not write the progress: {error.strerror}. The run continues.\n")
