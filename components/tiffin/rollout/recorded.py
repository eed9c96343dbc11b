"""What the prediction log has shown of a rollout so far: agreement of the copies, and predictions by version.

    <serving root>/<model>/rollout-answers.json

Each look reads the files that are new, and adds their rows to counts: the file stays small however long the rollout takes.
Another process goes on with it. Answers arrive late, since the recorder closes a file after a minute.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import Conflict, InputError
from tiffin.rollout.answers import (
    LEAST_SAMPLE,
    Choice,
    Output,
    Row,
    Versions,
    choose,
    read_rows,
    wanted_columns,
)
from tiffin.rollout.document import Rollout
from tiffin.rollout.logged import LATE, find_logged, micros_of, take_sample
from tiffin.rollout.statistics import agreement, distributions, histograms, intervals
from tiffin.rollout.statistics.agreement import Agreement
from tiffin.rollout.statistics.distributions import Comparison
from tiffin.rollout.statistics.histograms import Histogram
from tiffin.rollout.statistics.intervals import Moments
from tiffin.serving.log_rows import open_file
from tiffin.serving.prediction_log import LogFile, start_of_hour
from tiffin.serving.root import ROLLOUT_ANSWERS, ServedModel, State

# Files that one look reads at most: it should not last for minutes after a pause of hours.
MOST_FILES = 30
# Rows of each version whose counterpart is not in the log yet.
_MOST_WAITING = 300


@dataclass(frozen=True)
class Side:
    """Predictions of one version for one part of an output.

    Attributes:
        rows: Number of rows.
        counts: Their values in bins; NaN is in none.
        moments: Their moments; values that are not finite are left out.
    """

    rows: int = 0
    counts: Histogram = field(default_factory=Histogram)
    moments: Moments = field(default_factory=Moments)


@dataclass(frozen=True)
class Recorded:
    """What was found so far. All of it is needed to go on after a restart.

    Attributes:
        rollout: ID of the rollout.
        hour: First hour of the log that may have files to read, in ISO 8601.
        files: Names of the files from this hour on that were read.
        choice: Which answers are compared; None before there are 20 of the version in production.
        agreement: Agreement of the copies with what the version in production answered.
        waiting_stable: Rows of the version in production whose copy may still come.
        waiting_candidate: Copies whose counterpart may still come.
        since: Start of the step whose answers are counted.
        pairs_before: Pairs at the start of the step.
        predictions: Part of an output to the route to its predictions, since the start of the last step with a weight.
        skipped: Reason to the number of rows that were left out, see `tiffin.rollout.answers.read_rows`.
        unread_files: Number of files that could not be read.
    """

    rollout: str
    hour: str
    files: tuple[str, ...] = ()
    choice: Choice | None = None
    agreement: Agreement = field(default_factory=lambda: Agreement({}))
    waiting_stable: tuple[Row, ...] = ()
    waiting_candidate: tuple[Row, ...] = ()
    since: str = ""
    pairs_before: int = 0
    predictions: dict[str, dict[str, Side]] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    unread_files: int = 0

    @property
    def pairs(self) -> int:
        """Rows that both versions answered."""
        return self.agreement.pairs

    def compare(self, *, level: float = 0.05, tolerance: float = 0.0) -> dict[str, Comparison]:
        """Return the distance between the predictions of both versions, for each part of an output.

        Args:
            level: Probability, above 0 and below 1, that one lower limit is above the true distance at any look. Defaults to
                0.05.
            tolerance: Distance that is allowed. Defaults to 0.
        """
        return {
            part: distributions.compare(
                sides["stable"].counts, sides["candidate"].counts, level=level, tolerance=tolerance
            )
            for part, sides in self.predictions.items()
        }


def read_recorded(served: ServedModel, rollout: Rollout) -> tuple[Recorded, State]:
    """Return what was found so far, and the state of the file.

    Raises:
        InputError: The file is not a document of a rollout's answers.
    """
    state = served.read(ROLLOUT_ANSWERS)
    found = documents.parse(state[0], Recorded, served.locate(ROLLOUT_ANSWERS)) if state else None
    if found is None or found.rollout != rollout.id:
        hour = start_of_hour(datetime.fromisoformat(rollout.started))
        found = Recorded(rollout.id, hour.isoformat())
    return found, state


def follow(served: ServedModel, rollout: Rollout, log: str) -> Recorded:
    """Read the new files of the prediction log, write what they have shown, and return all that was found.

    Args:
        served: The model.
        rollout: Its rollout.
        log: Root of the prediction log.

    Raises:
        InputError: The file is not a document of a rollout's answers.
        StorageError: The log or the serving root cannot be read or written.
    """
    before, state = read_recorded(served, rollout)
    now = update(before, rollout, served.name, log, most_files=MOST_FILES)
    if now != before:
        try:
            storage.compare_and_swap(
                served.locate(ROLLOUT_ANSWERS), documents.format_document(now), state[1] if state else None
            )
        except Conflict:
            # Another process has read the files as well.
            return read_recorded(served, rollout)[0]
    return now


def update(recorded: Recorded, rollout: Rollout, model: str, log: str, *, most_files: int | None = None) -> Recorded:
    """Return what was found so far, with the new files of the prediction log.

    Args:
        recorded: What was found before.
        rollout: The rollout.
        model: Name of the model.
        log: Root of the prediction log.
        most_files: Number of files to read at most. Defaults to all.

    Raises:
        StorageError: The log cannot be read.
    """
    if rollout.phase == "running" and recorded.since != rollout.since:
        is_divided = bool(rollout.steps[rollout.step].weight)
        # While the weight stays the same, chance alone decides which version answers a request.
        predictions = {} if is_divided else recorded.predictions
        recorded = replace(recorded, since=rollout.since, pairs_before=recorded.pairs, predictions=predictions)
    now, first = datetime.now(UTC), datetime.fromisoformat(recorded.hour)
    versions, found = find_logged(rollout, model, log, first)
    new = [file for file in found if _name(file) not in recorded.files]
    read = new[:most_files]
    if (choice := recorded.choice) is None:
        sample, others = take_sample(read, versions)
        if len(sample) < LEAST_SAMPLE:
            # Those without a row of the rollout, such as all that were written before it, are not read again.
            return replace(recorded, files=tuple(sorted({*recorded.files, *map(_name, others)})))
        choice = choose(sample)
        rules = {output.name: output.rule for output in choice.outputs}
        recorded = replace(recorded, choice=choice, agreement=agreement.start(rules))
    for file in read:
        recorded = _add_file(recorded, choice, file, versions, rollout)
    waits_for = new[len(read)].hour if len(new) > len(read) else now
    hour = max(first, min(start_of_hour(now) - LATE, waits_for))
    names = {_name(file) for file in found if file.hour >= hour} - {_name(file) for file in new[len(read) :]}
    return replace(recorded, hour=hour.isoformat(), files=tuple(sorted(names)))


def _name(file: LogFile) -> str:
    return file.uri.rsplit("/", 1)[-1]


def _add_file(recorded: Recorded, choice: Choice, file: LogFile, versions: Versions, rollout: Rollout) -> Recorded:
    skipped = Counter(recorded.skipped)
    is_divided = any(step.weight for step in rollout.steps)
    has_copies = any(step.mirror for step in rollout.steps)
    try:
        with open_file(file.uri, versions.first) as opened:
            for batch in opened.read(wanted_columns(opened.columns, with_inputs=has_copies)):
                is_copied = has_copies and "mirror" in batch["route"]
                rows = read_rows(batch, choice, versions, skipped, with_inputs=is_copied)
                if rows["mirror"] or recorded.waiting_candidate or rollout.steps[rollout.step].mirror:
                    recorded = _pair(recorded, choice, rows["stable"], rows["mirror"])
                if is_divided and _is_counted(recorded, rollout):
                    recorded = _count(recorded, choice, rows)
    except InputError:
        recorded = replace(recorded, unread_files=recorded.unread_files + 1)
    return replace(recorded, skipped=dict(sorted(skipped.items())))


def _is_counted(recorded: Recorded, rollout: Rollout) -> bool:
    """Return whether the step whose answers are counted has a weight."""
    return bool(recorded.since) and bool(rollout.steps[rollout.step].weight)


def _pair(recorded: Recorded, choice: Choice, stable: Sequence[Row], copies: Sequence[Row]) -> Recorded:
    """Add the rows that both versions answered; the others wait for their counterpart."""
    found, sides = recorded.agreement, []
    repeated = 0
    for rows in ((*recorded.waiting_stable, *stable), (*recorded.waiting_candidate, *copies)):
        by_key: dict[str, Row] = {}
        for row in rows:
            by_key.setdefault(row.key, row)
        repeated += len(rows) - len(by_key)
        sides.append(by_key)
    ours, theirs = sides
    both = [key for key in ours if key in theirs]
    inputs = sorted({name for key in both for name in ours[key].inputs})
    found = agreement.add(
        found,
        agreement.Answers(
            both,
            _columns(choice.outputs, [ours[key] for key in both]),
            {name: np.fromiter((ours[key].inputs.get(name) for key in both), object, len(both)) for name in inputs},
        ),
        agreement.Answers(both, _columns(choice.outputs, [theirs[key] for key in both])),
    )
    lone = sorted((row for key, row in ours.items() if key not in theirs), key=lambda row: row.micros)
    alone = sorted((row for key, row in theirs.items() if key not in ours), key=lambda row: row.micros)
    # Requests before the first copy have none.
    first = 0 if recorded.pairs else min((row.micros for row in theirs.values()), default=math.inf)
    return replace(
        recorded,
        agreement=replace(
            found,
            unpaired_stable=found.unpaired_stable + sum(row.micros >= first for row in lone[:-_MOST_WAITING]),
            unpaired_candidate=found.unpaired_candidate + len(alone[:-_MOST_WAITING]),
            repeated=found.repeated + repeated,
        ),
        waiting_stable=tuple(replace(row, inputs={}) for row in lone[-_MOST_WAITING:]),
        waiting_candidate=tuple(alone[-_MOST_WAITING:]),
    )


def _columns(outputs: Sequence[Output], rows: Sequence[Row]) -> dict[str, np.ndarray]:
    return {
        output.name: np.array([row.values[place] for row in rows], dtype=np.float64).reshape(len(rows), output.width)
        for place, output in enumerate(outputs)
    }


def _count(recorded: Recorded, choice: Choice, rows: Mapping[str, Sequence[Row]]) -> Recorded:
    """Add the predictions of both versions since the start of the step."""
    predictions, first = dict(recorded.predictions), micros_of(recorded.since)
    chosen = {route: [row for row in rows[route] if row.micros >= first] for route in ("stable", "candidate")}
    values = {route: _columns(choice.outputs, of) for route, of in chosen.items()}
    for output, place, part in _parts(choice):
        sides = predictions.get(part, {"stable": Side(), "candidate": Side()})
        predictions[part] = {
            route: _add_side(side, output.values_of(place, values[route][output.name]), output.bounds[place])
            for route, side in sides.items()
        }
    return replace(recorded, predictions=predictions)


def _parts(choice: Choice) -> Iterator[tuple[Output, int, str]]:
    for output in choice.outputs:
        for place, part in enumerate(output.parts):
            yield output, place, part


def _add_side(side: Side, values: np.ndarray, bounds: Sequence[float]) -> Side:
    return Side(
        side.rows + len(values),
        histograms.merge([side.counts, histograms.count(values, bounds)]),
        side.moments + intervals.moments(values[np.isfinite(values)]),
    )
