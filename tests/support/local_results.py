"""Results of local runs that no run has made."""

from pathlib import Path

from support.documents import make_summary
from tiffin.artifacts.summary import write_summary
from tiffin.local.results import Run
from tiffin.specs.progress import StepProgress


def make_run(folder: Path, *states: str) -> Run:
    steps = [StepProgress(f"step-{number}", state, title=f"Step {number}") for number, state in enumerate(states)]  # type: ignore[arg-type]
    for step in steps:
        step.log = folder / f"{step.name}.log"
        step.seconds = 1.23456
    return Run("toy", "0.1.0", folder, steps)


def summarized(folder: Path, **values: object) -> Path:
    """Write a summary like the exit step's."""
    artifact = folder / "artifacts" / "toy-1" / "summarize-run" / "summary"
    write_summary(artifact, make_summary(**values))
    return artifact
