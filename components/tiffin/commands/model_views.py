"""What `tiffin models` prints: one table of models, and the details of a model, a version, a history."""

import datetime
import io
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tiffin.governance.collection import Kept
from tiffin.governance.comparison import Row
from tiffin.governance.overview import Health, Overview, Version
from tiffin.governance.verification import Finding
from tiffin.printing import printable
from tiffin.serving.history import History, Record

if TYPE_CHECKING:
    # Imports numpy.
    from tiffin.rollout.overview import UnderWay

_LABEL = 11


def model_lines(found: Sequence[tuple[Overview, "UnderWay | None"]], root: str) -> Iterator[str]:
    """Yield a table with one row per model, and the rollouts and the findings below it."""
    if not found:
        yield f"No models in {root}."
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("model", "champion", "since (UTC)", "candidate", "main metric", "health"):
        table.add_column(name, overflow="fold")
    for one, rollout in found:
        table.add_row(*map(Text, _row(one, rollout)))
    yield from _rendered(table)
    for one, rollout in found:
        data = one.champion.lineage.data_version if one.champion and one.champion.lineage else "-"
        yield f"{one.name}: data {data}, traffic {_traffic(one)}"
        if rollout:
            yield from _hung("rollout", f"{one.name}: {_rollout(rollout)}")
        for finding in one.findings:
            yield from _hung("!", f"{one.name}: {finding.text}")


def _row(one: Overview, rollout: "UnderWay | None") -> list[str]:
    champion, candidate = one.champion, one.candidate
    lineage = champion.lineage if champion else None
    metric = f"{lineage.metric} {lineage.value:.4g}" if lineage and lineage.value is not None else "-"
    served = f"{champion.version}" if champion else "none"
    served += f" (trying {one.incoming.version})" if one.incoming else ""
    waits = f"{candidate.version}{' waits' if candidate.missing else ''}" if candidate else "-"
    if rollout:
        # Another version may wait for approval meanwhile.
        others = f", {waits}" if candidate and candidate.version != rollout.version else ""
        waits = f"{rollout.version}: {_share(rollout)}{others}"
    since = _minute(champion.since) if champion else "-"
    return [printable(one.name), served, since, waits, metric, _short(one.health)]


def _traffic(one: Overview) -> str:
    return ", ".join(f"{share:g} % version {version}" for version, share in one.traffic.items()) or "none"


def _share(rollout: "UnderWay") -> str:
    return f"copies of {rollout.mirror:g} %" if rollout.mirror else f"{rollout.weight:g} %"


def _rollout(one: "UnderWay") -> str:
    about = f"version {one.version} gets {_share(one)} of the requests"
    step = f", step {one.step} of {one.steps}" if one.step and one.phase in ("running", "paused") else ""
    phase = "" if one.phase == "running" else f", {one.phase}{f' ({one.outcome})' if one.outcome else ''}"
    why = f": {one.why}" if one.why else ""
    return f"{about}{step}{phase}, since {_minute(one.since)} UTC, started by {one.by}{why}"


def _short(health: Health) -> str:
    if not health.address:
        return "not asked"
    return f"serves {health.serves}" if not health.problem else f"! {printable(health.problem)}"


def overview_lines(one: Overview, rollout: "UnderWay | None") -> Iterator[str]:
    """Yield what is in production of a model, and what is rolled out."""
    yield one.name
    rows = []
    if one.champion:
        rows += _of_version("champion", one.champion)
    else:
        rows.append(("champion", "none"))
    if one.incoming:
        rows += [("incoming", f"version {one.incoming.version}, {_by(one.incoming)}")]
    if one.previous:
        gone = "" if one.previous.has_files else ", without files"
        rows.append(("previous", f"version {one.previous.version}{gone}: tiffin models rollback {one.name} --why ..."))
    if one.aside:
        rows.append(("aside", ", ".join(f"version {version} as {one.name}@{version}" for version in one.aside)))
    if one.candidate:
        rows += _of_version("candidate", one.candidate)
    if rollout:
        rows.append(("rollout", _rollout(rollout)))
    rows.append(("traffic", _traffic(one)))
    loaded = f"; loaded: {', '.join(map(str, one.health.loaded))}" if one.health.loaded else ""
    rows.append(("health", _short(one.health) + loaded))
    for label, text in rows:
        yield from _hung(label, text)
    for finding in one.findings:
        yield from _hung("!", finding.text)


def version_lines(name: str, version: Version) -> Iterator[str]:
    """Yield the lineage and the approvals of a version."""
    yield f"{name} version {version.version}"
    for label, text in _of_version("role", version, version.role):
        yield from _hung(label, text)
    lineage = version.lineage
    for label, found in (
        ("schema", lineage and lineage.schema_digest),
        ("code", lineage and lineage.code_digest),
        ("tiffin", lineage and lineage.spec_version),
        ("label", lineage and lineage.label),
        ("mlflow", lineage and lineage.mlflow_run),
        ("metrics", lineage and _metrics(lineage.metrics or {})),
        ("digest", version.verdict and f"{version.verdict} (of the verdict)"),
        ("files", "in the serving root" if version.has_files else "none in the serving root"),
    ):
        if found:
            yield from _hung(label, found)


