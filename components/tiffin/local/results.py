"""The result of a run: collected from its steps and its summary, and shown as text or JSON."""

import contextlib
import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.text import Text

from tiffin.artifacts import documents
from tiffin.artifacts.summary import RegisteredModel, Summary, read_summary
from tiffin.artifacts.verdict import Evaluation, Verdict
from tiffin.errors import InputError
from tiffin.specs.progress import StepProgress

# Lines that kfp and TensorFlow write to every step's log.
_NOISE = ("[KFP Executor", "I0000 ", "WARNING: All log messages before absl::InitializeLog()")
_FROM_SUMMARY = (
    "data_version", "metrics", "verdict", "model", "serving", "stopped_by", "evaluations", "models", "unread",
)  # fmt: skip


@dataclass
class Run:
    """The result of a run.

    Attributes:
        pipeline: Name of the pipeline.
        version: Version of the spec; None if unknown.
        folder: Folder of the run's artifacts and logs.
        steps: Steps with name, state, duration and log.
        state: SUCCEEDED or FAILED.
        reason: Reason of the failure; empty if the run succeeded.
        seconds: Duration of the run in seconds.
        stopped_by: Gate that stopped the run, such as `evaluation`; None if no gate did.
        data_version: Digest of the data.
        metrics: Metrics of the evaluation; with several models, of one of them.
        verdict: Verdict of the gate; with several models, of one of them.
        model: Name and version of the registered model.
        serving: Address of the server that serves the model.
        evaluations: Step name -> evaluation.
        models: Step name -> registered model.
        unread: Reports of steps that could not be read, with the reason, one line each.
        left_server: Address of the model server that the run started and left running; None if there is none.
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
    metrics: dict[str, float | None] | None = None
    verdict: Verdict | None = None
    model: RegisteredModel | None = None
    serving: str | None = None
    evaluations: dict[str, Evaluation] = field(default_factory=dict)
    models: dict[str, RegisteredModel] = field(default_factory=dict)
    unread: tuple[str, ...] = ()
    left_server: str | None = None

    @property
    def exit_status(self) -> int:
        """0 if the run succeeded, 3 if a gate stopped it, 1 if it failed otherwise."""
        if self.state == "SUCCEEDED":
            return 0
        return 3 if self.stopped_by else 1

    @property
    def failed_step(self) -> StepProgress | None:
        """The first failed step; None if no step failed."""
        return next((step for step in self.steps if step.state == "failed"), None)

    def find_artifact(self, step: str, name: str) -> Path:
        """Return the folder of a step's output artifact.

        Args:
            step: Name of the step; `*` for any step.
            name: Name of the component's output.

        Raises:
            InputError: There is no such artifact.
        """
        for path in sorted((self.folder / "artifacts").rglob(f"{step}/{name}")):
            return path
        raise InputError(f"No artifact '{name}' of step '{step}' in '{self.folder}'.")

    def to_json(self) -> dict[str, Any]:
        """Return the object that `tiffin run --json` prints."""
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
            "data_version": self.data_version,
            "metrics": self.metrics,
            "verdict": documents.to_json(self.verdict),
            "model": documents.to_json(self.model),
            "serving": self.serving,
            "evaluations": {
                step: {"metrics": found.metrics, "verdict": documents.to_json(found.verdict)}
                for step, found in self.evaluations.items()
            },
            "models": documents.to_json(self.models),
            "unread": list(self.unread),
        }


def conclude(run: Run, problem: str) -> None:
    """Set the state, reason and results of a run, from the exit step's summary if there is one.

    Args:
        run: A run whose steps have ended; modified.
        problem: Error message of kfp; empty if there was none.
    """
    summary = _find_summary(run.folder)
    failed = run.failed_step
    if not failed and not problem and (summary is None or summary.state == "SUCCEEDED"):
        run.state = "SUCCEEDED"
    if summary:
        for name in _FROM_SUMMARY:
            setattr(run, name, getattr(summary, name))
    if run.state == "FAILED":
        logged = error_line(failed.log) if failed and failed.log else None
        summarized = summary.reason if summary and summary.state == "FAILED" else None
        # The summary explains only gates: kfp passes its exit step the status of a failed step, but not the error.
        known = (summarized, logged) if run.stopped_by else (logged, summarized)
        run.reason = next(filter(None, known), f"The step {failed.name} failed." if failed else problem)


def _find_summary(folder: Path) -> Summary | None:
    for path in sorted((folder / "artifacts").rglob("*/summary")):
        with contextlib.suppress(InputError):
            return read_summary(path)
    return None


def tail(log: Path, lines: int = 12) -> list[str]:
    """Return the last `lines` lines of a log, without empty lines and without those that are in every log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65_536))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    kept = [line for line in _without_input(text.splitlines()) if line.strip() and not line.startswith(_NOISE)]
    return kept[-lines:]


