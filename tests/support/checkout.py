"""locks/sync.py, a script outside any package, as a module."""

import importlib.util
from pathlib import Path
from types import ModuleType


def load_sync() -> ModuleType:
    """Import locks/sync.py."""
    spec = importlib.util.spec_from_file_location("sync", Path(__file__).parents[2] / "locks" / "sync.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


sync = load_sync()
choose_lock = sync.choose_lock
this_machine = sync.this_machine
