"""Model artifacts for the tests of registration: a small SavedModel with a recipe, and the record of its training.

Also registrations in processes of their own.
"""

import importlib
import resource
import sys
import warnings
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


def register_here(start: Any, places: tuple[str, ...], name: str, uri: str, run: str = "run-1", limit: int = 0) -> None:
    """Register a model in a fork, and print its version.

    Args:
        start: Barrier at which several processes wait for one another; None for a single process.
        places: Folders of the model, the evaluation and the registration.
        name: Name of the model.
        uri: Tracking URI.
        run: Pipeline run ID.
        limit: Limit on the size of files, in bytes; 0 for none.
    """
    warnings.simplefilter("ignore")
    from tiffin.errors import reported

    with reported():
        from tiffin.stages.register import registry
        from tiffin.tracking import client

        # It sets environment variables, which a fork has from the test.
        importlib.reload(client)
        if start:
            start.wait(240)
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        version = registry.register(*places, name, tracking_uri=uri, run=run).version
        sys.stdout.write(str(version))
