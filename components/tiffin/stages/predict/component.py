"""KFP declarations of the predict stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Dataset, Input, Model, Output

from tiffin.stages.predict.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["plan_predictions"].image, install_kfp_package=False)
def plan_predictions(
    predictions: Output[Dataset],
    model_name: str,
    model: Input[Model] = None,
    model_version: int = 0,
    serving_root: str = "",
    serving_address: str = "",
    types: dict = {},  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    output: str = "",
    parts: int = 1,
) -> NamedTuple(  # type: ignore[valid-type]
    "Planned",
    [("version", int), ("types", dict), ("derive", dict), ("missing_values", list), ("parts", list), ("location", str)],
):
    """Choose the model of a batch prediction, before the data is read, and return how ingest reads the data for it.

    All parts then use the same version, also if another one is promoted meanwhile. The model's recipe has the types of the
    columns, the derived columns and the words for missing values.

    Args:
        model_name: Name of the model in the serving root or on the server.
        model: Output of train_model, in place of a version in the serving root. Optional.
        model_version: Number of the version; 0 for the one in production.
        serving_root: Path or URI that the model servers load from; it is only read. Empty for TIFFIN_SERVING_ROOT of the step's
            environment.
        serving_address: host:port of the gRPC API of a model server that predicts. Empty to load the SavedModel in the step.
        types: Columns to type, for example {"zip": "text"}, in place of the types that the model was trained with.
        output: Folder or bucket for the predictions. Empty for the artifact predictions of this step.
        parts: Number of parts that predict side by side, from 1 to 1000.

    Returns:
        predictions: Where the predictions are, if output is empty.
        version: Number of the version; 0 for an artifact without one.
        types: Input types of ingest_examples.
        derive: Input derive of ingest_examples.
        missing_values: Input missing_values of ingest_examples.
        parts: Numbers of the parts, for dsl.ParallelFor.
        location: Input output of predict_batch.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.artifacts import documents
        from tiffin.printing import printable
        from tiffin.stages.predict.planning import plan

        found = plan(
            model.path if model else "", model_name, model_version, serving_root, serving_address, types, parts
        )
        print(printable(f"predicts with {found.text}"))  # noqa: T201 - the step's log
        documents.write(f"{predictions.path}/plan.json", found)
        location = output or predictions.uri
        return found.version, found.types, found.derive, found.missing_values, found.parts, location


@dsl.component(base_image=COMPONENTS["predict_batch"].image, install_kfp_package=False)
def predict_batch(
    examples: Input[Dataset],
    predictions: Output[Dataset],
    model_name: str = "",
    model: Input[Model] = None,
    model_version: int = 0,
    serving_root: str = "",
    serving_address: str = "",
    deadline_seconds: float = 30.0,
    signature: str = "serving_default",
    split: str = "",
    key: str = "",
    keep: list = [],  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    outputs: list = [],  # type: ignore[type-arg]  # noqa: B006
    allow_missing: bool = False,
    output: str = "",
    part: int = 0,
    parts: int = 1,
    log: bool = False,
    log_root: str = "",
) -> NamedTuple("Predicted", [("location", str), ("rows", int), ("reused", int)]):  # type: ignore[valid-type]
    """Predict all rows of examples, or of a part of them, with a model, and write Parquet files.

    The files are in a folder of their own for this model, data and parameters, so that a second run, or a retry, goes on with
    what is missing. Each row has its split, shard and number in the examples, the key, the columns in keep, the outputs of the
    model, and the name and version of the model. _predictions.json, written last, marks the folder as complete; with several
    parts, finish_predictions writes it.

    Args:
        examples: Output of ingest_examples.
        model_name: Name of the model in the serving root or on the server, and in the prediction log. Optional with model.
        model: Output of train_model, in place of a version in the serving root. Optional.
        model_version: Number of the version; 0 for the one in production, or for the server's choice.
        serving_root: Path or URI that the model servers load from; it is only read. Empty for TIFFIN_SERVING_ROOT of the step's
            environment.
        serving_address: host:port of the gRPC API of a model server that predicts. Empty to load the SavedModel in this step.
        deadline_seconds: Deadline of each request to the server, in seconds, above 0.
        signature: Signature of the model; explain for attributions.
        split: Split to predict. Empty for all.
        key: Column that identifies a row, which is copied to the predictions. Empty for none.
        keep: Other columns to copy.
        outputs: Outputs of the signature to write. Empty for all.
        allow_missing: Whether columns that the model uses, and the examples lack, are missing values.
        output: Folder or bucket below which the folder of the predictions is. Empty for the artifact.
        part: Number of the part to predict, from 0.
        parts: Number of parts, from 1 to 1000.
        log: Whether to write the rows to the prediction log as well, with the route batch.
        log_root: Path or URI of the prediction log. Empty for TIFFIN_LOG_ROOT of the step's environment.

    Returns:
        predictions: predictions.json, the files with their digests, the columns and the versions; and the files, if output is
            empty.
        location: Folder of the files.
        rows: Number of rows.
        reused: Number of files that were complete before.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.predict.prediction import predict

        found = predict(
            examples.path, predictions.path, model=model.path if model else "", name=model_name, version=model_version,
            serving_root=serving_root, address=serving_address, deadline_seconds=deadline_seconds, signature=signature,
            split=split, key=key, keep=keep, outputs=outputs, allow_missing=allow_missing, location=output, part=part,
            parts=parts, log=log, log_root=log_root,
        )  # fmt: skip
        for note in found.notes:
            print(printable(note.text))  # noqa: T201 - the step's log
        print(printable(found.sentence))  # noqa: T201 - the step's log
        predictions.metadata.update({"location": found.location, "rows": found.rows, "model": found.model_text})
        return found.location, found.rows, found.reused


@dsl.component(base_image=COMPONENTS["finish_predictions"].image, install_kfp_package=False)
def finish_predictions(
    examples: Input[Dataset],
    predictions: Output[Dataset],
    locations: list,  # type: ignore[type-arg]
    reused: list = [],  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
) -> NamedTuple("Finished", [("location", str), ("rows", int)]):  # type: ignore[valid-type]
    """Check that all parts of a batch prediction are complete, and mark their folder as complete.

    Args:
        examples: Output of ingest_examples.
        locations: Output location of predict_batch of all parts, in the order of the parts.
        reused: Output reused of predict_batch of all parts.

    Returns:
        predictions: predictions.json, the files of all parts with their digests, the columns and the versions.
        location: Folder of the files, with _predictions.json.
        rows: Number of rows.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.printing import printable
        from tiffin.stages.predict.finishing import complete

        found = complete(examples.path, predictions.path, locations, reused)
        for note in found.notes:
            print(printable(note.text))  # noqa: T201 - the step's log
        print(printable(found.sentence))  # noqa: T201 - the step's log
        predictions.metadata.update({"location": found.location, "rows": found.rows, "model": found.model_text})
        return found.location, found.rows
