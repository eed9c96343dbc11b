"""The report and the model card of a run, from its artifact store."""

import re

from support.documents import make_summary
from support.reporting import COLUMNS, MANIFEST, STATISTICS
from tiffin.artifacts.statistics import STATISTICS as FILE
from tiffin.artifacts.statistics import write_statistics
from tiffin.artifacts.summary import Step
from tiffin.stages.report.reporting import write_reports


def report(run, summary, output="summarize-run/17/summary"):
    names = [run / name for name in ("report.html", "card.md", "card.html")]
    write_reports(*names, f"{run}/{output}", "summarize-run", summary)
    return names[0].read_text()


def test_a_run_without_artifacts(tmp_path):
    page = report(tmp_path, make_summary())

    assert "<article>" not in page
    assert sorted(path.name for path in tmp_path.iterdir()) == ["card.html", "card.md", "report.html"]


def test_the_columns_are_drawn_from_the_statistics_of_the_run(tmp_path):
    write_statistics(tmp_path / "validate-examples" / "17" / "statistics", STATISTICS)
    page = report(tmp_path, make_summary(steps={"ingest-examples": Step(examples=MANIFEST)}))

    assert page.count("<article>") == len(COLUMNS)


def test_statistics_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "validate" / "statistics").mkdir(parents=True)
    (tmp_path / "validate" / "statistics" / FILE).write_bytes(b"\xff torn")
    page = report(tmp_path, make_summary(unread=("another",)))

    assert re.findall("<h2>(.+?)</h2>", page)[-1] == "Reports that could not be read"
    assert page.count(FILE) == 1
    assert "another" in page


def test_an_output_outside_of_the_run(tmp_path):
    write_statistics(tmp_path / "validate-examples" / "statistics", STATISTICS)

    assert "<article>" not in report(tmp_path, make_summary(), "elsewhere/summary")
