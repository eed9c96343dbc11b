"""The rollout of a model that is under way, beside what is in production."""

from dataclasses import dataclass, replace

from tiffin.errors import InputError
from tiffin.governance.overview import Overview
from tiffin.rollout.document import read_rollout
from tiffin.rollout.verification import verify_rollout
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel


@dataclass(frozen=True)
class UnderWay:
    """A rollout that is under way.

    Attributes:
        version: The candidate.
        stable: Version that it is compared with.
        phase: Where it is: `starting`, `running`, `paused`, `promoting` or `ending`.
        outcome: How it ends; empty until that is decided.
        strategy: How the version gets into production.
        step: Number of the step, from 1; 0 for a rollout without steps.
        steps: Number of steps.
        weight: Share of the requests that the candidate answers now, in percent.
        mirror: Share of the requests of which the candidate gets a copy now, in percent.
        since: Time at which the phase or the step began, in ISO 8601.
        started: Time of the start.
        by: Who started it.
        why: Reason of the start.
    """

    version: int
    stable: int
    phase: str
    outcome: str
    strategy: str
    step: int
    steps: int
    weight: float
    mirror: float
    since: str
    started: str
    by: str
    why: str


def find_under_way(served: ServedModel) -> UnderWay | None:
    """Return the rollout of a model that is under way; None if none is, or if its file cannot be read."""
    try:
        rollout, _ = read_rollout(served)
    except InputError:  # a finding of `verify_rollout`
        return None
    if rollout is None or rollout.is_over:
        return None
    traffic, steps = rollout.traffic, len(rollout.steps)
    return UnderWay(
        rollout.version, rollout.stable, rollout.phase, rollout.outcome, rollout.strategy, rollout.step + 1 if steps else 0,
        steps, traffic.weight, traffic.mirror, rollout.since, rollout.started, rollout.author.who, rollout.author.why,
    )  # fmt: skip


def add_rollout(served: ServedModel, overview: Overview) -> tuple[Overview, UnderWay | None]:
    """Return an overview with the findings about the rollout, and the rollout that is under way."""
    found = verify_rollout(served, read_history(served))
    return replace(overview, findings=(*overview.findings, *found)), find_under_way(served)
