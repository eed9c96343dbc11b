from pathlib import Path

import pytest

from support import toy_pipelines as toys
from tiffin import __version__, images
from tiffin.errors import InputError
from tiffin.kubeflow.specs import Step, load_spec
from tiffin.specs.adjustments import Adjustments


def test_a_pipeline_by_name_is_compiled() -> None:
    spec = load_spec("training")

    assert spec.name == "training"
    assert spec.version_name.startswith(f"training-{__version__}-")
    assert [step.name for step in spec.steps][:2] == ["ingest-examples", "validate-examples"]
    assert spec.steps[-1] == Step("summarize-run")
    assert {step.gate for step in spec.steps} == {None, "evaluation", "validation"}
    assert spec.parameters["task"]["literals"] == ["auto", "binary", "multiclass", "regression"]


def test_the_same_content_has_the_same_version_and_another_content_another(tmp_path: Path) -> None:
    path = toys.write_spec(toys.toy, tmp_path)
    first = load_spec(str(path)).version_name

    assert load_spec(str(path)).version_name == first
    assert load_spec(str(path), Adjustments(sizes=("read-text=large",))).version_name != first
    path.write_text(path.read_text() + "# changed\n")
    assert load_spec(str(path)).version_name != first


def test_foreign_images_are_the_backends_affair(tmp_path: Path) -> None:
    spec = load_spec(str(toys.write_spec(toys.abroad, tmp_path)))

    assert spec.steps == (Step("foreign"),)
    assert spec.version == __version__


def test_the_version_is_that_of_the_images_then_of_the_files_name(tmp_path: Path) -> None:
    path = toys.write_spec(toys.looping, tmp_path)
    path.write_text(path.read_text().replace(images.MODEL, "registry:5000/team/model:9.9.1"))
    released = tmp_path / "looping-9.8.0.yaml"
    released.write_text(path.read_text().replace("model:9.9.1", "model@sha256:" + "0" * 64))

    assert load_spec(str(path)).version == "9.9.1"
    assert load_spec(str(released)).version == "9.8.0"


@pytest.mark.parametrize("text", ["", "a: 1\n", "a: [\n", "\0", "root: {}\npipelineInfo: {name: x}\n"])
def test_what_is_no_spec_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match=r"should be what `tiffin compile` writes.*Received: '.*spec\.yaml'"):
        load_spec(str(path))


def test_a_missing_file_and_an_unknown_pipeline_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"Received: '.*none\.yaml' \(No such file"):
        load_spec(str(tmp_path / "none.yaml"))
    with pytest.raises(InputError, match=r"Received: 'trainin'\. Did you mean 'training'\?"):
        load_spec("trainin")
