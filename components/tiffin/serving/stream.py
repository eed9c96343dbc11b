"""Predictions for a stream of rows: batches, a window of concurrent requests, answers in the order of the rows."""

import collections
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tiffin.errors import InputError, ServingError
from tiffin.serving.rows import Row
from tiffin.serving.shapes import shape_of
from tiffin.serving.signatures import Signature
from tiffin.serving.tensors import Array
from tiffin.serving.values import cast_column

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

# Returns the values of rows for the inputs of a signature, or the reason why a row has none.
Select = Callable[[Sequence[Any]], Sequence[dict[str, Any] | InputError]]
# Converts the arrays of rows to the outputs of each row.
Ask = Callable[[Mapping[str, Array], Sequence[Row]], Sequence[Mapping[str, Any]]]


@dataclass(frozen=True)
class Answer:
    """The result for a row: its outputs, or the error message."""

    row: Row
    outputs: Mapping[str, Any] | None
    error: str = ""


def rows_per_request(signature: Signature, batch_size: int) -> int:
    """Return the number of rows in a request: 1 if an input or an output has no dimension for the batch.

    Inputs with a fixed batch dimension limit it as well.
    """
    if any(spec.shape == () for spec in (*signature.inputs.values(), *signature.outputs.values())):
        return 1
    fixed = [spec.shape[0] for spec in signature.inputs.values() if spec.shape and spec.shape[0] is not None]
    return min([batch_size, *(size for size in fixed if size)])


def one_by_one(select: Callable[[Any], dict[str, Any]]) -> Select:
    """Return the function that selects the values of several rows, given one that selects those of a row."""

    def of_row(values: Any) -> dict[str, Any] | InputError:
        try:
            return select(values)
        except InputError as error:
            return error

    return lambda rows: [of_row(values) for values in rows]


def answer_rows(
    rows: Iterable[Row],
    signature: Signature,
    select: Select,
    ask: Ask,
    *,
    batch_size: int = 64,
    window: int = 8,
) -> Iterator[Answer]:
    """Yield an answer for every row, in order, with at most `window` + 1 batches in memory.

    The answer to a row that cannot be read or converted has its error. Rows of a batch whose lists differ in length are sent
    in one request per length. A batch that the server rejects is split in halves until the failing rows are found.

    Args:
        rows: Input rows.
        signature: The signature.
        select: Thread-safe function that returns the values of rows for the inputs of the signature; see `one_by_one`.
        ask: Thread-safe function that sends a request.
        batch_size: Rows per request.
        window: Maximum number of concurrent requests.

    Raises:
        ServingError: The server does not respond, or does not serve the model.
    """
    source = iter(rows)
    batch_size = rows_per_request(signature, batch_size)
    pending: collections.deque[Future[list[Answer]]] = collections.deque()
    threads = ThreadPoolExecutor(window, thread_name_prefix="predict")
    try:
        while batch := list(itertools.islice(source, batch_size)):
            pending.append(threads.submit(_answer_batch, batch, signature, select, ask))
            while pending and (len(pending) >= window or pending[0].done()):
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
    finally:
        # If the caller stops reading or is interrupted, do not wait for requests in flight.
        threads.shutdown(wait=False, cancel_futures=True)


# A row, and its values for the inputs of a signature.
Selected = tuple[Row, dict[str, Any]]


def select_rows(rows: Sequence[Row], select: Select) -> tuple[list[Selected], list[Answer]]:
    """Return the rows with their values, and the answers to the rows that have none."""
    failed = [Answer(row, None, row.error) for row in rows if row.values is None]
    readable = [row for row in rows if row.values is not None]
    selected: list[Selected] = []
    for row, values in zip(readable, select([row.values for row in readable]), strict=True):
        if isinstance(values, InputError):
            failed.append(Answer(row, None, str(values)))
        else:
            selected.append((row, values))
    return selected, failed


def group_rows(selected: Sequence[Selected], signature: Signature) -> list[list[Selected]]:
    """Return the rows in groups that share a request: rows whose lists differ in length do not."""
    # Inputs of unknown length; an absent key is an input that the server fills.
    lists = [
        name
        for name, spec in signature.inputs.items()
        if spec.shape is None or None in spec.shape[1:] or name in signature.defaults
    ]
    groups: dict[Any, list[Selected]] = {}
    for row, values in selected:
        key = tuple(shape_of(values[name]) if name in values else "absent" for name in lists)
        groups.setdefault(key, []).append((row, values))
    return [*groups.values()]


def to_arrays(group: Sequence[Selected], signature: Signature) -> dict[str, Array]:
    """Return the inputs of a request with the rows of a group.

    Raises:
        InputError: A value cannot be sent.
    """
    return {
        name: cast_column(name, [values[name] for _, values in group], signature.inputs[name], signature.by_tiffin)
        for name in group[0][1]
    }


def _answer_batch(batch: list[Row], signature: Signature, select: Select, ask: Ask) -> list[Answer]:
    selected, failed = select_rows(batch, select)
    answers = {answer.row.number: answer for answer in failed}
    for group in group_rows(selected, signature):
        for answer in _answer_selected(group, signature, ask):
            answers[answer.row.number] = answer
    return [answers[row.number] for row in batch]


def _answer_selected(selected: list[Selected], signature: Signature, ask: Ask) -> Iterator[Answer]:
    """Request predictions for the rows; on an error that a single row may cause, retry with each half."""
    try:
        outputs = ask(to_arrays(selected, signature), [row for row, _ in selected])
    except (InputError, ServingError) as error:
        if isinstance(error, ServingError) and error.code not in _CODES_OF_ROWS:
            raise
        if len(selected) == 1:
            yield Answer(selected[0][0], None, str(error))
            return
        middle = len(selected) // 2
        yield from _answer_selected(selected[:middle], signature, ask)
        yield from _answer_selected(selected[middle:], signature, ask)
        return
    for (row, _), found in zip(selected, outputs, strict=True):
        yield Answer(row, found)
