"""The record of the estimates: how far each was from the value that labels showed later.

    difference  realised - estimate
    error       mean of the differences' absolute values
    bias        mean of the differences: above 0, the estimate was too low
    covered     share of the realised values inside the 95 % interval of the estimate

An estimate stays as it was first made, before its labels came; later looks at the same period only add what was realised, so
that adding the same period again changes nothing. Periods should be whole ones of the same length.
"""

import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.performance import Entry, Estimate, Measurement, Record, TrackRecord
from tiffin.quality.definitions import HIGHER_IS_BETTER

MOST_ENTRIES = 10_000
# Standard deviations in the 95 % interval of a normal distribution.
_WIDTH = 2 * 1.96


def make_entries(
    start: str, end: str, version: int, estimated: Estimate, realised: Measurement | None
) -> tuple[Entry, ...]:
    """Return the entries of a period, one for each metric that is estimated.

    Args:
        start: Start of the period, in ISO 8601.
        end: End, not included.
        version: Version of the model.
        estimated: Estimate of all answers of the period.
        realised: Metrics of those with a label; None if there are none.
    """
    found = []
    for metric, value in estimated.metrics.items():
        ends = estimated.intervals.get(metric)
        if value is None or ends is None:
            continue
        rows = realised.rows if realised else 0
        shown = realised.metrics.get(metric) if realised else None
        found.append(
            Entry(
                start, end, version, metric, estimated.rows, value, ends.low, ends.high, estimated.source, rows, shown
            )
        )
    return tuple(found)


def extend(record: Record, entries: Iterable[Entry]) -> Record:
    """Return the record with entries added: the first estimate stays, and the value with the most labels counts."""
    known = {_key(entry): entry for entry in record.entries}
    for entry in entries:
        before = known.get(_key(entry))
        if before is None:
            known[_key(entry)] = entry
        elif entry.labelled >= before.labelled and entry.realised is not None:
            known[_key(entry)] = replace(before, labelled=entry.labelled, realised=entry.realised)
    ordered = sorted(known.values(), key=lambda entry: (entry.start, entry.end, entry.version, entry.metric))
    return Record(record.model, tuple(sorted(ordered[-MOST_ENTRIES:], key=_key)))


def summarize(record: Record, version: int | None = None) -> tuple[TrackRecord, ...]:
    """Return how well each metric was estimated; none of the periods that do not have enough labels yet.

    Args:
        record: The record.
        version: Version of the model. Defaults to all.
    """
    found = []
    chosen = [one for one in record.entries if one.counts and version in (None, one.version)]
    for metric in dict.fromkeys(sorted(one.metric for one in chosen)):
        of_metric = [one for one in chosen if one.metric == metric]
        differences = [(one.realised or 0.0) - one.estimate for one in of_metric]
        inside = sum(one.low <= (one.realised or 0.0) <= one.high for one in of_metric)
        periods = len(of_metric)
        error, bias = sum(map(abs, differences)) / periods, sum(differences) / periods
        found.append(TrackRecord(metric, periods, error, bias, inside / periods))
    return tuple(found)


def own_error(record: Record, version: int, metric: str, before: str) -> float:
    """Return the error that estimates of a metric have by themselves, in its units; 0 if nothing is known.

    It is the root mean square of how much better than estimated the version was, in periods before a window, less what the chance
    of their labels explains. Periods in which it was worse do not count: a changed relation of inputs and labels makes a model
    worse than estimated too, and would excuse itself. Errors of estimates alone go both ways, so that those of one side show how
    large they are.

    Args:
        record: The record.
        version: Version of the model.
        metric: Name of the metric.
        before: Start of the window, in ISO 8601 and UTC.
    """
    sign = 1.0 if HIGHER_IS_BETTER[metric] else -1.0
    squares = []
    for one in record.entries:
        if one.counts and (one.version, one.metric) == (version, metric) and one.end <= before:
            gain = sign * ((one.realised or 0.0) - one.estimate)
            chance = (one.high - one.low) / _WIDTH * math.sqrt(one.answers / one.labelled)
            squares += [gain * gain - chance * chance] if gain > 0 else []
    return math.sqrt(max(0.0, sum(squares) / len(squares))) if squares else 0.0


def write_record(path: str | Path, record: Record) -> None:
    """Write a record as JSON, atomically."""
    documents.write(path, record)


def read_record(path: str | Path) -> Record:
    """Read a record that `write_record` wrote.

    Raises:
        InputError: The file is missing, or is no record.
    """
    return documents.read(path, Record)


def _key(entry: Entry) -> tuple[int, str, str, str]:
    return entry.version, entry.start, entry.end, entry.metric
