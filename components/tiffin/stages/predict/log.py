"""Predictions of a batch as rows of the prediction log, so that they are watched as the answers of servers are.

The route and the protocol of a row are `batch`. Its request ID is `<data version>-<version>-<split>-<shard>-<row>`. All files
have the hour in which the batch was started first, and names that follow from the batch: a second attempt replaces them.
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa

from tiffin import storage
from tiffin.errors import Conflict, InputError
from tiffin.serving import prediction_log, recording
from tiffin.serving.prediction_log import COLUMNS, INPUT, OUTPUT, arrow_type, item_of, list_of
from tiffin.serving.recording import Recording, as_text, hash_text
from tiffin.serving.root import ServedModel
from tiffin.serving.signatures import Signature, TensorSpec

BATCH = "batch"
# The time of the first attempt: a time of its own for each would log rows twice.
_STARTED = "_started.json"
_KINDS = {"float16": "float32", "bfloat16": "float32", "uint64": "float64"}
# Multiplies the number of a row, so that a share of the rows is spread evenly over them (Fibonacci hashing).
_SPREAD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True)
class Log:
    """How the rows of a batch are logged.

    Attributes:
        folder: Folder of the hour in the log.
        name: Start of the names of the files.
        model: Name of the model.
        data_version: Version of the examples.
        signature: Name of the signature.
        micros: Time of the rows, in microseconds since 1970.
        keeps: What the log keeps of the model.
        secret: Secret of hashed columns; empty without one.
        schema: Columns of the files.
    """

    folder: str
    name: str
    model: str
    data_version: str
    signature: str
    micros: int
    keeps: Recording
    secret: bytes
    schema: pa.Schema

    @property
    def unsecured(self) -> tuple[str, ...]:
        """Columns that are left out, since they are hashed and there is no secret."""
        return () if self.secret else self.keeps.hash

    def locate(self, unit: str) -> str:
        """Return the location of the file with the rows of a unit."""
        return storage.join(self.folder, f"{self.name}-{unit}")

    def choose(self, rows: np.ndarray) -> np.ndarray:
        """Return which rows are logged, by their numbers: the model's share, the same ones in each attempt."""
        if self.keeps.share >= 1:
            return np.ones(len(rows), bool)
        with np.errstate(over="ignore"):
            place = ((rows.astype(np.uint64) + np.uint64(1)) * _SPREAD) >> np.uint64(11)
        chosen: np.ndarray = place.astype(np.float64) / float(1 << 53) < self.keeps.share
        return chosen

    def make_rows(
        self,
        place: tuple[str, int, np.ndarray],
        keys: Sequence[Any] | None,
        inputs: Mapping[str, np.ndarray],
        outputs: Mapping[str, pa.Array],
        version: int,
    ) -> pa.Table:
        """Return the rows of a batch that are logged.

        Args:
            place: Split, number of the shard, and the rows' numbers in it.
            keys: Values of the key; None without one.
            inputs: Inputs of the model by name.
            outputs: Outputs of the model by name.
            version: Version of the model that predicted.
        """
        split, shard, numbers = place
        chosen = self.choose(numbers)
        mask, numbers = pa.array(chosen), numbers[chosen]
        start = f"{self.data_version}-{version}-{split}-{shard}-"
        count = len(numbers)
        fixed: dict[str, Any] = {
            "request_id": pa.array([f"{start}{number}" for number in numbers.tolist()], pa.string()),
            "row": pa.array(np.zeros(count, np.int32)),
            "rows": pa.array(np.ones(count, np.int32)),
            "time": pa.array(np.full(count, self.micros, np.int64)).cast(arrow_type("timestamp")),
            "version": pa.array(np.full(count, version, np.int64)),
            "latency_seconds": pa.nulls(count, pa.float64()),
        }
        texts = {
            "model": self.model, "route": BATCH, "protocol": BATCH, "method": "Predict", "signature": self.signature,
            "code": "OK",
        }  # fmt: skip
        fixed |= {name: pa.repeat(pa.scalar(text), count) for name, text in texts.items()}
        given = pa.nulls(len(mask), pa.string()) if keys is None else pa.array(map(_as_key, keys), pa.string())
        values = {"key": given, **{INPUT + name: pa.array(array.ravel()) for name, array in inputs.items()}}
        values |= {OUTPUT + name: array for name, array in outputs.items()}
        for field in self.schema:
            if field.name in values:
                fixed[field.name] = self._protect(field, values[field.name].filter(mask))
        return pa.Table.from_arrays([fixed[name] for name in self.schema.names], schema=self.schema)

    def _protect(self, field: pa.Field, values: pa.Array) -> pa.Array:
        """Return values of a column as the settings of the model allow them."""
        if field.name == "key" and field.name in (*self.keeps.omit, *self.unsecured):
            return pa.nulls(len(values), field.type)
        if field.name not in self.keeps.hash:
            return values.cast(field.type, safe=False)
        distinct = values.dictionary_encode() if not pa.types.is_list(values.type) else None
        plain = (values if distinct is None else distinct.dictionary).to_pylist()
        hashed = pa.array([None if one is None else hash_text(as_text(one), self.secret) for one in plain], pa.string())
        return hashed if distinct is None else hashed.take(distinct.indices)


