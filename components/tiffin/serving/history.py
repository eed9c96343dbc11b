"""The history of a served model: one record per change, each with the digest of the one before.

    <serving root>/<model>/history/00000012.json

The history decides what is served. A change takes the next number, which only one process can take, and its record has
the state that it leads to. The files that follow from it, `stable.config` first, are written afterwards, so a process that
ends in between leaves a record that the next change completes.
"""

import functools
import hashlib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Literal

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import InputError
from tiffin.serving.root import HISTORY, ServedModel

_FILE = re.compile(r"(?P<number>\d{8})\.json")
# Records that are read at once: a request to a bucket takes 50 ms.
_READERS = 16

Rule = Literal["none", "required", "four_eyes"]
Action = Literal[
    "candidate", "approve", "reject", "rollout", "abort", "inconclusive", "promote", "confirm", "rollback", "restore",
    "unload", "collect", "repair",
]  # fmt: skip


@dataclass(frozen=True)
class Standing:
    """The versions of a model after a change.

    Attributes:
        champion: Version in production; None if there is none.
        earlier: Champions before it, newest first: those that a rollback returns to.
        incoming: Version that replaces the champion once a server has answered with it; None if there is none.
        candidate: Version that waits to be promoted; None if none does.
        aside: Versions that a rollback left, which stay loaded under a name of their own.
        keep_previous: Number of earlier champions that stay loaded.
    """

    champion: int | None
    earlier: tuple[int, ...]
    incoming: int | None
    candidate: int | None
    aside: tuple[int, ...]
    keep_previous: int

    @property
    def served(self) -> int | None:
        """The version that answers requests: the incoming one, or else the champion."""
        return self.champion if self.incoming is None else self.incoming

    @property
    def previous(self) -> int | None:
        """The version that a rollback returns to; None if there is none."""
        return self.earlier[0] if self.earlier else None

    @property
    def kept(self) -> tuple[int, ...]:
        """The earlier champions that stay loaded.

        A server answers requests without a version by the highest number that it has loaded, so a version above the
        served one cannot stay loaded under the model's name.
        """
        before = self.earlier if self.incoming is None or self.champion is None else (self.champion, *self.earlier)
        return tuple(version for version in before[: self.keep_previous] if version < (self.served or 0))


NOTHING = Standing(None, (), None, None, (), 1)


@dataclass(frozen=True)
class Lineage:
    """What a version was made from.

    Attributes:
        requested_by: Person who asked for the run; empty if nobody is named.
        data_version: Version of the training data.
        schema_digest: Digest of the schema.
        spec_version: Version of Tiffin that trained the model.
        code_digest: SHA-256 of the model's own code; empty for the default network.
        label: Label column.
        metric: Name of the main metric; empty if unknown.
        value: Its value; None if unknown.
        metrics: All metrics of the evaluation.
        reason: Reason of the verdict.
        mlflow_run: ID of the MLflow run; empty if unknown.
    """

    requested_by: str
    data_version: str
    schema_digest: str
    spec_version: str
    code_digest: str = ""
    label: str = ""
    metric: str = ""
    value: float | None = None
    metrics: dict[str, float | None] | None = None
    reason: str = ""
    mlflow_run: str = ""


@dataclass(frozen=True)
class Author:
    """Who makes a change, and why.

    Attributes:
        who: Name of the person, or of the service account if no person asked for it.
        why: Reason.
        account: Service account of the pod that makes the change; empty outside a cluster.
        run: ID of the pipeline run; empty outside a pipeline.
    """

    who: str
    why: str
    account: str = ""
    run: str = ""


@dataclass(frozen=True)
class Config:
    """A change of `stable.config`.

    Attributes:
        before: Its content before the change; None if it did not exist.
        after: Its content after the change; None if the change deletes it.
    """

    before: str | None
    after: str | None


@dataclass(frozen=True)
class Record:
    """One change.

    Attributes:
        number: Number of the record, from 1.
        before: SHA-256 of the record before it; empty for the first.
        at: Time in UTC, in ISO 8601.
        action: What was done: `candidate` makes a version wait, `rollout` starts to roll it out step by step, `abort` and
            `inconclusive` end that without a promotion, `promote` serves it, `confirm` makes it the champion after a server
            answered, `restore` undoes a promotion, `rollback` returns to an earlier champion, `unload` drops the versions that
            a rollback left, `collect` removes files, and `repair` puts `stable.config` right.
        version: Version that the change is about; None if it is about none.
        author: Who, and why.
        verdict: Digest of the verdict of the version's evaluation; empty if unknown.
        standing: The versions after the change.
        config: The change of `stable.config`; None if it stays as it is.
        rule: For a candidate, the approval that it needs.
        lineage: For a candidate, what it was made from.
        keep_previous: For a candidate, the number of earlier champions that stay loaded once it is promoted.
        collected: Versions whose files were removed.
        rollout: ID of the rollout that the record is about; None if it is about none.
    """

    number: int
    before: str
    at: str
    action: Action
    version: int | None
    author: Author
    verdict: str
    standing: Standing
    config: Config | None = None
    rule: Rule = "none"
    lineage: Lineage | None = None
    keep_previous: int | None = None
    collected: tuple[int, ...] = ()
    rollout: str | None = None

    @property
    def content(self) -> bytes:
        """The file's content: equal records give equal bytes."""
        return documents.format_document(self)

    @property
    def digest(self) -> str:
        """SHA-256 of the file's content."""
        return hashlib.sha256(self.content).hexdigest()

    @property
    def time(self) -> datetime:
        """The time of the change."""
        return datetime.fromisoformat(self.at)


