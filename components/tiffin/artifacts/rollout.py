"""The rollout artifact: how a version fared that was rolled out step by step."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiffin.artifacts import documents

ROLLOUT = "rollout.json"


@dataclass(frozen=True)
class RolloutResult:
    """The end of a rollout.

    Attributes:
        model: Name of the model.
        version: The version that was rolled out.
        compared_with: Version that was in production when the rollout started.
        strategy: How the version got its requests.
        outcome: `promoted`: it is in production; `aborted`: it is worse, or a person ended the rollout; `inconclusive`: it got
            too few requests in time.
        reason: Why it ended so; empty if it was promoted after the last step.
        by: Who decided that: a person, or `analysis`.
        started: Time of the start, in ISO 8601, UTC.
        ended: Time of the end.
        requests: Requests that the version answered, also copies.
        errors: Those of them that failed.
        stable_requests: Requests that the version in production answered meanwhile.
        stable_errors: Those of them that failed.
        address: `host:port` of the stable servers' gRPC API if the version was promoted; empty otherwise.
    """

    model: str
    version: int
    compared_with: int
    strategy: str
    outcome: Literal["promoted", "aborted", "inconclusive"]
    reason: str
    by: str
    started: str
    ended: str
    requests: int
    errors: int
    stable_requests: int
    stable_errors: int
    address: str = ""

    @property
    def is_promoted(self) -> bool:
        """Whether the version is in production."""
        return self.outcome == "promoted"

    @property
    def sentence(self) -> str:
        """The end in one sentence: the outcome, and its reason or else the requests."""
        by = f" by {self.by}" if self.by not in ("", "analysis") else ""
        reason = (
            f": {self.reason}" if self.reason else f" after {self.requests:,} requests, of which {self.errors:,} failed"
        )
        return f"Rollout of version {self.version} of the model '{self.model}': {self.outcome}{by}{reason}."


def write_rollout(artifact: str | Path, result: RolloutResult) -> None:
    """Write a rollout artifact."""
    documents.write(Path(artifact) / ROLLOUT, result)


def read_rollout(artifact: str | Path) -> RolloutResult:
    """Read a rollout artifact.

    Raises:
        InputError: The file is missing or is not a rollout document.
    """
    return documents.read(Path(artifact) / ROLLOUT, RolloutResult)
