"""The answers of a window as arrays, without labels: nothing is joined, and no file is written.

Answers that were logged again, with the same request ID and row, count once. They are found by two hashes of 64 bits, so that no
ID is kept: 16 bytes of each answer meanwhile.
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.artifacts.model import Task
from tiffin.performance.answers import Chosen, choose_answers
from tiffin.performance.rows import Rows
from tiffin.performance.workspace import BATCH_ROWS
from tiffin.serving.log_reading import Log, count_threads

_READ = ("request_id", "row", "time", "version", "route", "code")
# Odd numbers without a pattern in their bits, one for each hash.
_FACTORS = (np.uint64(0xFF51AFD7ED558CCD), np.uint64(0x9E3779B97F4A7C15))
_WORD, _SHIFT = 8, np.uint64(33)


class _Part(NamedTuple):
    seconds: np.ndarray
    answer: np.ndarray
    hashes: np.ndarray
    has_id: np.ndarray


def read_unlabelled(
    log: Log,
    version: int,
    task: Task,
    *,
    classes: int = 2,
    output: str = "",
    left_out: Counter[str] | None = None,
) -> Rows:
    """Return the answers of a version, each once, in the order of the log.

    Args:
        log: A time window of the prediction log.
        version: Version of the model.
        task: Task of the model.
        classes: Number of classes of a multiclass model. Defaults to 2.
        output: Output with the predictions. Defaults to that of Tiffin's models.
        left_out: Counts the rows that are left out by their reason: those of `Answers`, and `repeated`. Defaults to none.

    Raises:
        InputError: The log has no such output; a log without files has every one.
    """
    chosen, start = choose_answers(log, version, task, classes, output), int(log.start.timestamp() * 1_000_000)
    # As in the evaluation: probabilities in float32, numbers in float64.
    kind = np.dtype(np.float64 if task == "regression" else np.float32)
    # One log for each file: their findings are of no interest here, since counting the files has told them.
    logs = [replace(log, files=(file,), findings=[]) for file in log.files]
    with ThreadPoolExecutor(count_threads()) as threads:
        read = list(threads.map(lambda one: _read(one, chosen, start, kind), logs))
    left_out = Counter() if left_out is None else left_out
    for _, of_file in read:
        left_out.update(of_file)
    parts = [part for of_file, _ in read for part in of_file] or [_nothing(chosen.width, kind)]
    seconds, answer, hashes, has_id = (np.concatenate(one) for one in zip(*parts, strict=True))
    left_out["repeated"] += len(again := find_repeated(hashes, has_id))
    if len(again):
        seconds, answer = np.delete(seconds, again), np.delete(answer, again, axis=0)
    number = {"binary": 2, "regression": 0}.get(task, chosen.width)
    # No answer has a label.
    truth = np.full(len(seconds), np.nan) if task == "regression" else np.full(len(seconds), -1, np.int8)
    return Rows(task, number, start, seconds, answer if task == "multiclass" else answer[:, 0], truth, {}, {})


def _nothing(width: int, kind: np.dtype[Any]) -> _Part:
    return _Part(np.zeros(0, np.int32), np.zeros((0, width), kind), np.zeros((0, 2), np.uint64), np.zeros(0, bool))


def _read(log: Log, chosen: Chosen, start: int, kind: np.dtype[Any]) -> tuple[list[_Part], Counter[str]]:
    left_out, parts = Counter[str](), []
    for batch in log.batches([*_READ, *chosen.outputs], BATCH_ROWS):
        wanted, scores = chosen.select(batch, left_out)
        found = dict(zip(batch.schema.names, batch.columns, strict=True))
        times, ids, rows = (_filtered(found[name], wanted) for name in ("time", "request_id", "row"))
        seconds = (pc.cast(times, pa.int64()).to_numpy(zero_copy_only=False) - start) // 1_000_000
        places = pc.fill_null(rows, -1).to_numpy(zero_copy_only=False)
        parts.append(
            _Part(seconds.astype(np.int32), scores.astype(kind), hash_ids(ids, places), np.asarray(ids.is_valid()))
        )
    return parts, left_out


def _filtered(values: pa.Array, wanted: np.ndarray) -> pa.Array:
    return values if wanted.all() else pc.filter(values, pa.array(wanted))


def hash_ids(ids: pa.Array, rows: np.ndarray) -> np.ndarray:
    """Return two hashes of each pair of a request ID and a row, `[pairs, 2]`; a missing ID counts as an empty one.

    Args:
        ids: Texts.
        rows: Whole numbers, `[pairs]`.
    """
    texts = pc.fill_null(ids, "") if ids.null_count else ids
    offsets = np.frombuffer(texts.buffers()[1] or b"\0\0\0\0", np.int32)[texts.offset : texts.offset + len(texts) + 1]
    content = np.frombuffer(texts.buffers()[2] or b"", np.uint8)
    lengths = np.diff(offsets) if len(texts) else np.zeros(0, np.int32)
    found = np.empty((len(texts), len(_FACTORS)), np.uint64)
    # IDs of one length at once: a gateway's have the same one.
    for length in np.unique(lengths).tolist():
        places = np.flatnonzero(lengths == length)
        words = np.zeros((len(places), -(-length // _WORD) * _WORD), np.uint8)
        if len(places) == len(texts):
            words[:, :length] = content[offsets[0] : offsets[-1]].reshape(len(texts), length)
        else:
            words[:, :length] = content[offsets[places][:, None] + np.arange(length)]
        parts = [np.full(len(places), length, np.uint64), rows[places].astype(np.int64).view(np.uint64)]
        for number, factor in enumerate(_FACTORS):
            found[places, number] = _mixed([*parts, *words.view(np.uint64).T], factor)
    return found


def _mixed(parts: Sequence[np.ndarray], factor: np.uint64) -> np.ndarray:
    mixed = np.full(len(parts[0]), factor)
    for part in parts:
        mixed = (mixed ^ part) * factor
        mixed ^= mixed >> _SHIFT
    return mixed


def find_repeated(hashes: np.ndarray, has_id: np.ndarray) -> np.ndarray:
    """Return the positions of answers whose hashes an earlier one has.

    Args:
        hashes: Two hashes of each answer, `[answers, 2]`.
        has_id: Whether each answer has a request ID; without one, it is like no other, `[answers]`.
    """
    ordered = np.sort(hashes[has_id, 0])
    several = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(several):
        return np.zeros(0, np.int64)
    suspects = np.flatnonzero(has_id & np.isin(hashes[:, 0], several))
    order = suspects[np.lexsort((suspects, hashes[suspects, 1], hashes[suspects, 0]))]
    again = (hashes[order][1:] == hashes[order][:-1]).all(axis=1)
    return np.sort(order[1:][again])
