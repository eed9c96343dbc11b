"""What both sides of TensorFlow Serving share: clients, warm-up requests, model config.

The clients need grpcio, protobuf and numpy. They are imported on first use, so that the other modules of this package
cost nothing more than they need.
"""

import importlib
from typing import Any

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
        return getattr(importlib.import_module(f"tiffin.serving.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'tiffin.serving' has no attribute '{name}'")
