"""Models of fares as an artifact and in a serving root, and examples for them."""

from pathlib import Path

import pytest

from support.fares import rows, save
from support.written import write_examples
from tiffin.artifacts.model import saved_model
from tiffin.serving.root import STABLE, VERSIONS, ServedModel


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """Return the folder of a model artifact."""
    folder = tmp_path_factory.mktemp("model")
    save(saved_model(folder))
    return folder


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """Return a serving root with the versions 1, 2 and 3 of taxi, of which 2 is in production."""
    folder = tmp_path_factory.mktemp("root")
    served = ServedModel(str(folder), "taxi")
    for version in (1, 2, 3):
        save(Path(served.locate(VERSIONS, str(version))), bias=version / 10)
    Path(served.locate(STABLE)).write_bytes(served.make_config(2, [1]))
    return str(folder)


@pytest.fixture
def examples(tmp_path):
    """Return a function that writes examples: split to its number of rows."""

    def write(**splits):
        return write_examples(tmp_path / "examples", {name: rows(count) for name, count in splits.items()})

    return write
