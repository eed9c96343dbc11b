from pathlib import Path

import pytest

from support import toy_pipelines as toys
from tiffin import __version__, images
from tiffin.errors import InputError
from tiffin.local.specs import read_spec


def test_a_spec_tells_what_a_run_needs(tmp_path: Path) -> None:
    spec = read_spec(toys.write_spec(toys.toy, tmp_path))

    assert spec.name == "toy"
    assert spec.version == __version__
    assert [(step.name, step.image, step.function) for step in spec.steps] == [
        ("write-text", images.DATA, "write_text"),
        ("read-text", images.MODEL, "read_text"),
    ]
    assert spec.environments == ["data", "model"]
    assert spec.parameters["times"] == {"defaultValue": 2.0, "isOptional": True, "parameterType": "NUMBER_INTEGER"}


def test_the_exit_step_comes_last(tmp_path: Path) -> None:
    spec = read_spec(toys.write_spec(toys.gated, tmp_path))

    assert [step.name for step in spec.steps] == ["stop-run", "say-more", "summarize-run"]


def test_only_the_environments_of_its_images_are_needed(tmp_path: Path) -> None:
    assert read_spec(toys.write_spec(toys.looping, tmp_path)).environments == ["model"]


def test_a_digest_is_no_version(tmp_path: Path) -> None:
    path = toys.write_spec(toys.looping, tmp_path)
    path.write_text(path.read_text().replace(images.MODEL, "registry:5000/team/model@sha256:" + "0" * 64))

    spec = read_spec(path)

    assert spec.version is None
    assert spec.environments == ["model"]


def test_a_foreign_image_is_refused_before_anything_runs(tmp_path: Path) -> None:
    path = toys.write_spec(toys.abroad, tmp_path)

    with pytest.raises(InputError, match=r"should be one of Tiffin's, data or model.*Received: image='python:3\.11'"):
        read_spec(path)


@pytest.mark.parametrize("text", ["", "a: 1\n", "- 1\n", "a: [\n", "\0", "root: {}\npipelineInfo: {name: x}\n"])
def test_what_is_no_spec_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match=r"should be what `tiffin compile` writes.*Received: '.*spec\.yaml'"):
        read_spec(path)


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Received: '.*none\.yaml', which is not there"):
        read_spec(tmp_path / "none.yaml")
