"""The output of `tiffin load`: progress, and the figures as text or JSON."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tiffin.artifacts.documents import to_json
from tiffin.artifacts.numbers import format_share
from tiffin.commands.output import echo, echo_json
from tiffin.commands.rollout_views import labelled
from tiffin.serving.load import MAX_RUNNING, Pace

if TYPE_CHECKING:
    from tiffin.serving.load_feed import Feed
    from tiffin.serving.load_figures import Figures, Latency, Tally

_REFRESH_SECONDS = 0.25


@dataclass(frozen=True)
class About:
    """What was sent where."""

    model: str
    address: str
    file: str
    pace: Pace
    is_interrupted: bool


def announce(model: str, address: str, file: str, pace: Pace) -> None:
    """Say on standard error what is sent, and until when."""
    speed = f"{pace.per_second:g} requests per second" if pace.per_second else _count(pace.concurrency or 1, "client")
    until = _count(pace.requests, "request") if pace.requests else f"{pace.seconds:g} s"
    echo(f"Sending '{file}' to {model} at {address}.\n{speed}, for {until}. Press Ctrl-C to stop.", err=True)


@contextlib.contextmanager
def progress(tally: "Tally", pace: Pace) -> Iterator[Callable[[], None]]:
    """Yield a function to call after each answer; on a terminal, it shows the figures so far."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from tiffin.specs.progress import open_console

    columns = (BarColumn(bar_width=16), TextColumn("{task.fields[shown]}"), TimeElapsedColumn())
    with Progress(*columns, console=open_console(sys.stderr), transient=True, redirect_stdout=False) as bar:
        task = bar.add_task("", total=pace.requests or pace.seconds, shown="0 requests")
        begun = last = time.monotonic()

        def follow() -> None:
            nonlocal last
            now = time.monotonic()
            if now - last >= _REFRESH_SECONDS:
                last = now
                completed = tally.requests if pace.requests else now - begun
                bar.update(task, completed=completed, shown=_so_far(tally, now - begun))

        yield follow


def _so_far(tally: "Tally", seconds: float) -> str:
    found = [(name, tally.latencies.quantile(share)) for name, share in (("p50", 0.5), ("p99", 0.99))]
    latency = "".join(f" {name} {milliseconds(value)}" for name, value in found)
    return f"{tally.requests:,} ({tally.requests / seconds:,.0f}/s) {tally.failed:,} failed{latency}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def milliseconds(seconds: float | None) -> str:
    """Return a latency with three digits; a dash without one."""
    if seconds is None:
        return "-"
    value = 1000 * seconds
    return f"{value:,.0f} ms" if value >= 100 else f"{value:.3g} ms"


def show(about: About, figures: "Figures", feed: "Feed", *, has_key: bool, as_json: bool) -> None:
    """Print the figures of a load.

    Args:
        about: What was sent where.
        figures: The figures.
        feed: The requests of the file.
        has_key: Whether requests have a key.
        as_json: Whether to print one JSON document.
    """
    skipped = feed.first_skipped
    if as_json:
        sent = {"model": about.model, "address": about.address, "file": about.file, "wanted": about.pace}
        rows = {
            "skipped_rows": feed.skipped,
            "first_skipped": {"row": skipped.row.number, "error": skipped.error} if skipped else None,
            "requests_of_file": feed.size,
        }
        echo_json(to_json({**sent, "interrupted": about.is_interrupted, **to_json(figures), **rows}))
        return
    for label, text in _lines(about, figures).items():
        if text:
            echo("\n".join(labelled(label, text)))
    for message in figures.messages.values():
        echo("\n".join(labelled("error", message)))
    if skipped:
        rest = f"{_count(feed.skipped, 'row')} of the file; row {skipped.row.number}: {skipped.error}"
        echo("\n".join(labelled("skipped", rest)))
    if has_key and feed.size and feed.taken > feed.size:
        echo("\n".join(labelled("keys", f"sent several times: the file has {_count(feed.size, 'row')} to send")))


def _lines(about: About, figures: "Figures") -> dict[str, str]:
    of_all = f" ({format_share(figures.failed / figures.requests)})" if figures.failed else ""
    codes = ", ".join(f"{number:,} {code}" for code, number in figures.codes.items() if code != "OK")
    pace = about.pace
    wanted = f"{pace.per_second:g} wanted" if pace.per_second else f"by {_count(pace.concurrency or 1, 'client')}"
    return {
        "requests": f"{figures.requests:,} in {figures.seconds:.1f} s, with {_count(figures.rows, 'row')}",
        "per second": f"{figures.sent_per_second:,.1f} sent, {wanted}",
        "answered": f"{figures.answered:,}",
        "failed": f"{figures.failed:,}{of_all}{f': {codes}' if codes else ''}",
        "latency": _latency(figures.latency_seconds),
        "late": _late(about, figures),
        "not sent": f"{figures.unsent:,} that were due{_reason(figures)}" if figures.unsent else "",
        "versions": ", ".join(f"{version}: {number:,}" for version, number in figures.versions.items()),
    }


def _latency(found: "Latency") -> str:
    values: dict[str, Any] = to_json(found)
    return ", ".join(f"{name} {milliseconds(value)}" for name, value in values.items() if value is not None)


def _late(about: About, figures: "Figures") -> str:
    if about.pace.per_second is None or not figures.late:
        return ""
    from tiffin.serving.load_figures import LATE_SECONDS

    return (
        f"{_count(figures.late, 'request')} ({format_share(figures.late / figures.requests)}) more than "
        f"{milliseconds(LATE_SECONDS)} after the time, at most {milliseconds(figures.longest_late_seconds)}"
        f"{_reason(figures)}; their latency includes it"
    )


def _reason(figures: "Figures") -> str:
    return f", since {MAX_RUNNING:,} others had no answer" if figures.is_full else ", since this machine was busy"
