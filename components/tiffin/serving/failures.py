"""The errors of failed calls, with the next step for the method and the code."""

from tiffin.errors import ServingError

# What a failed call with rows, a question about a model, or a new config needs. None stands for every other method.
_EXAMPLES = ("Classify", "Regress")
_ROWS = ("Predict", "predict", *_EXAMPLES)
_RELOAD = ("HandleReloadConfigRequest",)
_NOT_RUNNING = "Check that the server is running, the port (default 8500 for gRPC, 8501 for REST) and TLS."
_ADVICE: dict[str, dict[tuple[str, ...] | None, str]] = {
    "UNAVAILABLE": {None: _NOT_RUNNING},
    "DEADLINE_EXCEEDED": {
        _ROWS: "Increase the timeout (timeout_seconds, or --timeout), or send fewer rows per request.",
        _RELOAD: "Increase timeout_seconds if models are still loading, and check the server's log.",
        None: "Increase the timeout (timeout_seconds, or --timeout), and check the load of the server.",
    },
    "NOT_FOUND": {
        _RELOAD: "Check the base paths in the config.",
        None: "Check the model's name and version, and that the server has loaded it.",
    },
    "INVALID_ARGUMENT": {
        _EXAMPLES: "Choose a signature that takes serialized tf.Examples, and compare the columns with its features.",
        _ROWS: "Compare names, types and shapes with the model's metadata.",
        _RELOAD: "Correct the config; the server keeps the previous one.",
        None: "Check the model's name, version and label.",
    },
    "FAILED_PRECONDITION": {
        _RELOAD: "Load a version before a label points to it; the server keeps the previous config.",
        None: "Check that the version is loaded, and the server's log.",
    },
    "RESOURCE_EXHAUSTED": {
        _ROWS: "Send fewer rows per request, or raise the server's limit.",
        None: "Try again later, or raise the server's limit.",
    },
    "UNAUTHENTICATED": {None: "Pass credentials as metadata headers."},
    "PERMISSION_DENIED": {
        _RELOAD: "Start the server so that it accepts a new config, or change its config file.",
        None: "Request access, or pass other credentials as metadata headers.",
    },
    "UNIMPLEMENTED": {
        _RELOAD: "Check that the address is a TensorFlow Serving server that accepts a new config.",
        None: "Check that the address is a TensorFlow Serving server, and its version.",
    },
    "CANCELLED": {None: "Try again."},
}


def failure(method: str, model: str, address: str, code: str, detail: str, reason: str = "") -> ServingError:
    """Return the error of a call that failed.

    Args:
        method: Method of gRPC, or call of REST.
        model: Name of the model; empty if the call has none.
        address: Address of the server.
        code: gRPC's code.
        detail: The server's message.
        reason: Why the server cannot be reached and what to do, if that is known. It replaces the detail.
    """
    asked = f"{method} on model '{model}'" if model else method
    if not reason:
        detail = " ".join(detail.split()) or "no details"
        stop = "" if detail.endswith((".", "!", "}")) else "."
        reason = f"{detail}{stop} {_advise(method, code, detail)}"
    return ServingError(f"{asked} at {address} failed with {code}: {reason}", code)


def _advise(method: str, code: str, detail: str) -> str:
    """Return the next step after a failed call."""
    if "version label" in detail and method not in _RELOAD:
        return "Check the labels of the model in the server's config."
    if code in ("FAILED_PRECONDITION", "INVALID_ARGUMENT") and "ignature" in detail and "input" not in detail:
        if '"explain"' in detail:
            return "Models trained by Tiffin have the signature explain, except those of own code over raw columns."
        return "Compare the signature's name and outputs with the model's metadata."
    if "Data types don't match" in detail:  # TensorFlow's message about a feature of a tf.Example
        return "Pass a fraction, such as 3.0, for a float feature, and 3 for an int64 feature."
    known = _ADVICE.get(code, {None: "Check the server's log."})
    return next(advice for methods, advice in known.items() if methods is None or method in methods)


def closed(error: Exception) -> ServingError:
    """Return the error of a call on a closed client."""
    return ServingError(f"The client is closed: {error}. Create a new client.", "CANCELLED")
