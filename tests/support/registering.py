"""Model artifacts for the tests of registration: a small SavedModel with a recipe, and the record of its training."""

from pathlib import Path
from typing import Any

from support.documents import make_training
from tiffin.artifacts.columns import Column
from tiffin.artifacts.model import Training, saved_model, write_training
from tiffin.artifacts.recipe import DerivedColumn, ModelRecipe, Recipe, SourceColumn, write_recipe

SOURCE = (
    SourceColumn("Kilometres (km)", "kilometres_km", "DOUBLE", decimal=",", thousands="."),
    SourceColumn("city", "city", "VARCHAR", missing=("-",)),
    SourceColumn("ordered at", "ordered_at", "TIMESTAMP", formats=("%d.%m.%Y %H:%M",)),
    SourceColumn("rush?", "rush", "BOOLEAN"),
)
INPUTS = (
    Column("kilometres_km", "FLOAT"),
    Column("city", "STRING"),
    Column("ordered_at", "INT", "timestamp"),
    Column("rush", "INT", "boolean"),
)
DERIVED = DerivedColumn("double", "2 * kilometres_km", ("kilometres_km",))


def make_recipe(derive: tuple[DerivedColumn, ...] = (), inputs: tuple[Column, ...] = INPUTS) -> ModelRecipe:
    return ModelRecipe(Recipe(SOURCE, derive), inputs, "late", "binary", ("0", "1"), "d1", "0.1.0")


def write_model(artifact: Path, record: Training | None = None, recipe: ModelRecipe | None = None) -> Path:
    """Write a model artifact whose SavedModel answers with a number and texts that depend on each input."""
    import tensorflow as tf

    recipe = recipe or make_recipe()
    texts = {column.name for column in recipe.inputs if column.type == "STRING" or column.logical == "timestamp"}
    names = [column.name for column in recipe.inputs]
    signature = {name: tf.TensorSpec([None], tf.string if name in texts else tf.float64, name=name) for name in names}
    module = tf.Module()
    module.weight = tf.Variable(0.25, dtype=tf.float64)

    @tf.function(input_signature=[signature])
    def serving_default(inputs: dict[str, Any]) -> dict[str, Any]:
        parts = [
            tf.cast(tf.strings.length(inputs[name]), tf.float64)
            if name in texts
            else tf.where(tf.math.is_nan(inputs[name]), tf.constant(-1.0, tf.float64), inputs[name])
            for name in names
        ]
        score = tf.add_n(parts) * module.weight
        text = tf.strings.join([inputs[name] for name in names if name in texts] or [tf.strings.as_string(score)], "|")
        classes = tf.tile(tf.constant([["0", "1"]]), [tf.shape(score)[0], 1])
        return {"probability": tf.cast(tf.sigmoid(score / 100), tf.float32), "texts": text, "classes": classes}

    folder = saved_model(artifact)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": serving_default})
    write_recipe(folder, recipe)
    write_training(artifact, record or make_training(columns=tuple(names)))
    return artifact
