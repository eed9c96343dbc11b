"""The main pipeline: from raw data to a model that TensorFlow Serving answers from."""

from typing import Literal

from kfp import dsl

from tiffin import (
    deploy_model,
    evaluate_model,
    ingest_examples,
    register_model,
    stop_run,
    summarize_run,
    train_model,
    validate_examples,
)
from tiffin.authoring.declaration import pipeline
from tiffin.authoring.settings import set_up


@pipeline(name="training", display_name="Train, check and deploy a model")
def training(
    data: str = "sample:deliveries",
    label: str = "late",
    derive: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    exclude: list = [],  # type: ignore[type-arg]  # noqa: B006
    splits: dict = {"train": 2, "eval": 1},  # type: ignore[type-arg]  # noqa: B006
    key: str = "",
    delimiter: str = "",
    max_bad_share: float = 0.01,
    data_root: str = "",
    expected_schema: str = "",
    task: Literal["auto", "binary", "multiclass", "regression"] = "auto",
    hidden_units: list = [64, 32],  # type: ignore[type-arg]  # noqa: B006
    epochs: int = 8,
    batch_size: int = 128,
    learning_rate: float = 0.003,
    dropout: float = 0.2,
    weight_decay: float = 0.01,
    seed: int = 1,
    thresholds: dict = {},  # type: ignore[type-arg]  # noqa: B006
    model_name: str = "model",
    tracking_uri: str = "",
    serving_root: str = "",
    serving_address: str = "",
    deadline_seconds: float = 120.0,
    replace_newer: bool = False,
) -> None:
    """Ingest, validate, train, evaluate, register and deploy; a gate that does not pass stops what comes after it.

    Args:
        data: A file, a folder or a glob, local, gs:// or s3://, CSV or Parquet; or sample:deliveries, generated data.
        label: Column to predict.
        derive: New columns, name to SQL expression over one row, such as {"big_tipper": "tips > 0.2 * fare"}.
        exclude: Columns to drop, after new ones are derived.
        splits: Split name to weight; train and eval are needed.
        key: Column whose value decides a row's split. Empty for the whole row.
        delimiter: Of CSV: one character, or comma, semicolon, tab, pipe. Empty to find out.
        max_bad_share: Largest share of rows, from 0 to 1, that may be unreadable.
        data_root: Where the Parquet shards live, once per data version. Empty for inside the run.
        expected_schema: Path or URI of the schema.pbtxt to hold the data to. Empty to infer one from the split train.
        task: What the label asks for; auto to find out.
        hidden_units: Sizes of the hidden layers. Empty for a linear model.
        epochs: Passes over the data.
        batch_size: Rows a step.
        learning_rate: At the start; it falls to 0 along a cosine.
        dropout: Share of hidden values left out in each step, from 0 to below 1.
        weight_decay: Of AdamW.
        seed: Of initial weights, shuffling and dropout.
        thresholds: Metric to bound, such as {"auc": 0.9, "log_loss": 0.3}. A model must always beat its baseline.
        model_name: Name in the registry and on the server.
        tracking_uri: MLflow's address, without a password. Empty for MLFLOW_TRACKING_URI in the step's environment.
        serving_root: Path or URI that the model servers read. Empty for TIFFIN_SERVING_ROOT in the step's environment.
        serving_address: host:port of the server's gRPC. Empty for TIFFIN_SERVING_ADDRESS in the step's environment.
        deadline_seconds: How long the server may take to serve the new version.
        replace_newer: Whether it may take the place of a newer version, as where a new registry counts from 1 again.
    """
    # Files and samples change behind the same name, which is all that KFP's cache would see: only training is cached, by
    # the data's version. Retries are for what a second attempt may mend, such as a node that went away. A gate is not among
    # that: validate and evaluate succeed whatever they find, and the branch on their verdict ends in stop_run, which fails
    # once, as a result.
    end = set_up(summarize_run(pipeline="training"), "Summarize").set_caching_options(False)
    with dsl.ExitHandler(end, name="run"):
        ingested = ingest_examples(
            data=data,
            derive=derive,
            exclude=exclude,
            splits=splits,
            key=key,
            delimiter=delimiter,
            max_bad_share=max_bad_share,
            data_root=data_root,
        )
        set_up(ingested, "Ingest", size="medium", retries=2, deadline_hours=6).set_caching_options(False)
        validated = validate_examples(
            examples=ingested.outputs["examples"], label=label, expected_schema=expected_schema
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
                data_version=ingested.outputs["data_version"],
            )
            set_up(trained, "Train", size="medium", retries=2, deadline_hours=48)
            evaluated = evaluate_model(
                examples=ingested.outputs["examples"], model=trained.outputs["model"], thresholds=thresholds
            )
            set_up(evaluated, "Evaluate", size="medium", retries=2, deadline_hours=6).set_caching_options(False)
            with dsl.If(evaluated.outputs["passed"] == True, name="passed"):  # noqa: E712
                registered = register_model(
                    model=trained.outputs["model"],
                    evaluation=evaluated.outputs["evaluation"],
                    model_name=model_name,
                    tracking_uri=tracking_uri,
                    run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
                )
                set_up(
                    registered,
                    "Register",
                    retries=3,
                ).set_caching_options(False)
                deployed = deploy_model(
                    model=trained.outputs["model"],
                    examples=ingested.outputs["examples"],
                    model_name=model_name,
                    version=registered.outputs["version"],
                    serving_root=serving_root,
                    serving_address=serving_address,
                    deadline_seconds=deadline_seconds,
                    replace_newer=replace_newer,
                    why=f"pipeline run {dsl.PIPELINE_JOB_ID_PLACEHOLDER}",
                )
                set_up(deployed, "Deploy", retries=3).set_caching_options(False)
            with dsl.Else(name="not passed"):
                stopped = stop_run(gate="evaluation", reason=evaluated.outputs["reason"])
                set_up(stopped, "Stop: the model is not good enough").set_caching_options(False)
        with dsl.Else(name="not valid"):
            stopped = stop_run(gate="validation", reason=validated.outputs["reason"])
            set_up(stopped, "Stop: the data is not valid").set_caching_options(False)
