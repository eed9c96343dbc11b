"""Profiles of rows, counted in the bins of a baseline: exact, in one pass, and with memory that does not grow with the rows."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tiffin.drift.profiles import MOST_TEXTS, Numbers, Profile, Texts, add, count_numbers, make_texts

# Values beside the known ones above which only the most frequent ones are listed.
_MANY = 2 * MOST_TEXTS


def count_rows(
    batch: pa.RecordBatch,
    baseline: Mapping[str, Profile],
    names: Mapping[str, str] | None = None,
    *,
    is_logged: bool = True,
) -> dict[str, Profile]:
    """Return the profiles of the columns of a batch that the baseline has, in its bins.

    A column of lists has none. In the prediction log, empty texts count as missing, as models receive them, and texts of a
    column of dates are read as ISO 8601; a text that is no date is missing. In examples, dates are numbers, and an empty text
    is a text, as in TFDV's statistics.

    Args:
        batch: The rows.
        baseline: Column to its profile in the baseline.
        names: Column of the batch to its name in the baseline, and which columns to count. Defaults to all, with their names.
        is_logged: Whether the rows are of the prediction log, and not of examples. Defaults to True.
    """
    names = {name: name for name in batch.schema.names} if names is None else names
    found = {}
    for own, name in names.items():
        like = baseline.get(name)
        profile = None if like is None else _count(batch.column(batch.schema.get_field_index(own)), like, is_logged)
        if profile is not None:
            found[name] = profile
    return found


def add_profiles(
    one: Mapping[str, Profile], other: Mapping[str, Profile], baseline: Mapping[str, Profile]
) -> dict[str, Profile]:
    """Return the profiles of the rows of both; a column that one side lacks has the rows of the other."""
    found = dict(one)
    for name, profile in other.items():
        like = baseline.get(name)
        known = like.counts if isinstance(like, Texts) else ()
        found[name] = add(found[name], profile, known) if name in found else profile
    return found


def _count(column: pa.Array, like: Profile, is_logged: bool) -> Profile | None:
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return None
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind)
    if is_logged and isinstance(like, Numbers) and like.logical in ("date", "timestamp") and is_text:
        column = _read_times(column)
    elif is_text or pa.types.is_dictionary(kind):
        return _count_texts(column, like.counts if isinstance(like, Texts) else {}, is_logged)
    kept = column.drop_null() if column.null_count else column
    if not pa.types.is_float32(kind):
        kept = kept.cast(pa.float64(), safe=False)
    values = kept.to_numpy(zero_copy_only=False)
    edges = like.edges if isinstance(like, Numbers) else ()
    logical = like.logical if isinstance(like, Numbers) else ""
    return count_numbers(values, edges, missing=column.null_count, logical=logical)


def _count_texts(column: pa.Array, known: Mapping[str, int], is_logged: bool) -> Texts:
    pairs = pc.value_counts(column)
    values, counts = pairs.field("values"), pairs.field("counts").to_numpy(zero_copy_only=False)
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    is_text = pc.fill_null(pc.not_equal(values, ""), False) if is_logged else values.is_valid()
    places = np.flatnonzero(is_text)
    missing = len(column) - int(counts[places].sum())
    if len(places) > len(known) + _MANY:
        places = _most_frequent(values, counts, places, known)
    listed = values.take(pa.array(places)).to_pylist()
    return make_texts(len(column), missing, dict(zip(listed, counts[places].tolist(), strict=True)), known)


def _most_frequent(values: pa.Array, counts: np.ndarray, places: np.ndarray, known: Mapping[str, int]) -> np.ndarray:
    """Return the places of the values that `make_texts` lists, so that only these become texts of Python."""
    is_known = np.asarray(pc.is_in(values, value_set=pa.array(list(known), values.type)))
    others = places[~is_known[places]]
    least = np.partition(counts[others], -MOST_TEXTS)[-MOST_TEXTS]
    above, ties = others[counts[others] > least], others[counts[others] == least]
    # Of equally frequent ones, the first in the order of their characters.
    order = pc.array_sort_indices(values.take(pa.array(ties))).to_numpy()[: MOST_TEXTS - len(above)]
    return np.concatenate([places[is_known[places]], above, ties[order]])


def _read_times(column: pa.Array) -> pa.Array:
    """Return texts in ISO 8601 as seconds since 1970; null for other texts."""
    distinct = pc.unique(column)
    seconds = np.array([_seconds(text) for text in distinct.to_pylist()], np.float64)
    return pa.array(seconds, from_pandas=True).take(pc.index_in(column, value_set=distinct))


def _seconds(text: str | None) -> float:
    """Return a date or a time as seconds since 1970, in UTC unless it has another zone; NaN for other texts."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        # Years outside of 1 to 9999.
        return _numpy_seconds(text or "NaT")
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _numpy_seconds(text: str) -> float:
    try:
        moment = np.datetime64(text, "s")
    except ValueError:
        return math.nan
    return math.nan if np.isnat(moment) else float(moment.astype(np.int64))
