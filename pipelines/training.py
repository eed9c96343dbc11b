"""The training pipeline: from raw data to a model deployed to TensorFlow Serving."""

from typing import Literal

from kfp import dsl

from tiffin import (
    deploy_model,
    evaluate_model,
    ingest_examples,
    register_model,
    roll_out_model,
    stop_run,
    summarize_run,
    train_model,
    validate_examples,
)
from tiffin.authoring.declaration import pipeline
from tiffin.authoring.settings import set_up


@pipeline(name="training", display_name="Train, check and deploy a model")
def training(
    *,
    data: str,
    label: str = "late",
    derive: dict,  # type: ignore[type-arg]
    exclude: list,  # type: ignore[type-arg]
    splits: dict,  # type: ignore[type-arg]
    key: str,
    types: dict,  # type: ignore[type-arg]
    missing_values: list,  # type: ignore[type-arg]
    date_format: str,
    decimal: str,
    thousands: str,
    delimiter: str,
    header: Literal["auto", "yes", "no"],
    column_names: list,  # type: ignore[type-arg]
    partitions: Literal["auto", "none"],
    max_bad_share: float,
    data_root: str,
    reuse: bool,
    expected_schema: str,
    drift_gate: Literal["off", "report", "stop"] = "report",
    drift_thresholds: dict,  # type: ignore[type-arg]
    model_name: str = "model",
    serving_root: str,
    task: Literal["auto", "binary", "multiclass", "regression"],
    hidden_units: list,  # type: ignore[type-arg]
    epochs: int,
    batch_size: int,
    learning_rate: float,
    dropout: float,
    weight_decay: float,
    seed: int,
    unreadable_dates: Literal["missing", "refuse"],
    model_code: str,
    hyperparameters: dict,  # type: ignore[type-arg]
    thresholds: dict,  # type: ignore[type-arg]
    gate: dict,  # type: ignore[type-arg]
    slices: list,  # type: ignore[type-arg]
    sensitive: list,  # type: ignore[type-arg]
    min_slice_rows: int,
    tracking_uri: str,
    serving_address: str,
    deadline_seconds: float,
    replace_newer: bool,
    keep_previous: int,
    watch: str,
    max_error_share: float,
    approval: Literal["none", "required", "four_eyes"],
    requested_by: str,
    rollout: Literal["direct", "shadow", "canary", "ab", "shadow_canary"] = "direct",
    rollout_steps: list,  # type: ignore[type-arg]
    rollout_limits: dict,  # type: ignore[type-arg]
    rollout_hours: float,
    sticky: str,
    allow_signature_change: bool,
    notify_on: list,  # type: ignore[type-arg]
    notify_to: list,  # type: ignore[type-arg]
) -> None:
    """Ingest, validate, train, evaluate, register and deploy; stops if the data is invalid or the model is not good enough.

    Args:
        splits: Split name to weight; train and eval are required.
        data_root: Folder or bucket for the Parquet shards, written once per data version, and for statistics and trained
            models, which later runs reuse. Empty to keep the shards in the run's artifacts, and to reuse only from
            TIFFIN_RESULT_STORE of the steps' environment.
        reuse: Whether to reuse statistics and a model that an earlier run made from the same data version, parameters and
            code. False makes new ones.
        model_name: Name of the model in the registry and on the server: up to 128 letters, digits, '_', '-' and '.'.
        serving_root: Path or gs:// URI that the model servers load from, also for the comparisons with the model in
            production and its training data. Empty for TIFFIN_SERVING_ROOT of the steps' environment.
    """
    # Other defaults and descriptions are taken from the components that the parameters are passed to.
    #
    # KFP's cache compares parameters and the names of artifacts, not the content of files: it is off for every step.
    # Validation and training look for an earlier result by its content themselves.
    #
    # Retries handle lost pods, such as those of a lost node: by the settings that KFP installs, Argo does not retry a step
    # that ended with an exit code. What a second attempt may fix is repeated inside the step. Gates are not retried:
    # validate and evaluate succeed with any verdict, and stop_run, which fails the run, has no retries.
    #
    # Each group has a driver, a pod that takes about ten seconds, and dsl.Else puts both branches into one more group. Two
    # conditions without it would save two pods, but kfp.local 2.17 by itself, without `tiffin run`, skips a condition on a
    # named output outside of that group.
    end = summarize_run(
        pipeline="training",
        tracking_uri=tracking_uri,
        run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        notify_on=notify_on,
        notify_to=notify_to,
    )
    set_up(end, "Summarize").set_caching_options(False)
    with dsl.ExitHandler(end, name="run"):
        ingested = ingest_examples(
            data=data,
            label=label,
            derive=derive,
            exclude=exclude,
            splits=splits,
            key=key,
            types=types,
            missing_values=missing_values,
            date_format=date_format,
            decimal=decimal,
            thousands=thousands,
            delimiter=delimiter,
            header=header,
            column_names=column_names,
            partitions=partitions,
            max_bad_share=max_bad_share,
            data_root=data_root,
        )
        set_up(ingested, "Ingest", size="medium", retries=2, deadline_hours=6).set_caching_options(False)
        validated = validate_examples(
            examples=ingested.outputs["examples"],
            label=label,
            expected_schema=expected_schema,
            drift_gate=drift_gate,
            drift_thresholds=drift_thresholds,
            model_name=model_name,
            serving_root=serving_root,
            data_root=data_root,
            reuse=reuse,
            run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        )
        set_up(validated, "Validate", size="medium", retries=2, deadline_hours=6).set_caching_options(False)
        with dsl.If(validated.outputs["valid"] == True, name="valid"):  # noqa: E712 - kfp builds a condition
            trained = train_model(
                examples=ingested.outputs["examples"],
                statistics=validated.outputs["statistics"],
                schema=validated.outputs["schema"],
                label=label,
                task=task,
                hidden_units=hidden_units,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=learning_rate,
                dropout=dropout,
                weight_decay=weight_decay,
                seed=seed,
                unreadable_dates=unreadable_dates,
                model_code=model_code,
                hyperparameters=hyperparameters,
                data_root=data_root,
                reuse=reuse,
                run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            )
            set_up(trained, "Train", size="medium", retries=2, deadline_hours=48).set_caching_options(False)
            evaluated = evaluate_model(
                examples=ingested.outputs["examples"],
                model=trained.outputs["model"],
                thresholds=thresholds,
                gate=gate,
                slices=slices,
                sensitive=sensitive,
                min_slice_rows=min_slice_rows,
                model_name=model_name,
                serving_root=serving_root,
            )
            set_up(evaluated, "Evaluate", size="medium", retries=2, deadline_hours=6).set_caching_options(False)
            with dsl.If(evaluated.outputs["passed"] == True, name="passed"):  # noqa: E712
                registered = register_model(
                    model=trained.outputs["model"],
                    evaluation=evaluated.outputs["evaluation"],
                    examples=ingested.outputs["examples"],
                    statistics=validated.outputs["statistics"],
                    schema=validated.outputs["schema"],
                    model_name=model_name,
                    tracking_uri=tracking_uri,
                    run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                    run_name=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                )
                set_up(registered, "Register", retries=3).set_caching_options(False)
                deployed = deploy_model(
                    model=trained.outputs["model"],
                    examples=ingested.outputs["examples"],
                    model_name=model_name,
                    version=registered.outputs["version"],
                    evaluation=evaluated.outputs["evaluation"],
                    registration=registered.outputs["registration"],
                    serving_root=serving_root,
                    serving_address=serving_address,
                    deadline_seconds=deadline_seconds,
                    replace_newer=replace_newer,
                    approval=approval,
                    requested_by=requested_by,
                    rollout=rollout,
                    keep_previous=keep_previous,
                    watch=watch,
                    max_error_share=max_error_share,
                    tracking_uri=tracking_uri,
                    run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                    why=f"pipeline run {dsl.PIPELINE_JOB_ID_PLACEHOLDER}",
                )
                set_up(deployed, "Deploy", retries=3).set_caching_options(False)
                with dsl.If(deployed.outputs["rolling_out"] == True, name="rolling out"):  # noqa: E712
                    rolled_out = roll_out_model(
                        model_name=model_name,
                        version=registered.outputs["version"],
                        strategy=rollout,
                        steps=rollout_steps,
                        limits=rollout_limits,
                        sticky=sticky,
                        allow_signature_change=allow_signature_change,
                        deadline_hours=rollout_hours,
                        serving_root=serving_root,
                        requested_by=requested_by,
                        tracking_uri=tracking_uri,
                        run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                        why=f"pipeline run {dsl.PIPELINE_JOB_ID_PLACEHOLDER}",
                    )
                    set_up(rolled_out, "Roll out", retries=3, deadline_hours=24 * 366).set_caching_options(False)
                    with dsl.If(rolled_out.outputs["promoted"] == False, name="not promoted"):  # noqa: E712
                        stopped = stop_run(
                            gate="rollout", reason=rolled_out.outputs["reason"], tracking_uri=tracking_uri
                        )
                        set_up(stopped, "Stop: the rollout did not end in production").set_caching_options(False)
            with dsl.Else(name="not passed"):
                stopped = stop_run(
                    gate="evaluation",
                    reason=evaluated.outputs["reason"],
                    examples=ingested.outputs["examples"],
                    model=trained.outputs["model"],
                    evaluation=evaluated.outputs["evaluation"],
                    model_name=model_name,
                    tracking_uri=tracking_uri,
                    run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                    run_name=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                )
                set_up(stopped, "Stop: the model is not good enough").set_caching_options(False)
        with dsl.Else(name="not valid"):
            stopped = stop_run(
                gate="validation",
                reason=validated.outputs["reason"],
                examples=ingested.outputs["examples"],
                model_name=model_name,
                tracking_uri=tracking_uri,
                run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                run_name=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
            )
            set_up(stopped, "Stop: the data is not valid").set_caching_options(False)