def _without_input(lines: list[str]) -> Iterator[str]:
    """Yield the lines of a log without the executor input, which kfp prints in more than a hundred lines."""
    inside = False
    for line in lines:
        if line.startswith("[KFP Executor") and line.endswith("Got executor_input:"):
            inside = True
        elif not inside:
            yield line
        elif line == "}":
            inside = False


def error_line(log: Path) -> str | None:
    """Return the error in a failed step's log: the last `error: ...` line, else the last line of the traceback, or None."""
    lines = tail(log, 200)
    for line in reversed(lines):
        if line.startswith("error: "):
            return line.removeprefix("error: ")
    return lines[-1] if "Traceback (most recent call last):" in lines else None


def show_run(run: Run, stop_command: str, stream: TextIO) -> None:
    """Print the result of a run in a few lines.

    Args:
        run: The run.
        stop_command: Command line that stops a server that the run left running.
        stream: Standard output or error.
    """
    console = Console(file=stream, highlight=False, soft_wrap=True)
    failed = run.failed_step
    # A gate's reason is complete; for other failures, the log has the details.
    if failed and failed.log and not run.stopped_by:
        console.print(Text(f"\nLast log lines of {failed.name}:"))
        for line in tail(failed.log):
            console.print(Text(f"  {line}", style="dim"))
        console.print(Text(f"Full log: {failed.log}"))
    style = "bold green" if run.state == "SUCCEEDED" else "bold red"
    title = f"{run.pipeline} {run.version or ''}".rstrip()
    stopped = f", stopped by {run.stopped_by}" if run.stopped_by else ""
    console.print(Text.assemble(f"\n{title} ", (run.state, style), f" in {run.seconds:.1f} s{stopped}"))
    for name, text in _facts(run):
        # Wrap lines on a terminal only.
        lines = textwrap.wrap(text, max(console.width - 12, 20)) if console.is_terminal else [text]
        for label, line in zip([name, *[""] * len(lines)], lines, strict=False):
            console.print(Text(f"  {label:<7} {line}"))
    if run.left_server:
        console.print(Text(f"A model server is running at {run.left_server}. Stop it with: {stop_command}"))


def _facts(run: Run) -> list[tuple[str, str]]:
    metrics = [("metrics", _numbers(run.metrics or {}))]
    if len(run.evaluations) > 1:
        metrics = [
            ("metrics", f"{step} {'passed' if found.passed else 'did not pass'}: {_numbers(found.metrics)}")
            for step, found in run.evaluations.items()
        ]
    models = run.models.values() or filter(None, [run.model])
    facts = [
        ("reason", run.reason),
        ("data", run.data_version),
        *metrics,
        ("verdict", run.verdict.reason if run.verdict and run.state == "SUCCEEDED" else None),
        *[("model", f"{model.name} version {model.version}") for model in models],
        ("serving", run.serving),
        # Without another failure, these lines are the reason itself.
        *[("unread", line) for line in run.unread if line not in run.reason],
    ]
    return [(name, text) for name, text in facts if text]


def _numbers(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in metrics.items() if value is not None)
