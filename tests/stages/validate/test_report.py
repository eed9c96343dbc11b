"""The Markdown report: anomalies, notes, and values as they look in the data."""

import re

import pyarrow as pa
import pytest

from support.hostile import HOSTILE, IN_FILES, controls
from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import Anomaly
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.notes import Note
from tiffin.stages.validate.report import describe
from tiffin.validation import statistics

DAY = 86_400
LOGICAL = {"day": "date", "at": "timestamp", "paid": "boolean"}
ROWS = table(
    day=[0, 2 * DAY, None],
    at=[1_700_000_000, 1_700_000_001, 1_700_000_002],
    paid=[1, 0, 1],
    id=[1_234_567, 1_234_568, 1_234_569],
    fare=[0.5, 1.5, 2.5],
    zip=["01234", "01234", "9"],
)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    from dataclasses import replace

    folder = write_examples(tmp_path_factory.mktemp("examples"), {"eval": ROWS, "train": ROWS, "a": ROWS})
    manifest = read_manifest(folder)
    columns = tuple(replace(column, logical=LOGICAL.get(column.name)) for column in manifest.columns)
    documents.write(folder / MANIFEST, replace(manifest, columns=columns))
    return statistics.compute(folder)


def cells(report, column):
    """Return the first row of a column, by header."""
    lines = [line for line in report.splitlines() if line.startswith("| ")]
    header = next(line for line in lines if line.startswith("| column | type"))
    row = next(line for line in lines if line.startswith(f"| `{column}` "))
    values = (re.split(r"(?<!\\)\|", line)[1:-1] for line in (header, row))
    return {name.strip(): value.strip() for name, value in zip(*values, strict=True)}


def test_train_comes_first(found):
    assert re.findall(r"^## (\w+): 3 rows", describe([], found), re.MULTILINE) == ["train", "eval", "a"]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        (
            "day",
            {"type": "date", "missing": "33.3 %", "mean": "1970-01-02", "deviation": "1 days", "max": "1970-01-03"},
        ),
        ("at", {"type": "timestamp", "min": "2023-11-14 22:13:20", "median": "2023-11-14 22:13:21"}),
        ("paid", {"type": "boolean", "distinct": "2", "mean": "", "most frequent": "true (2), false (1)"}),
        ("id", {"type": "integer", "min": "1234567", "mean": "1234568", "max": "1234569"}),
        ("fare", {"type": "float", "mean": "1.5", "deviation": "0.816497"}),
        ("zip", {"type": "text", "distinct": "2", "mean": "", "most frequent": "01234 (2), 9 (1)"}),
    ],
)
def test_values_look_as_in_the_data(found, column, values):
    row = cells(describe([], found), column)

    assert {name: row[name] for name in values} == values


def test_estimated_counts_are_not_shown(tmp_path):
    folder = write_examples(tmp_path, {"train": table(id=[f"D{number:05d}" for number in range(3000)])})
    found = statistics.compute(folder)

    row = cells(describe([], found), "id")
    assert re.fullmatch(r"D\d{5}, D\d{5}, D\d{5}", row["most frequent"])


def test_notes_are_listed_with_count_and_example(found):
    notes = [Note("ROWS_SET_ASIDE", "Rows|set aside.", "id", 5, "D1000 <b>"), Note("TASK_CHOSEN", "Chosen.")]
    report = describe([], found, {"id": "Id %"}, notes)

    assert "| Rows\\|set aside. | Id % | 5 | D1000 &lt;b&gt; |\n| Chosen. | | | |\n" in report
    assert report.index("D1000") < report.index("## train")


def test_columns_have_their_names_in_the_data(found):
    anomalies = [Anomaly("eval", "id", "SCHEMA_NEW_COLUMN", "new", "see")]
    report = describe(anomalies, found, {"id": "Kunden-Nr."})

    assert "| eval | Kunden-Nr. | new. see | `SCHEMA_NEW_COLUMN` |" in report
    assert "`id`" not in report


def test_long_values_are_cut(tmp_path):
    rows = pa.table({"a": ["x" * 300] * 3})
    report = describe(
        [], statistics.compute(write_examples(tmp_path, {"train": rows})), {}, [Note("X", "y" * 300, "a")]
    )

    assert f"{'x' * 200}... (3)" in report
    assert "y" * 300 in report


def test_no_name_and_no_value_begins_an_element_or_a_command(tmp_path):
    rows = pa.table({f"c{number}": [text] * 3 for number, text in enumerate(IN_FILES)})
    found = statistics.compute(write_examples(tmp_path, {"train": rows}))
    names = {f"c{number}": text for number, text in enumerate(IN_FILES)}
    anomalies = [Anomaly(text, "c0", "CODE", text, text) for text in HOSTILE]
    report = describe(anomalies, found, names, [Note("CODE", text, text, 1, text) for text in HOSTILE])

    assert ("<" in report, controls(report)) == (False, [])
    # Each row has the cells of its table.
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in report.splitlines() if line.startswith("| ")} == {5, 11}
    assert sum(line.startswith("| ") for line in report.splitlines()) == 3 + 2 * len(HOSTILE) + len(IN_FILES)


def test_a_value_cannot_add_cells_or_markup(tmp_path):
    rows = pa.table({"a": ["<img src=x>|b\n## c"] * 3})
    report = describe([], statistics.compute(write_examples(tmp_path, {"train": rows})))
    [line] = [line for line in report.splitlines() if "img" in line]

    assert len(re.findall(r"(?<!\\)\|", line)) == 11
    assert "<" not in re.sub(r"\\.", "", line)
