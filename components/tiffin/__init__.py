"""Tiffin: Kubeflow Pipelines components that carry a TensorFlow model from raw data to TensorFlow Serving.

The components are attributes of this package: `from tiffin import train_model`. They are imported on first
use, so that the logic modules, which run in images without kfp's dependencies, never load them.
"""

import importlib
from typing import Any

from tiffin.errors import TiffinError as TiffinError
from tiffin.version import __version__ as __version__

# component -> the stage that declares it
COMPONENTS = {
    "compute_statistics": "validate",
    "deploy_model": "deploy",
    "evaluate_model": "evaluate",
    "infer_schema": "validate",
    "ingest_examples": "ingest",
    "register_model": "register",
    "stop_run": "report",
    "summarize_run": "report",
    "train_model": "train",
    "validate_examples": "validate",
}

__all__ = sorted([*COMPONENTS, "COMPONENTS", "TiffinError", "__version__"])  # noqa: PLE0605 - one list, not two


def __getattr__(name: str) -> Any:
    if name in COMPONENTS:
        return getattr(importlib.import_module(f"tiffin.stages.{COMPONENTS[name]}.component"), name)
    raise AttributeError(f"module 'tiffin' has no attribute '{name}'")


def __dir__() -> list[str]:
    return __all__
