"""Warm-up requests in a SavedModel: the server runs them before a version becomes available.

They are a TFRecord file of PredictionLog messages in `assets.extra/`, see
https://www.tensorflow.org/tfx/serving/saved_model_warmup. The format of a record is

    length (8 bytes) · masked CRC32C of the length (4) · the message · masked CRC32C of the message (4)
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np

from tiffin.errors import InputError
from tiffin.serving import examples, messages, signatures, values, wire
from tiffin.serving.signatures import Signature
from tiffin.serving.tensors import Array
from tiffin.storage.files import write_bytes

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"

# The signatures of models that Tiffin trained; a model of one's own code may lack all but the first.
_OF_TIFFIN = ("", "explain", "examples")
# Maximum of TensorFlow Serving; with more records, the version fails to load.
_MAX_RECORDS = 1000
_MASK_DELTA = 0xA282EAD8
# Bytes before the message of a record: its length and the checksum of that.
_HEADER = 12
# Input of signatures for Classify and Regress: serialized tf.Examples.
_EXAMPLES = "inputs"


def write_warmup(
    saved_model: str | Path,
    model: str,
    inputs: Any,
    *,
    batch_sizes: Sequence[int] = (1, 64),
    signature_names: Iterable[str] = ("",),
    requests_per_size: int = 16,
) -> Path:
    """Write warm-up requests into a SavedModel, replacing existing ones.

    For a signature that takes serialized tf.Examples, rows are sent as such, and requests for Classify or Regress are
    added to those for Predict if the signature has the outputs for them.

    Args:
        saved_model: Folder with `saved_model.pb`, before it is published.
        model: Name of the model on the server.
        inputs: Real rows, as for `tiffin.serving.Client.predict`; values other than numpy arrays are converted to the
            signature's types.
        batch_sizes: Rows per request. Rows are used in turn and reused if there are fewer. Defaults to 1 and 64.
        signature_names: Signatures to warm up. Defaults to `serving_default`.
        requests_per_size: Requests for each batch size, signature and call. Defaults to 16, enough for
            `tiffin-model-server` to choose how to run a signature.

    Returns:
        Path of the file with the requests.

    Raises:
        InputError: There are no rows, the rows do not fit the signature, or there are too many requests.
    """
    known = read_signatures(saved_model)
    columns = signatures.as_columns(inputs)
    chosen = {name: _find(known, name) for name in signature_names}
    calls = {name: _calls(signature, columns) for name, signature in chosen.items()}
    count = sum(map(len, calls.values())) * len(batch_sizes) * requests_per_size
    if not 0 < count <= _MAX_RECORDS or min(batch_sizes) < 1:
        raise InputError(
            f"Warm-up should have 1 to {_MAX_RECORDS} requests with at least one row each. Received: {count} requests: "
            f"{len(chosen)} signatures, batch_sizes={list(batch_sizes)}, requests_per_size={requests_per_size}."
        )
    content = bytearray()
    for name, signature in chosen.items():
        arrays = {_EXAMPLES: examples.serialize(columns)} if len(calls[name]) > 1 else values.cast(columns, signature)
        _check(arrays, signature)
        start = 0
        for size in batch_sizes:
            for _ in range(requests_per_size):
                batch = {key: array[np.arange(start, start + size) % len(array)] for key, array in arrays.items()}
                start += size
                for call in calls[name]:
                    content += frame_record(_log(call, model, name, batch).SerializeToString(deterministic=True))
    path = Path(saved_model, WARMUP_FILE)
    write_bytes(path, bytes(content))
    return path


def find_names(saved_model: str | Path) -> list[str]:
    """Return the signatures of a SavedModel that Tiffin warms up."""
    known = read_signatures(saved_model)
    return [name for name in _OF_TIFFIN if not name or name in known]


def _find(known: dict[str, Signature], name: str) -> Signature:
    signature = messages.find_signature(known, name)
    if signature is None:
        raise InputError(f"signature_names should be signatures of the model: {', '.join(known)}. Received: '{name}'.")
    return signature


def _calls(signature: Signature, columns: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the calls that a signature supports; TensorFlow Serving recognises Classify and Regress by output names."""
    if list(signature.inputs) == [_EXAMPLES] and _EXAMPLES not in columns:
        if list(signature.outputs) == ["outputs"]:
            return ("Predict", "Regress")
        if {"classes", "scores"} & set(signature.outputs) and len(signature.outputs) <= 2:
            return ("Predict", "Classify")
    return ("Predict",)


