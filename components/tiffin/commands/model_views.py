"""What `tiffin models` prints: one table of models, and the details of a model, a version, a history."""

import datetime
import sys
import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from tiffin.governance.collection import Kept
from tiffin.governance.comparison import Row
from tiffin.governance.overview import Health, Overview, Version
from tiffin.governance.verification import Finding
from tiffin.printing import printable
from tiffin.serving.history import History, Record
from tiffin.specs.progress import open_console

_LABEL = 11


def show_models(overviews: Sequence[Overview], root: str) -> None:
    """Print a table with one row per model, and the findings below it."""
    console = open_console(sys.stdout)
    if not overviews:
        console.print(Text(f"No models in {printable(root)}."))
        return
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name in ("model", "champion", "since (UTC)", "candidate", "main metric", "health"):
        table.add_column(name, overflow="fold")
    for one in overviews:
        table.add_row(*map(Text, _row(one)))
    console.print(table)
    for one in overviews:
        for finding in one.findings:
            _print(console, "!", f"{one.name}: {finding.text}", "yellow")


def _row(one: Overview) -> list[str]:
    champion, candidate = one.champion, one.candidate
    lineage = champion.lineage if champion else None
    metric = f"{lineage.metric} {lineage.value:.4g}" if lineage and lineage.value is not None else "-"
    served = f"{champion.version}" if champion else "none"
    served += f" (trying {one.incoming.version})" if one.incoming else ""
    waits = f"{candidate.version}{' waits' if candidate.missing else ''}" if candidate else "-"
    since = _minute(champion.since) if champion else "-"
    return [printable(one.name), served, since, waits, metric, _short(one.health)]


def _short(health: Health) -> str:
    if not health.address:
        return "not asked"
    return f"serves {health.serves}" if not health.problem else f"! {printable(health.problem)}"


def show_model(one: Overview) -> None:
    """Print what is in production of a model."""
    console = open_console(sys.stdout)
    console.print(Text(printable(one.name), style="bold"))
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
    rows.append(("traffic", ", ".join(f"{share:g} % version {name}" for name, share in one.traffic.items()) or "none"))
    loaded = f"; loaded: {', '.join(map(str, one.health.loaded))}" if one.health.loaded else ""
    rows.append(("health", _short(one.health) + loaded))
    for label, text in rows:
        _print(console, label, text)
    for finding in one.findings:
        _print(console, "!", finding.text, "yellow")


def show_version(name: str, version: Version) -> None:
    """Print the lineage and the approvals of a version."""
    console = open_console(sys.stdout)
    console.print(Text(printable(f"{name} version {version.version}"), style="bold"))
    for label, text in _of_version("role", version, version.role):
        _print(console, label, text)
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
            _print(console, label, found)


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


def show_history(name: str, history: History, limit: int | None, width_of: Console | None = None) -> None:
    """Print the records of a model, newest first."""
    console = width_of or open_console(sys.stdout)
    records = list(reversed(history.records))
    for record in records[:limit]:
        _print(console, f"#{record.number}", _record(record))
    if limit is not None and len(records) > limit:
        console.print(Text(f"{len(records) - limit} older records: --limit {len(records)} shows them."))
    if not records:
        console.print(Text(printable(f"{name} has no history.")))


def _record(record: Record) -> str:
    version = f" version {record.version}" if record.version is not None else ""
    removed = f" of versions {', '.join(map(str, record.collected))}" if record.collected else ""
    rule = f" ({record.rule})" if record.action == "candidate" and record.rule != "none" else ""
    account = f" as {record.author.account}" if record.author.account not in ("", record.author.who) else ""
    why = f": {record.author.why}" if record.author.why else ""
    run = f" [{record.author.run}]" if record.author.run and record.author.run not in record.author.why else ""
    return f"{_second(record.at)} {record.action}{version}{removed}{rule} by {record.author.who}{account}{why}{run}"


def show_findings(findings: Sequence[Finding], name: str, records: int) -> None:
    """Print what is not as it should be, or that all is."""
    console = open_console(sys.stdout)
    if not findings:
        console.print(Text(printable(f"{name}: all is as it should be; {records} records.")))
    for finding in findings:
        done = f" Repaired: {finding.repaired}." if finding.repaired else ""
        _print(console, finding.code, f"{name}: {finding.text}{done}", "green" if finding.repaired else "bold red")


def _print(console: Console, label: str, text: str, style: str = "") -> None:
    """Print a label and a text, which is wrapped on a terminal."""
    text, width = printable(text), console.width - _LABEL - 3
    lines = textwrap.wrap(text, max(width, 20), break_on_hyphens=False) if console.is_terminal else [text]
    for number, line in enumerate(lines or [""]):
        head = f"  {'' if number else label:<{_LABEL}} "
        console.print(Text.assemble((head, style or "dim"), line))


def _minute(at: str) -> str:
    return f"{datetime.datetime.fromisoformat(at):%Y-%m-%d %H:%M}" if at else "-"


def _second(at: str) -> str:
    return f"{datetime.datetime.fromisoformat(at):%Y-%m-%d %H:%M:%S} UTC"


def show_comparison(name: str, a: int, b: int, rows: Sequence[Row]) -> None:
    """Print two versions beside each other; rows that are empty for both are left out."""
    console = open_console(sys.stdout)
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold")
    for title in (printable(name), f"version {a}", f"version {b}", "difference"):
        table.add_column(title, overflow="fold")
    for label, left, right, difference in rows:
        if left in (None, "") and right in (None, ""):
            continue
        change = f"{difference:+.4g}" if difference is not None else "" if left == right else "≠"
        table.add_row(*map(Text, (label, _cell(left), _cell(right), change)))
    console.print(table)


def _cell(value: object) -> str:
    return "-" if value is None else f"{value:.6g}" if isinstance(value, float) else printable(value)


def show_collection(name: str, items: Sequence[Kept], *, dry_run: bool) -> None:
    """Print which versions were removed and which are kept, with the reason."""
    console = open_console(sys.stdout)
    removed = [item for item in items if not item.why]
    for item in items:
        done = item.why or ("would be removed" if dry_run else "removed")
        _print(console, f"version {item.version}", f"{item.size_bytes / 1e6:.1f} MB, {done}")
    total = sum(item.size_bytes for item in removed) / 1e6
    verb = "would remove" if dry_run else "removed"
    console.print(Text(printable(f"{name}: {verb} {len(removed)} of {len(items)} versions, {total:.1f} MB.")))
