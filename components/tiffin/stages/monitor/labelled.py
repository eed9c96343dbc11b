"""Labelled answers of the prediction log as rows of the source, so that a training reads them beside the files that it knows.

The log has what the model was given, by the names of the examples. The recipe of the training says which column of the source
each input was, and of which type. Columns that the model was not given are missing in these rows.
"""

import glob
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tiffin.artifacts.documents import write
from tiffin.artifacts.examples import Manifest, read_manifest
from tiffin.artifacts.labelled import LABELLED, ROWS, LabelledRows
from tiffin.artifacts.notes import Note
from tiffin.artifacts.recipe import SourceColumn
from tiffin.performance.answers import Answers, load_answers
from tiffin.performance.joining import Joining, join
from tiffin.performance.label_sources import LabelTable, read_labels
from tiffin.performance.workspace import Workspace, open_workspace
from tiffin.recipe.sql import escaped, quoted_name
from tiffin.recipe.values import DATES, FRACTIONS, INTEGERS
from tiffin.serving.log_reading import open_log
from tiffin.serving.prediction_log import INPUT, is_list, resolve_log_root
from tiffin.serving.recording import KEY_VARIABLE
from tiffin.stages.monitor.baseline import Baseline, read_baseline
from tiffin.stages.monitor.performance import Labels
from tiffin.stages.monitor.windows import find_window, in_utc

LOG_ROOT = "TIFFIN_LOG_ROOT"


def collect(
    reference: str | Path,
    output: str | Path,
    labels: Labels,
    *,
    window: str = "",
    log_root: str = "",
    now: datetime | None = None,
) -> LabelledRows:
    """Write the labelled answers of a version as Parquet with the columns of its source, and return what is there.

    Args:
        reference: Folder of the reference artifact.
        output: Folder to write labelled.json to and, if there are rows, labelled.parquet.
        labels: The labels.
        window: `24h`, `7d` or `2w` up to now. Defaults to none: no rows.
        log_root: Root of the prediction log; empty for TIFFIN_LOG_ROOT.
        now: End of the window. Defaults to the time.

    Raises:
        InputError: The labels or the window are wrong.
        StorageError: The log cannot be read.
    """
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    baseline = read_baseline(reference)
    model, version = baseline.reference.model, baseline.reference.version
    found = LabelledRows(model, version, "", "", 0, 0, 0)
    if not window or not labels.source:
        absent = "labelled_window" if not window else "labels"
        found = replace(found, notes=(Note("NO_LABELLED", f"no answers are added to the data: {absent} is empty"),))
    else:
        span = find_window(window, now or datetime.now(UTC), None)
        found = replace(found, start=in_utc(span.start), end=in_utc(span.end))
        manifest = read_manifest(reference) if baseline.reference.has_examples else None
        if manifest is None or (why := _unfit(manifest, baseline)):
            text = why if manifest else f"the reference of version {version} does not have the columns of its data"
            found = replace(found, notes=(Note("NOT_USABLE", f"no answers are added to the data: {text}"),))
        else:
            root = resolve_log_root(log_root or os.environ.get(LOG_ROOT, ""))
            log = open_log(root, model, span.start, span.end)
            with open_workspace() as workspace:
                inputs = [name for name in _inputs(baseline) if not is_list(log.columns.get(INPUT + name, "list<"))]
                answers = load_answers(
                    workspace, log, version, baseline.task, classes=max(2, len(baseline.classes)), inputs=inputs
                )
                if answers.rows:
                    table = read_labels(
                        workspace, labels.source, dict(labels.columns), url_variable=labels.url_variable
                    )
                    joining = join(
                        workspace, answers, table, classes=baseline.classes,
                        corrections=labels.corrections,  # type: ignore[arg-type]
                        tolerance=labels.tolerance, clock_skew=labels.clock_skew,
                        secret=os.environ.get(KEY_VARIABLE, "").encode(),
                    )  # fmt: skip
                    found = _write(workspace, output / ROWS, manifest, baseline, joining, answers.inputs, found)
                    told = (*found.notes, *_tell_left_out(answers, joining, table))
                    found = replace(found, notes=told)
    write(output / LABELLED, found)
    return found


def _inputs(baseline: Baseline) -> list[str]:
    return list(baseline.training.columns) if baseline.training else list(baseline.columns)


def _unfit(manifest: Manifest, baseline: Baseline) -> str:
    """Return why rows of the log cannot be rows of the source; empty if they can."""
    derived = {one.name for one in manifest.recipe.derive}
    used = [name for name in [*_inputs(baseline), baseline.reference.label] if name in derived]
    if used:
        return f"the log has no columns to derive '{used[0]}' from"
    return ""


