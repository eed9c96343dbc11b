"""What became of a run: gathered from its steps and its summary, as JSON and in words."""

import contextlib
import os
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from tiffin.artifacts import SUMMARY, read_json
from tiffin.errors import InputError
from tiffin.specs.progress import StepProgress

# What kfp and TensorFlow say in every step's log, whatever happens.
_CHATTER = ("[KFP Executor", "I0000 ", "WARNING: All log messages before absl::InitializeLog()")


@dataclass
class Run:
    """What became of a run.

    Attributes:
        pipeline: Name of the pipeline.
        version: Version of the spec.
        state: SUCCEEDED or FAILED.
        reason: Why it failed; empty when it succeeded.
        seconds: How long it took.
        steps: Each with name, state, seconds and log.
        stopped_by: The gate that stopped it, such as `evaluation`; None if none did.
        data_version: Digest of the content of the data.
        metrics: Of the evaluation.
        verdict: Of the gate.
        model: Name and version of what was registered.
        serving: Address at which the model is served.
        folder: Where its artifacts and logs are.
        left_server: Address of the model server that it started and left running; None if there is none.
    """

    pipeline: str
    version: str | None
    folder: Path
    steps: list[StepProgress] = field(default_factory=list)
    state: str = "FAILED"
    reason: str = ""
    seconds: float = 0
    stopped_by: str | None = None
    data_version: str | None = None
    metrics: dict[str, Any] | None = None
    verdict: dict[str, Any] | None = None
    model: dict[str, Any] | None = None
    serving: str | None = None
    left_server: str | None = None

    @property
    def exit_status(self) -> int:
        """0 for success, 3 for a gate, 1 for any other failure."""
        if self.state == "SUCCEEDED":
            return 0
        return 3 if self.stopped_by else 1

    @property
    def failed_step(self) -> StepProgress | None:
        """The first step that failed; None if none did."""
        return next((step for step in self.steps if step.state == "failed"), None)

    def to_json(self) -> dict[str, Any]:
        """Return the summary object of `tiffin run --json`."""
        return {
            "pipeline": self.pipeline,
            "version": self.version,
            "state": self.state,
            "reason": self.reason,
            "seconds": round(self.seconds, 3),
            "steps": [
                {
                    "name": step.name,
                    "state": step.state,
                    "seconds": None if step.seconds is None else round(step.seconds, 3),
                    "log": None if step.log is None else str(step.log),
                }
                for step in self.steps
            ],
            **{name: getattr(self, name) for name in ("data_version", "metrics", "verdict", "model", "serving")},
        }


def conclude(run: Run, problem: str) -> None:
    """Fill in how the run ended, from its exit step's summary where there is one.

    Args:
        run: Its steps have ended.
        problem: What kfp said; empty if it said nothing.
    """
    summary = _find_summary(run.folder)
    failed = run.failed_step
    if not failed and not problem and summary.get("state", "SUCCEEDED") == "SUCCEEDED":
        run.state = "SUCCEEDED"
    for name in ("data_version", "metrics", "verdict", "model", "serving", "stopped_by"):
        setattr(run, name, summary.get(name))
    if run.state == "FAILED":
        said = error_line(failed.log) if failed and failed.log else None
        told = summary.get("reason") if summary.get("state") == "FAILED" else None
        # Only a gate's reason is in the summary: of a failed step, kfp tells its exit step no more than that it failed.
        known = (told, said) if run.stopped_by else (said, told)
        run.reason = next(filter(None, known), f"The step {failed.name} failed." if failed else problem)


def _find_summary(folder: Path) -> dict[str, Any]:
    for path in sorted((folder / "artifacts").rglob(f"summarize-run*/summary/{SUMMARY}")):
        with contextlib.suppress(InputError):
            summary: dict[str, Any] = read_json(path)
            return summary
    return {}


def tail(log: Path, lines: int = 12) -> list[str]:
    """Return the last lines of a log, without empty ones and without those in every log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65_536))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    kept = [line for line in _without_input(text.splitlines()) if line.strip() and not line.startswith(_CHATTER)]
    return kept[-lines:]


def _without_input(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a log but the executor's input, which kfp prints over a hundred lines."""
    inside = False
    for line in lines:
        if line.startswith("[KFP Executor") and line.endswith("Got executor_input:"):
            inside = True
        elif not inside:
            yield line
        elif line == "}":
            inside = False


def error_line(log: Path) -> str | None:
    """Return what a step that failed said last: its line `error: ...`, else the last line of its traceback.

    None where it said nothing of the kind.
    """
    lines = tail(log, 200)
    for line in reversed(lines):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    return lines[-1] if "Traceback (most recent call last):" in lines else None


def show_run(run: Run, stop_command: str, stream: TextIO) -> None:
    """Say in a few lines how the run ended.

    Args:
        run: The run.
        stop_command: What stops a server that it left running.
        stream: Standard output or error.
    """
    console = Console(file=stream, highlight=False, soft_wrap=True)
    failed = run.failed_step
    # A gate's reason is the whole story; of any other failure the log tells more.
    if failed and failed.log and not run.stopped_by:
        console.print(Text(f"\nThe last lines of {failed.name}:"))
        for line in tail(failed.log):
            console.print(Text(f"  {line}", style="dim"))
        console.print(Text(f"Its whole log: {failed.log}"))
    style = "bold green" if run.state == "SUCCEEDED" else "bold red"
    title = f"{run.pipeline} {run.version or ''}".rstrip()
    stopped = f", stopped by {run.stopped_by}" if run.stopped_by else ""
    console.print(Text.assemble(f"\n{title} ", (run.state, style), f" in {run.seconds:.1f} s{stopped}"))
    for name, text in _facts(run):
        # A terminal's lines break between words; a file's are as long as they are.
        lines = textwrap.wrap(text, max(console.width - 12, 20)) if console.is_terminal else [text]
        for label, line in zip([name, *[""] * len(lines)], lines, strict=False):
            console.print(Text(f"  {label:<7} {line}"))
    if run.left_server:
        console.print(Text(f"A model server runs at {run.left_server}. Stop it with: {stop_command}"))


def _facts(run: Run) -> list[tuple[str, str]]:
    metrics = ", ".join(f"{name} {value:.6g}" for name, value in (run.metrics or {}).items() if _is_number(value))
    model = f"{run.model['name']} version {run.model['version']}" if run.model else None
    facts = {
        "reason": run.reason,
        "data": run.data_version,
        "metrics": metrics,
        "verdict": (run.verdict or {}).get("reason") if run.state == "SUCCEEDED" else None,
        "model": model,
        "serving": run.serving,
    }
    return [(name, str(text)) for name, text in facts.items() if text]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
