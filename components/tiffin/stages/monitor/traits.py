"""Traits of the monitor stage's components."""

from tiffin.drift.limits import check_level, check_thresholds
from tiffin.stages.monitor.parameters import (
    check_clock_skew,
    check_corrections,
    check_error_share,
    check_label_columns,
    check_p99_seconds,
    check_slices,
    check_tolerance_hours,
)
from tiffin.stages.monitor.windows import check_performance_window, check_window
from tiffin.stages.traits import LABELS, PREDICTION_LOG, RECORDED, S3, Location, Traits, label_path

COMPONENTS = {
    "monitor_model": Traits(
        "data",
        imports=("tiffin.validation.tfdv",),
        late_imports=("tiffin.stages.monitor.monitoring", "tiffin.report.monitoring"),
        needs=(RECORDED, PREDICTION_LOG, LABELS, S3),
        locations={
            "labels": Location("pass a gs:// or s3:// URI", label_path),
            "log_root": Location("pass a gs:// or s3:// URI"),
            "state": Location("pass a gs:// or s3:// URI"),
        },
        rules={
            "window": check_window,
            "thresholds": check_thresholds,
            "level": check_level,
            "max_error_share": check_error_share,
            "max_p99_seconds": check_p99_seconds,
            "label_columns": check_label_columns,
            "corrections": check_corrections,
            "tolerance_hours": check_tolerance_hours,
            "clock_skew_seconds": check_clock_skew,
            "slices": check_slices,
            "performance_window": check_performance_window,
        },
    ),
    "collect_labelled": Traits(
        "data",
        imports=("tiffin.validation.tfdv",),
        late_imports=("tiffin.stages.monitor.labelled",),
        needs=(RECORDED, PREDICTION_LOG, LABELS, S3),
        locations={
            "labels": Location("pass a gs:// or s3:// URI", label_path),
            "log_root": Location("pass a gs:// or s3:// URI"),
        },
        rules={
            "window": check_performance_window,
            "label_columns": check_label_columns,
            "corrections": check_corrections,
            "tolerance_hours": check_tolerance_hours,
            "clock_skew_seconds": check_clock_skew,
        },
    ),
}
