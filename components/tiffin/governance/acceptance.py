"""Ask a model server for a version that was put into service: it must be the one that answers, with finite numbers."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tiffin import storage
from tiffin.errors import ServingError
from tiffin.serving import Client, messages, warmup
from tiffin.serving.outputs import plain
from tiffin.serving.root import VERSIONS, ServedModel
from tiffin.serving.tensors import from_proto


def accept(
    address: str,
    served: ServedModel,
    version: int,
    inputs: Mapping[str, Any] | None,
    deadline_seconds: float,
    check: Callable[[], None],
) -> dict[str, Any]:
    """Wait until a server answers with a version, and return its prediction for one request.

    Args:
        address: `host:port` of the model server's gRPC API.
        served: The model.
        version: The version.
        inputs: Columns by name. None for the first warm-up request of the version; without one, nothing is predicted.
        deadline_seconds: Time to wait, in seconds.
        check: Raises an error if another change took the version out of service.

    Returns:
        Output name to the value of the first row; empty if nothing was predicted.

    Raises:
        ServingError: The server did not serve the version in time, or the prediction is not finite.
    """
    end = time.monotonic() + deadline_seconds
    inputs = _warm_up(served, version) if inputs is None else inputs
    with Client(address) as client:
        client.wait_until_available(served.name, version, timeout_seconds=deadline_seconds, check=check)
        wait_until_served(client, served.name, version, max(1.0, end - time.monotonic()), check)
        if not inputs:
            return {}
        try:
            found = client.predict(
                served.name, inputs, version=version, timeout_seconds=max(1.0, end - time.monotonic())
            )
        except ServingError:
            check()  # the server unloads a version that was replaced
            raise
    answer = {key: np.asarray(np.asarray(value)[0]) for key, value in found.items()}
    for key, value in answer.items():
        if np.issubdtype(value.dtype, np.number) and not np.isfinite(value).all():
            raise ServingError(
                f"Predictions should be finite. Received: {key}={value} from {served.name} version {version} at {address}. "
                "Check the training losses: the model may have diverged.",
                code="DATA_LOSS",
            )
    return {key: plain(value.tolist()) for key, value in sorted(answer.items())}


def wait_until_served(
    client: Client, name: str, version: int, timeout_seconds: float, check: Callable[[], None]
) -> None:
    """Wait until a version that is available answers the requests that name no version: no higher one is available.

    Raises:
        ServingError: A higher version was still available at the end (`DEADLINE_EXCEEDED`).
    """
    deadline = time.monotonic() + timeout_seconds
    for pause in messages.pauses_seconds():
        higher = [one.version for one in client.status(name) if one.state == "AVAILABLE" and one.version > version]
        if not higher:
            return
        check()
        if time.monotonic() + pause > deadline:
            raise ServingError(
                f"Version {version} of '{name}' did not replace version {max(higher)} at {client.address} within "
                f"{timeout_seconds:g} s: requests are still answered by version {max(higher)}. Check that this server reads "
                "the stable config of the model.",
                "DEADLINE_EXCEEDED",
            )
        time.sleep(pause)


def _warm_up(served: ServedModel, version: int) -> dict[str, Any]:
    """Return the inputs of a version's first warm-up request; none if it has no warm-up requests."""
    found = storage.read(served.locate(VERSIONS, str(version), *warmup.WARMUP_FILE.split("/")))
    request = warmup.read_request(found[0]) if found else None
    return {name: from_proto(proto) for name, proto in request.inputs.items()} if request else {}
