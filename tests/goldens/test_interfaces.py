"""The components' interfaces against their goldens, which pipelines of other people rely on.

`make golden` writes the goldens anew. A golden names the version that it was last changed for, so that a change that breaks
pipelines says which version it asks for.
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
    """Return the interface as its golden keeps it: what pipelines rely on, and the words and image beside it."""
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
def test_a_component_is_as_its_golden_says(name, update_goldens):
    found, golden = json.loads(json.dumps(current(name))), read(name)
    version = golden.pop("version", tiffin.__version__)
    if golden == found:
        return
    if update_goldens:
        write_json(FOLDER / f"{name}.json", {"version": tiffin.__version__, **found})
        return
    changes = compare_interfaces(golden, found)
    said = [f"  {'BREAKS pipelines' if change.is_breaking else 'breaks nothing'}: {change}" for change in changes]
    said += [] if changes else ["  breaks nothing: words or image only"]
    if any(change.is_breaking for change in changes):
        said.append(f"Where version {version} is released, raise it to {required_version(version, changes)} at least.")
    pytest.fail(
        "\n".join([f"The interface of {name} is not its golden:", *said, "Run `make golden` and review the diff."])
    )


def test_there_is_no_golden_without_a_component(update_goldens):
    odd = {path.stem for path in FOLDER.glob("*.json")} - find_components().keys()
    if update_goldens:
        for name in odd:
            (FOLDER / f"{name}.json").unlink()
    elif odd:
        pytest.fail(
            f"BREAKS: components removed: {', '.join(sorted(odd))}. If that is meant, raise the version and run `make golden`."
        )
