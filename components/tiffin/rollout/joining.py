"""Join a table of labels, which arrive later, with the recorded answers of a rollout."""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tiffin.artifacts.model import Task, class_name
from tiffin.errors import InputError, did_you_mean
from tiffin.rollout.answers import COLUMNS, Choice, Output, choose
from tiffin.rollout.document import Rollout
from tiffin.rollout.logged import find_logged, take_sample
from tiffin.rollout.statistics.labels import Answer, Labels, Quality, collect, measure
from tiffin.serving.log_rows import open_file
from tiffin.serving.prediction_log import OUTPUT, UNNAMED_OUTPUT, start_of_hour
from tiffin.serving.recording import read_recording
from tiffin.serving.root import ServedModel

# Columns of the table, of which it has one.
KEYS = ("request_id", "key")
_LABEL, _ROW = "label", "row"


@dataclass(frozen=True)
class Table:
    """A table of labels.

    Attributes:
        by: Column that its rows are joined by.
        labels: Key, or key/row if the table has the column `row`, to the label as it was read.
        incomplete: Rows without a key or label, which are left out.
        has_rows: Whether it has the column `row`.
    """

    by: str
    labels: Labels
    incomplete: int
    has_rows: bool


@dataclass(frozen=True)
class Joined:
    """Labels joined with answers.

    Attributes:
        by: Column that they are joined by.
        output: Output of the model with the predictions.
        task: Task of the model.
        quality: The quality of both versions.
        labels: Number of labels.
        incomplete: Rows of the table without a key or label, which are left out.
        skipped: Reason to the number of recorded rows that are left out: `failed` requests, other `signatures`, `values` that
            are missing or of another shape, `rows` of requests with several, if the table has no column `row`, and
            `no_key`.
        unread_files: Files of the log that could not be read.
    """

    by: str
    output: str
    task: Task
    quality: Quality
    labels: int
    incomplete: int
    skipped: dict[str, int]
    unread_files: int


def read_labels(rows: Iterable[Mapping[str, Any]], columns: Iterable[str]) -> Table:
    """Return the labels of a table.

    Args:
        rows: Rows of the table.
        columns: Its columns: `request_id` or `key`, `label`, and `row` if requests have several.

    Raises:
        InputError: A column is missing, or a row is no number.
    """
    known = list(columns)
    by = next((name for name in KEYS if name in known), "")
    if not by or _LABEL not in known:
        raise InputError(
            f"A table of labels should have the column {_LABEL}, and {' or '.join(KEYS)}. Received: {', '.join(known)}."
            f"{did_you_mean(_LABEL, known) if by else ''}"
        )
    incomplete = 0

    def pairs() -> Iterator[tuple[str, object]]:
        nonlocal incomplete
        for row in rows:
            key, label = row.get(by), row.get(_LABEL)
            is_missing = label in (None, "") or (isinstance(label, float) and math.isnan(label))
            if key in (None, "") or is_missing:
                incomplete += 1
                continue
            yield f"{class_name(key)}/{_row_number(row[_ROW])}" if _ROW in known else class_name(key), label

    labels = collect(pairs())
    return Table(by, labels, incomplete, _ROW in known)


def join(
    served: ServedModel, rollout: Rollout, log: str, table: Table, *, output: str = "", task: Task | None = None
) -> Joined:
    """Join labels with the recorded answers of a rollout, and return the quality of both versions.

    Args:
        served: The model.
        rollout: Its rollout.
        log: Root of the prediction log.
        table: The labels.
        output: Output of the model with the predictions. Defaults to that of Tiffin's models, or the only one with numbers.
        task: Task of the model. Defaults to what the output says.

    Raises:
        InputError: No label matches an answer, the output is unknown, or a label is no class or number of the model.
        StorageError: The log cannot be read.
    """
    recording = read_recording(served)[0]
    if table.by == "key" and "key" in (*recording.omit, *recording.hash):
        raise InputError(
            f"The labels of '{served.name}' should have the column request_id: its prediction log does not have the keys of "
            "requests as they are. Received: key. See: tiffin models record"
        )
    reader = _Reader(served, rollout, log, table.by, has_rows=table.has_rows)
    found = _find_output(reader.choice, output)
    kind: Task = task or _find_task(found)
    labels, classes = _number_labels(table.labels, kind, reader.find_classes(kind))
    quality = measure(reader.answers(found, labels), labels, kind, classes=classes)
    if not sum(quality.matched.values()):
        raise _no_match(served, table, reader)
    return Joined(
        table.by, found.name, kind, quality, len(labels.values), table.incomplete, dict(reader.skipped), reader.unread
    )


