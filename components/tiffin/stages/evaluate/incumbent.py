"""The model in production: read from the serving root, never changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tiffin.artifacts.model import OUTPUTS, Training
from tiffin.artifacts.recipe import RECIPE, ModelRecipe, read_recipe
from tiffin.errors import TiffinError
from tiffin.serving.production import find_production, local_folder, locate_root
from tiffin.serving.root import ServedModel
from tiffin.stages.evaluate.predictions import inputs_of, load_signature


@dataclass(frozen=True)
class Incumbent:
    """The model in production.

    Attributes:
        name: Name of the model.
        version: Version that the stable servers load; None if there is none.
        run: Its signature `serving_default`; None if it cannot be compared.
        problem: Why it cannot be compared; empty if it can, or if there is none.
        data_version: Version of its training data; empty if it is not recorded.
        columns: Names of its inputs.
    """

    name: str
    version: int | None
    run: Any = None
    problem: str = ""
    data_version: str = ""
    columns: tuple[str, ...] = ()


def find_incumbent(serving_root: str, name: str, record: Training, columns: Mapping[str, str]) -> Incumbent:
    """Return the model in production, with the reason if it cannot be compared with a new one.

    Args:
        serving_root: Path or URI of the serving root.
        name: Name of the model.
        record: Training record of the new model.
        columns: Columns of the examples to their types.
    """
    root = locate_root(serving_root)
    if root is None:
        why = f"the serving root '{serving_root}' does not exist here: create it, or mount its volume for this step too"
        return Incumbent(name, None, problem=why)
    served = ServedModel(root, name)
    try:
        version, location = find_production(served)
    except (TiffinError, OSError) as error:
        return Incumbent(
            name, None, problem=f"the serving root '{serving_root}' could not be read: {error}".rstrip(".")
        )
    if version is None:
        return Incumbent(name, None)
    try:
        with local_folder(location) as folder:
            recipe = read_recipe(folder) if (folder / RECIPE).is_file() else None
            run = load_signature(folder)
    except Exception as error:  # noqa: BLE001 - a damaged model fails in any way, which must not fail the run
        why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        return Incumbent(name, version, problem=f"it could not be loaded from '{location}': {why[:300]}")
    inputs = tuple(inputs_of(run))
    problem = _difference(recipe, run, record)
    problem = (
        f"{problem} (a model of something else needs a model_name of its own)" if problem else _absent(inputs, columns)
    )
    data_version = recipe.data_version if recipe else ""
    return Incumbent(name, version, None if problem else run, problem, data_version, inputs)


def _difference(recipe: ModelRecipe | None, run: Any, record: Training) -> str:
    """Return what makes the predictions mean something else than the new model's; empty if nothing does."""
    if recipe is not None:
        for what, old, new in (
            ("label", (recipe.label,), (record.label,)),
            ("task", (recipe.task,), (record.task,)),
            ("classes", recipe.classes, record.classes),
        ):
            if old != new:
                return f"its {what} {_are(old)} {_listed(old)}, and not {_listed(new)} as of the new model"
        return ""
    # Of a SavedModel without a recipe, the outputs show the task and the number of classes.
    shapes = {key: spec.shape.as_list() for key, spec in run.structured_outputs.items()}
    wanted = OUTPUTS[record.task]
    if wanted not in shapes:
        return f"it has the outputs {_listed(sorted(shapes))}, and not '{wanted}' as the new model"
    classes = shapes[wanted][-1] if record.task == "multiclass" else None
    if classes not in (None, len(record.classes)):
        return f"it has {classes} classes, and the new model {len(record.classes)}"
    return ""


def _absent(inputs: tuple[str, ...], columns: Mapping[str, str]) -> str:
    absent = [name for name in inputs if name not in columns]
    return f"it needs columns that the examples lack: {_listed(absent)}" if absent else ""


def _are(names: tuple[str, ...]) -> str:
    return "is" if len(names) == 1 else "are"


def _listed(names: Any) -> str:
    names = list(names)
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(f"'{name}'" for name in names[:5]) + more
