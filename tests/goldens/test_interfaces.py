"""The components' interfaces, which users' pipelines depend on, compared with their goldens.

`make golden` regenerates the goldens. A golden contains the version it was last changed in, so that a breaking change can
report the version it requires.
"""

import json
from pathlib import Path

import pytest

import tiffin
from tiffin.authoring.compilation import compile_component
from tiffin.specs.changes import compare_interfaces, required_version
from tiffin.specs.interfaces import read_interface
from tiffin.stages import find_components
from tiffin.storage.files import write_json

FOLDER = Path(__file__).parent / "interfaces"


def current(name):
    """Return the interface as stored in a golden: ports, descriptions and image."""
    interface = read_interface(compile_component(name))
    ports = {"inputs": interface.inputs, "outputs": interface.outputs}
    return {
        "image": interface.image.rsplit("/", 1)[-1].split(":")[0],
        "descriptions": {kind: {port.name: port.description for port in found} for kind, found in ports.items()},
        **interface.to_json(),
    }


def read(name):
    path = FOLDER / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {"inputs": {}, "outputs": {}}


@pytest.mark.parametrize("name", find_components())
def test_a_component_matches_its_golden(name, update_goldens):
    found, golden = json.loads(json.dumps(current(name))), read(name)
    version = golden.pop("version", tiffin.__version__)
    if golden == found:
        return
    if update_goldens:
        write_json(FOLDER / f"{name}.json", {"version": tiffin.__version__, **found})
        return
    changes = compare_interfaces(golden, found)
    lines = [f"  {'BREAKING' if change.is_breaking else 'compatible'}: {change}" for change in changes]
    lines += [] if changes else ["  compatible: descriptions or image only"]
    if any(change.is_breaking for change in changes):
        lines.append(f"If {version} is released, raise the version to {required_version(version, changes)} or above.")
    pytest.fail(
        "\n".join(
            [f"The interface of {name} differs from its golden:", *lines, "Run `make golden` and review the diff."]
        )
    )


def test_every_golden_has_a_component(update_goldens):
    odd = {path.stem for path in FOLDER.glob("*.json")} - find_components().keys()
    if update_goldens:
        for name in odd:
            (FOLDER / f"{name}.json").unlink()
    elif odd:
        pytest.fail(
            f"BREAKING: components removed: {', '.join(sorted(odd))}. If intended, raise the version and run `make golden`."
        )
