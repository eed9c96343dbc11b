"""Write the Markdown report of a run: its end, the metrics, and what its steps dropped, converted or guessed."""

from pathlib import Path

from tiffin.artifacts.markdown import code, escape, example, table
from tiffin.artifacts.summary import Summary
from tiffin.storage.files import write_bytes


def write_report(path: str | Path, summary: Summary) -> None:
    """Write the report of a run as a Markdown file."""
    write_bytes(path, describe(summary).encode())


def describe(summary: Summary) -> str:
    """Return the report of a run.

    Args:
        summary: Summary of the run.
    """
    facts = [
        ("stopped by", summary.stopped_by),
        ("data", summary.data_version),
        ("model", f"{summary.model.name} version {summary.model.version}" if summary.model else None),
        ("deployed to", summary.serving),
    ]
    lines = [f"# {escape(summary.pipeline)}: {summary.state}", "", escape(summary.reason) or "No reason.", ""]
    lines += table(("what", "value"), [(what, escape(value)) for what, value in facts if value])
    for step, evaluation in summary.evaluations.items():
        reason = [] if evaluation.reason == summary.reason else [escape(evaluation.reason), ""]
        lines += ["", f"## Metrics of {escape(step)}", "", *reason]
        values = evaluation.metrics.items()
        lines += table(("metric", "value"), [(code(name), _number(value)) for name, value in values], "lr")
    lines += ["", "## What the steps dropped, converted or chose", ""]
    notes = [
        (escape(n.step), escape(n.text), code(n.column), "" if n.count is None else str(n.count), example(n.example))
        for n in summary.notes
    ]
    lines += table(("step", "what", "column", "count", "first example"), notes, "lllrl") if notes else ["Nothing."]
    if summary.unread:
        lines += ["", "## Reports that could not be read", "", *(f"- {escape(error)}" for error in summary.unread)]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    return "could not be computed" if value is None else f"{value:.6g}"
