"""Write the report and the model card of a run, from its summary and the statistics in its artifact store."""

from dataclasses import replace
from pathlib import Path

from tiffin.artifacts.statistics import find_statistics
from tiffin.artifacts.steps import split_output
from tiffin.artifacts.summary import Summary
from tiffin.errors import InputError, StorageError
from tiffin.report.card import write_card
from tiffin.report.report import write_report


def write_reports(
    report: str | Path, card: str | Path, card_page: str | Path, output_uri: str, step: str, summary: Summary
) -> None:
    """Write the report and the model card of the run that `output_uri` belongs to.

    Args:
        report: Path of the report, an HTML file.
        card: Path of the model card, a Markdown file.
        card_page: Path of the model card as an HTML file.
        output_uri: URI of the summary artifact: `<run>/<step>/...`.
        step: Name of the exit step's folder.
        summary: Summary of the run.
    """
    run_uri, found_step = split_output(output_uri, step)
    try:
        statistics = find_statistics(run_uri) if found_step else {}
    except (InputError, StorageError) as error:
        statistics = {}
        summary = replace(summary, unread=(*summary.unread, f"Could not read the statistics of the run: {error}"))
    write_report(report, summary, statistics)
    write_card(card, card_page, summary)