def _check(arrays: Mapping[str, Array], signature: Signature) -> None:
    absent = sorted(set(signature.inputs) - set(arrays))
    rows = {len(array) for array in arrays.values() if array.ndim}
    if absent or len(rows) != 1 or 0 in rows:
        raise InputError(
            "Warm-up should have at least one row, with one value for every input. "
            f"Received: {sorted(rows)} rows, missing inputs: {', '.join(absent) or 'none'}. Pass rows of the evaluation data."
        )


def _log(call: str, model: str, signature: str, batch: Mapping[str, Array]) -> Any:
    log, which = wire.PredictionLog(), (model, None, None)
    if call == "Predict":
        log.predict_log.request.CopyFrom(messages.predict_request(which, batch, signature))
        return log
    request = (log.classify_log if call == "Classify" else log.regress_log).request
    messages.fill_spec(request.model_spec, which, signature)
    for example in batch[_EXAMPLES]:
        request.input.example_list.examples.add().ParseFromString(example)
    return log


def read_signatures(saved_model: str | Path) -> dict[str, Signature]:
    """Read the signatures of a SavedModel by name, without TensorFlow.

    Raises:
        InputError: The folder does not contain a SavedModel for serving.
    """
    path = Path(saved_model, "saved_model.pb")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"Could not read saved_model.pb in '{saved_model}': {error.strerror}. Pass the folder of a SavedModel."
        ) from None
    return parse_signatures(content, str(path))


def parse_signatures(content: bytes, place: str) -> dict[str, Signature]:
    """Parse the signatures of a SavedModel by name, without TensorFlow.

    Args:
        content: The content of saved_model.pb.
        place: Its location, for error messages.

    Raises:
        InputError: The content is not that of a SavedModel for serving.
    """
    try:
        parsed = wire.SavedModel.FromString(content)
    except Exception as error:
        # protobuf's implementations raise unrelated classes for a message that cannot be parsed
        raise InputError(f"Could not parse '{place}': {error}. Export the model again.") from error
    graphs = [graph for graph in parsed.meta_graphs if "serve" in graph.meta_info_def.tags]
    if not graphs:
        raise InputError(f"No graph with the tag 'serve' in '{place}'. Export the model for serving.")
    return signatures.read_signatures(graphs[0].signature_def)


def read_request(content: bytes) -> Any | None:
    """Return the first PredictRequest in the content of a file of warm-up requests; None if there is none.

    Raises:
        InputError: The content is not such a file.
    """
    place = 0
    while place < len(content):
        size = struct.unpack_from("<Q", content, place)[0] if len(content) >= place + _HEADER else len(content)
        body = content[place + _HEADER : place + _HEADER + size]
        try:
            log = wire.PredictionLog.FromString(body)
        except Exception as error:  # protobuf's implementations raise unrelated classes
            raise InputError(f"The warm-up requests cannot be read: {error}. Deploy the version again.") from error
        if len(body) < size:
            raise InputError("The warm-up requests were cut short. Deploy the version again.")
        if log.WhichOneof("log_type") == "predict_log":
            return log.predict_log.request
        place += _HEADER + size + 4
    return None


def frame_record(content: bytes) -> bytes:
    """Return a record in the format of TFRecord files."""
    length = struct.pack("<Q", len(content))
    return length + _masked_crc(length) + content + _masked_crc(content)


def _masked_crc(content: bytes) -> bytes:
    crc = google_crc32c.value(content)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK_DELTA) & 0xFFFFFFFF)
