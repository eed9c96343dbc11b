"""The version in production, as the stable config names it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support import serving_roots
from tiffin import storage
from tiffin.errors import InputError
from tiffin.serving import model_config
from tiffin.serving.production import find_production, locate_root
from tiffin.serving.root import STABLE, ServedModel


@pytest.fixture(params=["disk", "bucket"])
def taxi(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServedModel]:
    """A model on local disk, and one on Cloud Storage."""
    with serving_roots.model_on(request.param, tmp_path) as model:
        yield model


def write(model: ServedModel, **policy: object) -> None:
    entry = model_config.make_model("taxi", model.locate("versions"), **policy)  # type: ignore[arg-type]
    content = model_config.format_config(model_config.make_config([entry])).encode()
    storage.write_new(model.locate(STABLE), content)


def test_no_config(taxi: ServedModel) -> None:
    assert find_production(taxi) == (None, "")


def test_another_model(taxi: ServedModel) -> None:
    write(taxi, versions=[1])
    storage.write_new(storage.join(taxi.root, "bus", STABLE), storage.read(taxi.locate(STABLE))[0])  # type: ignore[index]

    assert find_production(ServedModel(taxi.root, "bus")) == (None, "")


def test_the_highest_version_answers(taxi: ServedModel) -> None:
    write(taxi, versions=[2, 10, 9])

    assert find_production(taxi) == (10, taxi.locate("versions", "10"))


def test_the_policy_of_the_server_is_the_highest_folder(taxi: ServedModel, tmp_path: Path) -> None:
    write(taxi, latest=1)
    saved_model = serving_roots.make_saved_model(tmp_path)
    for version in (2, 10):
        taxi.publish(saved_model, version)

    assert find_production(taxi) == (10, taxi.locate("versions", "10"))


def test_a_config_that_is_damaged(taxi: ServedModel) -> None:
    storage.write_new(taxi.locate(STABLE), b"\xff{")

    with pytest.raises(InputError, match="ModelServerConfig"):
        find_production(taxi)


def test_locations_of_serving_roots(tmp_path: Path) -> None:
    assert locate_root("s3://bucket/root") == "s3://bucket/root"
    assert locate_root(str(tmp_path)) == str(tmp_path.resolve())
    assert locate_root(str(tmp_path / "absent")) is None
