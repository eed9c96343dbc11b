"""The rollout of a model: what is under way, or the last one.

    <serving root>/<model>/rollout.json

It is changed by compare-and-swap. What follows from it, `candidate.config` and `traffic.json`, is written afterwards, so a
process that ends in between leaves a state that the next one settles, see `tiffin.rollout.settling`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.gateway.traffic import Traffic
from tiffin.rollout.evidence import Progress
from tiffin.rollout.plan import Limits, Step, Strategy
from tiffin.serving.history import Author
from tiffin.serving.root import ROLLOUT, ServedModel, State

# `starting`: the candidate servers load the version. `running`, `paused`: a step. `promoting`: the stable servers load it.
# `ending`: no request goes to the candidate any more, and those under way are answered. `over`: the candidate servers are empty.
Phase = Literal["starting", "running", "paused", "promoting", "ending", "over"]
# `inconclusive`: aborted because there was not enough traffic.
Outcome = Literal["", "promoted", "aborted", "inconclusive"]


@dataclass(frozen=True)
class Rollout:
    """A rollout.

    Attributes:
        id: Its ID: version, start and random characters.
        version: The candidate.
        stable: Version in production when it started.
        strategy: How the version gets there.
        steps: The steps; none for a direct rollout.
        limits: What the candidate may be worse in.
        sticky: Header that divides the requests; empty to divide them at random.
        author: Who started it, and why.
        started: Time of the start, in ISO 8601, UTC.
        phase: Where it is.
        outcome: How it ends; empty until that is decided.
        step: Index of the step.
        since: Time at which the phase or the step began.
        reason: Why it was paused or ends; empty otherwise.
        by: Who decided that: a person, or `analysis`.
        progress: What the looks have found; None before the first.
    """

    id: str
    version: int
    stable: int
    strategy: Strategy
    steps: tuple[Step, ...]
    limits: Limits
    sticky: str
    author: Author
    started: str
    phase: Phase
    outcome: Outcome
    step: int
    since: str
    reason: str
    by: str
    progress: Progress | None = None

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self.phase == "over"

    @property
    def traffic(self) -> Traffic:
        """Where the requests should go."""
        if self.phase not in ("running", "paused", "promoting"):
            return Traffic()
        # A direct rollout has no steps.
        step = self.steps[self.step] if self.steps else Step()
        return Traffic(self.version, step.weight, step.mirror, self.sticky, self.stable)

    @property
    def content(self) -> bytes:
        """The file's content: equal rollouts give equal bytes."""
        return documents.format_document(self)


def current_time() -> str:
    """Return the current time for a rollout."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def read_rollout(served: ServedModel) -> tuple[Rollout | None, State]:
    """Return the rollout of a model, None if there was none, and the state of the file.

    Raises:
        InputError: The file is not a rollout.
    """
    state = served.read(ROLLOUT)
    if state is None:
        return None, None
    rollout = documents.parse(state[0], Rollout, served.locate(ROLLOUT))
    if not rollout.is_over and rollout.steps and not 0 <= rollout.step < len(rollout.steps):
        raise InputError(
            f"'{served.locate(ROLLOUT)}' should have a step from 0 to {len(rollout.steps) - 1}. Received: {rollout.step}."
        )
    return rollout, state


def write_rollout(served: ServedModel, rollout: Rollout, state: State) -> None:
    """Write the rollout, if the file is still in the state that was read.

    Raises:
        Conflict: Another process has changed it.
    """
    storage.compare_and_swap(served.locate(ROLLOUT), rollout.content, state[1] if state else None)
