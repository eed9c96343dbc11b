"""A rollout as lines of text."""

import textwrap
from collections.abc import Iterator
from typing import Any

# Imports of tiffin.rollout take numpy: they are made on use.

_WIDTH = 80


def status_lines(name: str, rollout: Any) -> Iterator[str]:
    """Yield lines about the rollout of a model.

    Args:
        name: Name of the model.
        rollout: The rollout; None if there was none.
    """
    from tiffin.rollout.descriptions import describe

    if rollout is None:
        yield f"{name}: there was no rollout."
        return
    yield f"{name}: {describe(rollout)}"
    steps = ", ".join(f"copies of {one.mirror:g} %" if one.mirror else f"{one.weight:g} %" for one in rollout.steps)
    rows = {
        "started": f"{rollout.started} by {rollout.author.who}: {rollout.author.why}",
        "since": rollout.since,
        "compared with": f"version {rollout.stable}",
        "strategy": f"{rollout.strategy}{f': {steps}' if steps else ''}",
        "decided by": f"{rollout.by}{f': {rollout.reason}' if rollout.reason else ''}" if rollout.by else "",
    }
    if rollout.progress:
        rows["candidate"] = _counted(rollout.progress.candidate)
        rows["in production"] = _counted(rollout.progress.stable)
        decision = rollout.progress.decision
        rows["evidence"] = (
            f"p = {decision.p_value:.2g}; {decision.level:g} or less aborts ({rollout.progress.looks} looks)"
        )
    for label, value in rows.items():
        if value:
            yield from labelled(label, value)


def labelled(label: str, text: str) -> list[str]:
    """Return a label and a text as lines of at most 80 columns."""
    first = f"  {label:<14} "
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first), break_on_hyphens=False)


def _counted(counted: Any) -> str:
    from tiffin.rollout.statistics.histograms import quantile

    tally = counted.tally
    times = [(name, quantile(counted.latency, share)) for name, share in (("p50", 0.5), ("p99", 0.99))]
    latency = "".join(f", {name} {time:.3g} ms" for name, time in times if time is not None)
    return f"{tally.requests:,} requests, {tally.errors:,} failed{latency}"
