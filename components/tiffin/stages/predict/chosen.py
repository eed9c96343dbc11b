"""The model that predicts: an artifact, a version in the serving root, or a version of a server."""

import os
from dataclasses import dataclass
from pathlib import Path

from tiffin import storage
from tiffin.artifacts.model import saved_model
from tiffin.artifacts.recipe import RECIPE, ModelRecipe, parse_recipe
from tiffin.errors import InputError
from tiffin.serving.production import find_saved_model, open_root
from tiffin.serving.root import ServedModel
from tiffin.stages.predict import served
from tiffin.stages.predict.parameters import check_name, check_version

_VARIABLE = "TIFFIN_SERVING_ROOT"


@dataclass(frozen=True)
class Chosen:
    """The model that predicts.

    Attributes:
        name: Name of the model; empty for an artifact without a name.
        version: Number of the version; 0 for an artifact without one.
        recipe: Its recipe; None for a model that Tiffin did not train.
        location: Folder or URI of the SavedModel; empty if a server predicts.
        address: Address of the server that predicts; empty for the SavedModel.
        is_pinned: Whether the server is asked for this version, and not for its own choice.
    """

    name: str
    version: int
    recipe: ModelRecipe | None
    location: str = ""
    address: str = ""
    is_pinned: bool = True


def root_of(serving_root: str) -> str:
    """Return the serving root that a parameter names, or else TIFFIN_SERVING_ROOT; empty if neither is set."""
    return serving_root or os.environ.get(_VARIABLE, "")


def choose_model(
    model: str | Path = "", name: str = "", version: int = 0, serving_root: str = "", address: str = ""
) -> Chosen:
    """Return the model that predicts.

    Args:
        model: Folder of a model artifact; empty for a version in the serving root or of a server.
        name: Name of the model.
        version: Number of the version; 0 for the one in production, or for the server's choice.
        serving_root: Path or URI of the serving root; empty for TIFFIN_SERVING_ROOT.
        address: `host:port` of a model server that predicts; empty to load the SavedModel.

    Raises:
        InputError: A parameter is invalid, or there is no such model or version.
        ServingError: The server does not respond, or does not serve the model.
    """
    check_name(name)
    check_version(version)
    if model:
        if address:
            raise InputError(
                "A model should be passed either as an artifact or by serving_address. Received: both. Leave one out."
            )
        folder = saved_model(model)
        if not (folder / "saved_model.pb").is_file():
            raise InputError(
                f"model should contain '{folder.name}/saved_model.pb'. Received: '{model}' without it. Pass the model output "
                "of the training step."
            )
        return Chosen(name, version, _read_recipe(str(folder)), str(folder))
    if not name:
        raise InputError("model_name should be the name of a model, or model an artifact. Received: neither.")
    if address:
        found, recipe = served.find_version(address, name, version)
        return Chosen(name, found, recipe, address=address, is_pinned=bool(version))
    root = root_of(serving_root)
    if not root:
        raise InputError(
            f"serving_root should be the path or URI that the model servers load from. Received: serving_root='', and "
            f"{_VARIABLE} is not set. Set one of them."
        )
    number, location = find_saved_model(ServedModel(open_root(root), name), version)
    return Chosen(name, number, _read_recipe(location), location)


def _read_recipe(location: str) -> ModelRecipe | None:
    found = storage.read(storage.join(location, *RECIPE.split("/")))
    return parse_recipe(found[0]) if found else None
