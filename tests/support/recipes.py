"""The recipe of the model `taxi` of `model_servers`: prices in euros, a renamed column, and one that is derived."""

from tiffin.artifacts.columns import Column
from tiffin.artifacts.recipe import DerivedColumn, ModelRecipe, Recipe, SourceColumn, recipe_text


def taxi(km_per_mile: float = 2.0, **changed: object) -> str:
    """Return the recipe: miles = km / km_per_mile, passengers and "Company name" as they are."""
    source = (
        SourceColumn("km €", "km__", "DOUBLE", ",", "."),
        SourceColumn("passengers", "passengers", "BIGINT"),
        SourceColumn("Company name", "company", "VARCHAR"),
    )
    derive = (DerivedColumn("miles", f"km__ / {km_per_mile}", ("km__",)),)
    inputs = (Column("miles", "FLOAT"), Column("passengers", "INT"), Column("company", "STRING"))
    return recipe_text(
        ModelRecipe(Recipe(source, derive, **changed), inputs, "late", "binary", ("0", "1"), "d1", "0.1.0")
    )
