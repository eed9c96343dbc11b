"""KFP declaration of the train stage."""

from typing import NamedTuple

from kfp import dsl
from kfp.dsl import Artifact, Dataset, Input, Model, Output

from tiffin.stages.train.traits import COMPONENTS


@dsl.component(base_image=COMPONENTS["train_model"].image, install_kfp_package=False)
def train_model(
    examples: Input[Dataset],
    statistics: Input[Artifact],
    schema: Input[Artifact],
    model: Output[Model],
    label: str,
    task: str = "auto",
    hidden_units: list = [64, 32],  # type: ignore[type-arg]  # noqa: B006 - kfp copies it into the spec
    epochs: int = 0,
    batch_size: int = 0,
    learning_rate: float = 0.003,
    dropout: float = 0.1,
    weight_decay: float = 0.01,
    seed: int = 1,
    unreadable_dates: str = "missing",
    model_code: str = "",
    hyperparameters: dict = {},  # type: ignore[type-arg]  # noqa: B006
    data_root: str = "",
    reuse: bool = True,
    run: str = "",
) -> NamedTuple("Trained", [("task", str), ("schema_digest", str)]):  # type: ignore[valid-type]
    """Train a Keras network on the train split and export it as a SavedModel that includes the preprocessing.

    Features are built from the statistics and the schema: numeric columns are encoded piecewise linearly between their
    quantiles, text columns one-hot. The SavedModel has the signatures serving_default, examples, explain and recipe.
    Dates and times are text in the signatures: ISO 8601, or the format of the data.

    Args:
        examples: Output of ingest_examples.
        statistics: Output of validate_examples or compute_statistics.
        schema: Output of validate_examples or infer_schema.
        label: Column to predict.
        task: Task type: auto, binary, multiclass or regression. auto derives it from the label's values: classes for
            two distinct values, text, and at most 20 distinct whole numbers with 5 rows each on average.
        hidden_units: Units of each hidden layer, at least 1 each. Empty list for a linear model.
        epochs: Number of passes over the training data. 0 to choose it from the data: training stops when the loss on
            held-out rows of the train split stops falling.
        batch_size: Rows per training step. 0 to choose it from the number of rows, from 16 to 128.
        learning_rate: Learning rate of AdamW, above 0. With a given number of epochs, it decays to 0 on a cosine schedule.
        dropout: Dropout rate of the hidden layers, at least 0 and below 1. 0 turns dropout off.
        weight_decay: AdamW weight decay, at least 0. 0 turns it off.
        seed: Random seed of initial weights, shuffling and dropout, from 0 to 2**32 - 1. The same seed gives the same model.
        unreadable_dates: What the model does in a prediction with a text that is no date: missing to take it as missing and
            count it in the output unreadable_dates, or refuse to fail.
        model_code: Path or gs:// or s3:// URI of a Python file with a model of your own: build_model(features,
            hyperparameters), which returns a Keras model, or train(context), which returns a trained one. The step runs
            this code. Empty for the default network.
        hyperparameters: What the function of model_code receives, by name: any JSON values. Whole numbers arrive as int.
        data_root: Folder or bucket that keeps trained models, to reuse one that was trained from the same data version,
            statistics, schema, parameters and code. Empty for TIFFIN_RESULT_STORE of the step's environment; without
            it, nothing is kept.
        reuse: Whether to reuse a trained model. False trains a new one, which later runs reuse.
        run: Pipeline run ID, kept with the model. Empty for none.

    Returns:
        model: saved_model/ and training.json, the record of the training: data, settings and losses. With model_code, also
            the file, as model_code.py.
        task: Task type, given or derived: binary, multiclass or regression.
        schema_digest: Digest of the schema used in training.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.train.reuse import train_or_reuse
        from tiffin.stages.train.settings import hyperparameters_from, settings_from

        settings = settings_from(
            hidden_units=hidden_units, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
            dropout=dropout, weight_decay=weight_decay, seed=seed,
        )  # fmt: skip
        record = train_or_reuse(
            examples.path, statistics.path, schema.path, model.path, label,
            task=task, settings=settings, unreadable_dates=unreadable_dates, store=data_root, reuse=reuse, run=run,
            model_code=model_code, hyperparameters=hyperparameters_from(hyperparameters, model_code),
        )  # fmt: skip
        model.metadata.update(
            {key: getattr(record, key) for key in ("label", "task", "data_version", "schema_digest", "rows")}
        )
        if record.own:
            model.metadata["model_code"] = f"{record.own.location} {record.own.digest}"
        return record.task, record.schema_digest
