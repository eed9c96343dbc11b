"""A model of fares and cities whose predictions can be computed by hand."""

import json
from pathlib import Path

import tensorflow as tf

from support.written import table
from tiffin.artifacts.columns import Column
from tiffin.artifacts.recipe import DerivedColumn, ModelRecipe, Recipe, SourceColumn, recipe_text, write_recipe

RECIPE = ModelRecipe(
    Recipe(
        (SourceColumn("Fare", "fare", "DOUBLE"), SourceColumn("city", "city", "VARCHAR"), SourceColumn("day", "day", "BIGINT")),
        (DerivedColumn("weekend", "day > 5", ("day",)),),
        ("?",),
    ),
    (Column("fare", "FLOAT"), Column("city", "STRING")),
    "late", "binary", ("no", "yes"), "d0", "0.1.0",
)  # fmt: skip


class Fares(tf.Module):
    """probability = fare / 100 + bias, or 0.5 for a missing fare; `letters` is the length of the city, twice."""

    def __init__(self, bias: float, recipe: str) -> None:
        super().__init__()
        self.bias = tf.Variable(bias, dtype=tf.float64)
        self.text = recipe
        given = [tf.TensorSpec([None], tf.float64, name="fare"), tf.TensorSpec([None], tf.string, name="city")]
        texts = [tf.TensorSpec([None], tf.string, name="inputs")]
        self.calls = {
            "serving_default": tf.function(self.serve, input_signature=given),
            "explain": tf.function(self.explain, input_signature=given),
            "examples": tf.function(self.examples, input_signature=texts),
            "recipe": tf.function(self.recipe, input_signature=texts),
        }

    def serve(self, fare, city):
        probability = tf.where(tf.math.is_nan(fare), tf.constant(0.5, tf.float64), fare / 100 + self.bias)
        letters = tf.strings.length(city)
        return {
            "probability": tf.cast(probability, tf.float32),
            "classes": tf.fill(tf.shape(fare), "yes"),
            "letters": tf.stack([letters, letters], axis=1),
            "unreadable_dates": tf.cast(tf.equal(city, "?"), tf.int32),
        }

    def explain(self, fare, city):
        return {"fare": tf.cast(fare / 100, tf.float32), "city": tf.cast(tf.strings.length(city), tf.float32)}

    def examples(self, inputs):
        return {"scores": tf.zeros(tf.shape(inputs))}

    def recipe(self, inputs):
        return {"recipe": tf.fill(tf.shape(inputs), self.text)}


def save(folder: Path, bias: float = 0.0, recipe: ModelRecipe | None = RECIPE) -> Path:
    model = Fares(bias, recipe_text(recipe) if recipe else "")
    tf.saved_model.save(model, str(folder), signatures=model.calls)
    if recipe:
        write_recipe(folder, recipe)
    return folder


def rows(count: int, start: int = 0):
    """Return rows whose fare is their number."""
    numbers = range(start, start + count)
    return table(
        trip=[f"t{number}" for number in numbers],
        fare=[float(number) if number % 7 else None for number in numbers],
        city=["Bergen" if number % 2 else None for number in numbers],
    )


def read_json(path):
    return json.loads(Path(path).read_text())
