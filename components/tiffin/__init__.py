"""Tiffin: Kubeflow Pipelines components that carry a TensorFlow model from raw data to TensorFlow Serving.

The components are attributes of this package: `from tiffin import NAME`; `dir(tiffin)` lists the names. They are
imported on first use, so that the logic modules, which run in images without kfp's dependencies, never load them.
"""

import importlib.util
from typing import Any

from tiffin.errors import TiffinError as TiffinError
from tiffin.errors import needs_extra as _needs_extra
from tiffin.version import __version__ as __version__


def __getattr__(name: str) -> Any:
    if name == "__all__":
        return __dir__()
    # `from tiffin import storage` also calls this function first.
    if not name.startswith("_") and importlib.util.find_spec(f"tiffin.{name}") is None:
        from tiffin.stages import find_stages

        for stage, components in find_stages().items():
            if name in components:
                with _needs_extra("sdk"):
                    return getattr(importlib.import_module(f"tiffin.stages.{stage}.component"), name)
    raise AttributeError(f"module 'tiffin' has no attribute '{name}'")


def __dir__() -> list[str]:
    from tiffin.stages import find_components

    return sorted([*find_components(), "TiffinError", "__version__"])
