"""Traits: one row per component, and no other list of components or stages."""

import re
import urllib.parse
from pathlib import Path, PurePath

import pytest

import tiffin
from tiffin import images
from tiffin.stages import find_components, find_stages, traits

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "components" / "tiffin"
# A component's name as a function and as a step, as in train_model and train-model. TFDV has an infer_schema too.
NAMES = re.compile(r"\b(?<!tfdv\.)(" + "|".join(re.sub("_", "[_-]", name) for name in find_components()) + r")\b")


def read(path: Path) -> str:
    return path.read_text(errors="ignore")


def test_every_stage_is_found_with_its_components() -> None:
    folders = {path.parent.name for path in (SOURCE / "stages").glob("*/component.py")}

    assert folders == find_stages().keys()
    for stage, rows in find_stages().items():
        declared = re.findall(
            r"^@dsl.component\(.*\)\ndef (\w+)", read(SOURCE / "stages" / stage / "component.py"), re.M
        )
        assert sorted(declared) == list(rows)


def test_a_stage_has_one_environment() -> None:
    for stage, rows in find_stages().items():
        assert len({row.environment for row in rows.values()}) == 1, stage
        assert {row.environment for row in rows.values()} <= set(images.ENVIRONMENTS)


@pytest.mark.parametrize("name", find_components())
def test_a_row_matches_its_component(name: str) -> None:
    row = find_components()[name]
    component = getattr(tiffin, name).component_spec
    inputs = component.inputs or {}

    assert component.implementation.container.image == row.image
    assert row.rules.keys() <= inputs.keys()
    assert {service.parameter for service in row.needs if service.parameter} <= inputs.keys()
    assert row.gate in {"", *inputs}
    assert row.example[0] in {"", *find_components()}


def test_a_stage_with_heavy_imports_is_not_light() -> None:
    heavy = re.compile(
        r"^ *(?:import|from) (?:tensorflow|keras|sklearn|mlflow|tiffin\.(?:report|validation|quality))\b", re.M
    )
    for stage, rows in find_stages().items():
        modules = (SOURCE / "stages" / stage).glob("*.py")
        is_light = not any(heavy.search(read(path)) for path in modules)
        assert all(row.is_light for row in rows.values()) == is_light, stage


def test_components_are_named_in_stages_pipelines_and_documentation_only() -> None:
    paths = [path for path in (ROOT / "components").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    paths = [path for path in paths if "pipelines" not in path.parts and "egg-info" not in str(path)]
    # The templates of `tiffin init` have a pipeline.
    paths = [path for path in paths if path.parent != SOURCE / "commands" / "project"]
    paths += [ROOT / "Makefile", ROOT / "pyproject.toml", *(ROOT / ".ci").iterdir()]
    named = {}
    for path in paths:
        own = find_stages().get(path.parent.name, {}) if path.parent.parent == SOURCE / "stages" else {}
        found = {match.replace("-", "_") for match in NAMES.findall(read(path))} - own.keys()
        # Descriptions and examples name the components that inputs come from.
        if found and path.name not in ("component.py", "traits.py"):
            named[str(path.relative_to(ROOT))] = sorted(found)

    assert named == {}


@pytest.mark.parametrize(
    "path", ["/state/mlflow.db", "/p%41q/mlflow.db", "/a?b/mlflow.db", "/a#b c/%3F/ü.db", "/a%2Fb/x"]
)
def test_a_database_uri_names_its_path(path):
    uri = traits.database_uri(PurePath(path))

    assert traits.tracking_path(uri) == path
    assert urllib.parse.unquote(uri.removeprefix("sqlite:///").partition("?")[0]) == path
