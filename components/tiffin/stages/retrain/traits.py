"""Traits of the retrain stage's components."""

from tiffin.retraining.decision import check_budget, check_cool_down, check_roll_back_hours
from tiffin.retraining.settings import check_settings
from tiffin.retraining.spans import check_spans
from tiffin.stages.retrain.parameters import check_policy, check_trigger
from tiffin.stages.traits import RECORDED, S3, SERVING_ROOT, Location, Traits

COMPONENTS = {
    "plan_retraining": Traits(
        "data",
        needs=(RECORDED, SERVING_ROOT, S3),
        locations={
            "log_root": Location("pass a gs:// or s3:// URI"),
            "state": Location("pass a gs:// or s3:// URI"),
            "serving_root": Location("pass the gs:// URI of the serving root"),
        },
        rules={
            "training": check_settings,
            "trigger": check_trigger,
            "policy": check_policy,
            "spans": check_spans,
            "cool_down_hours": check_cool_down,
            "max_per_week": check_budget,
            "roll_back_hours": check_roll_back_hours,
        },
        settings={"training": ("ingest_examples", "validate_examples", "train_model", "evaluate_model")},
        policy="policy",
    ),
    "prepare_retraining": Traits("data"),
}
