"""Export the SavedModel. It takes raw columns and includes the preprocessing, which rules out training-serving skew.

Signatures:

    serving_default   raw columns -> the prediction.
                      binary: probability [batch] of the second class, classes [batch] with the name of that class;
                      multiclass: probabilities and classes [batch, classes], prediction [batch] text;
                      regression: prediction [batch] float64.
                      With inputs of dates, unreadable_dates [batch] int64: the number of those that are no date
    examples          inputs: serialized tf.Example [batch] -> classes and scores [batch, classes] for TensorFlow
                      Serving's Classify, or outputs [batch] for Regress. tf.Example and Regress have float32 only
    recipe            inputs: any texts [batch] -> recipe: the model's recipe as JSON [batch]
    explain           raw columns -> one attribution per column [batch], tiffin_score and tiffin_baseline [batch]; in
                      logits of the most likely class, or in the unit of the label for regression
"""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tiffin.artifacts.recipe import ModelRecipe, recipe_text, write_recipe
from tiffin.stages.train import explanation
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.dates import Dates
from tiffin.stages.train.features import Features
from tiffin.stages.train.label import Label
from tiffin.stages.train.preprocessing import Signature, Transform, as_written, input_signature, unscaled


def write(
    folder: str | Path,
    features: Features,
    label: Label,
    transform: Transform,
    layers: Sequence[keras.layers.Layer],
    owners: Sequence[str],
    model: keras.Model,
    scale: Scale,
    mean_row: np.ndarray | None,
    recipe: ModelRecipe,
    unreadable_dates: str = "missing",
) -> None:
    """Write the SavedModel to `folder`: under a temporary name first, then renamed.

    Args:
        folder: Folder of the SavedModel; replaced if it exists.
        features: Input columns.
        label: Label to predict.
        transform: Maps raw columns to the encoded vector.
        layers: Lookup tables used by `transform`.
        owners: Column of each position of the encoded vector.
        model: Maps the encoded vector to logits, or to scaled numbers for regression.
        scale: Mean and standard deviation of a regression label; the model's numbers are unscaled in float64.
        mean_row: Mean encoded vector of the training data, `[width]`; None to leave out the signature explain.
        recipe: How rows of the source become the model's inputs.
        unreadable_dates: `missing` to take an unreadable date as missing, or `refuse` to fail.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    archive = keras.export.ExportArchive()
    archive.track(model)
    for layer in layers:
        archive.track(layer)
    dates = Dates(recipe.date_formats, unreadable_dates)
    raw = [input_signature(features, dates.formats)]
    archive.add_endpoint("serving_default", serving(dates, transform, model, label, scale), input_signature=raw)
    serialized = [tf.TensorSpec([None], tf.string, name="inputs")]
    examples = _examples(features, dates, transform, model, label, scale)
    archive.add_endpoint("examples", examples, input_signature=serialized)
    if mean_row is not None:
        explain = explanation.build(features, dates, transform, model, label, owners, scale, mean_row)
        archive.add_endpoint("explain", explain, input_signature=raw)
    archive.add_endpoint("recipe", _recipe(recipe), input_signature=serialized)
    archive.write_out(str(temporary), verbose=False)
    write_recipe(temporary, recipe)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def serving(dates: Dates, transform: Transform, model: keras.Model, label: Label, scale: Scale) -> Signature:
    """Return the function of the signature serving_default."""
    classes = tf.constant(label.classes or ("",))

    @as_written
    def serving_default(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        numbers, unreadable = dates.read(inputs)
        output = model(transform(numbers), training=False)
        result = {} if unreadable is None else {"unreadable_dates": unreadable}
        if label.task == "binary":
            probability = tf.sigmoid(output[:, 0])
            # An output for each row, as TensorFlow Serving needs for batches.
            return result | {"probability": probability, "classes": tf.fill(tf.shape(probability), classes[1])}
        if label.task == "multiclass":
            prediction = tf.gather(classes, tf.argmax(output, axis=1))
            names = tf.tile(classes[None], [tf.shape(output)[0], 1])
            return result | {"probabilities": tf.nn.softmax(output), "classes": names, "prediction": prediction}
        return result | {"prediction": unscaled(output[:, 0], scale)}

    return serving_default


def _examples(
    features: Features, dates: Dates, transform: Transform, model: keras.Model, label: Label, scale: Scale
) -> Callable[..., Any]:
    # tf.Example has no float64, and a missing value is an absent feature.
    spec: dict[str, Any] = {n.name: tf.io.VarLenFeature(tf.int64 if n.whole else tf.float32) for n in features.numbers}
    texts = [*dates.formats, *(category.name for category in features.categories)]
    spec |= {name: tf.io.FixedLenFeature([], tf.string, default_value="") for name in texts}
    classes = tf.constant([label.classes]) if label.classes else None

    @as_written
    def examples(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        parsed = tf.io.parse_example(inputs, spec)
        raw = {}
        for name, value in parsed.items():
            if not isinstance(value, tf.SparseTensor):
                raw[name] = value
                continue
            sparse = tf.SparseTensor(value.indices, tf.cast(value.values, tf.float64), [value.dense_shape[0], 1])
            raw[name] = tf.sparse.to_dense(sparse, default_value=tf.constant(float("nan"), tf.float64))[:, 0]
        output = model(transform(dates.read(raw)[0]), training=False)
        if label.task == "regression":
            return {"outputs": tf.cast(unscaled(output[:, 0], scale), tf.float32)}
        if label.task == "binary":
            yes = tf.sigmoid(output)
            scores = tf.concat([1.0 - yes, yes], axis=1)
        else:
            scores = tf.nn.softmax(output)
        return {"classes": tf.tile(classes, [tf.shape(scores)[0], 1]), "scores": scores}

    return examples


def _recipe(recipe: ModelRecipe) -> Callable[..., Any]:
    text = recipe_text(recipe)

    @as_written
    def recipe_(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"recipe": tf.fill(tf.shape(inputs), tf.constant(text))}

    return recipe_
