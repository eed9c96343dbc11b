"""The training rows in blocks for the network: from memory where they fit, otherwise from a file of shuffled records.

    encoded in memory       up to 128 MiB of encoded rows: encoded once, one block for all rows
    records in memory       up to 128 MiB of records: each block has random rows of all data, and is encoded when used
    records on disk         otherwise: the rows are distributed at random over parts of 32 MiB in a temporary file, once;
                            each epoch reads the parts in random order, and shuffles the rows of each part

Each part on disk is a random sample of all rows, however the rows of the examples are sorted.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np
import tensorflow as tf

from tiffin.errors import StorageError
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.preprocessing import Encode

_ENCODED_BYTES = 128 << 20
_RECORD_BYTES = 128 << 20
_PART_BYTES = 32 << 20
_BLOCK_BYTES = 32 << 20
_BLOCK_ROWS = 16_384
_PARTS = 5
_MAX_HELD_OUT = 10_000
# Fewer rows are kept in memory whatever their width, and are held out in turn.
FEW = 1000

# Encoded rows, `[rows, width]`; targets, `[rows]`; the order to take them in, `[rows]`.
Block = tuple[tf.Tensor, tf.Tensor, tf.Tensor]
Item = TypeVar("Item")


def fit_in_memory(rows: int, kind: np.dtype, width: int) -> bool:
    """Return whether the rows are kept in memory, encoded or as records."""
    return rows < FEW or rows * 4 * width <= _ENCODED_BYTES or rows * kind.itemsize <= _RECORD_BYTES


class Encoder:
    """Encodes records as the network's input and target.

    Attributes:
        width: Width of the encoded rows.
        scale: Scale of the target.
        dtype: Type of the encoded rows.
    """

    def __init__(self, encode: Encode, kind: np.dtype, width: int, dtype: tf.DType = tf.float32) -> None:
        numbers, indices = (kind[name].shape for name in ("numbers", "indices"))
        signature = [tf.TensorSpec([None, *numbers], tf.float64), tf.TensorSpec([None, *indices], tf.int16)]
        self._run = tf.function(encode, input_signature=signature, autograph=False)
        self.width, self.scale, self.dtype = width, Scale(), dtype

    def encode(self, records: np.ndarray) -> tf.Tensor:
        """Return the encoded records, `[rows, width]`."""
        return self._run(*(tf.constant(np.ascontiguousarray(records[name])) for name in ("numbers", "indices")))

    def target(self, records: np.ndarray) -> np.ndarray:
        """Return the class indices, or the scaled numbers, `[rows]`."""
        scaled: np.ndarray = (records["target"] - self.scale.mean) / self.scale.deviation
        return scaled

    def block(self, records: np.ndarray) -> Block:
        """Return the block of records, in their order."""
        return (
            self.encode(records),
            tf.constant(self.target(records), tf.float32),
            tf.range(len(records), dtype=tf.int64),
        )

    def block_rows(self, batch: int = 1) -> int:
        """Return the rows of a block: a multiple of the batch size."""
        row_bytes: int = self.dtype.size * self.width
        return max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // row_bytes) // batch) * batch

    def encoded(self, records: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the encoded records in parts, each with the position of its first row."""
        for start in range(0, len(records), self.block_rows()):
            yield start, self.encode(records[start : start + self.block_rows()]).numpy()


