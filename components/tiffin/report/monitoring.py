"""The report of the monitoring of a model: one HTML file that opens without a network, the verdict first."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from altair.utils.schemapi import debug_mode

from tiffin.artifacts.monitoring import Finding, Monitoring, join_traffic, traffic_of
from tiffin.artifacts.notes import Note
from tiffin.artifacts.numbers import format_share
from tiffin.report import page
from tiffin.report.data import listing, shortened
from tiffin.report.drift import describe_inputs, describe_outputs
from tiffin.report.page import Block, Cell, Mark, Page, Section, Text, Tone
from tiffin.report.performance import describe_performance
from tiffin.report.timeline import make_span
from tiffin.report.traffic import describe_traffic
from tiffin.storage.files import write_bytes

_TONES: dict[str, Tone] = {
    "healthy": "good",
    "degraded": "bad",
    "drifted": "warning",
    "no_data": "warning",
    "info": "muted",
}
_MOST_FINDINGS = 20


def write_monitoring_report(path: str | Path, monitoring: Monitoring) -> None:
    """Write the report of the monitoring of a model as an HTML file. The same monitoring gives the same bytes.

    Args:
        path: Path of the file.
        monitoring: Monitoring of a version.
    """
    write_bytes(path, describe_monitoring(monitoring).encode())


def describe_monitoring(monitoring: Monitoring) -> str:
    """Return the report of the monitoring of a model as HTML."""
    # Altair would check each part of a chart, which takes a tenth of the time.
    with debug_mode(False):
        sections = _sections(monitoring)
    return page.render(
        Page(
            title=f"{monitoring.model} version {monitoring.version}",
            state=monitoring.verdict.replace("_", " "),
            tone=_TONES[monitoring.verdict],
            reason=monitoring.reason,
            action=monitoring.action,
            facts=_facts(monitoring),
            sections=sections,
        )
    )


def _sections(one: Monitoring) -> list[Section]:
    """Return the sections, in the order in which a verdict is looked into."""
    makers: tuple[tuple[str, Callable[[], Sequence[Block]]], ...] = (
        ("Findings", partial(_findings, one.findings)),
        ("Traffic", partial(describe_traffic, one, "traffic")),
        ("Data", partial(describe_inputs, one, "data")),
        ("Predictions", partial(describe_outputs, one, "predictions")),
        ("Quality", partial(describe_performance, one.performance, "quality")),
        ("What was left out, dropped or guessed", partial(_notes, one)),
    )
    made = [Section(title, page.made(make)) for title, make in makers]
    return [section for section in made if section.blocks]


def _facts(one: Monitoring) -> list[tuple[str, str]]:
    hours = round((datetime.fromisoformat(one.end) - datetime.fromisoformat(one.start)).total_seconds() / 3600)
    together = join_traffic(traffic_of(one.traffic, one.version), one.version)
    requests, failed = together.requests, together.failed
    shown = (
        f"{requests:,}, {failed:,} failed ({format_share(failed / requests)})"
        if failed and requests
        else f"{requests:,}"
    )
    files = f"{one.files:,}, {one.new_files:,} new" + (f", {one.late_files:,} late" if one.late_files else "")
    facts = [
        ("window (UTC)", f"{make_span(one.start, one.end).text}, {hours:,} {'hour' if hours == 1 else 'hours'}"),
        ("requests", shown), ("rows", f"{one.rows:,}"), ("files of the log", files), ("data version", one.data_version),
        ("Tiffin", one.tiffin_version),
    ]  # fmt: skip
    return [(name, value) for name, value in facts if value]


def _findings(findings: Sequence[Finding]) -> list[Block]:
    cells: list[tuple[Cell, ...]] = [(Mark(one.severity, _TONES[one.severity]), one.code, one.text) for one in findings]
    header = ("severity", "code", "finding")
    first, rest = cells[:_MOST_FINDINGS], cells[_MOST_FINDINGS:]
    more = listing(header, rest, title=f"{len(rest):,} more findings", is_folded=True)
    return [*(listing(header, first) or [Text("Nothing was found.")]), *more]


def _notes(one: Monitoring) -> list[Block]:
    comparisons = (("data", one.skew), ("the window before", one.drift), ("predictions", one.predictions))
    noted: list[tuple[str, Note]] = [("", note) for note in one.notes]
    noted += [(about, note) for about, drift in comparisons if drift for note in drift.notes]
    cells = [
        (
            about,
            note.text,
            one.names.get(note.column, note.column),
            "" if note.count is None else f"{note.count:,}",
            shortened(note.example),
        )
        for about, note in noted
    ]
    return listing(("about", "what", "column", "count", "first example"), cells, "lllrl") or [Text("Nothing.")]
