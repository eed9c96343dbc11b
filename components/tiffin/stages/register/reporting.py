"""The report and the model card in an MLflow run."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from tiffin.artifacts.anomalies import read_anomalies
from tiffin.artifacts.notes import by_severity
from tiffin.artifacts.statistics import read_statistics
from tiffin.artifacts.summary import CARD_PAGE, REPORT_PAGE, Step, Summary, noted
from tiffin.report.card import write_card
from tiffin.report.report import write_report
from tiffin.stages.register.contents import Content


@contextmanager
def with_report(content: Content, statistics: str | Path = "", anomalies: str | Path = "") -> Iterator[Content]:
    """Yield the content of an MLflow run with a folder that holds the report and the model card.

    Args:
        content: Content of the MLflow run.
        statistics: Folder of the statistics artifact; empty for none.
        anomalies: Folder of the anomalies artifact; empty for none.

    Raises:
        InputError: An artifact is invalid.
    """
    found = read_statistics(statistics) if statistics else None
    summary = summarize(content, anomalies)
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_report(folder / REPORT_PAGE, summary, {"validate": found} if found is not None else {})
        if content.evaluation:
            write_card(folder / "card.md", folder / CARD_PAGE, summary)
        yield replace(content, folders={**content.folders, "report": folder})


def summarize(content: Content, anomalies: str | Path = "") -> Summary:
    """Return the summary of a pipeline run, as far as it is known when it is logged to MLflow."""
    steps = {
        "ingest": Step(examples=content.manifest),
        "validate": Step(anomalies=read_anomalies(anomalies) if anomalies else None),
        "train": Step(model=content.record),
        "evaluate": Step(evaluation=content.evaluation),
    }
    return Summary(
        pipeline=content.run_name or content.name,
        state="PASSED" if content.passed else "STOPPED",
        reason=content.reason,
        stopped_by=content.stopped_by or None,
        data_version=content.manifest.version if content.manifest else None,
        metrics=content.evaluation.metrics if content.evaluation else {},
        verdict=content.evaluation.verdict if content.evaluation else None,
        model=None,
        serving=None,
        steps=steps,
        notes=tuple(noted(name, note) for name, step in steps.items() for note in by_severity(step.notes)),
    )