def _of_version(label: str, one: Version, role: str = "") -> list[tuple[str, str]]:
    lineage = one.lineage
    rows = [
        (label, f"{role or f'version {one.version}'}, {_by(one)}" if one.since else role or f"version {one.version}")
    ]
    if one.rule != "none":
        waits = f"; {one.missing} missing" if one.missing and not one.rejected_by else ""
        given = f"approved by {', '.join(one.approved_by)}" if one.approved_by else "not approved"
        given = f"rejected by {one.rejected_by}" if one.rejected_by else given
        rows.append(("approval", f"{one.rule}: {given}{waits}"))
    if lineage:
        rows.append(("run", one.run))
        rows.append(("asked by", lineage.requested_by))
        rows.append(("data", lineage.data_version))
        rows.append(("verdict", lineage.reason))
    return [(name, text) for name, text in rows if text]


def _by(one: Version) -> str:
    why = f": {one.why}" if one.why else ""
    return f"since {_minute(one.since)} UTC, by {one.by}{why}" if one.since else "since before the first record"


def _metrics(metrics: dict[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in metrics.items() if value is not None)


def history_lines(name: str, history: History, limit: int) -> Iterator[str]:
    """Yield the records of a model, newest first."""
    records = list(reversed(history.records))
    for record in records[:limit]:
        yield from _hung(f"#{record.number}", _record(record))
    if len(records) > limit:
        yield f"{len(records) - limit} older records: --limit {len(records)} shows them."
    if not records:
        yield f"{name} has no history."


def _record(record: Record) -> str:
    version = f" version {record.version}" if record.version is not None else ""
    removed = f" of versions {', '.join(map(str, record.collected))}" if record.collected else ""
    rule = f" ({record.rule})" if record.action == "candidate" and record.rule != "none" else ""
    account = f" as {record.author.account}" if record.author.account not in ("", record.author.who) else ""
    why = f": {record.author.why}" if record.author.why else ""
    run = f" [{record.author.run}]" if record.author.run and record.author.run not in record.author.why else ""
    return f"{_second(record.at)} {record.action}{version}{removed}{rule} by {record.author.who}{account}{why}{run}"


def finding_lines(findings: Sequence[Finding], name: str, records: int) -> Iterator[str]:
    """Yield what is not as it should be, or that all is."""
    if not findings:
        yield f"{name}: all is as it should be; {records} records."
    for finding in findings:
        done = f" Repaired: {finding.repaired}." if finding.repaired else ""
        yield from _hung(finding.code, f"{name}: {finding.text}{done}")


def _hung(label: str, text: str) -> Iterator[str]:
    """Yield a label and a text, which is wrapped on a terminal."""
    text, width = printable(text), _width() - _LABEL - 4
    lines = textwrap.wrap(text, max(width, 20), break_on_hyphens=False) if sys.stdout.isatty() else [text]
    for number, line in enumerate(lines or [""]):
        yield f"  {'' if number else label:<{_LABEL}} {line}"


def _width() -> int:
    return shutil.get_terminal_size((80, 24)).columns


def _rendered(table: Table) -> list[str]:
    """Return the lines of a table, as wide as the terminal."""
    console = Console(file=io.StringIO(), width=_width(), color_system=None)
    return ["".join(part.text for part in line).rstrip() for line in console.render_lines(table, pad=False)]


def _minute(at: str) -> str:
    return f"{datetime.datetime.fromisoformat(at):%Y-%m-%d %H:%M}" if at else "-"


def _second(at: str) -> str:
    return f"{datetime.datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"


def comparison_lines(name: str, a: int, b: int, rows: Sequence[Row]) -> list[str]:
    """Return two versions beside each other; rows that are empty for both are left out."""
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in (printable(name), f"version {a}", f"version {b}", "difference"):
        table.add_column(title, overflow="fold")
    for label, left, right, difference in rows:
        if left in (None, "") and right in (None, ""):
            continue
        change = f"{difference:+.4g}" if difference is not None else "" if left == right else "≠"
        shown = map(_minute, (left, right)) if label == "since" else map(_cell, (left, right))
        table.add_row(*map(Text, (label, *shown, change)))
    return _rendered(table)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else printable(value)


def collection_lines(name: str, items: Sequence[Kept], *, dry_run: bool) -> Iterator[str]:
    """Yield which versions were removed and which are kept, with the reason."""
    removed = [item for item in items if not item.why]
    for item in items:
        done = item.why or ("would be removed" if dry_run else "removed")
        yield from _hung(f"version {item.version}", f"{item.size_bytes / 1e6:.1f} MB, {done}")
    total = sum(item.size_bytes for item in removed) / 1e6
    verb = "would remove" if dry_run else "removed"
    yield f"{name}: {verb} {len(removed)} of {len(items)} versions, {total:.1f} MB."
