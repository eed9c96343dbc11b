"""A time window in periods of equal length: its requests, and how far each column is from the reference."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import numpy as np

from tiffin.artifacts.monitoring import Point, join_traffic, traffic_of
from tiffin.drift import distances
from tiffin.drift.bins import share_numbers
from tiffin.drift.profiles import Numbers, Profile, Texts
from tiffin.stages.monitor.counting import sum_traffic
from tiffin.stages.monitor.hours import Hour, add_up, name_of
from tiffin.stages.monitor.windows import Window, in_utc

_MOST_POINTS = 60
# Rows of a period below which distances are mostly chance, and are left out.
_LEAST_ROWS = 100
_LENGTHS = (1, 2, 3, 6, 12, 24, 48, 168, 672)


def make_points(
    hours: Sequence[Hour],
    window: Window,
    version: int,
    columns: Mapping[str, Profile],
    outputs: Mapping[str, Profile],
    shown: Sequence[str],
) -> tuple[Point, ...]:
    """Return the periods of a window: hours, or longer ones if there are more than 60.

    Args:
        hours: The counted hours.
        window: The window.
        version: Version whose requests count.
        columns: Input to its profile in the reference.
        outputs: Part of an output to its profile in the reference.
        shown: Inputs whose distances are measured.
    """
    length = next((hours for hours in _LENGTHS if window.hours / hours <= _MOST_POINTS), _LENGTHS[-1])
    by_name = {hour.hour: hour for hour in hours}
    found = []
    start = window.start
    while start < window.end:
        own = [
            by_name[name]
            for name in _names(start, min(length, (window.end - start) // timedelta(hours=1)))
            if name in by_name
        ]
        found.append(_point(start, length, own, version, columns, outputs, shown))
        start += timedelta(hours=length)
    return tuple(found)


def _names(start: datetime, hours: int) -> list[str]:
    return [name_of(start + timedelta(hours=number)) for number in range(hours)]


def _point(
    start: datetime,
    length: int,
    hours: Sequence[Hour],
    version: int,
    columns: Mapping[str, Profile],
    outputs: Mapping[str, Profile],
    shown: Sequence[str],
) -> Point:
    together = join_traffic(traffic_of(sum_traffic(hours), version), version)
    inputs, answers = add_up(hours, columns, outputs)
    values = {name: inputs[name] for name in shown if name in inputs} | answers
    likes = {**columns, **outputs}
    measured = {name: _distance(likes[name], one) for name, one in values.items() if name in likes}
    return Point(
        in_utc(start), length, together.requests, together.failed, together.quantile(0.5), together.quantile(0.99),
        {name: float(f"{value:.4g}") for name, value in measured.items() if math.isfinite(value)},
        {name: float(f"{one.missing / one.rows:.4g}") for name, one in values.items() if one.rows and name in inputs},
    )  # fmt: skip


def _distance(like: Profile, now: Profile) -> float:
    """Return the Wasserstein distance of numbers, or the largest difference of a share of texts; NaN for few rows."""
    if now.present < _LEAST_ROWS or not like.present:
        return math.nan
    if isinstance(like, Texts) and isinstance(now, Texts):
        values = [*dict.fromkeys([*like.counts, *now.counts])]
        p, q = (np.array([side.counts.get(value, 0) for value in values]) / side.present for side in (like, now))
        return distances.infinity(p, q)
    if not isinstance(like, Numbers) or not isinstance(now, Numbers):
        return math.nan
    _, fine = share_numbers(like, now)
    return distances.wasserstein(fine.edges, fine.before / fine.before.sum(), fine.now / fine.now.sum())[0]
