"""What became of a run: gathered from its steps and its summary, as JSON and in words."""

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

# What kfp and TensorFlow say in every step's log, whatever happens.
_CHATTER = ("[KFP Executor", "I0000 ", "WARNING: All log messages before absl::InitializeLog()")
_FROM_SUMMARY = (
    "data_version", "metrics", "verdict", "model", "serving", "stopped_by", "evaluations", "models", "unread",
)  # fmt: skip


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
        evaluations: Name of a step to its evaluation: of several models, `metrics` and `verdict` are those of one.
        models: Name of a step to the model that it registered.
        unread: Why reports of steps are missing, one line each.
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
        """0 for success, 3 for a gate, 1 for any other failure."""
        if self.state == "SUCCEEDED":
            return 0
        return 3 if self.stopped_by else 1

    @property
    def failed_step(self) -> StepProgress | None:
        """The first step that failed; None if none did."""
        return next((step for step in self.steps if step.state == "failed"), None)

    def find_artifact(self, step: str, name: str) -> Path:
        """Return the folder of an artifact that a step wrote.

        Args:
            step: Name of the step; `*` for any.
            name: Name of the component's output.

        Raises:
            InputError: There is none.
        """
        for path in sorted((self.folder / "artifacts").rglob(f"{step}/{name}")):
            return path
        raise InputError(f"The run should have an artifact '{name}' of step '{step}'. Received: '{self.folder}'.")

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
    """Fill in how the run ended, from its exit step's summary where there is one.

    Args:
        run: Its steps have ended.
        problem: What kfp said; empty if it said nothing.
    """
    summary = _find_summary(run.folder)
    failed = run.failed_step
    if not failed and not problem and (summary is None or summary.state == "SUCCEEDED"):
        run.state = "SUCCEEDED"
    if summary:
        for name in _FROM_SUMMARY:
            setattr(run, name, getattr(summary, name))
    if run.state == "FAILED":
        said = error_line(failed.log) if failed and failed.log else None
        told = summary.reason if summary and summary.state == "FAILED" else None
        # Only a gate's reason is in the summary: of a failed step, kfp tells its exit step no more than that it failed.
        known = (told, said) if run.stopped_by else (said, told)
        run.reason = next(filter(None, known), f"The step {failed.name} failed." if failed else problem)


def _find_summary(folder: Path) -> Summary | None:
    for path in sorted((folder / "artifacts").rglob("*/summary")):
        with contextlib.suppress(InputError):
            return read_summary(path)
    return None


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
        # Of a run without another reason they are the reason.
        *[("unread", line) for line in run.unread if line not in run.reason],
    ]
    return [(name, text) for name, text in facts if text]


def _numbers(metrics: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {value:.6g}" for name, value in metrics.items() if value is not None)
