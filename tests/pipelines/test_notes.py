"""What a run drops, converts or guesses is told in its output, the logs of the steps, the reports, the summary and `--json`."""

import html
import json
import re
import textwrap
from pathlib import Path

import pytest

from support.command_line import tiffin

pytestmark = pytest.mark.runs

# 300 rows of 300 are read, one is set aside; ten labels and 15 numbers are missing; two names change, and rows are numbered.
ROWS = "row,km %,paid,mark,is late\n" + "".join(
    f'{n},{"?" if n % 20 == 0 else n % 17},"$1,{n % 900 + 100:03d}.50",x{n},{"" if n % 30 == 3 else n % 2}.0\n'
    if n % 30 != 3
    else f'{n},{n % 17},"$1,{n % 900 + 100:03d}.50",x{n},\n'
    for n in range(300)
)
INGEST = {
    ("ROWS_SET_ASIDE", "", 1), ("MISSING_WORDS", "km %", 15), ("CONVERTED", "paid", 300), ("COLUMNS_RENAMED", "", 2),
    ("ROW_NUMBERS", "row", None),
}  # fmt: skip


def _text(note: dict[str, object]) -> str:
    return json.dumps(note, sort_keys=True)


def test_notes_are_told_in_every_place(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text(ROWS + "300,1\n")
    settings = [f"data={tmp_path}/data.csv", "label=is late", "epochs=1"]
    status, output, progress = tiffin(
        "run", "training", "--json", "--state", tmp_path / "state", *(x for one in settings for x in ("--set", one))
    )
    run = json.loads(output)
    told = {(note["step"], note["code"]): note for note in run["notes"]}
    trained, evaluated = (told[step, "LABEL_MISSING"] for step in ("train-model", "evaluate-model"))

    # The labels do not depend on the inputs: the gate stops the run, and its notes are there all the same.
    assert status in (0, 3)
    assert {
        (note["code"], note["column"], note["count"]) for note in run["notes"] if note["step"] == "ingest-examples"
    } == INGEST
    assert trained["count"] + evaluated["count"] == 10
    assert trained["column"] == evaluated["column"] == "is late"
    assert {("train-model", "TASK_CHOSEN"), ("train-model", "TRAINING_LENGTH"), ("train-model", "LEFT_OUT")} < set(told)

    logs = {step["name"]: Path(step["log"]).read_text() for step in run["steps"] if step["log"]}
    (summary,) = tmp_path.rglob("summary.json")
    (validation,), (whole,) = tmp_path.rglob("report.md"), tmp_path.rglob("summarize-run/report.html")
    shown = html.unescape(whole.read_text())
    # The summary is keyed by step, in alphabetical order.
    assert sorted(json.loads(summary.read_text())["notes"], key=_text) == sorted(run["notes"], key=_text)
    for note in run["notes"]:
        text = note["text"]
        assert text in logs[note["step"]]
        assert text in logs["summarize-run"]
        assert re.search(f"<td>{note['step']}</td><td[^>]*>{re.escape(text)}</td>", shown)
        assert textwrap.shorten(text, 10_000) in " ".join(progress.split())
    for code, column, count in INGEST - {("ROWS_SET_ASIDE", "", 1)}:
        if column:
            assert any(column in line and str(count or "") in line for line in validation.read_text().splitlines()), (
                code
            )
