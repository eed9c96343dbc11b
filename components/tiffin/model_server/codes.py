"""Status codes by name: their numbers in gRPC and TensorFlow, their HTTP codes, and errors with these codes."""

import time
from collections.abc import Callable
from typing import Any

from tiffin.errors import ServingError

NAMES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
NUMBERS = {name: number for number, name in enumerate(NAMES)}

# model_servers/http_server.cc, `ToHTTPStatusCode`; everything else is 500.
HTTP = {
    "OK": 200,
    "CANCELLED": 499,
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "OUT_OF_RANGE": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "ABORTED": 409,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

_LIMIT = 1024


def truncated(text: str) -> str:
    """Return a message truncated to 1024 bytes, as in gRPC statuses (model_servers/grpc_status_util.cc)."""
    content = text.encode(errors="replace")
    # An incomplete character at the cut becomes U+FFFD, as clients decode it.
    return content[:_LIMIT].decode(errors="replace") + "...TRUNCATED" if len(content) > _LIMIT else text


def invalid(text: str) -> ServingError:
    """Return an INVALID_ARGUMENT error."""
    return ServingError(text, "INVALID_ARGUMENT")


def from_tensorflow(error: Any) -> ServingError:
    """Return a TensorFlow error as a ServingError with its code and message."""
    code = NAMES[error.error_code] if 0 < error.error_code < len(NAMES) else "UNKNOWN"
    return ServingError(str(error.message), code)


def from_run(error: Any) -> ServingError:
    """Return the error of a session's run as a ServingError.

    Args:
        error: An OpError; or a UnicodeDecodeError, which TensorFlow raises instead if the message quotes bytes of the
            request that are not UTF-8. It contains the message, but not the code.
    """
    if isinstance(error, UnicodeDecodeError):
        return invalid(bytes(error.object).decode(errors="replace"))
    return from_tensorflow(error)


def time_limit(timeout_ms: int) -> Callable[[], None]:
    """Return a function that raises DEADLINE_EXCEEDED once the time is over, so that nobody works on an expired request.

    Args:
        timeout_ms: Time limit in milliseconds from now; 0 for none.
    """
    end = time.monotonic() + timeout_ms / 1000

    def check() -> None:
        if timeout_ms and time.monotonic() > end:
            raise ServingError("Deadline Exceeded", "DEADLINE_EXCEEDED")

    return check
