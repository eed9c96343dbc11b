"""The wheel holds the whole package, and the locks are whole and name no place."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from setuptools import find_packages

import tiffin

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_installed_version_is_that_of_the_source():
    assert importlib.metadata.version("tiffin") == tiffin.__version__


def test_the_wheel_holds_every_folder_with_code_and_no_other():
    find = PROJECT["tool"]["setuptools"]["packages"]["find"]
    source = ROOT / "components"
    code = {path.parent.relative_to(source) for path in (source / "tiffin").rglob("*.py")} | {Path("tiffin/pipelines")}

    assert find["namespaces"] is False
    found = find_packages(str(source), include=find["include"])
    assert sorted(found) == sorted(".".join(folder.parts) for folder in code)
    assert (source / "tiffin" / "pipelines").resolve() == ROOT / "pipelines"


def test_every_file_that_is_not_python_is_package_data():
    data = PROJECT["tool"]["setuptools"]["package-data"]
    for path in (ROOT / "components" / "tiffin").rglob("*"):
        if path.is_file() and path.suffix not in (".py", ".pyc"):
            package = ".".join(path.parent.relative_to(ROOT / "components").parts)
            assert any(path.match(pattern) for pattern in data.get(package, [])), path


@pytest.mark.parametrize("name", ["sdk", "data", "model", "dev", "notebooks", "test-data", "test-model"])
def test_a_lock_pins_and_hashes_every_package_and_names_no_place(name):
    text = (ROOT / "locks" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)

    packages = [entry for entry in entries if entry.strip()]

    assert packages
    for entry in packages:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==\S+ \\\n", entry), entry[:80]
        assert "--hash=sha256:" in entry
    assert "://" not in text
    assert "--index" not in text


@pytest.mark.parametrize("environment", ["sdk", "data", "model", "notebooks"])
def test_each_requirement_is_in_its_lock(environment):
    locked = set(re.findall(r"^([a-z0-9._-]+)==", (ROOT / "locks" / f"{environment}.txt").read_text(), re.MULTILINE))
    for requirement in PROJECT["project"]["optional-dependencies"][environment]:
        name = re.match(r"[A-Za-z0-9._-]+", requirement).group().lower()
        assert name in locked or name == "tiffin"


def test_no_machine_needs_a_compiler_for_tfdv():
    assert "pyfarmhash" not in (ROOT / "locks/data.txt").read_text()


def test_the_images_hold_no_tensorflow_in_the_light_environment():
    assert not re.search(r"^tensorflow", (ROOT / "locks/sdk.txt").read_text(), re.MULTILINE)
