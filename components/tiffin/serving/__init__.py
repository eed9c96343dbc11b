"""Clients of TensorFlow Serving, warm-up requests, model configs and the serving root.

The clients require grpcio, protobuf and numpy. They are imported on first use, so that the other modules of this package
load without these.
"""

import importlib
from typing import Any

from tiffin.errors import needs_extra

_MODULES = {
    "AsyncClient": "async_client",
    "ClassScore": "messages",
    "Client": "client",
    "Signature": "signatures",
    "TensorSpec": "signatures",
    "Tls": "connection",
    "VersionStatus": "messages",
}

__all__ = sorted(_MODULES)  # noqa: PLE0605 - one list, not two


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        with needs_extra("client"):
            return getattr(importlib.import_module(f"tiffin.serving.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'tiffin.serving' has no attribute '{name}'")
