"""What was counted of each hour of the prediction log, for one version of a model.

    <state>/<model>/<version>/hours/2026-03-01T12.json

An hour has the names of the files that it counts. Both are written at once, so that each file is counted once, also if the
process is killed at any point, and files that come late are added. Hours add up to windows of any length.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring import LogFinding, Traffic
from tiffin.drift.profiles import Numbers, Profile, Texts, rank
from tiffin.drift.rows import add_profiles
from tiffin.errors import InputError

_FOLDER = "hours"
FORMAT = "%Y-%m-%dT%H"


@dataclass(frozen=True)
class Counted:
    """The values of a column, in the bins of the reference.

    Attributes:
        rows: Number of rows.
        missing: Rows without a value.
        numbers: Values in each bin; None for texts.
        low: Smallest number; None without one.
        high: Largest number.
        texts: Values to their rows; None for numbers.
        others: Rows with texts that are not listed.
    """

    rows: int
    missing: int
    numbers: tuple[float, ...] | None = None
    low: float | None = None
    high: float | None = None
    texts: dict[str, int] | None = None
    others: int = 0


@dataclass(frozen=True)
class Hour:
    """An hour of the log.

    Attributes:
        hour: Start of the hour in UTC, such as `2026-03-01T12`.
        bins: Digest of the bins that values are counted in.
        files: Name of each file that is counted to its rows.
        findings: Files that cannot be read.
        traffic: Requests by version and route.
        rows: Rows of the version that `columns` and `outputs` are of.
        columns: Input to its values.
        outputs: Part of an output to its values.
        skipped: Reason to the number of rows that are in neither.
    """

    hour: str
    bins: str
    files: dict[str, int] = field(default_factory=dict)
    findings: tuple[LogFinding, ...] = ()
    traffic: tuple[Traffic, ...] = ()
    rows: int = 0
    columns: dict[str, Counted] = field(default_factory=dict)
    outputs: dict[str, Counted] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Store:
    """Where the hours of a version are.

    Attributes:
        folder: Path or URI.
        bins: Digest of the bins of its reference.
    """

    folder: str
    bins: str

    def read(self, hour: datetime) -> tuple[Hour, str | None]:
        """Return an hour and its state for `write`; one without files if it was never counted, or in other bins.

        Raises:
            InputError: The file is not a document of an hour.
            StorageError: The location cannot be read.
        """
        name, uri = name_of(hour), self._uri(hour)
        found = storage.read(uri)
        if found is None:
            return Hour(name, self.bins), None
        try:
            document = documents.parse(found[0], Hour, uri)
        except InputError:
            # Written by another version: the log has its rows.
            document = Hour(name, "")
        return (document if document.bins == self.bins else Hour(name, self.bins)), found[1]

    def write(self, hour: Hour, state: str | None) -> None:
        """Replace an hour.

        Raises:
            Conflict: Another process has written it since it was read.
            StorageError: The location cannot be written.
        """
        uri = storage.join(self.folder, _FOLDER, f"{hour.hour}.json")
        storage.compare_and_swap(uri, documents.format_document(hour, indent=None), state)

    def _uri(self, hour: datetime) -> str:
        return storage.join(self.folder, _FOLDER, f"{name_of(hour)}.json")


def name_of(hour: datetime) -> str:
    """Return the name of an hour, such as `2026-03-01T12`."""
    return hour.astimezone(UTC).strftime(FORMAT)


def digest_bins(columns: Mapping[str, Profile], outputs: Mapping[str, Profile]) -> str:
    """Return the digest of the bins that profiles are counted in."""
    found = [
        [name, list(one.edges) if isinstance(one, Numbers) else sorted(one.counts), one.logical]
        for side in (columns, outputs)
        for name, one in sorted(side.items())
    ]
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]


def pack(profiles: Mapping[str, Profile]) -> dict[str, Counted]:
    """Return profiles as an hour has them."""
    return {name: _pack(one) for name, one in sorted(profiles.items())}


def _pack(one: Profile) -> Counted:
    if isinstance(one, Texts):
        return Counted(one.rows, one.missing, texts=dict(one.counts), others=one.others)
    low, high = (value if math.isfinite(value) else None for value in (one.low, one.high))
    return Counted(one.rows, one.missing, numbers=one.counts, low=low, high=high)


def unpack(counted: Mapping[str, Counted], baseline: Mapping[str, Profile]) -> dict[str, Profile]:
    """Return the profiles of an hour, in the bins of the baseline that they were counted in."""
    return {name: _unpack(one, baseline.get(name)) for name, one in counted.items()}


def _unpack(one: Counted, like: Profile | None) -> Profile:
    if one.numbers is None:
        known = bool(like.counts) if isinstance(like, Texts) else False
        return Texts(
            one.rows, one.missing, rank(one.texts or {}), one.others, listed_all=not one.others, has_known=known
        )
    edges, logical = (like.edges, like.logical) if isinstance(like, Numbers) else ((), "")
    low, high = (math.nan if value is None else value for value in (one.low, one.high))
    return Numbers(one.rows, one.missing, edges, one.numbers, low, high, logical)


def add_up(
    hours: Iterable[Hour], columns: Mapping[str, Profile], outputs: Mapping[str, Profile]
) -> tuple[dict[str, Profile], dict[str, Profile]]:
    """Return the profiles of the inputs and of the outputs of several hours.

    Args:
        hours: The hours.
        columns: Input to its profile in the reference.
        outputs: Part of an output to its profile in the reference.
    """
    found: tuple[dict[str, Profile], dict[str, Profile]] = {}, {}
    for hour in hours:
        found = (
            add_profiles(found[0], unpack(hour.columns, columns), columns),
            add_profiles(found[1], unpack(hour.outputs, outputs), outputs),
        )
    return found
