"""Predictions for a stream of rows: batches, a window of concurrent requests, answers in the order of the rows."""

import base64
import collections
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tiffin.errors import InputError, ServingError
from tiffin.serving.rows import Row, select_inputs
from tiffin.serving.signatures import TensorSpec, cast_column
from tiffin.serving.tensors import Array

# Codes that a single row may cause. Other codes mean that the server failed, and other rows would fail too.
# A batching server returns FAILED_PRECONDITION for rows whose shape differs from the rest of their batch.
_CODES_OF_ROWS = (
    "INVALID_ARGUMENT",
    "OUT_OF_RANGE",
    "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
    "INTERNAL",
    "UNKNOWN",
    "DATA_LOSS",
)

# Converts arrays with one element per row to the outputs of each row.
Ask = Callable[[Mapping[str, Array]], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Answer:
    """The result for a row: its outputs, or the error message."""

    row: Row
    outputs: Mapping[str, Any] | None
    error: str = ""


def answer_rows(
    rows: Iterable[Row],
    inputs: Mapping[str, TensorSpec],
    ask: Ask,
    *,
    is_text: bool = False,
    batch_size: int = 64,
    window: int = 8,
) -> Iterator[Answer]:
    """Yield an answer for every row, in order, with at most `window` + 1 batches in memory.

    The answer to a row that cannot be read or converted has its error. A batch that the server rejects is split in halves
    until the failing rows are found.

    Args:
        rows: Input rows.
        inputs: Inputs of the signature.
        ask: Thread-safe function that sends a request.
        is_text: Whether to parse numbers from text.
        batch_size: Rows per request.
        window: Maximum number of concurrent requests.

    Raises:
        ServingError: The server does not respond, or does not serve the model.
    """
    source = iter(rows)
    pending: collections.deque[Future[list[Answer]]] = collections.deque()
    threads = ThreadPoolExecutor(window, thread_name_prefix="predict")
    try:
        while batch := list(itertools.islice(source, batch_size)):
            pending.append(threads.submit(_answer_batch, batch, inputs, ask, is_text))
            while pending and (len(pending) >= window or pending[0].done()):
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        # If the caller stops reading or is interrupted, do not wait for requests in flight.
        threads.shutdown(wait=False, cancel_futures=True)


def _answer_batch(batch: list[Row], inputs: Mapping[str, TensorSpec], ask: Ask, is_text: bool) -> list[Answer]:
    answers: dict[int, Answer] = {}
    selected: list[tuple[Row, dict[str, Any]]] = []
    for row in batch:
        if row.values is None:
            answers[row.number] = Answer(row, None, row.error)
            continue
        try:
            selected.append((row, select_inputs(row.values, inputs, is_text)))
        except InputError as error:
            answers[row.number] = Answer(row, None, str(error))
    for answer in _answer_selected(selected, inputs, ask):
        answers[answer.row.number] = answer
    return [answers[row.number] for row in batch]


def _answer_selected(
    selected: list[tuple[Row, dict[str, Any]]], inputs: Mapping[str, TensorSpec], ask: Ask
) -> Iterator[Answer]:
    """Request predictions for the rows; on an error that a single row may cause, retry with each half."""
    if not selected:
        return
    try:
        arrays = {
            name: cast_column(name, [values[name] for _, values in selected], spec) for name, spec in inputs.items()
        }
        outputs = ask(arrays)
    except (InputError, ServingError) as error:
        if isinstance(error, ServingError) and error.code not in _CODES_OF_ROWS:
            raise
        if len(selected) == 1:
            yield Answer(selected[0][0], None, str(error))
            return
        middle = len(selected) // 2
        yield from _answer_selected(selected[:middle], inputs, ask)
        yield from _answer_selected(selected[middle:], inputs, ask)
        return
    for (row, _), found in zip(selected, outputs, strict=True):
        yield Answer(row, found)


def split_rows(outputs: Mapping[str, Array], count: int) -> list[dict[str, Any]]:
    """Convert outputs to JSON-compatible values of each row.

    Args:
        outputs: Arrays whose first dimension is the batch.
        count: Number of rows in the request.

    Raises:
        ServingError: An output does not have one value per row.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, given in outputs.items():
        array = given
        if array.ndim == 0 or len(array) != count:
            raise ServingError(
                f"Output '{name}' should have one value per row. Received: shape {list(array.shape)} for {count} rows. "
                "Choose another signature, or use --batch-size 1.",
                "INVALID_ARGUMENT",
            )
        if array.dtype.name in ("float16", "float32"):
            # Conversion by way of text keeps 0.3 instead of the nearest double, 0.30000001192092896.
            array = array.astype("U32").astype("float64")
        single = array.size == count
        for row, value in zip(rows, (array.reshape(count) if single else array).tolist(), strict=True):
            row[name] = plain(value)
    return rows


def plain(value: Any) -> Any:
    """Convert a value to a JSON-compatible one: bytes to text, or to base64 if not UTF-8; NaN to None."""
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"b64": base64.b64encode(value).decode()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, complex):
        return [plain(value.real), plain(value.imag)]
    return value if isinstance(value, str | int | float | bool | None) else str(value)
