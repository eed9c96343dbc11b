"""The recipe of a model on a server: fetched by the signature `recipe`, checked, and applied to rows of the source."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tiffin.artifacts.recipe import parse_recipe
from tiffin.errors import InputError, ServingError, did_you_mean
from tiffin.recipe.rows import RowReader
from tiffin.recipe.values import Unreadable
from tiffin.serving.messages import read_predictions
from tiffin.serving.outputs import split_rows
from tiffin.serving.signatures import Signature, as_columns

SIGNATURE = "recipe"
# The input of the signature: one text for each row of the answer.
REQUEST = {"inputs": [""]}


def has_recipe(known: Mapping[str, Signature]) -> bool:
    """Return whether a model with these signatures has a recipe: one that Tiffin trained."""
    found = known.get(SIGNATURE)
    return found is not None and found.by_tiffin and SIGNATURE in found.outputs


def open_reader(text: bytes | str) -> RowReader:
    """Return the reader of rows of a recipe.

    Args:
        text: The recipe, as the signature returns it.

    Raises:
        InputError: The text is no recipe, an expression is not one that ingest accepts, or derived columns need DuckDB, which
            is not installed.
    """
    recipe = parse_recipe(text)
    if recipe.recipe.derive:
        try:
            import duckdb
        except ImportError:
            raise InputError(
                f"Derived columns require the package duckdb. Received: a model that uses "
                f"{', '.join(column.name for column in recipe.recipe.derive)}. Install duckdb."
            ) from None
        from tiffin.recipe.expressions import order_derived

        with duckdb.connect() as connection:
            derive = {column.name: column.expression for column in recipe.recipe.derive}
            order_derived(connection, derive, [column.column for column in recipe.recipe.source])
    try:
        return RowReader(recipe)
    except ValueError as error:
        raise InputError(f"The model's recipe cannot be used: {error} Pass the inputs of the model instead.") from None


def check_columns(reader: RowReader, names: Iterable[str]) -> None:
    """Raise an InputError unless all columns that a model uses are among the names."""
    given = list(names)
    absent = reader.absent(given)
    if absent:
        more = "" if len(absent) > 1 else did_you_mean(absent[0], given)
        raise InputError(
            f"Rows should have the columns that the model uses. Received: no {', '.join(absent)}.{more} "
            "Add them, or allow missing columns: --allow-missing, allow_missing=True."
        )


def read_rows(reader: RowReader, rows: Sequence[Any], allow_missing: bool = False) -> list[dict[str, Any] | InputError]:
    """Return the inputs of the model for each row, or why there are none.

    Args:
        reader: Reader of the model's recipe.
        rows: Values by column of the source, or of the examples.
        allow_missing: Whether columns that a row lacks are missing values.
    """
    found: list[dict[str, Any] | InputError] = []
    for row in rows:
        try:
            if not isinstance(row, Mapping):
                raise InputError(f"The row should be an object with columns of the data. Received: {row!r:.80}.")
            if not allow_missing:
                check_columns(reader, row)
            found.append(reader.read(row))
        except InputError as error:
            found.append(error)
        except Unreadable as error:
            found.append(InputError(f"Column {error}. Correct the value."))
    readable = [place for place, values in enumerate(found) if not isinstance(values, InputError)]
    for place, inputs in zip(readable, _derived(reader, [found[place] for place in readable]), strict=True):
        found[place] = inputs
    return found


def _derived(reader: RowReader, rows: Sequence[Any]) -> list[dict[str, Any] | InputError]:
    """Return the inputs of rows, or the reason for a row for which an expression fails."""
    try:
        return [*reader.inputs(rows)]
    except Unreadable as error:
        if len(rows) == 1:
            return [InputError(f"The row {error}. Correct the row.")]
    middle = len(rows) // 2
    return [*_derived(reader, rows[:middle]), *_derived(reader, rows[middle:])]


def as_rows(rows: Any) -> list[Mapping[str, Any]]:
    """Convert rows to a list: a list of rows (dicts), columns by name or a data frame.

    Raises:
        InputError: `rows` has another type, no rows, or columns that differ in length.
    """
    if isinstance(rows, Sequence) and rows and all(isinstance(row, Mapping) for row in rows):
        return list(rows)
    columns = {name: [*values] for name, values in as_columns(rows).items()}
    if len({len(values) for values in columns.values()}) > 1:
        lengths = ", ".join(f"{name}: {len(values)}" for name, values in columns.items())
        raise InputError(f"All columns should have the same number of rows. Received: {lengths}.")
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


@dataclass(frozen=True)
class ServedRecipe:
    """The recipe of the version that a server chose.

    Attributes:
        reader: Reader of its rows; None for a model that Tiffin did not train, whose rows are its inputs.
        version: Number of the version; None if the server does not say.
    """

    reader: RowReader | None
    version: int | None

    @classmethod
    def read(cls, response: Any) -> "ServedRecipe":
        """Return the recipe of a PredictResponse of the signature `recipe`.

        Raises:
            InputError: The recipe cannot be used.
        """
        [text] = read_predictions(response)[SIGNATURE].tolist()
        return cls(open_reader(text), _version(response))

    def inputs(self, rows: Sequence[Mapping[str, Any]], allow_missing: bool) -> dict[str, list[Any]]:
        """Return the model's inputs by column.

        Raises:
            InputError: A row cannot be read; the message has its position, from 0.
        """
        if not self.reader:
            return as_columns(rows)
        found = []
        for place, row in enumerate(read_rows(self.reader, rows, allow_missing)):
            if isinstance(row, InputError):
                raise InputError(f"Row {place}: {row}")
            found.append(row)
        return as_columns(found)

    def reads_as(self, other: "ServedRecipe") -> bool:
        """Return whether another version reads rows in the same way."""
        if self.reader is None or other.reader is None:
            return self.reader is other.reader
        one, another = self.reader.recipe, other.reader.recipe
        return (one.recipe, one.inputs) == (another.recipe, another.inputs)

    def find_other(self, response: Any) -> int | None:
        """Return the version that a PredictResponse is of; None if it is that of the recipe, or unknown.

        The server has loaded another version since, or a gateway divides the requests.
        """
        found = _version(response)
        return None if self.version is None or found == self.version else found


# The rows of a model without a recipe are its inputs.
NO_RECIPE = ServedRecipe(None, None)


def answers(response: Any, count: int) -> list[dict[str, Any]]:
    """Return the outputs of each row in a PredictResponse."""
    return split_rows(read_predictions(response), count)


def changed(model: str) -> ServingError:
    """Return the error of a prediction during which the server's version changed again and again."""
    return ServingError(f"The version of '{model}' changed while rows were sent. Try again, or set version.", "ABORTED")


def _version(response: Any) -> int | None:
    spec = response.model_spec
    return int(spec.version.value) if spec.HasField("version") else None
