"""Predictions by a model server, whose answers name the version that predicted."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import grpc

from tiffin.artifacts.recipe import ModelRecipe, parse_recipe
from tiffin.errors import ServingError
from tiffin.serving import connection, messages, recipes
from tiffin.serving.signatures import Signature
from tiffin.serving.tensors import Array

# Sends a request of a method of TensorFlow Serving.
Call = Callable[[str, Any], Any]

_QUICK_SECONDS = 30.0


@contextlib.contextmanager
def connect(address: str, model: str, deadline_seconds: float = _QUICK_SECONDS) -> Iterator[Call]:
    """Yield the thread-safe function that sends a request to a server.

    It raises a ServingError with gRPC's code if a call fails; while the server is unavailable, calls are repeated for a moment.

    Args:
        address: `host:port` of the server's gRPC API.
        model: Name of the model.
        deadline_seconds: Deadline of each call, in seconds. Defaults to 30.
    """
    channel = connection.open_channel(address, tls=False)
    calls = connection.open_calls(channel)
    headers = connection.call_headers((), model)

    def call(method: str, request: Any) -> Any:
        try:
            return calls[method](request, timeout=deadline_seconds, metadata=headers)
        except grpc.RpcError as error:
            target = connection.parse_address(address)
            raise connection.explain(error, method, model, target, tls=False) from None

    try:
        yield call
    finally:
        channel.close()


def find_version(address: str, model: str, version: int = 0) -> tuple[int, ModelRecipe | None]:
    """Return a version of a model on a server, and its recipe; None for a model that Tiffin did not train.

    Args:
        address: `host:port` of the server's gRPC API.
        model: Name of the model.
        version: Number of the version; 0 for the newest one that is loaded. Defaults to 0.

    Raises:
        ServingError: The server does not respond, or does not serve the version.
    """
    with connect(address, model) as call:
        states = messages.read_status(call("GetModelStatus", messages.status_request((model, version or None, None))))
        loaded = [state.version for state in states if state.state == "AVAILABLE"]
        if not loaded:
            known = ", ".join(f"version {state.version} {state.state} {state.error}".strip() for state in states)
            raise ServingError(
                f"The server at {address} should have a loaded version of the model '{model}'. Received: "
                f"{known or 'no versions'}. Check the server's log and its model config.",
                "NOT_FOUND",
            )
        found = version or max(loaded)
        which = (model, found, None)
        known_signatures = messages.read_metadata(call("GetModelMetadata", messages.metadata_request(which)))
        if not recipes.has_recipe(known_signatures):
            return found, None
        arrays = messages.convert(recipes.REQUEST, known_signatures, recipes.SIGNATURE)
        response = call("Predict", messages.predict_request(which, arrays, recipes.SIGNATURE))
        [text] = messages.read_predictions(response)[recipes.SIGNATURE].tolist()
        return found, parse_recipe(text)


def read_signatures(call: Call, model: str, version: int) -> dict[str, Signature]:
    """Return the signatures of a version by name."""
    return messages.read_metadata(call("GetModelMetadata", messages.metadata_request((model, version, None))))


def predict(
    call: Call, model: str, version: int | None, signature: str, outputs: Sequence[str], arrays: Mapping[str, Array]
) -> tuple[dict[str, Array], int]:
    """Return the outputs of a signature, and the version that predicted.

    Args:
        call: Function of `connect`.
        model: Name of the model.
        version: Version to ask for; None for the server's choice.
        signature: Name of the signature.
        outputs: Names of the outputs.
        arrays: Inputs by name.
    """
    request = messages.predict_request((model, version, None), arrays, signature, outputs)
    response = call("Predict", request)
    return messages.read_predictions(response), int(response.model_spec.version.value)
