"""The files that make the model artifact an MLflow model, beside its SavedModel: MLmodel, loader and requirements.

model/
  MLmodel                   signature, input example, and the flavors python_function and tensorflow
  code/tiffin_model_<id>/   the loader of python_function: copies of modules of tiffin.recipe
  input_example.json        a few rows of the source
  requirements.txt          and conda.yaml, python_env.yaml: pinned packages
  saved_model/              the files that TensorFlow Serving loads
  training.json             the record of the training
"""

import hashlib
import logging
import tempfile
import warnings
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import Model, ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import AnyType, Array

import tiffin.recipe
from tiffin.artifacts.examples import Row
from tiffin.artifacts.model import saved_model
from tiffin.artifacts.recipe import ModelRecipe, read_recipe
from tiffin.errors import InputError
from tiffin.recipe.pyfunc import UNREADABLE
from tiffin.serving.signatures import TensorSpec
from tiffin.serving.warmup import read_signatures

with warnings.catch_warnings():
    # Its import warns of type hints of its own.
    warnings.simplefilter("ignore", UserWarning)
    import mlflow.pyfunc

# Modules of tiffin.recipe that the loader consists of. They import nothing else of Tiffin.
LOADER = ("patterns", "values", "derived", "rows", "pyfunc")
_EXAMPLE_ROWS = 5
_PARAMETERS = ParamSchema([ParamSpec(UNREADABLE, DataType.string, "error")])
# These loggers print a line for each model about its example, and about the version of pip.
for _name in ("mlflow.pyfunc", "mlflow.utils.environment"):
    logging.getLogger(_name).setLevel(logging.ERROR)
_TYPES = {
    "float32": DataType.float,
    "float64": DataType.double,
    "int32": DataType.integer,
    "int64": DataType.long,
    "bool": DataType.boolean,
    "string": DataType.string,
}


def write(folder: Path, artifact: Path, sample_rows: Sequence[Row], **identity: Any) -> None:
    """Write the files of an MLflow model that belong beside the SavedModel.

    Args:
        folder: New folder for the files.
        artifact: Folder of the model artifact.
        sample_rows: Rows of the examples, of which the first are the input example; empty for none.
        identity: Fields of mlflow.models.Model that say where the model is, such as model_id and run_id.

    Raises:
        InputError: The SavedModel has no recipe or no signature serving_default.
    """
    source = saved_model(artifact)
    recipe = read_recipe(source)
    described = {
        "label": recipe.label,
        "task": recipe.task,
        "classes": list(recipe.classes),
        "columns": {column.name: column.type for column in recipe.recipe.source},
        "data_version": recipe.data_version,
        "version": recipe.tiffin_version,
    }
    model = Model(metadata={"tiffin": described}, **identity)
    model.add_flavor("tensorflow", saved_model_dir=source.name, model_type="tf2-module", code=None)
    with tempfile.TemporaryDirectory() as temporary, warnings.catch_warnings():
        # MLflow warns if there is no input example, and pandas of the ways of MLflow.
        warnings.simplefilter("ignore")
        package = _copy_loader(Path(temporary))
        mlflow.pyfunc.save_model(
            folder, loader_module=f"{package.name}.pyfunc", code_paths=[str(package)], mlflow_model=model,
            signature=ModelSignature(_inputs(recipe), _outputs(source), _PARAMETERS), input_example=_example(recipe, sample_rows),
            pip_requirements=requirements(bool(recipe.recipe.derive)),
        )  # fmt: skip
    model.model_size_bytes = sum(
        file.stat().st_size for root in (folder, artifact) for file in root.rglob("*") if file.is_file()
    )
    model.save(folder / "MLmodel")


def requirements(with_derived: bool) -> list[str]:
    """Return the pinned packages that the loader needs.

    Args:
        with_derived: Whether the model has derived columns, which DuckDB computes.
    """
    pinned = [f"{name}=={metadata.version(name)}" for name in ("mlflow", "tensorflow", "numpy", "pandas")]
    return pinned + (_declared("duckdb") if with_derived else [])


def _declared(package: str) -> list[str]:
    """Return Tiffin's own bounds of a package that the environment of this step does not have."""
    declared = metadata.requires("tiffin") or []
    return sorted({line.partition(";")[0].strip() for line in declared if line.startswith(package)})


def _copy_loader(folder: Path) -> Path:
    """Copy the loader into a package of its own, and return the package.

    Its name has the digest of its content: two models that were registered by different versions of Tiffin can be loaded
    in one process, and neither hides an installed Tiffin.
    """
    home = Path(str(tiffin.recipe.__file__)).parent
    files = {f"{name}.py": (home / f"{name}.py").read_bytes() for name in LOADER}
    # Not empty: some HTTP proxies do not forward an upload without content.
    files["__init__.py"] = b'"""Loader of a model that Tiffin registered."""\n'
    digest = hashlib.sha256(b"\0".join(name.encode() + b"\0" + files[name] for name in sorted(files))).hexdigest()
    package = folder / f"tiffin_model_{digest[:12]}"
    package.mkdir()
    for name, content in files.items():
        (package / name).write_bytes(content)
    return package


def _inputs(recipe: ModelRecipe) -> Schema:
    # MLflow refuses integers where the schema has a double, and NaN where it has a long or a text, but such are the columns
    # that pandas reads from the same source. The loader itself checks each value.
    return Schema([ColSpec(AnyType(), column.name) for column in recipe.recipe.source])


def _outputs(source: Path) -> Schema:
    # The protocol buffer suffices: TensorFlow would take seconds to import and to load the graph.
    signatures = read_signatures(source)
    if "serving_default" not in signatures:
        raise InputError(
            f"The SavedModel should have the signature serving_default. Received: {', '.join(sorted(signatures)) or 'none'}. "
            "Train the model again."
        )
    return Schema([ColSpec(_type(spec), name) for name, spec in signatures["serving_default"].outputs.items()])


def _type(spec: TensorSpec) -> Any:
    if spec.shape is None:
        return AnyType()
    kind = _TYPES.get(spec.dtype, AnyType())
    for _ in spec.shape[1:]:
        kind = Array(kind)
    return kind


def _example(recipe: ModelRecipe, sample_rows: Sequence[Row]) -> pd.DataFrame | None:
    """Return rows of the source; None if the sample rows do not have all their columns, such as excluded ones."""
    columns = recipe.recipe.source
    if not sample_rows or not all(column.column in row for column in columns for row in sample_rows):
        return None
    return pd.DataFrame({c.name: [row[c.column] for row in sample_rows[:_EXAMPLE_ROWS]] for c in columns}, dtype=object)
