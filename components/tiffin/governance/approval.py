"""Approval: a version waits as the candidate until a named person approves or rejects it, with a reason."""

from dataclasses import dataclass, replace

from tiffin.errors import InputError
from tiffin.governance.changes import change, check_files, origin
from tiffin.governance.identity import check_person, check_reason
from tiffin.serving.history import Author, History, Lineage, Record, Rule, Standing, read_history
from tiffin.serving.root import ServedModel, State


@dataclass(frozen=True)
class Approval:
    """The approval of a version.

    Attributes:
        rule: What the version needs. `four_eyes`: two persons, one of whom may be the one who asked for the run; nobody
            approves a run of their own.
        requested_by: Person who asked for the run; empty if nobody is named.
        approvals: The records of its approvals, oldest first.
        rejection: The record of its rejection; None without one.
    """

    rule: Rule
    requested_by: str
    approvals: tuple[Record, ...]
    rejection: Record | None

    @property
    def missing(self) -> int:
        """The number of approvals that are missing; 0 if the version may be promoted."""
        if self.rule == "none":
            return 0
        people = {record.author.who for record in self.approvals}
        if self.rule == "required":
            return 0 if people else 1
        return max(0, 2 - len(people | {self.requested_by} - {""}))

    @property
    def is_given(self) -> bool:
        """Whether the version may be promoted."""
        return self.missing == 0 and self.rejection is None


def find_approval(history: History, version: int) -> Approval:
    """Return the approval of a version. One that was never a candidate needs none."""
    candidacy = history.candidacy(version)
    if candidacy is None:
        return Approval("none", "", (), None)
    since = [record for record in history.about(version) if record.number > candidacy.number]
    approvals = tuple(record for record in since if record.action == "approve")
    rejection = next((record for record in reversed(since) if record.action == "reject"), None)
    requested_by = candidacy.lineage.requested_by if candidacy.lineage else ""
    return Approval(candidacy.rule, requested_by, approvals, rejection)


def nominate(
    served: ServedModel, version: int, author: Author, rule: Rule, lineage: Lineage, verdict: str, keep_previous: int
) -> Record | None:
    """Make a version with files the candidate; return the record, or None if it is one, or was promoted, by the same run.

    It replaces another candidate, which can then neither be approved nor rejected.

    Args:
        served: The model.
        version: The version.
        author: Who deploys it, and why.
        rule: Approval that it needs.
        lineage: What it was made from.
        verdict: Digest of the verdict of its evaluation.
        keep_previous: Number of earlier champions that stay loaded once the version is promoted.
    """
    check_files(served, version)

    def decide(history: History, _state: State) -> Standing | None:
        standing, found = history.standing, history.candidacy(version)
        # A retry of the step. After an attempt that failed and removed the files, the version is a candidate again.
        is_known = found and (found.rule, found.author.run) == (rule, author.run)
        is_over = version == standing.incoming or find_approval(history, version).rejection
        if version == standing.champion or (is_known and (version == standing.candidate or is_over)):
            return None
        return replace(standing, candidate=version)

    about = {"rule": rule, "lineage": lineage, "keep_previous": keep_previous}
    return change(served, author, "candidate", version, decide, verdict=verdict, **about)


def approve(served: ServedModel, version: int, author: Author) -> Approval:
    """Approve the candidate, and return its approval.

    Raises:
        InputError: The version does not wait for approval, or this person may not approve it, or has done so.
    """
    _check_author(author)

    def decide(history: History, _state: State) -> Standing:
        found = _waiting(served, history, version)
        if found.rule == "four_eyes" and author.who == found.requested_by:
            raise InputError(
                f"Version {version} of the model '{served.name}' needs a second person (four_eyes). Received: the approval of "
                f"{author.who}, who asked for the run. Let someone else approve it."
            )
        for record in found.approvals:
            if record.author.who == author.who:
                raise InputError(
                    f"Version {version} of the model '{served.name}' should be approved once by each person. Received: a "
                    f"second approval of {author.who}; the first was at {record.at}."
                )
        return history.standing

    change(served, author, "approve", version, decide)
    return find_approval(read_history(served), version)


def reject(served: ServedModel, version: int, author: Author) -> Record | None:
    """Reject the candidate: it can no longer be approved or promoted.

    Raises:
        InputError: The version does not wait for approval.
    """
    _check_author(author)

    def decide(history: History, _state: State) -> Standing:
        _waiting(served, history, version)
        return replace(history.standing, candidate=None)

    return change(served, author, "reject", version, decide)


def check_approved(served: ServedModel, history: History, version: int) -> None:
    """Raise an InputError unless a version may be promoted."""
    found = find_approval(history, version)
    if found.rejection:
        raise InputError(
            f"Version {version} of the model '{served.name}' was rejected {origin(found.rejection)}. Train another version."
        )
    if found.missing:
        more = "approval" if found.missing == 1 else f"{found.missing} approvals"
        raise InputError(
            f"Version {version} of the model '{served.name}' waits for {more} ({found.rule}). Approve it with: "
            f'tiffin models approve {served.name} {version} --why "..."'
        )


def _waiting(served: ServedModel, history: History, version: int) -> Approval:
    """Return the approval of a version that waits for one, or raise an InputError."""
    found, standing = find_approval(history, version), history.standing
    if found.rejection:
        problem = f"it was rejected {origin(found.rejection)}"
    elif history.candidacy(version) is None and standing.champion != version:
        known = sorted({record.version for record in history.records if record.version is not None})
        problem = (
            f"it is in no record of the history{', whose versions are ' + ', '.join(map(str, known)) if known else ''}"
        )
    elif version == standing.champion:
        problem = "it is the champion already"
    elif standing.candidate != version:
        problem = f"the candidate is {f'version {standing.candidate}' if standing.candidate else 'none'}"
    elif found.rule == "none":
        problem = "it needs no approval"
    elif not found.missing:
        problem = (
            f"it was approved {origin(found.approvals[-1])}. Promote it with: tiffin models promote {served.name} {version} "
            '--why "..."'
        )
    else:
        return found
    raise InputError(f"Version {version} of the model '{served.name}' does not wait for approval: {problem}.")


def _check_author(author: Author) -> None:
    check_person(author.who, "TIFFIN_USER")
    check_reason(author.why)
