"""Conversion of plain values to requests, and of responses to plain values, for both clients."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from tiffin.errors import InputError, ServingError
from tiffin.serving import tensors, wire
from tiffin.serving.examples import make_examples
from tiffin.serving.signatures import Signature, read_signatures
from tiffin.serving.tensors import Array
from tiffin.serving.values import cast

DEFAULT_SIGNATURE = "serving_default"

# A model's name, version and label; at most one of version and label is set, neither for the server's choice.
Which = tuple[str, int | None, str | None]


class VersionStatus(NamedTuple):
    """The state of a model version.

    Attributes:
        version: Version number.
        state: `START`, `LOADING`, `AVAILABLE`, `UNLOADING` or `END`.
        error: Error message of a failed load; otherwise empty.
    """

    version: int
    state: str
    error: str


class ClassScore(NamedTuple):
    """A class and its score; the label is empty if the model has no class names."""

    label: str
    score: float


def fill_spec(spec: Any, which: Which, signature: str = "") -> None:
    """Fill a ModelSpec.

    Raises:
        InputError: Both a version and a label are set, or the version is invalid.
    """
    model, version, label = which
    if version is not None and label is not None:
        raise InputError(f"Only one of version and label may be set. Received: version={version}, label='{label}'.")
    spec.name = model
    spec.signature_name = signature
    if version is not None:
        if isinstance(version, bool) or not isinstance(version, int | np.integer) or not 0 <= version < 1 << 63:
            raise InputError(f"version should be an integer, at least 0. Received: version={version!r}.")
        spec.version.value = version
    if label is not None:
        spec.version_label = label


def predict_request(
    which: Which, arrays: Mapping[str, Array], signature: str = "", outputs: Iterable[str] | None = None
) -> Any:
    """Return a PredictRequest; `outputs` are the names of the outputs to return, None for all."""
    request = wire.PredictRequest()
    fill_spec(request.model_spec, which, signature)
    for name, array in arrays.items():
        tensors.to_proto(array, request.inputs[name])
    request.output_filter.extend(outputs or ())
    return request


def read_predictions(response: Any) -> dict[str, Array]:
    """Return the outputs of a PredictResponse by name, in alphabetical order."""
    return {name: tensors.from_proto(response.outputs[name]) for name in sorted(response.outputs)}


def examples_request(method: str, which: Which, inputs: Any, signature: str = "") -> Any:
    """Return the request of Classify or Regress, with one tf.Example per row."""
    request = wire.METHODS[method].request()
    fill_spec(request.model_spec, which, signature)
    request.input.example_list.examples.extend(make_examples(inputs))
    # Without rows, send an empty list, so that the server returns its own error.
    request.input.example_list.SetInParent()
    return request


def read_classifications(response: Any) -> list[list[ClassScore]]:
    """Return the classes of each row in a ClassificationResponse."""
    return [[ClassScore(found.label, found.score) for found in row.classes] for row in response.result.classifications]


def read_regressions(response: Any) -> Array:
    """Return the value of each row in a RegressionResponse, with shape `[batch]`."""
    return np.array([row.value for row in response.result.regressions], np.float32)


def metadata_request(which: Which) -> Any:
    """Return the request for a model's signatures."""
    request = wire.GetModelMetadataRequest(metadata_field=["signature_def"])
    fill_spec(request.model_spec, which)
    return request


def read_metadata(response: Any) -> dict[str, Signature]:
    """Return the signatures of a GetModelMetadataResponse by name.

    Raises:
        ServingError: The metadata cannot be parsed.
    """
    found = wire.SignatureDefMap()
    # The type URL is not checked: its prefix differs between servers, and only one field was requested.
    try:
        found.ParseFromString(response.metadata["signature_def"].value)
    except Exception as error:  # protobuf's implementations raise unrelated classes
        raise ServingError(
            f"Could not parse 'signature_def' in the model's metadata: {error}. Check the server's log.",
            "DATA_LOSS",
        ) from error
    return read_signatures(found.signature_def)


def status_request(which: Which) -> Any:
    """Return the request for the states of a model's versions."""
    request = wire.GetModelStatusRequest()
    fill_spec(request.model_spec, which)
    return request


def read_status(response: Any) -> list[VersionStatus]:
    """Return the versions of a GetModelStatusResponse, newest first as servers send them."""
    states = wire.ModelVersionStatus.DESCRIPTOR.enum_types_by_name["State"].values_by_number
    return [
        VersionStatus(
            found.version,
            states[found.state].name if found.state in states else str(found.state),
            (found.status.error_message or f"error {found.status.error_code}") if found.status.error_code else "",
        )
        for found in response.model_version_status
    ]


def find_signature(signatures: Mapping[str, Signature], name: str) -> Signature | None:
    """Return the signature for the `signature_name` of a request, or None if it does not exist."""
    return signatures.get(name or DEFAULT_SIGNATURE)


def is_loaded(versions: Iterable[VersionStatus], model: str, version: int | None) -> bool:
    """Return whether a version (None: any) is available.

    Raises:
        ServingError: The version failed to load.
    """
    for found in versions:
        if version not in (None, found.version):
            continue
        if found.state == "AVAILABLE":
            return True
        if version is not None and found.state == "END" and found.error:
            raise ServingError(
                f"Version {version} of model '{model}' failed to load: {found.error} Check the server's log.",
                "FAILED_PRECONDITION",
            )
    return False


# Deadline of a status request that explains another failure.
STATUS_SECONDS = 5.0
# Codes of a server that may still be starting or loading models.
PASSING_CODES = ("UNAVAILABLE", "NOT_FOUND", "DEADLINE_EXCEEDED")


def pauses_seconds() -> Iterator[float]:
    """Yield the seconds to wait between status requests, increasing to 1."""
    pause = 0.05
    while True:
        yield pause
        pause = min(pause * 1.1, 1.0)


def too_late(address: str, model: str, version: int | None, timeout_seconds: float, last: object) -> ServingError:
    """Return the error of a wait that timed out; `last` is the last response: the versions' states or an error."""
    what = f"Version {version} of model '{model}'" if version is not None else f"Model '{model}'"
    if isinstance(last, list):
        last = (
            ", ".join(f"version {found.version} {found.state} {found.error}".strip() for found in last) or "no versions"
        )
    return ServingError(
        f"{what} was not available at {address} within {timeout_seconds:g} s. Last response: {last} "
        "Check the server's log and its model config.",
        "DEADLINE_EXCEEDED",
    )


def convert(
    columns: Mapping[str, Any], known: Mapping[str, Signature], signature: str, rounded: bool = False
) -> dict[str, Array]:
    """Convert columns to the inputs of a signature; for an unknown signature, leave the error to the server."""
    found = find_signature(known, signature)
    return cast(columns, found, rounded=rounded) if found else {}


def may_be_outdated(error: InputError | ServingError) -> bool:
    """Return whether a prediction may have failed because a version with other inputs was loaded meanwhile."""
    return isinstance(error, InputError) or error.code == "INVALID_ARGUMENT"
