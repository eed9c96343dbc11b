"""The logged answers of one version of a model, as a Parquet file of the workspace.

Answers are rows of the prediction log with the code OK, of the model's own signature, from any route but `mirror`, whose
answers no client has seen. Everything that is left out is counted by its reason.
"""

import glob
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tiffin.artifacts.model import OUTPUTS, Task
from tiffin.errors import InputError, did_you_mean
from tiffin.performance.workspace import BATCH_ROWS, Workspace
from tiffin.recipe.sql import escaped
from tiffin.serving.log_reading import Log
from tiffin.serving.prediction_log import INPUT, OUTPUT, UNNAMED_OUTPUT, arrow_type

VIEW = "answers"
_ROUNDING = 1e-5
# Columns of the file besides the inputs. `answer` numbers the answers in the order of the log.
_SCHEMA = (
    ("answer", pa.int64()),
    ("request_id", pa.string()),
    ("key", pa.string()),
    ("row", pa.int32()),
    ("rows", pa.int32()),
    ("time", pa.int64()),
)
_READ = ("request_id", "key", "row", "rows", "time", "version", "route", "code")


@dataclass(frozen=True)
class Answers:
    """The answers of a version in a time window; the view `answers` of the workspace has them.

    Attributes:
        task: Task of the model.
        width: Number of values of an answer: 1, or that of the classes.
        version: Version of the model.
        start: Start of the window, in microseconds since 1970.
        end: End of the window, not included.
        rows: Number of answers.
        inputs: Names of the inputs that are kept, to their kinds.
        left_out: Reason to the number of rows of the log that are left out: other `versions`, the route `mirror`, `failed`
            requests, `values` that are missing, not finite or of another shape, and outputs beyond the `range` of
            probabilities, such as log odds.
    """

    task: Task
    width: int
    version: int
    start: int
    end: int
    rows: int
    inputs: dict[str, str]
    left_out: dict[str, int]


