"""What people are notified of: kinds of events, and one event."""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tiffin.errors import InputError, did_you_mean

NOTHING = "none"


@dataclass(frozen=True)
class Kind:
    """A kind of event.

    Attributes:
        title: Title of a message, with the placeholder `{subject}`.
        level: `failure`, `warning`, `success` or `info`, from which apprise takes color and priority.
        about: Sentence for the documentation.
    """

    title: str
    level: str
    about: str


# The only list of the kinds.
KINDS: dict[str, Kind] = {
    "failure": Kind("{subject} failed", "failure", "a run failed, and no gate stopped it"),
    "stopped": Kind(
        "{subject} was stopped", "warning", "a gate stopped a run: the data or the model is not good enough"
    ),
    "degraded": Kind("{subject} is degraded", "failure", "a model in production answers worse, or fails"),
    "drifted": Kind(
        "{subject} has drifted", "warning", "the data or the predictions of a model in production have moved"
    ),
    "recovered": Kind("{subject} has recovered", "success", "a model is healthy again, after one of the two before"),
    "promoted": Kind("{subject} is in production", "success", "a version was put into production"),
    "rolled_back": Kind(
        "{subject} was rolled back", "failure", "a rollout ended without a promotion, or a version left production"
    ),
    "asked": Kind("{subject} should be trained again", "warning", "a person should decide on a retraining"),
    "waiting_for_approval": Kind("{subject} waits for approval", "info", "a version needs the approval of a person"),
}
# The verdicts of monitoring that `recovered` ends.
UNWELL = ("degraded", "drifted")


@dataclass(frozen=True)
class Event:
    """What happened.

    Attributes:
        kind: A name in `KINDS`.
        subject: What it is about, such as `taxi version 3` or `the pipeline training`.
        reason: Why, with the figures; any text.
        cause: What makes two events the same, in place of the reason, whose figures change; empty for the reason without
            its numbers.
        model: Name of the model; empty without one.
        version: Its version; 0 without one.
        pipeline: Name of the pipeline.
        run: ID of the pipeline run; empty if unknown.
        figures: Name to value, as text.
        action: What to do, in a sentence; empty for nothing.
        command: Command to run; empty for none.
        link: Address of a page about it; empty for none.
    """

    kind: str
    subject: str
    reason: str
    cause: str = ""
    model: str = ""
    version: int = 0
    pipeline: str = ""
    run: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    action: str = ""
    command: str = ""
    link: str = ""

    @property
    def key(self) -> str:
        """Digest by which a repetition is found: kind, model and version or else the pipeline, and the cause."""
        about = f"{self.model}\n{self.version}" if self.model else f"{self.pipeline}\n{self.subject}"
        cause = self.cause or without_numbers(self.reason)
        return hashlib.sha256(f"{self.kind}\n{about}\n{cause}".encode()).hexdigest()[:16]


def without_numbers(text: str) -> str:
    """Return a text without what differs between two occurrences of the same fault: numbers, times and IDs."""
    text = re.sub(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4,})+\b|\b(?=[\de]*[a-df])[0-9a-f]{12,}\b", "#", text.lower())
    return re.sub(r"[-+]?\d+(?:[.,:]\d+)*(?:e[-+]?\d+)?", "#", text)


def check_notify_on(kinds: Sequence[object]) -> None:
    """Raise an InputError if the parameter `notify_on` has an unknown kind."""
    known = ", ".join(KINDS)
    for kind in kinds:
        if kind == NOTHING and len(kinds) > 1:
            raise InputError(
                f"notify_on should be ['{NOTHING}'] or kinds of events. Received: '{NOTHING}' beside others. Remove it."
            )
        if kind not in (*KINDS, NOTHING):
            hint = did_you_mean(str(kind), KINDS)
            raise InputError(
                f"notify_on should be a list of {known}; empty for all, or ['{NOTHING}']. Received: {kind!r}.{hint}"
            )


def check_event(kind: str) -> None:
    """Raise an InputError if the parameter `event` is an unknown kind; empty is none."""
    if kind and kind not in KINDS:
        raise InputError(
            f"event should be one of {', '.join(KINDS)}. Received: {kind!r}.{did_you_mean(kind, KINDS)} Pass one of them."
        )


def is_wanted(kind: str, kinds: Sequence[str]) -> bool:
    """Return whether `notify_on` has a kind: an empty list has all."""
    return not kinds or kind in kinds
