"""MLflow's loader of a registered model: rows of the source in, the outputs of `serving_default` out.

A model in MLflow has a copy of this module, `rows`, `derived`, `values` and `patterns` as a package of its own, so this
module, too, imports nothing else of Tiffin. It needs MLflow, TensorFlow and pandas; DuckDB for derived columns.
"""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from .rows import RowReader
from .values import Unreadable, Value

# Location of the SavedModel in the folder of the model in MLflow, and of the recipe in the SavedModel.
SAVED_MODEL = "saved_model"
_RECIPE = "assets.extra/tiffin_recipe.json"
# Rows of one call of the SavedModel.
_BATCH = 8192
# Parameter of predict.
UNREADABLE = "unreadable"
_LOGGER = logging.getLogger(__name__)


def _load_pyfunc(path: str) -> "RowModel":
    """Return the model in the folder `path`; MLflow calls this function by its name."""
    return RowModel(Path(path) / SAVED_MODEL)


class RowModel:
    """A SavedModel that takes rows of the source.

    Args:
        saved_model: Folder of the SavedModel.
    """

    def __init__(self, saved_model: Path) -> None:
        import tensorflow as tf

        text = (saved_model / _RECIPE).read_text(encoding="utf-8")
        # The text omits `logical` of a plain column.
        recipe = json.loads(text, object_hook=lambda fields: SimpleNamespace(**({"logical": None} | fields)))
        self._tf = tf
        self._reader = RowReader(recipe)
        self._texts = [c.name for c in recipe.recipe.source if c.type.split("(", 1)[0] == "VARCHAR"]
        # The signature has only weak references to the variables.
        self._model = tf.saved_model.load(str(saved_model))
        self._signature = self._model.signatures["serving_default"]
        self._dtypes = {name: spec.dtype for name, spec in self._signature.structured_input_signature[1].items()}

    def predict(self, model_input: Any, params: Mapping[str, Any] | None = None) -> Any:
        """Return the outputs of `serving_default` for rows of the source, with the index of the rows.

        Args:
            model_input: pandas.DataFrame with the columns of the source; other columns are ignored.
            params: `unreadable`: `error` to raise an error for a row with a value that does not fit its column, `missing` to
                return missing outputs for it, with a warning.

        Raises:
            MlflowException: A column is absent, or a value does not fit its column.
        """
        import pandas as pd

        handling = (params or {}).get(UNREADABLE, "error")
        if handling not in ("error", "missing"):
            raise _invalid(f"{UNREADABLE} should be 'error' or 'missing'. Received: {UNREADABLE}={handling!r}.")
        if absent := self._reader.absent(model_input.columns):
            raise _invalid(f"Columns that the model needs are missing: {', '.join(map(repr, absent))}. Add them.")
        self._check_texts(model_input)
        faults: list[str] = []
        frames = [
            pd.DataFrame({name: _column(outputs[name]) for name in sorted(outputs)}, index=places)
            for places, outputs in self._answers(model_input, faults if handling == "missing" else None)
        ]
        if faults:
            _LOGGER.warning("%d of %d rows could not be read, first: %s", len(faults), len(model_input), faults[0])
        return pd.concat(frames).reindex(range(len(model_input))).set_axis(model_input.index)

    def _check_texts(self, frame: Any) -> None:
        """Raise an error for a text column that pandas read as numbers: leading zeros are lost, and 7 may have become 7.0."""
        wrong = [
            name
            for name in self._texts
            if name in frame.columns and frame[name].dtype.kind in "biuf" and frame[name].notna().any()
        ]
        if wrong:
            types = ", ".join(f"{name!r}: {frame[name].dtype}" for name in wrong)
            raise _invalid(
                f"Columns that are text for the model should have texts, as in the source. Received: {types}. Read them as "
                f"text, for example with pandas.read_csv(..., dtype={dict.fromkeys(wrong, 'str')})."
            )

    def _answers(self, frame: Any, faults: list[str] | None) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
        """Yield the places of rows and their outputs; the first unreadable row is an error if there is no list for them."""
        names = list(frame.columns)
        # An empty frame has the same outputs, without rows.
        for start in range(0, max(len(frame), 1), _BATCH):
            batch = frame.iloc[start : start + _BATCH]
            values = [batch.iloc[:, position].tolist() for position in range(len(names))]
            rows, places = [], []
            for number, row in enumerate(zip(*values, strict=True)):
                try:
                    rows.append(self._reader.read(dict(zip(names, row, strict=True))))
                    places.append(start + number)
                except Unreadable as error:
                    text = f"Row {batch.index[number]}: {error}"
                    if faults is None:
                        raise _invalid(f"{text}. Fix it, or pass params={{'{UNREADABLE}': 'missing'}}.") from None
                    faults.append(text)
            try:
                inputs = self._reader.inputs(rows)
            except Unreadable as error:
                raise _invalid(f"Rows {start} to {start + len(rows) - 1}: {error}") from None
            tensors = {name: self._tensor([row[name] for row in inputs], dtype) for name, dtype in self._dtypes.items()}
            yield places, {name: output.numpy() for name, output in self._signature(**tensors).items()}

    def _tensor(self, values: Sequence[Value], dtype: Any) -> Any:
        if dtype == self._tf.string:
            # TensorFlow takes no text column with both str and None.
            return self._tf.constant(["" if value is None else str(value) for value in values], dtype)
        numbers = [float("nan") if value is None else value for value in values]
        return self._tf.constant(np.array(numbers, dtype.as_numpy_dtype), dtype)


def _column(output: np.ndarray) -> Any:
    """Return an output as a column of a DataFrame: texts as str, and an output with several values per row as lists."""
    if output.dtype == object:
        output = np.vectorize(lambda value: value.decode(), otypes=[object])(output) if output.size else output
    return output if output.ndim == 1 else output.tolist()


def _invalid(message: str) -> Exception:
    from mlflow.exceptions import MlflowException

    return MlflowException.invalid_parameter_value(message)  # type: ignore[no-any-return]