def _write(
    workspace: Workspace,
    path: Path,
    manifest: Manifest,
    baseline: Baseline,
    joining: Joining,
    inputs: Mapping[str, str],
    found: LabelledRows,
) -> LabelledRows:
    """Write the rows with a label, and return the counts."""
    reference = baseline.reference
    columns = {column.name: column for column in manifest.columns}
    excluded = {one for one in manifest.recipe.source if one.column not in columns}
    joined = f"read_parquet('{escaped(glob.escape(str(joining.path)))}') WHERE truth IS NOT NULL"
    hashed = _find_hashed(workspace, joined, inputs)
    inputs = {name: kind for name, kind in inputs.items() if name not in hashed}
    selected, missing, counted = [], [], []
    for source in manifest.recipe.source:
        if source.column == reference.label:
            value = _label(source, reference.classes)
        elif source.column in inputs:
            value = _typed(present := _present(source.column, inputs[source.column]), source)
            counted.append(f"count({present}) - count({value})")
        else:
            value = f"CAST(NULL AS {source.type})"
            missing += [source.name] if source not in excluded else []
        selected.append(f"{value} AS {quoted_name(source.name)}")
    unread = 0
    if joining.labelled:
        unread = workspace.fetch(f"SELECT {' + '.join(['0', *counted])} FROM {joined}")[0][0]
        partial = path.with_name(f".{path.name}.partial")
        rows = workspace.write(f"SELECT {', '.join(selected)} FROM {joined} ORDER BY answer", path.name)
        shutil.copyfile(rows, partial)
        partial.rename(path)
    notes = []
    if hashed:
        text = "inputs are in the prediction log as hashes, and missing in the labelled answers"
        notes.append(Note("HASHED", text, count=len(hashed), example=hashed[0]))
    if unread:
        notes.append(
            Note("VALUES_MISSING", "values do not have the type of their column, and are missing", count=unread)
        )
    if missing:
        text = "columns that the model is not given are missing in the labelled answers"
        notes.append(Note("COLUMNS_MISSING", text, count=len(missing), example=missing[0]))
    if without := joining.answers - joining.labelled:
        notes.append(Note("WITHOUT_LABEL", "answers have no label, and are not added", count=without))
    return replace(found, answers=joining.answers, labelled=joining.labelled, rows=joining.labelled, notes=tuple(notes))


def _find_hashed(workspace: Workspace, joined: str, inputs: Mapping[str, str]) -> list[str]:
    """Return the inputs whose texts are all hashes, as the recorder writes those that it should not keep."""
    texts = [name for name, kind in inputs.items() if kind == "string"]
    if not texts:
        return []
    tests = ", ".join(f"bool_and(regexp_full_match({quoted_name(INPUT + name)}, '[0-9a-f]{{64}}'))" for name in texts)
    (found,) = workspace.fetch(f"SELECT {tests} FROM {joined}")
    return [name for name, is_hash in zip(texts, found, strict=True) if is_hash]


def _tell_left_out(answers: Answers, joining: Joining, table: LabelTable) -> tuple[Note, ...]:
    """Return notes about answers and labels that are in no row, by their reason."""
    left = {**answers.left_out, **joining.left_out, "repeated": joining.repeated_answers}
    texts = {
        "versions": "rows of the log are of other versions",
        "mirror": "rows of the log are copies, whose answers no client has seen",
        "failed": "rows of the log are of failed requests",
        "values": "answers have no number",
        "range": "answers are no probability",
        "repeated": "answers were logged again",
        "no_key": "answers have no key",
        "rows": "answers are of requests with several rows, and the labels have no column row",
    }
    notes = [
        Note(f"LEFT_OUT_{code.upper()}", texts.get(code, code), count=count) for code, count in left.items() if count
    ]
    labels = {
        **table.skipped, "unknown": joining.unknown, "outside": joining.outside, "without_time": joining.without_time,
        "invalid": joining.invalid, "contradicting": joining.contradicting,
    }  # fmt: skip
    said = {
        "unknown": "labels found no answer in the window",
        "outside": "labels are too far in time from their answer",
        "without_time": "labels have no time",
        "invalid": "labels are no class of the model, or no number",
        "contradicting": "answers have labels that contradict one another",
        "no_key": "rows of labels have no key",
        "no_label": "rows of labels have no label",
        "row": "rows of labels have no whole number as row",
        "csv": "lines of labels cannot be read",
    }
    notes += [
        Note(f"LABELS_{code.upper()}", said.get(code, code), count=count) for code, count in labels.items() if count
    ]
    return tuple(notes)


def _label(source: SourceColumn, classes: tuple[str, ...]) -> str:
    """Return the SQL of the label: the class of an index, or the number."""
    if not classes:
        return _typed("truth", source)
    cases = " ".join(f"WHEN {place} THEN '{escaped(name)}'" for place, name in enumerate(classes))
    return _typed(f"CASE truth {cases} END", source)


def _present(column: str, kind: str) -> str:
    """Return the SQL of an input of a kind as it is in the log; null if it is missing: NaN, or an empty text."""
    name = quoted_name(INPUT + column)
    if kind == "string":
        return f"nullif({name}, '')"
    return f"CASE WHEN NOT isnan({name}) THEN {name} END" if kind.startswith("float") else name


def _typed(value: str, source: SourceColumn) -> str:
    """Return the SQL of a value with the type of its column; numbers with the decimal mark that the source has."""
    if source.type in (*INTEGERS, *FRACTIONS) and source.decimal != ".":
        return f"replace(CAST({value} AS VARCHAR), '.', '{escaped(source.decimal)}')"
    if source.type in DATES:
        formats = ", ".join(f"'{escaped(one)}'" for one in source.formats)
        parsed = (
            f"coalesce(TRY_CAST({value} AS {source.type}), CAST(try_strptime({value}, [{formats}]) AS {source.type}))"
        )
        return parsed if formats else f"TRY_CAST({value} AS {source.type})"
    return f"TRY_CAST({value} AS {source.type})"
