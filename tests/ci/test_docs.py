"""The paths, links and layers that the pages outside the site name exist."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("docs/architecture.md", "CONTRIBUTING.md", "README.md")
ARCHITECTURE = (ROOT / PAGES[0]).read_text()


@pytest.mark.parametrize("page", PAGES)
def test_every_path_and_link_exists(page: str) -> None:
    text = (ROOT / page).read_text()
    paths = set(re.findall(r"`((?:components|pipelines|manifests|tests|docs|locks|notebooks)/[\w./-]*)`", text))
    links = {str((ROOT / page).parent / link) for link in re.findall(r"\]\(([^):]+)\)", text)}
    assert paths | links

    assert [path for path in sorted(paths | links) if not (ROOT / path).exists()] == []


def test_every_package_is_in_the_tree() -> None:
    tree = ARCHITECTURE.split("```")[1]
    packages = {path.name for path in (ROOT / "components" / "tiffin").iterdir() if path.suffix in ("", ".py")}

    named = set(re.findall(r"^  (\w[\w.]*|__init__\.py)/? ", tree, re.MULTILINE))
    assert packages - {"__pycache__"} == named


def test_every_stage_is_in_the_data_flow() -> None:
    stages = {path.parent.name for path in (ROOT / "components/tiffin/stages").glob("*/component.py")}

    assert set(re.findall(r"^- `stages/(\w+)`", ARCHITECTURE, re.MULTILINE)) == stages


def test_the_layers_are_those_that_are_enforced() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (layers,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]

    assert "\n".join(layers).replace(" : ", ", ") in ARCHITECTURE
