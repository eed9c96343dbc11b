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
    check_version,
)
from tiffin.stages.monitor.windows import check_performance_window, check_window
from tiffin.stages.traits import (
    LABELS,
    RECORDED,
    S3,
    SERVING_ROOT,
    TRACKING,
    TRACKING_URI,
    Location,
    Traits,
    label_path,
)
from tiffin.tracking.names import check_model_name
from tiffin.tracking.uri import check_tracking_uri

COMPONENTS = {
    "find_reference": Traits(
        "model",
        late_imports=("tiffin.tracking.client", "mlflow.store.tracking.sqlalchemy_store"),
        needs=(TRACKING, SERVING_ROOT, S3),
        locations={
            "serving_root": Location("pass the gs:// URI of the serving root"),
            "state": Location("pass a gs:// or s3:// URI"),
            "tracking_uri": TRACKING_URI,
        },
        rules={"model_name": check_model_name, "version": check_version, "tracking_uri": check_tracking_uri},
    ),
    "monitor_model": Traits(
        "data",
        imports=("tiffin.validation.tfdv",),
        late_imports=("tiffin.stages.monitor.monitoring",),
        needs=(RECORDED, LABELS, S3),
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
}
