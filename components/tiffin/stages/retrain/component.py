"""KFP declaration of the retrain stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Output

from tiffin.stages.retrain.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["plan_retraining"].image, install_kfp_package=False)
def plan_retraining(
    reference: Input[Artifact],
    retraining: Output[Artifact],
    training: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    trigger: str = "hand",
    verdict: str = "",
    cause: str = "",
    policy: str = "retrain",
    spans: int = 1,
    cool_down_hours: float = 24.0,
    max_per_week: int = 3,
    roll_back_hours: float = 0.0,
    labelled_window: str = "",
    labels: str = "",
    log_root: str = "",
    state: str = "",
    serving_root: str = "",
    run: str = "",
) -> NamedTuple("Planned", [("start", bool), ("roll_back", bool), ("ask", bool), ("code", str), ("reason", str)]):  # type: ignore[valid-type]
    """Decide whether a model is trained again, by the trigger, the policy, and what happened before.

    One retraining of a model runs at a time. Two steps that decide at once start one. A decision not to start does not fail the
    step: branch on the output start.

    Args:
        reference: Output of find_reference for the version in production.
        training: Parameters of the pipeline training that a retraining passes on, such as
            {"data": "gs://trips/day={span}/*.parquet", "label": "tips"}. {span} stands for the newest spans. Those about the data
            that are not given are taken from the training of the version in production.
        trigger: What asks: monitoring, data (starts if a span is new), schedule, or hand, which no policy, cool-down or budget
            stops.
        verdict: Output of monitor_model, for the trigger monitoring.
        cause: Output of monitor_model, for the trigger monitoring.
        policy: Rule for a model that should be trained again: none, ask a person, or retrain.
        spans: Number of newest spans to train on, at least 1.
        cool_down_hours: Hours from the start of a retraining to the next one, at least 0.
        max_per_week: Number of retrainings within 7 days that start without a person; then a person is asked.
        roll_back_hours: Hours in which a new version in production that monitoring finds degraded is rolled back. 0 for never.
        labelled_window: Time whose labelled answers are added to the data, as for collect_labelled. Empty for none.
        labels: Labels of these answers, as for monitor_model. Empty for none.
        log_root: Path or URI of the prediction log. Empty for TIFFIN_LOG_ROOT of the step's environment.
        state: Path or URI that keeps the retrainings, as for monitor_model. Empty for the prediction log's own folder.
        serving_root: Path or URI of the serving root, to roll back. Empty for TIFFIN_SERVING_ROOT of the step's environment.
        run: Pipeline run ID. An attempt of the same run goes on with its retraining.

    Returns:
        retraining: retraining.json, the decision, its reason, and the settings of the training.
        start: Whether the model is trained again.
        roll_back: Whether the version in production is rolled back meanwhile.
        ask: Whether a person should decide.
        code: START, ASK, BUDGET, COOL_DOWN, NO_NEW_DATA, NOT_BY_TRAINING, NOTHING_WRONG, PAUSED, POLICY_NONE, RUNNING or
            SAME_DATA.
        reason: The decision in one line, with what to do.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.retrain.planning import plan

        found = plan(
            retraining.path, reference.path, training, trigger=trigger, verdict=verdict, cause=cause, policy=policy, spans=spans,
            cool_down_hours=cool_down_hours, max_per_week=max_per_week, roll_back_hours=roll_back_hours,
            labelled_window=labelled_window, labels=labels, log_root=log_root, state=state, serving_root=serving_root, run=run,
        )  # fmt: skip
        for line in (f"{found.code}: {found.sentence}", *(note.text for note in found.notes)):
            print(printable(line))  # noqa: T201 - the step's log
        return found.starts, found.rolls_back, found.asks, found.code, found.sentence


@dsl.component(base_image=COMPONENTS["prepare_retraining"].image, install_kfp_package=False)
def prepare_retraining(
    retraining: Input[Artifact],
    defaults: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    labelled: Input[Dataset] = None,
) -> NamedTuple("Prepared", [  # type: ignore[valid-type]
    ("batch_size", int), ("column_names", list), ("data", str), ("data_root", str), ("date_format", str), ("decimal", str),
    ("delimiter", str), ("derive", dict), ("drift_gate", str), ("drift_thresholds", dict), ("dropout", float), ("epochs", int),
    ("exclude", list), ("expected_schema", str), ("gate", dict), ("header", str), ("hidden_units", list),
    ("hyperparameters", dict), ("key", str), ("label", str), ("learning_rate", float), ("max_bad_share", float),
    ("min_slice_rows", int), ("missing_values", list), ("model_code", str), ("partitions", str), ("reuse", bool), ("seed", int),
    ("sensitive", list), ("slices", list), ("splits", dict), ("task", str), ("thousands", str), ("thresholds", dict),
    ("types", dict), ("unreadable_dates", str), ("weight_decay", float),
]):  # fmt: skip
    """Give the parameters of the pipeline training for a retraining: its settings, and defaults for the others.

    Args:
        retraining: Output of plan_retraining, whose output start is true.
        defaults: Parameter to its default in the pipeline training, for those that the settings do not have.
        labelled: Output of collect_labelled, which is added to the data.

    Returns:
        batch_size: Parameter batch_size of the pipeline training.
        column_names: Parameter column_names of the pipeline training.
        data: Parameter data of the pipeline training.
        data_root: Parameter data_root of the pipeline training.
        date_format: Parameter date_format of the pipeline training.
        decimal: Parameter decimal of the pipeline training.
        delimiter: Parameter delimiter of the pipeline training.
        derive: Parameter derive of the pipeline training.
        drift_gate: Parameter drift_gate of the pipeline training.
        drift_thresholds: Parameter drift_thresholds of the pipeline training.
        dropout: Parameter dropout of the pipeline training.
        epochs: Parameter epochs of the pipeline training.
        exclude: Parameter exclude of the pipeline training.
        expected_schema: Parameter expected_schema of the pipeline training.
        gate: Parameter gate of the pipeline training.
        header: Parameter header of the pipeline training.
        hidden_units: Parameter hidden_units of the pipeline training.
        hyperparameters: Parameter hyperparameters of the pipeline training.
        key: Parameter key of the pipeline training.
        label: Parameter label of the pipeline training.
        learning_rate: Parameter learning_rate of the pipeline training.
        max_bad_share: Parameter max_bad_share of the pipeline training.
        min_slice_rows: Parameter min_slice_rows of the pipeline training.
        missing_values: Parameter missing_values of the pipeline training.
        model_code: Parameter model_code of the pipeline training.
        partitions: Parameter partitions of the pipeline training.
        reuse: Parameter reuse of the pipeline training.
        seed: Parameter seed of the pipeline training.
        sensitive: Parameter sensitive of the pipeline training.
        slices: Parameter slices of the pipeline training.
        splits: Parameter splits of the pipeline training.
        task: Parameter task of the pipeline training.
        thousands: Parameter thousands of the pipeline training.
        thresholds: Parameter thresholds of the pipeline training.
        types: Parameter types of the pipeline training.
        unreadable_dates: Parameter unreadable_dates of the pipeline training.
        weight_decay: Parameter weight_decay of the pipeline training.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.retrain.preparation import prepare

        added = (labelled.path, labelled.uri) if labelled else (None, "")
        return tuple(prepare(retraining.path, defaults, *added).values())
