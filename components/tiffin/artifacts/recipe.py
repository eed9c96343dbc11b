"""The recipe: how rows of the source become rows of the examples, so that predictions read rows as ingest did.

The manifest of the examples has the recipe of all columns. A SavedModel has the part that its inputs need, in
`assets.extra/tiffin_recipe.json`; its signature `recipe` returns the same text.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from tiffin.artifacts import documents
from tiffin.artifacts.columns import Column
from tiffin.artifacts.model import Task

RECIPE = "assets.extra/tiffin_recipe.json"


@dataclass(frozen=True)
class SourceColumn:
    """A column of the source, and how its values are read.

    Attributes:
        name: Name in the source.
        column: Name in the examples, and in expressions.
        type: DuckDB's type of the values, such as `BIGINT`, `DOUBLE`, `BOOLEAN`, `VARCHAR`, `DATE` or `TIMESTAMP`.
        decimal: Decimal mark of numbers in text.
        thousands: Mark between the thousands of numbers in text; empty for none.
        formats: Formats of dates in text, in the codes of strptime, beside ISO 8601.
        missing: Texts of a text column that are missing values, beside the empty text. Columns of numbers, dates and booleans
            have the usual words for missing values, such as `n/a`, unless the recipe has `missing_values`.
    """

    name: str
    column: str
    type: str
    decimal: str = "."
    thousands: str = ""
    formats: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True)
class DerivedColumn:
    """A column that is computed from others.

    Attributes:
        name: Name in the examples.
        expression: SQL expression over one row, in DuckDB's dialect, with the names of the examples.
        uses: Names in the examples of the columns that it uses, of the source or derived.
    """

    name: str
    expression: str
    uses: tuple[str, ...]


@dataclass(frozen=True)
class Recipe:
    """How rows of the source become rows of the examples.

    Attributes:
        source: Columns of the source.
        derive: Derived columns, each after those it uses.
        missing_values: Texts that are missing values in every column, where the user listed them; empty otherwise.
        delimiter: CSV delimiter that the user set; empty if it is detected.
        header: Whether CSV files start with a header line: auto, yes or no.
        column_names: Column names of CSV files that the user set; empty for those of the header.
        partitions: Whether folders named `key=value` become columns: auto or none.
    """

    source: tuple[SourceColumn, ...]
    derive: tuple[DerivedColumn, ...] = ()
    missing_values: tuple[str, ...] = ()
    delimiter: str = ""
    header: str = "auto"
    column_names: tuple[str, ...] = ()
    partitions: str = "auto"

    def needed(self, columns: Collection[str]) -> "Recipe":
        """Return the recipe of some columns of the examples, with what they are derived from."""
        wanted = set(columns)
        derive = []
        for column in reversed(self.derive):
            if column.name in wanted:
                derive.append(column)
                wanted.update(column.uses)
        source = tuple(column for column in self.source if column.column in wanted)
        return replace(self, source=source, derive=tuple(reversed(derive)))


@dataclass(frozen=True)
class ModelRecipe:
    """The recipe of a model: what its inputs need, and what its outputs mean.

    Attributes:
        recipe: The recipe, with the columns and expressions that the inputs need.
        inputs: Inputs of the signature `serving_default`. A number is float64, NaN if missing; text is a string, empty if
            missing; a date or a timestamp is a string, in ISO 8601 or in a format of its source column.
        label: Name of the label in the examples.
        task: binary, multiclass or regression.
        classes: Classes in the order of the probabilities; `probability` is that of the second of two. Empty for regression.
        data_version: Version of the training data.
        tiffin_version: Version of Tiffin that trained the model.
    """

    recipe: Recipe
    inputs: tuple[Column, ...]
    label: str
    task: Task
    classes: tuple[str, ...]
    data_version: str
    tiffin_version: str

    @property
    def date_formats(self) -> dict[str, tuple[str, ...]]:
        """Inputs that are dates or times, each with its formats beside ISO 8601."""
        formats = {column.column: column.formats for column in self.recipe.source}
        dates = [column.name for column in self.inputs if column.logical in ("date", "timestamp")]
        return {name: formats.get(name, ()) for name in dates}


def recipe_text(recipe: ModelRecipe) -> str:
    """Return a recipe as JSON, in one line."""
    return json.dumps(documents.to_json(recipe), separators=(",", ":"))


def parse_recipe(text: bytes | str) -> ModelRecipe:
    """Return the recipe of a text that `recipe_text` made.

    Raises:
        InputError: The text is no recipe.
    """
    return documents.parse(text, ModelRecipe, "recipe")


def write_recipe(saved_model: str | Path, recipe: ModelRecipe) -> None:
    """Write the recipe of a SavedModel into its folder."""
    documents.write(Path(saved_model) / RECIPE, recipe)


def read_recipe(saved_model: str | Path) -> ModelRecipe:
    """Read the recipe of a SavedModel.

    Args:
        saved_model: Folder with `saved_model.pb`.

    Raises:
        InputError: The SavedModel has no recipe, or the file is no recipe.
    """
    return documents.read(Path(saved_model) / RECIPE, ModelRecipe)
