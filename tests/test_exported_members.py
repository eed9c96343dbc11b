"""The public surface."""

import subprocess
import sys

import pytest

import tiffin
from tiffin.stages import find_components


def test_the_exported_names_exist_and_are_sorted():
    assert tiffin.__all__ == sorted(tiffin.__all__) == dir(tiffin)
    for name in tiffin.__all__:
        assert getattr(tiffin, name) is not None


def test_every_component_is_named_as_its_function():
    for name in find_components():
        assert getattr(tiffin, name).component_spec.name == name.replace("_", "-")


def test_an_unknown_name():
    with pytest.raises(AttributeError, match=r"'tiffin'.*'trainer'"):
        tiffin.trainer  # noqa: B018


def test_the_import_does_not_load_kfp_or_other_large_packages():
    script = "import sys, tiffin, tiffin.errors, tiffin.artifacts, tiffin.storage; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()

    assert not {"kfp", "google.cloud", "numpy", "grpc", "yaml", "duckdb"} & set(loaded)
