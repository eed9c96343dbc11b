"""The values of a column in TFDV's statistics: what they are, in a few lines, and drawn."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import altair as alt
from tensorflow_metadata.proto.v0 import statistics_pb2

from tiffin.artifacts.numbers import format_moment, format_number, format_share
from tiffin.artifacts.statistics import read_common, read_logical
from tiffin.report.drawing import SERIES, draw, labels, rows

_TYPES = {"INT": "integer", "FLOAT": "number", "STRING": "text", "BYTES": "text"}
_WIDTH, _HEIGHT = 200, 44
_MOST_VALUES = 5
_DAY = 86_400
# Integers in a column of such a name are shown as times, too, if they are seconds of the years 2000 to 2040.
_TIMES = re.compile(r"time|date|(_at|_ts)$", re.IGNORECASE)
_SECONDS = (946_684_800, 2_208_988_800)


@dataclass(frozen=True)
class Feature:
    """The statistics of a column in one split."""

    statistics: statistics_pb2.FeatureNameStatistics
    rows: float

    @property
    def present(self) -> int:
        """Number of values that are not missing."""
        return int(read_common(self.statistics).num_non_missing)

    @property
    def missing(self) -> float:
        """Share of missing values."""
        return 1 - self.present / self.rows if self.rows else 0.0

    @property
    def logical(self) -> str:
        """What integers stand for: boolean, date or timestamp; empty for plain values."""
        return read_logical(self.statistics)

    @property
    def is_text(self) -> bool:
        """Whether the values are texts."""
        return bool(self.statistics.WhichOneof("stats") == "string_stats")

    def shares(self) -> dict[str, float]:
        """Return the share of the rows with each value, of texts and booleans, most frequent first."""
        if self.is_text:
            buckets = self.statistics.string_stats.rank_histogram.buckets
            return {bucket.label: bucket.sample_count / max(1, self.present) for bucket in buckets}
        zeros = self.statistics.num_stats.num_zeros / max(1, self.present)
        return {"true": 1 - zeros, "false": zeros} if zeros < 0.5 else {"false": zeros, "true": 1 - zeros}


def find_features(
    statistics: statistics_pb2.DatasetFeatureStatisticsList, splits: Sequence[str]
) -> dict[str, dict[str, Feature]]:
    """Return the statistics of each column by split, in the order of the splits."""
    found: dict[str, dict[str, Feature]] = {}
    datasets = {dataset.name: dataset for dataset in statistics.datasets}
    for split in [*splits, *(name for name in datasets if name not in splits)]:
        if split in datasets:
            for feature in datasets[split].features:
                one = Feature(feature, datasets[split].num_examples)
                found.setdefault(feature.path.step[0], {})[split] = one
    return found


def kind_of(splits: Mapping[str, Feature]) -> str:
    """Return the type of a column in words."""
    first = next(iter(splits.values()))
    return first.logical or _TYPES.get(statistics_pb2.FeatureNameStatistics.Type.Name(first.statistics.type), "")


def describe_values(name: str, splits: Mapping[str, Feature]) -> list[str]:
    """Return the values of a column in a few lines, from the first split."""
    first = next((feature for feature in splits.values() if feature.present), None)
    if first is None:
        return ["no values"]
    if first.is_text or first.logical == "boolean":
        shares = list(first.shares().items())
        distinct = first.statistics.string_stats.unique if first.is_text else sum(share > 0 for _, share in shares)
        # With more values than the statistics list, TFDV estimates the counts.
        about = "about " if first.is_text and distinct > len(shares) else ""
        text = ", ".join(f"{labels([value])[0]} {about}{format_share(share)}" for value, share in shares[:3] if share)
        return [f"{distinct:,} different {'value' if distinct == 1 else 'values'}", text]
    numbers = first.statistics.num_stats
    if first.logical:
        low, middle, high = (
            format_moment(value, first.logical) for value in (numbers.min, numbers.median, numbers.max)
        )
        return [f"{low} to {high}", f"median {middle}, deviation {numbers.std_dev / _DAY:.3g} days"]
    low, middle, high = (format_number(value) for value in (numbers.min, numbers.median, numbers.max))
    lines = [f"{low} to {high}", f"median {middle}, mean {format_number(numbers.mean)}"]
    least, most = _SECONDS
    if (
        first.statistics.type == statistics_pb2.FeatureNameStatistics.INT
        and _TIMES.search(name)
        and least <= numbers.min <= numbers.max <= most
    ):
        low, high = (format_moment(value, "timestamp") for value in (numbers.min, numbers.max))
        lines.append(f"as seconds since 1970: {low} to {high}")
    return lines


def draw_values(splits: Mapping[str, Feature], name: str) -> str:
    """Draw the values of a column: the first split filled, the second as a line; empty without values."""
    shown = {split: feature for split, feature in list(splits.items())[:2] if feature.present}
    if not shown:
        return ""
    first = next(iter(shown.values()))
    if first.is_text or first.logical == "boolean":
        return draw(_values(list(shown.values())), name)
    return draw(_distribution(shown), name)


def _values(shown: Sequence[Feature]) -> alt.LayerChart:
    chosen = list(shown[0].shares())[:_MOST_VALUES]
    names = labels(chosen)
    height = alt.Step(14)
    x = alt.X("share:Q", axis=None, scale=alt.Scale(domainMin=0))
    y = alt.Y("value:N", title=None, sort=None, axis=alt.Axis(domain=False, ticks=False, labelLimit=100))
    layers = []
    for number, feature in enumerate(shown):
        shares = feature.shares()
        data = alt.Chart(
            rows(value=names, share=[shares.get(value, 0) for value in chosen]), width=_WIDTH - 90, height=height
        )
        bar = data.mark_bar() if number == 0 else data.mark_tick(color=SERIES[1], thickness=2)
        layers.append(bar.encode(x=x, y=y))
    return alt.layer(*layers)


def _distribution(shown: Mapping[str, Feature]) -> alt.LayerChart:
    x = alt.X("low:Q", axis=None, scale=alt.Scale(zero=False, nice=False))
    y = alt.Y("density:Q", axis=None, scale=alt.Scale(domainMin=0))
    text = alt.Description("text:N")
    layers: list[alt.Chart] = []
    for split, feature in shown.items():
        low, high, share = zip(*_bins(feature), strict=True)
        span = high[-1] - low[0]
        density = [span * part / max(end - start, 1e-300) for start, end, part in zip(low, high, share, strict=True)]
        if not layers:
            texts = [_describe_bin(feature, *one) for one in zip(low, high, share, strict=True)]
            bars = rows(low=low, high=high, density=density, text=texts)
            chart = alt.Chart(bars, width=_WIDTH, height=_HEIGHT).mark_bar()
            layers.append(chart.encode(x=x, x2=alt.X2("high"), y=y, y2=alt.Y2Value(_HEIGHT), description=text))
        else:
            steps = rows(low=[*low, high[-1]], density=[*density, density[-1]], text=[split] * (len(low) + 1))
            line = alt.Chart(steps).mark_line(color=SERIES[1], interpolate="step-after", strokeWidth=1.5)
            layers.append(line.encode(x=x, y=y, description=text))
    return alt.layer(*layers)


def _bins(feature: Feature) -> list[tuple[float, float, float]]:
    """Return the lower and upper edge of each bin, and the share of the values in it."""
    numbers = feature.statistics.num_stats
    standard = statistics_pb2.Histogram.STANDARD
    buckets = next((list(one.buckets) for one in numbers.histograms if one.type == standard and one.buckets), [])
    if numbers.max <= numbers.min or not buckets:
        # A constant is one bar in the middle.
        return [(numbers.min - 0.5, numbers.min + 0.5, 1.0)]
    total = max(1.0, sum(bucket.sample_count for bucket in buckets))
    return [(bucket.low_value, bucket.high_value, bucket.sample_count / total) for bucket in buckets]


def _describe_bin(feature: Feature, low: float, high: float, share: float) -> str:
    """Return the values of a bin, and their share."""
    numbers = feature.statistics.num_stats
    edges = [low, high] if numbers.min < numbers.max else [numbers.min]
    shown = [format_moment(edge, feature.logical) if feature.logical else format_number(edge) for edge in edges]
    return f"{' to '.join(shown)}: {format_share(share)}"
