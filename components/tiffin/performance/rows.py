"""The answers of a window and their labels as arrays: of a binary model, 9 bytes of each, and 2 for each column of slices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq

from tiffin.artifacts.columns import Column
from tiffin.artifacts.measures import Slice
from tiffin.artifacts.model import Task
from tiffin.errors import InputError
from tiffin.performance.answers import Answers
from tiffin.performance.joining import Joining
from tiffin.performance.workspace import BATCH_ROWS
from tiffin.quality.cuts import MISSING, OTHER, Cut, cut_at_edges, cut_batches, cut_by_values, floats
from tiffin.quality.outcomes import Outcomes
from tiffin.serving.prediction_log import INPUT, is_list


@dataclass(frozen=True)
class Rows:
    """Answers, with a label or without one.

    Attributes:
        task: Task of the model.
        classes: Number of classes; 0 for regression.
        start: Start of the window, in microseconds since 1970.
        seconds: Time of each answer, in seconds since the start.
        answer: Predictions, `[rows]` or `[rows, classes]`.
        truth: Labels, `[rows]`: index of the class or -1 without one; number or NaN without one.
        cuts: Input to its groups.
        codes: Input to the group of each row, `[rows]`.
    """

    task: Task
    classes: int
    start: int
    seconds: np.ndarray
    answer: np.ndarray
    truth: np.ndarray
    cuts: dict[str, Cut]
    codes: dict[str, np.ndarray]

    @property
    def labelled(self) -> np.ndarray:
        """Whether each row has a label, `[rows]`."""
        found: np.ndarray = np.isfinite(self.truth) if self.task == "regression" else self.truth >= 0
        return found

    def outcomes(self, wanted: np.ndarray | None = None) -> Outcomes:
        """Return the labels and predictions of the rows with a label.

        Args:
            wanted: Whether a row is wanted, `[rows]`. Defaults to all.
        """
        chosen = self.labelled if wanted is None else self.labelled & wanted
        return Outcomes(self.task, self.classes, self.truth[chosen], self.answer[chosen])


def read_rows(
    answers: Answers,
    joining: Joining,
    columns: Sequence[str] = (),
    reference: Sequence[Slice] = (),
    shown: Mapping[str, str] | None = None,
) -> Rows:
    """Return the joined answers as arrays.

    Args:
        answers: The answers.
        joining: The answers with their labels.
        columns: Inputs to cut into groups for slices; they are among the inputs of the answers. Defaults to none.
        reference: Slices of the evaluation. A column that it has slices of is cut in the same way, others as the evaluation
            would. Defaults to none.
        shown: Input to its name in the names of groups, as the evaluation has it of a renamed column. Defaults to none.

    Raises:
        InputError: A column is not among the inputs, or its values are lists.
    """
    cuts = _cut(answers, joining, columns, reference, shown or {})
    number = {"binary": 2, "regression": 0}.get(answers.task, answers.width)
    rows, is_number = joining.answers, answers.task == "regression"
    seconds = np.empty(rows, np.int32)
    answer = np.empty((rows, answers.width), np.float64 if is_number else np.float32)
    truth = np.empty(rows, np.float64 if is_number else np.min_scalar_type(-max(number, 1)))
    codes = {name: np.empty(rows, np.int16) for name in cuts}
    filled = 0
    scores = [f"score_{place}" for place in range(answers.width)]
    with pq.ParquetFile(joining.path) as file:
        for batch in file.iter_batches(
            BATCH_ROWS, columns=["time", "truth", *scores, *(INPUT + name for name in cuts)]
        ):
            found = dict(zip(batch.schema.names, batch.columns, strict=True))
            part = slice(filled, filled + batch.num_rows)
            seconds[part] = (found["time"].to_numpy() - answers.start) // 1_000_000
            for place, name in enumerate(scores):
                answer[part, place] = found[name].to_numpy()
            labels = found["truth"].to_numpy(zero_copy_only=False).astype(np.float64)
            truth[part] = labels if is_number else np.nan_to_num(labels, nan=-1)
            for name, cut in cuts.items():
                codes[name][part] = cut.codes(found[INPUT + name])
            filled += batch.num_rows
    flat = answer if answers.task == "multiclass" else answer[:, 0]
    return Rows(answers.task, number, answers.start, seconds, flat, truth, cuts, codes)


def check_columns(kinds: Mapping[str, str], columns: Sequence[str]) -> None:
    """Raise an InputError unless columns of slices are among the inputs, and have one value.

    Args:
        kinds: Inputs to their kinds.
        columns: The columns.
    """
    for name in columns:
        if name not in kinds or is_list(kinds[name]):
            received = f"{kinds[name]}" if name in kinds else "none"
            raise InputError(
                f"Columns of slices should be inputs with one value: {', '.join(kinds) or 'none was read'}. "
                f"Received: '{name}', with {received}."
            )


def _cut(
    answers: Answers, joining: Joining, columns: Sequence[str], reference: Sequence[Slice], shown: Mapping[str, str]
) -> dict[str, Cut]:
    kinds = answers.inputs
    check_columns(kinds, columns)
    names = {name: shown.get(name, name) for name in columns}
    found = {name: cut for name in columns if (cut := _cut_as(name, kinds[name], reference, names[name])) is not None}
    others = [_column(name, kinds[name]) for name in dict.fromkeys(columns) if name not in found]
    if others:
        with pq.ParquetFile(joining.path) as file:
            batches = file.iter_batches(BATCH_ROWS, columns=[column.name for column in others])
            made = cut_batches(batches, others, joining.answers, {INPUT + name: names[name] for name in columns})
        found |= {name.removeprefix(INPUT): cut for name, cut in made.items()}
    return {name: found[name] for name in dict.fromkeys(columns) if name in found}


def _column(name: str, kind: str) -> Column:
    if kind == "string":
        return Column(INPUT + name, "STRING")
    return Column(INPUT + name, "INT" if kind in ("int64", "bool") else "FLOAT", "boolean" if kind == "bool" else None)


def _cut_as(column: str, kind: str, reference: Sequence[Slice], name: str) -> Cut | None:
    """Return the groups that the evaluation's slices of a column had; None without slices, or of dates."""
    values = [one.value for one in reference if one.columns == (column,)]
    single = [text.removeprefix(f"{name} = ") for text in values if text.startswith(f"{name} = ")]
    known = [text for text in single if text not in (OTHER, MISSING)]
    if kind == "string":
        return cut_by_values(INPUT + column, name, sorted(known), lambda texts: texts) if known else None
    try:
        edges = sorted({float(edge) for text in values for edge in _edges(text, name)})
        numbers = sorted({_number(text) for text in known})
    except ValueError:
        return None
    if edges:
        return cut_at_edges(_column(column, kind), name, np.array(edges))
    if numbers and set(known) <= {"false", "true"}:
        return cut_by_values(INPUT + column, name, [0.0, 1.0], floats, ("false", "true"))
    return cut_by_values(INPUT + column, name, numbers, floats) if numbers else None


def _number(text: str) -> float:
    return float(text == "true") if text in ("false", "true") else float(text)


def _edges(text: str, name: str) -> list[str]:
    """Return the edges in the name of a group, such as `2.5 < km <= 4`."""
    below, above = f"{name} <= ", f"{name} > "
    if text.startswith(above):
        return [text.removeprefix(above)]
    first, found, last = text.rpartition(below)
    if not found:
        return []
    return [*([first.removesuffix(" < ")] if first else []), last]


def mask_between(rows: Rows, first: int, last: int) -> np.ndarray:
    """Return whether answers are from seconds since the start of the window up to others, not included."""
    found: np.ndarray = (rows.seconds >= first) & (rows.seconds < last)
    return found
