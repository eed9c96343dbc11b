"""Status codes by name: their numbers in gRPC and TensorFlow, their HTTP codes, and their errors' texts."""

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
    """Return a text as gRPC gives it, cut after 1024 bytes (model_servers/grpc_status_util.cc)."""
    content = text.encode(errors="replace")
    # Half a character at the cut is what a client would make of it.
    return content[:_LIMIT].decode(errors="replace") + "...TRUNCATED" if len(content) > _LIMIT else text


def invalid(text: str) -> ServingError:
    """Return an INVALID_ARGUMENT error."""
    return ServingError(text, "INVALID_ARGUMENT")


def from_tensorflow(error: Any) -> ServingError:
    """Return a TensorFlow error as ours, with its code and its own text."""
    code = NAMES[error.error_code] if 0 < error.error_code < len(NAMES) else "UNKNOWN"
    return ServingError(str(error.message), code)


def from_run(error: Any) -> ServingError:
    """Return the error of a session's run as ours: an OpError, or what Python makes of one.

    Where the text quotes bytes of the request that are no UTF-8, Python cannot make an OpError and raises
    UnicodeDecodeError instead; the code is lost, the text is in it.
    """
    if isinstance(error, UnicodeDecodeError):
        return invalid(bytes(error.object).decode(errors="replace"))
    return from_tensorflow(error)
