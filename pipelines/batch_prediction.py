"""The pipeline for predictions of many rows: from raw data to Parquet files with the outputs of a deployed model."""

from typing import Literal

from kfp import dsl

from tiffin import finish_predictions, ingest_examples, plan_predictions, predict_batch, summarize_run
from tiffin.authoring.declaration import pipeline
from tiffin.authoring.settings import set_up


@pipeline(name="batch_prediction", display_name="Predict many rows with a deployed model")
def batch_prediction(
    *,
    data: str,
    model_name: str = "model",
    model_version: int,
    key: str,
    keep: list,  # type: ignore[type-arg]
    signature: str,
    outputs: list,  # type: ignore[type-arg]
    output: str,
    parts: int,
    types: dict,  # type: ignore[type-arg]
    date_format: str,
    decimal: str,
    thousands: str,
    delimiter: str,
    header: Literal["auto", "yes", "no"],
    column_names: list,  # type: ignore[type-arg]
    partitions: Literal["auto", "none"],
    max_bad_share: float,
    data_root: str,
    serving_root: str,
    serving_address: str,
    deadline_seconds: float,
    log: bool,
    log_root: str,
    tracking_uri: str,
    notify_on: list,  # type: ignore[type-arg]
    notify_to: list,  # type: ignore[type-arg]
) -> None:
    """Read data as a deployed model was trained on it, predict its rows in parts, and write Parquet files.

    Args:
        model_name: Name of the model in the serving root or on the server.
        model_version: Number of the version; 0 for the one in production.
        key: Column that identifies a row, which is copied to the predictions and kept even if it counts the rows. Empty for
            none.
        output: Folder or bucket for the predictions, in a folder of their own for each model, data and parameters: another run
            with the same ones goes on with what is missing. Empty to store them with the run.
        parts: Number of steps that predict side by side, from 1 to 1000.
        data_root: Folder or bucket for the Parquet shards of the data, written once per data version. Empty to keep them in
            the run's artifacts.
        serving_root: Path or URI that the model servers load from; it is only read. Empty for TIFFIN_SERVING_ROOT of the steps'
            environment.
        serving_address: host:port of the gRPC API of a model server that predicts. Empty to load the SavedModel in the steps.
        log_root: Path or URI of the prediction log. Empty for TIFFIN_LOG_ROOT of the steps' environment.
    """
    # Other defaults and descriptions are taken from the components that the parameters are passed to.
    #
    # The version is chosen once, before the data is read: a mistake in the name ends the run at once, and all parts use the
    # same version. No step is cached by KFP, which compares names of artifacts; complete files are found by their content.
    end = summarize_run(
        pipeline="batch_prediction",
        tracking_uri=tracking_uri,
        run=dsl.PIPELINE_JOB_ID_PLACEHOLDER,
        notify_on=notify_on,
        notify_to=notify_to,
    )
    set_up(end, "Summarize").set_caching_options(False)
    with dsl.ExitHandler(end, name="run"):
        planned = plan_predictions(
            model_name=model_name,
            model_version=model_version,
            serving_root=serving_root,
            serving_address=serving_address,
            types=types,
            output=output,
            parts=parts,
        )
        set_up(planned, "Plan", retries=3).set_caching_options(False)
        ingested = ingest_examples(
            data=data,
            derive=planned.outputs["derive"],
            splits={"all": 1},
            key=key,
            types=planned.outputs["types"],
            missing_values=planned.outputs["missing_values"],
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
        with dsl.ParallelFor(planned.outputs["parts"], name="parts") as part:
            predicted = predict_batch(
                examples=ingested.outputs["examples"],
                model_name=model_name,
                model_version=planned.outputs["version"],
                serving_root=serving_root,
                serving_address=serving_address,
                deadline_seconds=deadline_seconds,
                signature=signature,
                key=key,
                keep=keep,
                outputs=outputs,
                output=planned.outputs["location"],
                part=part,
                parts=parts,
                log=log,
                log_root=log_root,
            )
            set_up(predicted, "Predict", size="medium", retries=3, deadline_hours=24).set_caching_options(False)
        finished = finish_predictions(
            examples=ingested.outputs["examples"],
            locations=dsl.Collected(predicted.outputs["location"]),
            reused=dsl.Collected(predicted.outputs["reused"]),
        )
        set_up(finished, "Finish", retries=3).set_caching_options(False)
