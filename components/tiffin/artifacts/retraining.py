"""Retraining: the artifact with the decision whether a model is trained again, and the state that decisions are made from.

The state of a model is a file beside that of its monitoring. It has every retraining that was started, and whether a person
has paused them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tiffin.artifacts import documents
from tiffin.artifacts.notes import Note

RETRAINING = "retraining.json"
# The state, in the folder that has the state of a model's monitoring.
STATE = "retrainings.json"
# Retrainings that the state keeps.
KEPT = 60

Trigger = Literal["monitoring", "data", "schedule", "hand"]
TRIGGERS: tuple[Trigger, ...] = ("monitoring", "data", "schedule", "hand")
Policy = Literal["none", "ask", "retrain"]
POLICIES: tuple[Policy, ...] = ("none", "ask", "retrain")
Outcome = Literal["running", "promoted", "deployed", "waiting", "rejected", "failed", "expired"]
Code = Literal[
    "START",
    "ASK",
    "BUDGET",
    "COOL_DOWN",
    "NO_NEW_DATA",
    "NOT_BY_TRAINING",
    "NOTHING_WRONG",
    "PAUSED",
    "POLICY_NONE",
    "RUNNING",
    "SAME_DATA",
]


@dataclass(frozen=True)
class Attempt:
    """A retraining that was started.

    Attributes:
        run: ID of the pipeline run.
        trigger: What started it: `monitoring`, `data` (a new span), `schedule` or `hand`.
        cause: Codes and columns of what monitoring found, such as `CONCEPT_DRIFT` or `DATA_DRIFT:zone`; empty without.
        version: Version in production at the start; 0 without one.
        data: Digest of the files of the newest spans.
        started: Time of the start, in ISO 8601, UTC.
        outcome: `running`; `promoted` after a rollout; `deployed` without one; `waiting` for approval; `rejected` by a gate or
            the rollout; `failed`; `expired`: its run ended without a word.
        ended: Time of the end; empty while it runs.
        new_version: Version that it registered; 0 without one.
        reason: Why it ended so, in one line.
    """

    run: str
    trigger: Trigger
    cause: str
    version: int
    data: str
    started: str
    outcome: Outcome = "running"
    ended: str = ""
    new_version: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Pause:
    """A stop of all retrainings of a model.

    Attributes:
        since: Time, in ISO 8601, UTC.
        by: Who paused them.
        why: Reason.
    """

    since: str
    by: str
    why: str


@dataclass(frozen=True)
class RetrainingState:
    """What is known of the retrainings of a model.

    Attributes:
        model: Name of the model.
        attempts: The last 60, the newest last.
        paused: None unless a person has paused them.
    """

    model: str
    attempts: tuple[Attempt, ...] = ()
    paused: Pause | None = None


@dataclass(frozen=True)
class Retraining:
    """The decision whether a model is trained again.

    Attributes:
        model: Name of the model.
        version: Version in production; 0 without one.
        trigger: What asked for it.
        cause: Codes and columns of what monitoring found; empty without.
        code: `START`, or why not.
        reason: The decision in one sentence, with its figures.
        action: What a person can do; empty if nothing is to be done.
        settings: Parameters of the pipeline `training` that differ from its defaults, with the newest spans as `data`.
        spans: Names of the newest spans; empty if the data has none.
        state: Location of the state.
        run: ID of the pipeline run.
        rolls_back: Whether the version in production is rolled back meanwhile.
        notes: What was left out or guessed.
    """

    model: str
    version: int
    trigger: Trigger
    cause: str
    code: Code
    reason: str
    action: str
    settings: dict[str, object]
    spans: tuple[str, ...]
    state: str
    run: str
    rolls_back: bool = False
    notes: tuple[Note, ...] = ()

    @property
    def starts(self) -> bool:
        """Whether the model is trained again."""
        return self.code == "START"

    @property
    def asks(self) -> bool:
        """Whether a person should decide."""
        return self.code in ("ASK", "BUDGET")

    @property
    def sentence(self) -> str:
        """The decision and what to do, in one line."""
        return f"{self.reason} {self.action}".strip()


def write_retraining(artifact: str | Path, retraining: Retraining) -> None:
    """Write a retraining artifact."""
    documents.write(Path(artifact) / RETRAINING, retraining)


def read_retraining(artifact: str | Path) -> Retraining:
    """Read a retraining artifact.

    Raises:
        InputError: The file is missing or is not a retraining document.
    """
    return documents.read(Path(artifact) / RETRAINING, Retraining)
