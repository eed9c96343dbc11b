"""The distances of one column between two profiles, and what they are by chance."""

import math
from dataclasses import replace
from typing import Literal

import numpy as np

from tiffin.artifacts.drift import Bin, ColumnDrift, Distance, Measure
from tiffin.drift import chance, distances
from tiffin.drift.bins import Shared, share_numbers, share_texts
from tiffin.drift.chance import Chance
from tiffin.drift.limits import Limits
from tiffin.drift.profiles import Numbers, Profile, Texts

DATES = "dates are measured and not judged: time moves on"
_DIGITS = 6
# Share of the rows below which a value is left out of the largest difference.
_RARE = 0.001


def measure_column(name: str, before: Profile | None, now: Profile | None, limits: Limits) -> ColumnDrift:
    """Return a column with its distances, before they are judged together with those of other columns.

    Args:
        name: Name of the column.
        before: Its profile in the baseline; None if that does not have it.
        now: Its profile in the other rows.
        limits: What it may differ by.
    """
    column = ColumnDrift(
        name, "absent", True, "", before.present if before else 0, now.present if now else 0,
        _missing(before), _missing(now), (), (),
    )  # fmt: skip
    if before is None or now is None:
        return replace(column, reason="is missing now" if before else "is new: the baseline does not have it")
    kinds = [_kind(one) for one in (before, now)]
    if isinstance(before, Numbers) and isinstance(now, Numbers):
        shared, found = _number_distances(before, now)
    elif isinstance(before, Texts) and isinstance(now, Texts):
        shared, found = _text_distances(before, now)
    elif before.present and now.present:
        return replace(column, reason=f"has {kinds[1]}, and the baseline {kinds[0]}")
    else:
        # Without a value, the type is unknown.
        shared, found = Shared((), np.zeros(0), np.zeros(0)), _share_distances(before, now)
    is_time = before.logical in ("date", "timestamp")
    judged = [
        _distance(
            measure, value, by, *((None, "") if is_time and measure != "missing_share" else limits.find(name, measure))
        )
        for measure, value, by in found
    ]
    reason = DATES if is_time else ""
    kind = kinds[0] if before.present else kinds[1]
    return replace(column, kind=kind, drifted=False, reason=reason, distances=tuple(judged), bins=_bins(shared))


def _kind(profile: Profile) -> Literal["numbers", "texts"]:
    return "numbers" if isinstance(profile, Numbers) else "texts"


def _missing(profile: Profile | None) -> float:
    return rounded(profile.missing / profile.rows) if profile and profile.rows else 0.0


_Found = list[tuple[Measure, float | None, Chance | None]]


def _share_distances(before: Profile, now: Profile) -> _Found:
    if not before.rows or not now.rows:
        return [("missing_share", None, None)]
    value = abs(before.missing / before.rows - now.missing / now.rows)
    return [("missing_share", value, chance.of_share(before.missing, before.rows, now.missing, now.rows))]


def _divergences(shared: Shared) -> _Found:
    """Return the distances over the shared bins."""
    n, m = float(shared.before.sum()), float(shared.now.sum())
    if not n or not m:
        return [("jensen_shannon", None, None), ("population_stability_index", None, None)]
    p, q, bins = shared.before / n, shared.now / m, len(shared.names)
    first = distances.jensen_shannon(p, q)
    second = distances.population_stability_index(shared.before, shared.now)
    by_first = chance.of_bins(first, chance.JENSEN_SHANNON, bins, n, m, most=1.0)
    by_second = chance.of_bins(second, chance.POPULATION_STABILITY_INDEX, bins, n, m)
    # All ask whether the shares are equal. With few rows in a bin, one test or the other finds too much.
    p_value = max(by_first.p_value, chance.pearson(shared.before, shared.now))
    return [
        ("jensen_shannon", first, replace(by_first, p_value=p_value)),
        ("population_stability_index", second, replace(by_second, p_value=p_value)),
    ]


def _number_distances(before: Numbers, now: Numbers) -> tuple[Shared, _Found]:
    shared, fine = share_numbers(before, now)
    found = _divergences(shared)
    n, m = float(fine.before.sum()), float(fine.now.sum())
    if not n or not m:
        return shared, [
            *found,
            ("infinity_norm", None, None),
            ("wasserstein", None, None),
            *_share_distances(before, now),
        ]
    kept = [place for place, name in enumerate(shared.names) if name != "missing"]
    p, q = shared.before[kept] / n, shared.now[kept] / m
    found.append(("infinity_norm", distances.infinity(p, q), chance.of_largest(p, q, n, m)))
    p, q = fine.before / n, fine.now / m
    value, deviation = distances.wasserstein(fine.edges, p, q)
    by = chance.of_wasserstein(value, fine.edges, deviation, p, q, n, m) if math.isfinite(value) else None
    found.append(("wasserstein", value if by else None, by))
    return shared, [*found, *_share_distances(before, now)]


def _text_distances(before: Texts, now: Texts) -> tuple[Shared, _Found]:
    shared, known = share_texts(before, now)
    found = _divergences(shared)
    n, m = before.present, now.present
    if n and m:
        values = [value for value in dict.fromkeys([*before.counts, *now.counts]) if _is_frequent(value, before, now)]
        p, q = (np.array([side.counts.get(value, 0) for value in values]) / side.present for side in (before, now))
        found.append(("infinity_norm", distances.infinity(p, q), chance.of_largest(p, q, n, m)))
        _, low, high = chance.wilson(known.new, m)
        p_value = chance.fisher(known.not_fewer, n, known.new, m)
        found.append(("new_share", known.new / m, Chance(known.new_before / n, p_value, low, high)))
    else:
        found += [("infinity_norm", None, None), ("new_share", None, None)]
    return shared, [*found, *_share_distances(before, now)]


def _is_frequent(value: str, before: Texts, now: Texts) -> bool:
    """Return whether a value can have the largest difference that matters."""
    return any(side.counts.get(value, 0) >= _RARE * side.present for side in (before, now))


def _distance(
    measure: Measure, value: float | None, by: Chance | None, threshold: float | None, source: str
) -> Distance:
    if value is None or by is None:
        return Distance(measure, None, None, None, None, threshold, None, None, drifted=False, source=source)
    return Distance(
        measure, rounded(value), rounded(by.mean), rounded(by.low), rounded(by.high), threshold, rounded(by.p_value),
        None, drifted=False, source=source,
    )  # fmt: skip


def _bins(shared: Shared) -> tuple[Bin, ...]:
    before, now = (side / side.sum() if side.sum() else side for side in (shared.before, shared.now))
    return tuple(map(Bin, shared.names, map(rounded, before), map(rounded, now)))


def rounded(value: float) -> float:
    """Return a number in six digits; further ones depend on the order of summation."""
    return float(f"{value:.{_DIGITS}g}")