class _Reader:
    """The recorded answers of a rollout, and what was left out of them."""

    def __init__(self, served: ServedModel, rollout: Rollout, log: str, by: str, *, has_rows: bool) -> None:
        self._by, self._has_rows = by, has_rows
        hour = start_of_hour(datetime.fromisoformat(rollout.started))
        self._versions, self._files = find_logged(rollout, served.name, log, hour)
        self._sample, _ = take_sample(self._files, self._versions)
        if not self._sample:
            raise InputError(
                f"The prediction log '{log}' should have answers of the rollout of version {rollout.version} of the model "
                f"'{served.name}'. Received: none of the version in production. They are there a minute after the requests, "
                "if requests are recorded."
            )
        self.choice = choose(self._sample)
        self.skipped: dict[str, int] = {}
        self.unread = 0
        self.example = ""

    def find_classes(self, task: Task) -> list[str]:
        """Return the names of the classes, which Tiffin's models have as the output `classes`; none if they are unknown."""
        named = (row.get(OUTPUT + "classes") for row in self._sample)
        found: Any = next((names for names in named if names), [])
        names = found if isinstance(found, list) else [found]
        return [_class_text(name) for name in names] if task != "regression" else []

    def answers(self, output: Output, labels: Labels) -> Iterator[Answer]:
        """Yield the answers of both versions."""
        name = OUTPUT + output.name
        for file in self._files:
            try:
                with open_file(file.uri, self._versions.first) as opened:
                    names = [one for one in (name, UNNAMED_OUTPUT) if one in opened.columns]
                    for batch in opened.read([*COLUMNS, "key", *names]):
                        for index in self._versions.find_rows(batch):
                            row = {column: values[index] for column, values in batch.items()}
                            value = row.get(name)
                            if value is None and len(self.choice.outputs) == 1:
                                value = row.get(UNNAMED_OUTPUT)
                            if answer := self._answer(row, value, output.width, labels):
                                yield answer
            except InputError:
                self.unread += 1

    def _answer(self, row: Mapping[str, Any], value: Any, width: int, labels: Labels) -> Answer | None:
        values = value if isinstance(value, list) else [value]
        key, number = row[self._by], row["row"]
        reason = ""
        if row["code"] != "OK":
            reason = "failed"
        elif (row["signature"] or "") != self.choice.signature:
            reason = "signatures"
        elif len(values) != width or not all(isinstance(one, bool | int | float) for one in values):
            reason = "values"
        elif key is None:
            reason = "no_key"
        elif not self._has_rows and (row["rows"] or 1) > 1:
            reason = "rows"
        if reason:
            self.skipped[reason] = self.skipped.get(reason, 0) + 1
            return None
        self.example = self.example or str(key)
        full = f"{key}/{number}" if self._has_rows else str(key)
        return Answer(full, "stable" if row["route"] == "stable" else "candidate", [float(one) for one in values])


def _find_output(choice: Choice, name: str) -> Output:
    known = {output.name: output for output in choice.outputs}
    if name in known:
        return known[name]
    ours = [output for output in choice.outputs if output.kind != "number"]
    if not name and (len(ours) == 1 or len(known) == 1 or "prediction" in known):
        return ours[0] if ours else known.get("prediction") or choice.outputs[0]
    received = f"'{name}'" if name else "none"
    raise InputError(
        f"--output should be an output with numbers in the prediction log: {', '.join(known) or 'it has none'}. "
        f"Received: {received}.{did_you_mean(name, known)}"
    )


def _find_task(output: Output) -> Task:
    if output.kind == "probability":
        return "binary"
    return "multiclass" if output.kind == "class" or output.width > 1 else "regression"


def _number_labels(labels: Labels, task: Task, classes: list[str]) -> tuple[Labels, list[str]]:
    """Return the labels as `measure` takes them, and the names of the classes; none if labels are numbers."""
    if task == "regression" or not classes:
        return labels, []
    texts = {key: _class_text(label) for key, label in labels.values.items()}
    if task == "multiclass":
        return Labels(texts, labels.repeated, labels.contradicting), classes
    # The output has the name of the positive class only.
    positive, others = classes[-1], sorted({*texts.values()} - {classes[-1]})
    if len(others) > 1:
        raise InputError(
            f"The labels of a binary model should be '{positive}' and one other value. Received: "
            f"{', '.join(map(repr, others[:5]))}."
        )
    return Labels({k: int(text == positive) for k, text in texts.items()}, labels.repeated, labels.contradicting), []


def _class_text(value: object) -> str:
    """Return the name of a class: `1`, `1.0` and the text `1.0` are the same."""
    try:
        return class_name(float(value)) if isinstance(value, str) else class_name(value)
    except (ValueError, OverflowError):
        return str(value)


def _row_number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        raise InputError(f"The column {_ROW} should have numbers of rows, from 0. Received: {value!r}.") from None


def _no_match(served: ServedModel, table: Table, reader: _Reader) -> InputError:
    labels = table.labels.values
    expected = f", such as '{reader.example}'" if reader.example else ""
    received = f", such as of '{next(iter(labels))}'" if labels else ""
    return InputError(
        f"The column {table.by} should have values of the prediction log{expected}. Received: {len(labels)} labels{received}; "
        f"none is of an answer of the rollout of '{served.name}'."
    )
