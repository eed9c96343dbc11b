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
    epochs: int = 8,
    batch_size: int = 128,
    learning_rate: float = 0.003,
    dropout: float = 0.2,
    weight_decay: float = 0.01,
    seed: int = 1,
    data_version: str = "",
) -> NamedTuple("Trained", task=str, schema_digest=str):  # type: ignore[valid-type]
    """Train a Keras network on the split train and export it with its preprocessing as one SavedModel.

    Features are built from the statistics and the schema: numbers in pieces between their quantiles, categories one-hot.
    The SavedModel's signatures are serving_default, examples and explain.

    Args:
        examples: Output of ingest_examples.
        statistics: Output of validate_examples or compute_statistics.
        schema: Output of validate_examples or infer_schema.
        label: Column to predict.
        task: auto, binary, multiclass or regression.
        hidden_units: Sizes of the hidden layers. Empty for a linear model.
        epochs: Passes over the data.
        batch_size: Rows a step.
        learning_rate: At the start; it falls to 0 along a cosine.
        dropout: Share of hidden values left out in each step, from 0 to below 1.
        weight_decay: Of AdamW.
        seed: Of initial weights, shuffling and dropout: the same seed gives the same model.
        data_version: Output of ingest_examples, checked against the examples: it makes KFP's cache follow the data's content.

    Returns:
        model: saved_model/ and training.json, the record of what it was trained on and how.
        task: The task, found or given.
        schema_digest: Of the schema trained against.
    """
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.train.network import settings_from
        from tiffin.stages.train.training import train

        settings = settings_from(
            hidden_units=hidden_units, epochs=epochs, batch_size=batch_size, learning_rate=learning_rate,
            dropout=dropout, weight_decay=weight_decay, seed=seed,
        )  # fmt: skip
        record = train(
            examples.path, statistics.path, schema.path, model.path, label,
            task=task, settings=settings, data_version=data_version,
        )  # fmt: skip
        model.metadata.update(
            {key: getattr(record, key) for key in ("label", "task", "data_version", "schema_digest", "rows")}
        )
        return record.task, record.schema_digest