class InMemory:
    """Rows in memory. A subset is an array of row numbers.

    Attributes:
        rows: Number of rows.
        counts: Number of rows of each class.
        mean_row: Mean encoded row, `[width]`.
        dtype: Type of the encoded rows.
        all: Subset of all rows.
    """

    def __init__(self, records: np.ndarray, encoder: Encoder, classes: int) -> None:
        self.rows, self.all = len(records), np.arange(len(records))
        self.counts = np.bincount(records["target"].astype(int), minlength=classes) if classes else np.zeros(0)
        self._encoder, self._records, self.dtype = encoder, records, encoder.dtype
        self._target = encoder.target(records)
        kept = self.rows * encoder.dtype.size * encoder.width <= _ENCODED_BYTES
        encoded = np.empty((self.rows if kept else 0, encoder.width), encoder.dtype.as_numpy_dtype)
        sums = []
        for start, part in encoder.encoded(records):
            sums.append(part.sum(axis=0, dtype=np.float64))
            if kept:
                encoded[start : start + len(part)] = part
        self.mean_row = (np.sum(sums, axis=0) / self.rows).astype(np.float32)
        self._block = (tf.constant(encoded), tf.constant(self._target, tf.float32)) if kept else None

    def close(self) -> None:
        """Do nothing: the rows have no file."""

    def sample(self, rows: int, seed: int) -> np.ndarray:
        """Return up to `rows` records, chosen at random."""
        return self._records[np.random.default_rng(seed).permutation(self.rows)[:rows]]

    def size(self, subset: Any) -> int:
        """Return the number of rows of a subset."""
        return len(subset)

    def folds(self, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return pairs of subsets: the rows to train on, and the rows held out. Few rows are held out in turn."""
        parts = _parts(self._target, _held_out_share(self.rows), np.random.default_rng(seed))
        held_out = parts if self.rows < FEW else parts[:1]
        return [(np.setdiff1d(self.all, held), held) for held in held_out]

    def blocks(self, subset: np.ndarray, batch: int, chance: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield a subset in blocks, in random order if `chance` is given."""
        order = subset if chance is None else chance.permutation(subset)
        if self._block:
            return iter([(*self._block, tf.constant(order))])
        size = self._encoder.block_rows(batch)
        parts = (order[start : start + size] for start in range(0, len(order), size))
        return _ahead(self._encoder.block(self._records[part]) for part in parts)


class OnDisk:
    """Rows in a temporary file, except the rows held out. A subset is one of `all`, `kept` and `held`.

    Attributes:
        rows: Number of rows.
        counts: Number of rows of each class.
        mean_row: Mean encoded row, `[width]`.
        dtype: Type of the encoded rows.
        all: Subset of all rows.
    """

    all = "all"

    def __init__(
        self,
        batches: Iterable[np.ndarray],
        rows: int,
        kind: np.dtype,
        encoder: Encoder,
        classes: int,
        seed: int,
        hold_out: bool,
    ) -> None:
        """Write the rows to the file.

        Args:
            batches: Records, in any order.
            rows: Number of all records.
            kind: Type of a record.
            encoder: Encoder of the records.
            classes: Number of classes; 0 for regression.
            seed: Random seed of the order, and of the rows held out.
            hold_out: Whether to hold out rows.

        Raises:
            StorageError: The folder for temporary files has too little space, or the records cannot be read.
        """
        self._encoder, self._kind, self.dtype = encoder, kind, encoder.dtype
        parts = -(-rows * kind.itemsize // _PART_BYTES)
        self._room = -(-rows // parts)
        self._filled = np.zeros(parts, np.int64)
        _check_space(rows * kind.itemsize)
        self._file = tempfile.TemporaryFile(prefix="tiffin-")  # noqa: SIM115 - open as long as the rows are used
        self.counts, self._sums, self._held = np.zeros(classes), np.zeros(encoder.width), np.empty(0, kind)
        chance = np.random.default_rng([seed, FEW])  # another sequence than those of the epochs
        try:
            for records in _ahead(batch for batch in batches if len(batch)):
                self._add(records, _held_out_share(rows) if hold_out else 0, chance)
        except BaseException:
            self.close()
            raise
        self.mean_row = (self._sums / rows).astype(np.float32)
        self.rows = len(self._held) + int(self._filled.sum())

    def close(self) -> None:
        """Delete the file."""
        self._file.close()

    def sample(self, rows: int, seed: int) -> np.ndarray:
        """Return up to `rows` records of the first part, which is a random sample of all rows."""
        records = self._read(0)
        return records[np.random.default_rng(seed).permutation(len(records))[:rows]]

    def _add(self, records: np.ndarray, share: int, chance: np.random.Generator) -> None:
        """Distribute records over the parts, except one of `share` to hold out."""
        for _, encoded in self._encoder.encoded(records):
            self._sums += encoded.sum(axis=0, dtype=np.float64)
        if len(self.counts):
            self.counts += np.bincount(records["target"].astype(int), minlength=len(self.counts))
        order = chance.permutation(len(records))
        if share:
            # Any of the shares: rows of a short batch are held out no more often than others.
            held = _parts(records["target"], share, chance)[chance.integers(share)]
            self._held = np.concatenate([self._held, records[held]])
            order = order[~np.isin(order, held)]
        parts, first = len(self._filled), int(self._filled.sum())
        for number in range(parts):
            # In turn, from the part after the last one that got a row, so that all parts have the same size.
            self._append(number, records[order[(number - first) % parts :: parts]])

    def size(self, subset: Any) -> int:
        """Return the number of rows of a subset."""
        return {"all": self.rows, "kept": self.rows - len(self._held), "held": len(self._held)}[subset]

    def folds(self, seed: int) -> list[tuple[str, str]]:
        """Return the subset to train on and the subset held out, chosen when the rows were written."""
        return [("kept", "held")]

    def blocks(self, subset: str, batch: int, chance: np.random.Generator | None = None) -> Iterator[Block]:
        """Yield a subset in blocks, in random order if `chance` is given; of a batch's rows, all are in one block."""
        return _ahead(self._blocks(subset, self._encoder.block_rows(batch), chance))

    def _blocks(self, subset: str, size: int, chance: np.random.Generator | None) -> Iterator[Block]:
        left = np.empty(0, self._kind)
        for part in self._parts(subset, chance):
            records = np.concatenate([left, part])
            whole = len(records) // size * size
            for start in range(0, whole, size):
                yield self._encoder.block(records[start : start + size])
            left = records[whole:].copy()
        if len(left):
            yield self._encoder.block(left)

    def _parts(self, subset: str, chance: np.random.Generator | None) -> Iterator[np.ndarray]:
        waiting = self._held if subset in ("all", "held") else self._held[:0]
        numbers = range(len(self._filled)) if subset in ("all", "kept") else range(0)
        for number in numbers if chance is None else chance.permutation(numbers):
            # Of all rows, those held out join the first part.
            records, waiting = np.concatenate([self._read(number), waiting]), waiting[:0]
            yield records if chance is None else records[chance.permutation(len(records))]
        if len(waiting):
            yield waiting

    def _append(self, part: int, records: np.ndarray) -> None:
        self._file.seek((part * self._room + int(self._filled[part])) * self._kind.itemsize)
        try:
            self._file.write(records.tobytes())
            self._file.flush()
        except OSError as error:
            error.filename = tempfile.gettempdir()
            raise
        self._filled[part] += len(records)

    def _read(self, part: int) -> np.ndarray:
        # Not seek and read: a dataset of own code may be read while another pass is still open.
        size, start = int(self._filled[part]) * self._kind.itemsize, part * self._room * self._kind.itemsize
        content = os.pread(self._file.fileno(), size, start)
        return np.frombuffer(content, self._kind)


def _held_out_share(rows: int) -> int:
    """Return the number of parts, of which one is held out."""
    return max(min(_PARTS, rows), rows // _MAX_HELD_OUT)


def _parts(target: np.ndarray, parts: int, chance: np.random.Generator) -> list[np.ndarray]:
    """Return row numbers in parts with similar distributions of the target."""
    shuffled = chance.permutation(len(target))
    ordered = shuffled[np.argsort(target[shuffled], kind="stable")]
    return [np.sort(ordered[part::parts]) for part in range(parts)]


def _check_space(needed: int) -> None:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"The folder for temporary files should have {needed / 2**30:.1f} GiB for the training rows. Received: "
            f"'{folder}' with {free / 2**30:.1f} GiB free. Free disk space, or set TMPDIR to another folder."
        )


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Yield the items; a thread computes the next one while an item is used."""
    nothing: Any = object()
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, items, nothing)
        while (item := following.result()) is not nothing:
            following = thread.submit(next, items, nothing)
            yield item
