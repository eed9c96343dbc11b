"""What predicts a batch of rows: the SavedModel in this process, or a server."""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tiffin.errors import InputError, did_you_mean
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.production import local_folder
from tiffin.serving.signatures import Signature, TensorSpec
from tiffin.stages.predict import served
from tiffin.stages.predict.chosen import Chosen
from tiffin.storage import digest
from tiffin.storage.files import relative_files

Arrays = dict[str, np.ndarray]

# Rows of a call in this process, and of a request: the messages of servers are limited.
_ROWS, _REQUEST_ROWS = 16_384, 2048
# Calls at once. A server may batch the rows of several requests.
_CALLS, _REQUESTS = 2, 4


@dataclass(frozen=True)
class Runner:
    """What predicts a batch of rows.

    Attributes:
        signature: The signature, with the outputs that are wanted.
        by_tiffin: Whether Tiffin trained the model: a missing number is NaN, and missing text is empty.
        digest: Digest of the SavedModel; empty for a server.
        run: Returns the outputs for inputs by name, and the version that predicted. It is thread-safe.
        rows: Maximum rows of a call.
        calls: Calls at once.
    """

    signature: Signature
    by_tiffin: bool
    digest: str
    run: Callable[[Mapping[str, np.ndarray]], tuple[Arrays, int]]
    rows: int
    calls: int


@contextlib.contextmanager
def open_runner(
    chosen: Chosen, name: str, outputs: Sequence[str] = (), deadline_seconds: float = 30.0
) -> Iterator[Runner]:
    """Yield what predicts with a signature of a model.

    Args:
        chosen: The model.
        name: Name of the signature; empty for `serving_default`.
        outputs: Outputs that are wanted; empty for all. Defaults to all.
        deadline_seconds: Deadline of each request to a server, in seconds. Defaults to 30.

    Raises:
        InputError: The model has no such signature or output, or the signature does not take columns.
        ServingError: The server does not respond.
    """
    name = name or DEFAULT_SIGNATURE
    if chosen.address:
        with served.connect(chosen.address, chosen.name, deadline_seconds) as call:
            signature = _choose(served.read_signatures(call, chosen.name, chosen.version), name, outputs)
            version = chosen.version if chosen.is_pinned else None

            def ask(arrays: Mapping[str, np.ndarray]) -> tuple[Arrays, int]:
                return served.predict(call, chosen.name, version, name, list(signature.outputs), arrays)

            yield Runner(signature, chosen.recipe is not None, "", ask, _REQUEST_ROWS, _REQUESTS)
        return
    with local_folder(chosen.location) as folder:
        loaded, signatures = _load(folder, chosen.location)
        signature = _choose({key: _signature_of(one) for key, one in signatures.items()}, name, outputs)
        yield Runner(
            signature,
            chosen.recipe is not None,
            digest_folder(folder),
            _in_process(loaded, signatures[name], list(signature.outputs), chosen.version),
            _ROWS,
            _CALLS,
        )


def _in_process(
    loaded: Any, function: Any, outputs: Sequence[str], version: int
) -> Callable[[Mapping[str, np.ndarray]], tuple[Arrays, int]]:
    import tensorflow as tf

    dtypes = {name: spec.dtype for name, spec in function.structured_input_signature[1].items()}

    def run(arrays: Mapping[str, np.ndarray]) -> tuple[Arrays, int]:
        assert loaded is not None  # noqa: S101 - the signature has only weak references to its variables
        found = function(**{name: tf.constant(value, dtypes[name]) for name, value in arrays.items()})
        return {name: found[name].numpy() for name in outputs}, version

    return run


def digest_folder(folder: Path) -> str:
    """Return the digest of the files of a SavedModel."""
    found = hashlib.sha256()
    for name in relative_files(folder):
        found.update(f"{name}\0{digest(folder / name)}\0".encode())
    return found.hexdigest()


def _load(folder: Path, location: str) -> tuple[Any, Mapping[str, Any]]:
    import tensorflow as tf

    try:
        loaded = tf.saved_model.load(str(folder))
    except Exception as error:  # noqa: BLE001 - a damaged model fails in any way
        why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise InputError(
            f"Could not load the SavedModel in '{location}': {why[:300]}. Pass another version, or train a new model."
        ) from None
    return loaded, loaded.signatures


def _signature_of(function: Any) -> Signature:
    inputs, outputs = function.structured_input_signature[1], function.structured_outputs
    return Signature(
        {name: _spec_of(spec) for name, spec in sorted(inputs.items())},
        {name: _spec_of(spec) for name, spec in sorted(outputs.items())},
    )


def _spec_of(spec: Any) -> TensorSpec:
    return TensorSpec(spec.dtype.name, None if spec.shape.rank is None else tuple(spec.shape.as_list()))


def _choose(signatures: Mapping[str, Signature], name: str, outputs: Sequence[str]) -> Signature:
    """Return a signature that takes columns, with the outputs that are wanted."""
    found = signatures.get(name)
    usable = sorted(key for key, one in signatures.items() if _takes_columns(one))
    if found is None:
        raise InputError(
            f"signature should be one of the model's: {', '.join(usable)}. Received: signature='{name}'."
            f"{did_you_mean(name, usable)}"
        )
    if not _takes_columns(found):
        inputs = ", ".join(f"{key} ({one.dtype}, {_shape(one)})" for key, one in found.inputs.items()) or "no inputs"
        raise InputError(
            f"signature should be one that takes columns: {', '.join(usable) or 'the model has none'}. Received: '{name}', which "
            f"takes {inputs}."
        )
    for output in outputs:
        if output not in found.outputs:
            raise InputError(
                f"outputs should be outputs of '{name}': {', '.join(found.outputs)}. Received: '{output}'."
                f"{did_you_mean(output, found.outputs)}"
            )
    if fixed := [key for key, one in found.outputs.items() if one.shape == () and (not outputs or key in outputs)]:
        raise InputError(
            f"outputs should have a value for each row. Received: '{fixed[0]}', which has one for all rows. List the others in "
            "outputs."
        )
    chosen = {key: one for key, one in found.outputs.items() if not outputs or key in outputs}
    return Signature(found.inputs, chosen, by_tiffin=found.by_tiffin)


def _takes_columns(signature: Signature) -> bool:
    names = list(signature.inputs)
    # The signatures examples and recipe take one text for each row: a tf.Example, or nothing.
    is_serialized = signature.takes_examples or (names == ["inputs"] and signature.inputs["inputs"].dtype == "string")
    return bool(names) and not is_serialized and all(map(is_column, signature.inputs.values()))


def is_column(spec: TensorSpec) -> bool:
    """Return whether an input takes one value for each row: of the shape `[rows]` or `[rows, 1]`, or of any shape."""
    return spec.shape is None or spec.shape in ((None,), (None, 1))


def _shape(spec: TensorSpec) -> str:
    return "any shape" if spec.shape is None else str(list(spec.shape))