@dataclass(frozen=True)
class Chosen:
    """Which rows of a log are answers of a version.

    Attributes:
        version: Version of the model.
        width: Number of values of an answer: 1, or that of the classes.
        outputs: Columns with the predictions; the first one that a row has counts.
        is_share: Whether predictions are probabilities.
    """

    version: int
    width: int
    outputs: tuple[str, ...]
    is_share: bool

    def select(self, batch: Any, left_out: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
        """Return whether each row is an answer, `[rows]`, and the predictions of those that are, `[answers, width]`.

        Args:
            batch: Rows of the log, with the columns `version`, `route`, `code` and the outputs.
            left_out: Counts the other rows by their reason.
        """
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        rows = batch.num_rows
        wanted = np.ones(rows, bool)
        for code, holds in (
            ("versions", pc.equal(columns["version"], self.version)),
            ("mirror", pc.not_equal(columns["route"], "mirror")),
            ("failed", pc.equal(columns["code"], "OK")),
        ):
            mask = np.asarray(pc.fill_null(holds, False))
            left_out[code] += int((wanted & ~mask).sum())
            wanted &= mask
        scores = np.full((rows, self.width), np.nan)
        for name in reversed(self.outputs):
            found = read_numbers(columns[name], self.width)
            known = np.isfinite(found).all(axis=1)
            scores[known] = found[known]
        # Rounding may lead beyond the range by a little.
        limit = 0.5 + _ROUNDING if self.is_share else np.inf
        apart = np.abs(scores - 0.5).max(axis=1)
        for code, bound in (("values", np.inf), ("range", limit)):
            # Neither NaN nor infinity is below infinity.
            mask = np.asarray(apart < bound)
            left_out[code] += int((wanted & ~mask).sum())
            wanted &= mask
        return wanted, np.clip(scores[wanted], 0, 1) if self.is_share else scores[wanted]


def choose_answers(log: Log, version: int, task: Task, classes: int = 2, output: str = "") -> Chosen:
    """Return which rows of a log are answers of a version.

    Args:
        log: A time window of the prediction log.
        version: Version of the model.
        task: Task of the model.
        classes: Number of classes of a multiclass model. Defaults to 2.
        output: Output with the predictions. Defaults to that of Tiffin's models.

    Raises:
        InputError: The log has no such output; a log without files has every one.
    """
    name = OUTPUT + (output or OUTPUTS[task])
    if log.files and name not in log.columns and UNNAMED_OUTPUT not in log.columns:
        known = [one.removeprefix(OUTPUT) for one in log.columns if one.startswith(OUTPUT)]
        raise InputError(
            f"output should be an output in the prediction log: {', '.join(known) or 'it has none'}. "
            f"Received: '{name.removeprefix(OUTPUT)}'.{did_you_mean(name.removeprefix(OUTPUT), known)}"
        )
    outputs = tuple(one for one in (name, UNNAMED_OUTPUT) if one in log.columns)
    return Chosen(version, classes if task == "multiclass" else 1, outputs, task != "regression")


def load_answers(
    workspace: Workspace,
    log: Log,
    version: int,
    task: Task,
    *,
    classes: int = 2,
    output: str = "",
    inputs: Sequence[str] = (),
) -> Answers:
    """Write the answers of a version to the workspace.

    Args:
        workspace: An open workspace, without answers.
        log: A time window of the prediction log.
        version: Version of the model.
        task: Task of the model.
        classes: Number of classes of a multiclass model. Defaults to 2.
        output: Output with the predictions. Defaults to that of Tiffin's models.
        inputs: Inputs to keep, for slices and for the estimate of losses. Defaults to none.

    Raises:
        InputError: The log has no such output or input; a log without files has every one.
    """
    chosen = choose_answers(log, version, task, classes, output)
    width = chosen.width
    for one in inputs:
        if log.files and INPUT + one not in log.columns:
            known = [name.removeprefix(INPUT) for name in log.columns if name.startswith(INPUT)]
            raise InputError(
                f"inputs should be inputs in the prediction log: {', '.join(known) or 'it has none'}. "
                f"Received: '{one}'.{did_you_mean(one, known)}"
            )
    kept = {one: log.columns[INPUT + one] for one in inputs if INPUT + one in log.columns}
    schema = _schema(task, width, kept, log)
    left_out, rows, path = Counter[str](), 0, workspace.folder / "answers.parquet"
    # A dictionary of values that hardly repeat takes half of the time.
    repeating = [one.name for one in schema if one.name in ("row", "rows") or one.name.startswith(INPUT)]
    with pq.ParquetWriter(path, schema, use_dictionary=repeating) as writer:
        for batch in log.batches([*_READ, *chosen.outputs, *(INPUT + one for one in kept)], BATCH_ROWS):
            arrays = _convert(batch, chosen, rows, left_out)
            cast = [pc.cast(array, one.type, safe=False) for array, one in zip(arrays, schema, strict=True)]
            writer.write_table(pa.table(cast, schema=schema))
            rows += len(arrays[0])
    workspace.connection.execute(
        f"CREATE VIEW {VIEW} AS SELECT * FROM read_parquet('{escaped(glob.escape(str(path)))}')"
    )
    start, end = (int(moment.timestamp() * 1_000_000) for moment in (log.start, log.end))
    return Answers(task, width, version, start, end, rows, kept, dict(+left_out))


def _schema(task: Task, width: int, inputs: Iterable[str], log: Log) -> pa.Schema:
    # As in the evaluation: probabilities in float32, numbers in float64.
    kind = pa.float64() if task == "regression" else pa.float32()
    scores = [(f"score_{number}", kind) for number in range(width)]
    return pa.schema([*_SCHEMA, *scores, *((INPUT + name, arrow_type(log.columns[INPUT + name])) for name in inputs)])


def _convert(batch: Any, chosen: Chosen, first: int, left_out: Counter[str]) -> list[Any]:
    """Return the answers of a batch in the columns of the file, numbered from `first`."""
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    wanted, scores = chosen.select(batch, left_out)
    mask = pa.array(wanted)
    arrays: list[Any] = [pa.array(np.arange(first, first + len(scores)))]
    arrays += [pc.filter(columns[name], mask) for name in ("request_id", "key", "row", "rows")]
    arrays += [pc.filter(pc.cast(columns["time"], pa.int64()), mask)]
    arrays += [pa.array(np.ascontiguousarray(scores[:, place])) for place in range(chosen.width)]
    arrays += [pc.filter(columns[name], mask) for name in columns if name.startswith(INPUT)]
    return arrays


def read_numbers(values: Any, width: int) -> np.ndarray:
    """Return the numbers of an output, `[rows, width]`; NaN for a row without as many."""
    found = np.full((len(values), width), np.nan)
    if pa.types.is_list(values.type):
        if not _is_numeric(values.type.value_type):
            return found
        lengths = np.asarray(pc.fill_null(pc.list_value_length(values), -1))
        whole = lengths == width
        flat = pc.list_flatten(pc.filter(values, pa.array(whole)))
        numbers = _floats(flat)
        found[whole] = numbers.reshape(-1, width)
    elif width == 1 and _is_numeric(values.type):
        found[:, 0] = _floats(values)
    return found


def _is_numeric(kind: Any) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind))


def _floats(values: Any) -> np.ndarray:
    numbers: np.ndarray = pc.cast(values, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return numbers