def open_log(
    home: str,
    log_root: str,
    model: str,
    data_version: str,
    signature: tuple[str, Signature],
    request: str,
    serving_root: str,
) -> Log:
    """Return how the rows of a batch are logged.

    Args:
        home: Folder of the batch, which keeps the time of its first attempt.
        log_root: Root of the log.
        model: Name of the model.
        data_version: Version of the examples.
        signature: Name of the signature, and the signature.
        request: Digest of the batch.
        serving_root: Root with the settings of the model's log; empty for the defaults.

    Raises:
        InputError: The model has no name, or its settings are invalid.
        StorageError: The settings or the time cannot be read or written.
    """
    if not model:
        raise InputError("model_name should be the name of the model, since log=true. Received: model_name=''. Set it.")
    keeps = recording.read_recording(ServedModel(serving_root, model))[0] if serving_root else Recording()
    secret = os.environ.get(recording.KEY_VARIABLE, "").encode()
    name, spec = signature
    started = _start(home)
    out = {*keeps.omit, *(() if secret else keeps.hash)}
    # Each input has one value for a row.
    kinds = {INPUT + key: item_of(_kind(one)) for key, one in spec.inputs.items()}
    kinds |= {OUTPUT + key: _kind(one) for key, one in spec.outputs.items()}
    kinds = {key: "string" if key in keeps.hash else kind for key, kind in kinds.items() if key not in out} | COLUMNS
    schema = pa.schema([(key, arrow_type(kinds[key])) for key in prediction_log.order(kinds)])
    folder = prediction_log.hour_folder(prediction_log.resolve_log_root(log_root), model, started)
    micros = round(started.timestamp() * 1_000_000)
    return Log(folder, f"batch-{request[:16]}", model, data_version, name, micros, keeps, secret, schema)


def _start(home: str) -> datetime:
    """Return the time of the first attempt, which is this one unless the folder has another."""
    uri = storage.join(home, _STARTED)
    for _ in range(2):
        if found := storage.read(uri):
            return datetime.fromisoformat(json.loads(found[0])["started"])
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        try:
            storage.write_new(uri, json.dumps({"started": now}).encode())
        except Conflict:
            continue
    return datetime.fromisoformat(json.loads(storage.read_text(uri))["started"])


def _kind(spec: TensorSpec) -> str:
    dtype = _KINDS.get(spec.dtype, spec.dtype)
    kind = "int64" if dtype.startswith(("int", "uint")) else dtype
    return kind if spec.shape is not None and len(spec.shape) == 1 else list_of(kind)


def _as_key(value: Any) -> str | None:
    return None if value is None else as_text(value)
