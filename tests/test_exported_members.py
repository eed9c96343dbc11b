"""The public surface."""

import subprocess
import sys

import pytest

import tiffin
from tiffin.stages import find_components


def test_what_is_exported_is_there_and_sorted():
    assert tiffin.__all__ == sorted(tiffin.__all__) == dir(tiffin)
    for name in tiffin.__all__:
        assert getattr(tiffin, name) is not None


def test_every_component_is_named_as_its_function():
    for name in find_components():
        assert getattr(tiffin, name).component_spec.name == name.replace("_", "-")


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'tiffin' has no attribute 'trainer'"):
        tiffin.trainer  # noqa: B018


def test_importing_it_loads_neither_kfp_nor_anything_heavy():
    script = "import sys, tiffin, tiffin.errors, tiffin.artifacts, tiffin.storage; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()

    assert not {"kfp", "google.cloud", "numpy", "grpc", "yaml", "duckdb"} & set(loaded)
