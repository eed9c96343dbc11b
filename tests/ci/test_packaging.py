"""The wheel holds the whole package, and the locks are whole and name no place."""

import contextlib
import importlib.metadata
import re
import runpy
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
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


LOCKS = sorted(str(path.relative_to(ROOT / "locks").with_suffix("")) for path in (ROOT / "locks").rglob("*.txt"))


def test_every_environment_has_a_lock():
    assert {"compatibility/data", "data", "dev", "docs", "gateway", "model", "notebooks", "sdk"} <= set(LOCKS)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_and_hashes_every_package_and_names_no_place(name):
    text = (ROOT / "locks" / f"{name}.txt").read_text()
    entries = re.split(r"^(?=\S)", text, flags=re.MULTILINE)

    packages = [entry for entry in entries if entry.strip()]

    assert packages
    for entry in packages:
        assert re.match(r"[a-z0-9._-]+(\[[a-z0-9,._-]+\])?==\S+( ; [^\n]+)? \\\n", entry), entry[:80]
        assert "--hash=sha256:" in entry
    assert "://" not in text
    assert "--index" not in text


EXTRAS = PROJECT["project"]["optional-dependencies"]
REQUIREMENTS = [
    (extra, Requirement(text)) for extra, texts in EXTRAS.items() for text in texts if not text.startswith("tiffin[")
]


@pytest.mark.parametrize(("extra", "requirement"), REQUIREMENTS, ids=str)
def test_a_requirement_is_pinned_or_bounded_on_both_sides(extra, requirement):
    operators = {specifier.operator for specifier in requirement.specifier}

    assert operators == {"=="} or operators == {">=", "<"}


@pytest.mark.parametrize(("extra", "requirement"), REQUIREMENTS, ids=str)
def test_a_lock_holds_a_version_that_the_bounds_allow(extra, requirement):
    of_tests = ["test-data", "test-model", "test-gateway", "compatibility/test-data"]
    files = {
        "client": ["sdk"], "data": ["data", "compatibility/data"], "test": ["dev", "notebooks", *of_tests], "test-s3": of_tests,
        "test-mlflow": ["test-model"],
    }.get(extra, [extra])  # fmt: skip
    name = re.escape(canonicalize_name(requirement.name))
    for file in files:
        locked = re.findall(rf"^{name}(?:\[.*\])?==(\S+)", (ROOT / "locks" / f"{file}.txt").read_text(), re.MULTILINE)
        assert locked, file
        assert all(map(requirement.specifier.contains, locked)), file


def test_the_classifiers_are_the_pythons_that_are_allowed():
    allowed = SpecifierSet(PROJECT["project"]["requires-python"])
    versions = [f"3.{minor}" for minor in range(30) if allowed.contains(f"3.{minor}")]

    named = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["project"]["classifiers"]))
    assert named == versions


@pytest.mark.parametrize(("version", "allowed"), [((3, 10), False), ((3, 11), True), ((3, 13), True), ((3, 14), False)])
def test_a_build_refuses_the_pythons_that_the_metadata_refuses(version, allowed, monkeypatch, tmp_path):
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    (tmp_path / "setup.py").write_text((ROOT / "setup.py").read_text())
    monkeypatch.setattr(sys, "version_info", version)
    builds = []
    monkeypatch.setattr("setuptools.setup", lambda: builds.append(version))

    text = ".".join(map(str, version))
    assert SpecifierSet(PROJECT["project"]["requires-python"]).contains(text) is allowed
    with pytest.raises(SystemExit, match=rf"Python 3\.11.*Python {text}") if not allowed else contextlib.nullcontext():
        runpy.run_path(str(tmp_path / "setup.py"))
    assert builds == [version] * allowed


def test_no_machine_needs_a_compiler_for_tfdv():
    for name in ("data", "compatibility/data"):
        assert "pyfarmhash" not in (ROOT / f"locks/{name}.txt").read_text()


def test_the_images_have_a_pyarrow_without_the_hole_and_older_machines_the_patch():
    """CVE-2023-47248, fixed in pyarrow 14.0.1."""
    pyarrow = re.search(r"^pyarrow==(\d+)", (ROOT / "locks/data.txt").read_text(), re.MULTILINE)

    assert int(pyarrow[1]) >= 21
    assert re.search(r"^pyarrow-hotfix==", (ROOT / "locks/compatibility/data.txt").read_text(), re.MULTILINE)


@pytest.mark.parametrize("environment", ["data", "model"])
def test_excluded_packages_are_in_no_lock(environment):
    excluded = tomllib.loads((ROOT / "locks" / f"{environment}.toml").read_text())["exclude-dependencies"]
    text = (ROOT / "locks" / f"{environment}.txt").read_text()

    assert not set(excluded) & set(re.findall(r"^([\w.-]+)==", text, re.MULTILINE))


def test_the_images_hold_no_tensorflow_in_the_light_environment():
    assert not re.search(r"^tensorflow", (ROOT / "locks/sdk.txt").read_text(), re.MULTILINE)
