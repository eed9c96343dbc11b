"""Predictions for a stream of rows: batches, a window of requests in flight, answers in the order of the rows."""

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

# With these codes the values of some row may be at fault. With others the server is: no row will fare better.
# FAILED_PRECONDITION is how a server that batches refuses rows of another shape than those that it joins them with.
_CODES_OF_ROWS = (
    "INVALID_ARGUMENT",
    "OUT_OF_RANGE",
    "FAILED_PRECONDITION",
    "RESOURCE_EXHAUSTED",
    "INTERNAL",
    "UNKNOWN",
    "DATA_LOSS",
)

# From arrays with one element per row to the outputs of each row.
Ask = Callable[[Mapping[str, Array]], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Answer:
    """What became of a row: its outputs, or the reason why there are none."""

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
    """Yield an answer for every row, in order, holding no more than `window` + 1 batches at a time.

    A row that cannot be read or converted is answered with its error. A batch that the server refuses is asked again
    in halves, down to the rows at fault.

    Args:
        rows: The rows to ask for.
        inputs: What the signature takes.
        ask: Asks the server; threads share it.
        is_text: Whether numbers are to be read from text.
        batch_size: Rows per request.
        window: Requests in flight.

    Raises:
        ServingError: The server does not answer, or not for this model.
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
        # Whoever stops reading, or interrupts, does not wait for what is in flight.
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
    """Ask for rows at once; if that fails for a reason that may lie in one row, ask for each half."""
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
    """Return outputs row by row as values that JSON can hold.

    Args:
        outputs: Arrays whose first dimension is the batch.
        count: The number of rows asked for.

    Raises:
        ServingError: An output has no value per row.
    """
    rows: list[dict[str, Any]] = [{} for _ in range(count)]
    for name, given in outputs.items():
        array = given
        if array.ndim == 0 or len(array) != count:
            raise ServingError(
                f"Output '{name}' should have one value per row. Received: shape {list(array.shape)} for {count} rows. "
                "Choose another signature, or ask with --batch-size 1.",
                "INVALID_ARGUMENT",
            )
        if array.dtype.name in ("float16", "float32"):
            # By way of text, 0.3 stays 0.3 instead of the nearest double, 0.30000001192092896.
            array = array.astype("U32").astype("float64")
        single = array.size == count
        for row, value in zip(rows, (array.reshape(count) if single else array).tolist(), strict=True):
            row[name] = plain(value)
    return rows


def plain(value: Any) -> Any:
    """Return a value as JSON can hold it: text for bytes, base 64 for bytes that are no text, None for NaN."""
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
