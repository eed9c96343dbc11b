"""The section about the gate: its checks, and the model beside the one in production."""

import altair as alt

from tiffin.artifacts.verdict import Check, Evaluation, Serving
from tiffin.report.data import listing
from tiffin.report.drawing import FAINT, WIDTH, draw, rows
from tiffin.report.page import Block, Chart, Charts, Mark, Text
from tiffin.report.quality import metric


def describe_gate(evaluation: Evaluation, name: str) -> list[Block]:
    """Describe the checks of the gate.

    Args:
        evaluation: Evaluation of a model.
        name: Start of the names of its charts.
    """
    decided = [check for check in evaluation.checks if check.decided]
    blocks: list[Block] = [
        Text(
            f"The model {'passed' if evaluation.passed else 'did not pass'} the gate: "
            f"{sum(check.passed for check in decided)} of {len(decided)} checks passed."
        )
    ]
    if evaluation.champion:
        blocks.append(Text(f"In production: {evaluation.champion.reason}."))
    charts = [chart for check in evaluation.checks for chart in _comparison(check, name)]
    blocks += [Charts(charts)] if charts else []
    ordered = sorted(evaluation.checks, key=lambda check: (check.passed, not check.decided))
    cells = [
        (_outcome(check), check.code, check.metric, check.slice, metric(check.value) if check.value is not None else "",
         f"{check.low:.4g} to {check.high:.4g}" if check.low is not None and check.high is not None else "",
         metric(check.bound) if check.bound is not None else "", "" if check.rows is None else f"{check.rows:,}",
         check.reason)
        for check in ordered
    ]  # fmt: skip
    header = ("outcome", "check", "metric", "group", "value", "95 % interval", "bound", "rows", "reason")
    blocks += listing(header, cells, "llllrlrrl", "Checks")
    blocks += _serving(evaluation.serving)
    if evaluation.gate_digest:
        blocks.append(Text(f"Gate {evaluation.gate_digest}, verdict {evaluation.verdict_digest}."))
    return blocks


def _serving(found: Serving | None) -> list[Block]:
    """Return the table of the model in a model server; nothing if it was not tried."""
    if found is None:
        return []
    facts = [
        ("server", found.server),
        ("problem", found.problem),
        ("size", f"{found.size_bytes:,} bytes"),
        ("loaded in", f"{found.load_seconds:.2f} s" if found.load_seconds is not None else ""),
        ("rows answered as here", f"{found.rows - (found.differing_rows or 0):,} of {found.rows:,}"),
        ("largest difference", "" if found.largest_difference is None else f"{found.largest_difference:.1g}"),
        ("median of a request", f"{found.p50_ms:.3g} ms" if found.p50_ms is not None else ""),
        (
            "99th percentile",
            f"{found.p99_ms:.3g} ms of {found.requests:,} requests" if found.p99_ms is not None else "",
        ),
    ]
    cells = [(name, value) for name, value in facts if value]
    return [*listing(("what", "value"), cells, title="In a model server")]


def _outcome(check: Check) -> Mark:
    if not check.decided:
        return Mark("not decided", "muted")
    return Mark("passed", "good") if check.passed else Mark("failed", "bad")


def _comparison(check: Check, name: str) -> list[Chart]:
    """Draw what a model is better by than the one in production."""
    if check.code != "CHAMPION" or None in (check.low, check.high, check.value, check.bound):
        return []
    assert check.low is not None and check.high is not None  # noqa: S101, PT018 - seen above
    middle = (check.low + check.high) / 2
    base = alt.Chart(rows(y=[""], low=[check.low], high=[check.high], middle=[middle]), width=WIDTH, height=60)
    y = alt.Y("y:N", title=None, axis=None)
    title, ends = f"{check.metric}: better by", f"{metric(check.low)} to {metric(check.high)}"
    bar = base.mark_rule(strokeWidth=3, color="var(--series-1)", description=f"better by {ends}")
    layers = [
        alt.Chart(rows(x=[0])).mark_rule(color=FAINT, description="equal").encode(x=alt.X("x:Q", title=title)),
        bar.encode(x=alt.X("low:Q", title=title), x2=alt.X2("high"), y=y),
    ]
    text = (
        f"The 95 % interval of what the model is better by than the one in production, on "
        f"{check.rows or 0:,} rows. Left of 0 is worse."
    )
    if check.margin is not None:
        margin = alt.Chart(rows(x=[-abs(check.margin)])).mark_rule(
            color="var(--bad)", strokeDash=[4, 4], description=f"margin {metric(abs(check.margin))}"
        )
        layers.append(margin.encode(x=alt.X("x:Q", title=title)))
        text += f" The dashed line is the margin of {metric(abs(check.margin))}."
    return [Chart("Beside the model in production", draw(alt.layer(*layers), f"{name}-production"), text)]
