"""Read rows of the source as the inputs of a model."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .derived import Derivation
from .values import Unreadable, Value, reader


class RowReader:
    """The recipe of a model, applied to rows. It is thread-safe.

    Args:
        recipe: The model's recipe, whose expressions are checked: a `tiffin.artifacts.recipe.ModelRecipe`, or an object with
            the same attributes.

    Attributes:
        recipe: The recipe.
        names: Names in the source of the columns that the model needs.
    """

    def __init__(self, recipe: Any) -> None:
        self.recipe = recipe
        self._source = list(recipe.recipe.source)
        self._read = {c.column: reader(c, recipe.recipe.missing_values) for c in self._source}
        self.names = [column.name for column in self._source]
        self._inputs = [column.name for column in recipe.inputs]
        derive = recipe.recipe.derive
        names = {column.name for column in derive}
        derived = [column for column in recipe.inputs if column.name in names]
        self._derivation = Derivation(self._source, derive, derived) if derived else None
        # The connection of DuckDB is not thread-safe.
        self._lock = threading.Lock()

    def absent(self, names: Iterable[str]) -> list[str]:
        """Return the names of needed columns that are not among the names, which may be those of the source or the examples."""
        given = set(names)
        return [column.name for column in self._source if not {column.name, column.column} & given]

    def read(self, row: Mapping[str, Any]) -> dict[str, Value]:
        """Return the values of a row by name of the column in the examples; None for a missing one.

        Args:
            row: Values by name, as in the source or as in the examples. Other columns are ignored.

        Raises:
            Unreadable: A value does not fit its column, whose name the error has.
        """
        found: dict[str, Value] = {}
        for column in self._source:
            value = row.get(column.name)
            if value is None:
                value = row.get(column.column)
            try:
                found[column.column] = None if value is None else self._read[column.column](value)
            except Unreadable as error:
                error.args = (f"'{column.name}' {error}",)
                raise
        return found

    def inputs(self, rows: Sequence[Mapping[str, Value]]) -> list[dict[str, Value]]:
        """Return the inputs of the model for rows that `read` returned, with the derived columns.

        Raises:
            Unreadable: An expression fails for one of the rows.
        """
        derived: Sequence[Mapping[str, Value]] = [{}] * len(rows)
        if self._derivation and rows:
            with self._lock:
                derived = self._derivation.compute(rows)
        return [
            {name: more[name] if name in more else row.get(name) for name in self._inputs}
            for row, more in zip(rows, derived, strict=True)
        ]
