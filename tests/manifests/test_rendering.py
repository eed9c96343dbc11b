import re

import pytest
import yaml

from support.manifest_rendering import (
    COMBINATIONS,
    GOLDENS,
    OVERLAYS,
    ROOT,
    ROUTES,
    SINGLE,
    changed,
    golden,
    read_goldens,
    render_all,
)

MANIFESTS = ROOT / "manifests"
RESOURCES = sorted(path for path in MANIFESTS.rglob("*.yaml") if path.name != "kustomization.yaml")
# Files that a ConfigMap is made of.
CONTENTS = sorted(MANIFESTS.rglob("*.json"))


@pytest.mark.parametrize(("overlay", "options"), COMBINATIONS, ids="+".join)
def test_a_combination_renders_its_goldens(overlay: str, options: tuple[str, ...]) -> None:
    assert render_all()[overlay, options] == read_goldens()[overlay, options], "run `make golden` and review the diff"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_no_two_options_that_can_be_combined_change_the_same_resource(overlay: str) -> None:
    seen: dict[str, set[str]] = {}
    for _, (option,) in (single for single in SINGLE if single[0] == overlay):
        for key in changed(overlay, option):
            seen.setdefault(key, set()).add(option)

    assert [key for key, options in seen.items() if len(options) > 1 and not options <= set(ROUTES)] == []


def test_each_golden_belongs_to_a_combination() -> None:
    expected = {golden(overlay) for overlay in OVERLAYS} | {golden(*single) for single in SINGLE}

    assert set(GOLDENS.iterdir()) == expected


def test_every_file_is_used_and_at_most_two_folders_deep() -> None:
    used = set()
    for path in MANIFESTS.rglob("kustomization.yaml"):
        kustomization = yaml.safe_load(path.read_text())
        entries = kustomization.get("resources", []) + [patch["path"] for patch in kustomization.get("patches", [])]
        entries += [
            file.partition("=")[2]
            for generator in kustomization.get("configMapGenerator", [])
            for file in generator["files"]
        ]
        used |= {(path.parent / entry).resolve() for entry in entries}
        assert len(path.relative_to(MANIFESTS).parts) <= 3

    assert {*RESOURCES, *CONTENTS} <= used


@pytest.mark.parametrize("path", RESOURCES, ids=lambda path: str(path.relative_to(MANIFESTS)))
def test_a_file_holds_one_resource(path) -> None:
    assert len(list(yaml.safe_load_all(path.read_text()))) == 1


def test_images_are_named_in_kustomizations_only() -> None:
    for path in RESOURCES:
        for image in re.findall(r"^\s*(?:- )?image: (.+)$", path.read_text(), re.MULTILINE):
            assert re.fullmatch(r"[a-z-]+", image), f"{path} names {image}"
