"""The documents of a run with everything that a report shows."""

from dataclasses import replace

from tensorflow_metadata.proto.v0 import statistics_pb2

from support.documents import make_evaluation, make_manifest, make_training
from tiffin.artifacts.columns import Column
from tiffin.artifacts.examples import Source, Split
from tiffin.artifacts.measures import (
    Attribution,
    Attributions,
    Calibration,
    ClassRecall,
    Curve,
    Effect,
    Fairness,
    Group,
    Interval,
    PrecisionRecall,
    Slice,
)
from tiffin.artifacts.model import EpochLoss
from tiffin.artifacts.verdict import Champion, Check

COLUMNS = (
    Column("late", "INT", "boolean"), Column("km", "FLOAT"), Column("city", "STRING"), Column("area_code", "INT"),
    Column("ordered_at", "INT", "timestamp"), Column("start_timestamp", "INT"),
)  # fmt: skip
MANIFEST = replace(
    make_manifest(columns=COLUMNS, splits={"train": Split(6, ()), "eval": Split(4, ())}),
    sources=(Source("taxi.csv", "d" * 64, 1234),),
)
TRAINING = make_training(
    columns=("km", "city", "area_code"), left_out={"ordered_at": "nearly always missing"},
    search=(EpochLoss(1, 0.6, 0.5), EpochLoss(2, 0.4, 0.45), EpochLoss(3, 0.3, 0.47)),
)  # fmt: skip
_ENDS = Interval(0.85, 0.95)
EVALUATION = make_evaluation(
    metrics={"auc": 0.9, "log_loss": 0.3, "baseline_log_loss": 0.6, "calibration_error": 0.02},
    intervals={"auc": _ENDS},
    classes=("0", "1"),
    confusion=((50, 10), (5, 25)),
    curve=Curve((0.0, 0.5, 1.0), (0.0, 0.9, 1.0), (1.0, 0.5, 0.0)),
    precision_recall=PrecisionRecall((0.5, 0.8, 1.0), (1.0, 0.9, 0.0)),
    calibration=Calibration((0.1, 0.8), (0.2, 0.7), (45, 45)),
    per_class=(ClassRecall("0", 60, 0.83, _ENDS), ClassRecall("1", 30, 0.83)),
    slices=(
        Slice(("city",), "city = Oslo", 40, {"log_loss": 0.4}, {"log_loss": Interval(0.35, 0.45)}),
        Slice(("city",), "city = Bergen", 50, {"log_loss": None}, {}),
    ),
    fairness=(
        Fairness("city", (Group("city = Oslo", 40, {"selection_rate": 0.4}), Group("city = Bergen", 50, {"selection_rate": 0.5})),
                 {"demographic_parity_difference": 0.1}, {"demographic_parity_difference": Interval(0.0, 0.2)}),
    ),
    champion=Champion("taxi", 2, True, "log_loss 0.3 is not worse", {"auc": 0.88, "log_loss": 0.31}),
    checks=(
        Check("auc", 0.9, 0.8, True, "auc 0.9 is at least 0.8", low=0.85, high=0.95, rows=90),
        Check("log_loss", 0.3, 0.31, True, "log_loss 0.3 is not worse", 0.0155, 90, "CHAMPION", low=-0.01, high=0.03),
    ),
    attributions=Attributions(90, (
        Attribution("km", 0.7, (Effect("km <= 2.5", 45, -0.6), Effect("2.5 < km <= 4", 45, 0.8))),
        Attribution("city", 0.2, (Effect("city = Oslo", 40, 0.2),)),
    )),
    gate_digest="g1",
    verdict_digest="v1",
)  # fmt: skip


def _statistics() -> statistics_pb2.DatasetFeatureStatisticsList:
    found = statistics_pb2.DatasetFeatureStatisticsList()
    for split, rows in (("train", 6), ("eval", 4)):
        dataset = found.datasets.add(name=split, num_examples=rows)
        for column, low, high in (
            ("late", 0, 1), ("km", 0.5, 40), ("area_code", 17031081401, 17031839100),
            ("ordered_at", 1356998400, 1408630500), ("start_timestamp", 1356998400, 1408630500),
        ):  # fmt: skip
            kind = (
                statistics_pb2.FeatureNameStatistics.FLOAT
                if column == "km"
                else statistics_pb2.FeatureNameStatistics.INT
            )
            feature = dataset.features.add(type=kind)
            feature.path.step.append(column)
            logical = next(one.logical for one in COLUMNS if one.name == column)
            if logical:
                feature.custom_stats.add(name="logical", str=logical)
            numbers = feature.num_stats
            numbers.common_stats.num_non_missing = rows - 1
            numbers.min, numbers.max, numbers.median, numbers.mean, numbers.std_dev = (
                low,
                high,
                low,
                (low + high) / 2,
                1.0,
            )
            numbers.num_zeros = 2 if column == "late" else 0
            middle = (low + high) / 2
            histogram = numbers.histograms.add(type=statistics_pb2.Histogram.STANDARD)
            histogram.buckets.add(low_value=low, high_value=middle, sample_count=rows - 2)
            histogram.buckets.add(low_value=middle, high_value=high, sample_count=1)
        feature = dataset.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
        feature.path.step.append("city")
        text = feature.string_stats
        text.common_stats.num_non_missing, text.unique = rows, 2
        text.rank_histogram.buckets.add(label="Oslo", sample_count=rows - 1)
        text.rank_histogram.buckets.add(label="", sample_count=1)
    return found


STATISTICS = _statistics()