@dataclass(frozen=True)
class Entry:
    """A file of the history.

    Attributes:
        number: Number in its name.
        digest: SHA-256 of its content.
        record: The record; None if it cannot be read.
        problem: Why it cannot be read; empty if it can.
        is_original: Whether the content is as it was written, as far as the file alone shows.
    """

    number: int
    digest: str
    record: Record | None
    problem: str = ""
    is_original: bool = True


@dataclass(frozen=True)
class History:
    """The history of a model.

    Attributes:
        entries: All files, oldest first.
        adopted: The versions before the first record, for a model that was served without Tiffin.
    """

    entries: tuple[Entry, ...] = ()
    adopted: Standing = NOTHING

    @property
    def records(self) -> tuple[Record, ...]:
        """The records that can be read, oldest first."""
        return tuple(entry.record for entry in self.entries if entry.record)

    @property
    def newest(self) -> Record | None:
        """The newest record that can be read."""
        return next(reversed(self.records), None)

    @property
    def standing(self) -> Standing:
        """The versions after the newest record that can be read."""
        return self.newest.standing if self.newest else self.adopted

    def at(self, time: datetime) -> "History":
        """Return the history as it was at a time."""
        return History(tuple(entry for entry in self.entries if entry.record and entry.record.time <= time))

    def followed_by(self, record: Record) -> "History":
        """Return the history with one more record."""
        return replace(self, entries=(*self.entries, Entry(record.number, record.digest, record)))

    def candidacy(self, version: int) -> Record | None:
        """Return the newest record that made a version a candidate; None if none did."""
        found = (record for record in reversed(self.records) if record.version == version)
        return next((record for record in found if record.action == "candidate"), None)

    def about(self, version: int) -> tuple[Record, ...]:
        """Return the records of a version, oldest first."""
        return tuple(record for record in self.records if record.version == version)


def read_history(model: ServedModel) -> History:
    """Return the history of a model; empty if it has none.

    Files with other names, such as those of earlier versions of Tiffin, are not part of it.

    Raises:
        StorageError: The folder cannot be read.
    """
    try:
        files = storage.list_files(model.locate(HISTORY))
    except InputError:  # no changes yet
        return History()
    names = [(file, _FILE.fullmatch(file.uri.rpartition("/")[2])) for file in files]
    found = [(int(match["number"]), file.uri, file.generation) for file, match in names if match]
    with ThreadPoolExecutor(_READERS) as readers:
        read = readers.map(lambda one: _read_again(*one) if one[2] else _read(*one), sorted(found))
        return History(tuple(entry for entry in read if entry))


@functools.lru_cache(4096)
def _read_again(number: int, uri: str, _generation: str) -> Entry | None:
    # The generation of an object in a bucket changes with its content.
    return _read(number, uri)


def _read(number: int, uri: str, _generation: str = "") -> Entry | None:
    found = storage.read(uri)
    if found is None:  # removed at this moment
        return None
    digest = hashlib.sha256(found[0]).hexdigest()
    try:
        record = documents.parse(found[0], Record, uri)
        record.time  # noqa: B018 - raises for a time that is none
    except (InputError, ValueError) as error:
        problem = str(error).partition("Received: ")[2].partition(". Run the step")[0] or "it is not valid JSON"
        return Entry(number, digest, None, problem, is_original=False)
    return Entry(number, digest, record, is_original=record.content == found[0] and record.number == number)


def locate(model: ServedModel, number: int) -> str:
    """Return the location of a record."""
    return model.locate(HISTORY, f"{number:08}.json")


def append(model: ServedModel, record: Record) -> None:
    """Write a record.

    Raises:
        Conflict: Another process has taken its number.
        StorageError: The record cannot be written, or the store did not answer; it may be written.
    """
    storage.write_new(locate(model, record.number), record.content)


def current_time() -> str:
    """Return the current time for a record."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def find_faults(history: History) -> Iterator[tuple[int, str, str]]:
    """Yield what was changed, removed or inserted in a history: the record's number, a code, and a sentence.

    Codes: `CHANGED`, `REMOVED` and `INSERTED`. If the newest records were removed, the others do not show it: compare with
    the digest of a record that was kept elsewhere, as `find_record` does.
    """
    before, number, is_sound = "", 0, True
    for entry in history.entries:
        follows, was_sound = entry.number == number + 1, is_sound
        is_sound = entry.is_original
        if not follows:
            missing = f"{number + 1}" if entry.number == number + 2 else f"{number + 1} to {entry.number - 1}"
            yield number + 1, "REMOVED", f"Missing: record {missing}."
        if entry.record and entry.record.number != entry.number:
            yield entry.number, "INSERTED", f"Record {entry.number} is a copy of record {entry.record.number}."
        elif not is_sound:
            why = f": {entry.problem}" if entry.problem else ""
            yield entry.number, "CHANGED", f"Record {entry.number} was changed after it was written{why}."
        elif entry.record and entry.record.before != before and follows and was_sound:
            if number:
                yield number, "CHANGED", f"Record {number} was changed after record {entry.number} was written."
            else:
                yield 1, "CHANGED", "Record 1 was changed after it was written: it names a record before it."
                is_sound = False
        before, number = entry.digest, entry.number


def find_record(history: History, number: int, digest: str) -> bool:
    """Return whether a history has a record of this number with this digest."""
    return any((entry.number, entry.digest) == (number, digest) for entry in history.entries)
