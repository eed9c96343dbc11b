"""A window of the prediction log with its labels, for the tests."""

import contextlib
from datetime import UTC, datetime, timedelta

from support import logged
from tiffin.performance.answers import load_answers
from tiffin.performance.joining import join
from tiffin.performance.label_sources import read_labels
from tiffin.performance.workspace import open_workspace
from tiffin.serving.log_reading import open_log

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def minute(number):
    """Return a time that many minutes after noon."""
    return NOON + timedelta(minutes=number)


def answer(request, number=0, probability=0.5, version=3, route="stable", **values):
    """Return a row of the log: the answer of a binary model that many minutes after noon."""
    return logged.row(route, version, request, minute(number), output_probability=[probability], **values)


@contextlib.contextmanager
def joined(folder, rows, labels, *, task="binary", classes=(), hours=24, inputs=(), columns=None, **rules):
    """Yield the workspace, the answers, the table of labels and the joining, of rows of the log and the text of a CSV."""
    logged.write(folder, rows)
    path = folder / "labels.csv"
    path.write_text(labels)
    with open_workspace() as workspace:
        log = open_log(str(folder), "taxi", NOON, NOON + timedelta(hours=hours))
        answers = load_answers(workspace, log, 3, task, classes=len(classes) or 2, inputs=inputs)
        table = read_labels(workspace, str(path), columns)
        yield workspace, answers, table, join(workspace, answers, table, classes=classes, **rules)


def truths(workspace, joining):
    """Return the request IDs of the answers with a label, to the label."""
    query = f"SELECT request_id, truth FROM read_parquet('{joining.path}') WHERE truth IS NOT NULL ORDER BY answer"
    return dict(workspace.fetch(query))
