"""The stages, one folder each: `component.py` declares the components, `traits.py` has a row for each.

Stages are discovered by folder. Nothing else lists stages or components.
"""

import functools
import importlib
import pkgutil

from tiffin.stages.traits import Traits


@functools.cache
def find_stages() -> dict[str, dict[str, Traits]]:
    """Return the traits of all components by stage and by function name, sorted."""
    return {
        stage.name: dict(sorted(importlib.import_module(f"{__name__}.{stage.name}.traits").COMPONENTS.items()))
        for stage in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name)
        if stage.ispkg
    }


@functools.cache
def find_components() -> dict[str, Traits]:
    """Return the traits of all components by function name, sorted."""
    return dict(sorted((name, row) for rows in find_stages().values() for name, row in rows.items()))
