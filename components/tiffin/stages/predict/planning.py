"""Plan the predictions of a batch before its data is read: the model, and how ingest reads the data for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tiffin.artifacts.recipe import ModelRecipe, SourceColumn
from tiffin.recipe.values import DATES, FRACTIONS, INTEGERS
from tiffin.stages.predict.chosen import choose_model
from tiffin.stages.predict.parameters import check_parts


@dataclass(frozen=True)
class Plan:
    """What the steps of a batch prediction do.

    Attributes:
        version: Version of the model, the same for all parts; 0 for an artifact without a version.
        types: Column to type, for ingest.
        derive: Derived column to its expression, for ingest.
        missing_values: Texts that are missing values, for ingest; empty to detect them.
        parts: Numbers of the parts.
        text: What was chosen, in one line.
    """

    version: int
    types: dict[str, str]
    derive: dict[str, str]
    missing_values: list[str]
    parts: list[int]
    text: str


def plan(
    model: str | Path = "",
    name: str = "",
    version: int = 0,
    serving_root: str = "",
    address: str = "",
    types: Mapping[str, str] | None = None,
    parts: int = 1,
) -> Plan:
    """Return the plan of a batch prediction.

    Args:
        model: Folder of a model artifact; empty for a version in the serving root or of a server.
        name: Name of the model.
        version: Number of the version; 0 for the one in production.
        serving_root: Path or URI of the serving root; empty for TIFFIN_SERVING_ROOT.
        address: `host:port` of a model server that predicts; empty to load the SavedModel.
        types: Column to type, in place of what the model's recipe has. Defaults to none.
        parts: Number of parts. Defaults to 1.

    Raises:
        InputError: A parameter is invalid, or there is no such model or version.
        ServingError: The server does not respond, or does not serve the model.
    """
    check_parts(parts)
    chosen = choose_model(model, name, version, serving_root, address)
    of = f"version {chosen.version} of the model '{name}'" if name else "the model"
    where = f"the server at {address}" if address else chosen.location
    text = f"{of}, from {where}"
    if chosen.recipe is None:
        text += "; it has no recipe: the columns of the data are its inputs"
        return Plan(chosen.version, dict(types or {}), {}, [], list(range(parts)), text)
    recipe = chosen.recipe.recipe
    derive = {column.name: column.expression for column in recipe.derive}
    return Plan(
        chosen.version, read_types(chosen.recipe, types or {}), derive, list(recipe.missing_values), list(range(parts)), text
    )  # fmt: skip


def read_types(recipe: ModelRecipe, given: Mapping[str, str]) -> dict[str, str]:
    """Return the types in which ingest reads the columns that a model needs, so that other rows do not change them.

    A number is an integer only where something is derived from it: elsewhere, the model takes fractions too.

    Args:
        recipe: Recipe of the model.
        given: Column to type, which take precedence.
    """
    used = {name for column in recipe.recipe.derive for name in column.uses}
    found = {
        column.column: _type_of(column, column.column in used)
        for column in recipe.recipe.source
        if column.name not in given and column.column not in given
    }
    return found | dict(given)


def _type_of(column: SourceColumn, is_used: bool) -> str:
    base = column.type.split("(", 1)[0]
    if base in INTEGERS:
        return "integer" if is_used else "float"
    if base in DATES:
        return "date" if base == "DATE" else "timestamp"
    return "float" if base in FRACTIONS else "boolean" if base == "BOOLEAN" else "text"
