from pathlib import Path

import pytest

from support import toy_pipelines as toys
from tiffin import __version__, images
from tiffin.authoring.compilation import compile_spec, load_spec
from tiffin.errors import InputError
from tiffin.specs.adjustments import Adjustments
from tiffin.specs.spec import Parameter, read_spec

DIGEST = "@sha256:" + "0" * 64


def test_a_spec_has_name_version_environments_and_parameters(tmp_path: Path) -> None:
    path = toys.write_spec(toys.toy, tmp_path)
    spec = read_spec(path)

    assert spec == read_spec("a name for errors", path.read_bytes())
    assert (spec.name, spec.version) == ("toy", __version__)
    assert spec.environments == ["data", "model"]
    assert list(spec.parameters) == ["about", "fail", "names", "share", "text", "times"]
    assert spec.parameters["times"] == Parameter("times", "NUMBER_INTEGER", 2, is_optional=True)
    assert spec.parameters["text"].description
    assert load_spec("training").parameters["task"].literals == ("auto", "binary", "multiclass", "regression")


def test_defaults_keep_their_declared_types() -> None:
    found = {name: about.default for name, about in load_spec("training").parameters.items()}

    assert repr(found["splits"]) == "{'eval': 1, 'train': 2}"
    assert repr(found["hidden_units"]) == "[64, 32]"
    assert repr(found["deadline_seconds"]) == "120.0"


def test_environments_are_those_of_the_images(tmp_path: Path) -> None:
    assert read_spec(toys.write_spec(toys.looping, tmp_path)).environments == ["model"]


def test_a_foreign_image_has_no_environment(tmp_path: Path) -> None:
    spec = read_spec(toys.write_spec(toys.abroad, tmp_path))

    with pytest.raises(InputError, match=r"data.*model.*'python:3\.11'"):
        _ = spec.environments


@pytest.mark.parametrize(
    ("image", "file", "version"),
    [
        ("registry:5000/team/model:9.9.1", "looping-9.8.0.yaml", "9.9.1"),
        (f"registry:5000/team/model:9.9.1{DIGEST}", "looping.yaml", "9.9.1"),
        (f"registry:5000/team/model{DIGEST}", "looping-9.8.0.yaml", "9.8.0"),
        (f"registry:5000/team/model{DIGEST}", "looping.yaml", None),
        ("python:3.11", "looping.yaml", None),
    ],
)
def test_the_version_is_the_image_tag_or_in_the_file_name(image: str, file: str, version: str | None) -> None:
    content = compile_spec(toys.looping).replace(images.MODEL.encode(), image.encode())
    spec = read_spec(file, content)

    assert spec.version == version
    assert spec.version_name.startswith(f"looping-{version or __version__}-")


def test_the_version_name_depends_on_the_content(tmp_path: Path) -> None:
    path = toys.write_spec(toys.toy, tmp_path)
    first = load_spec(str(path)).version_name

    assert load_spec(str(path)).version_name == first
    assert load_spec(str(path), Adjustments(sizes=("read-text=large",))).version_name != first
    path.write_text(path.read_text() + "# changed\n")
    assert load_spec(str(path)).version_name != first


def test_memory_limits_are_the_largest_of_each_function(tmp_path: Path) -> None:
    limits = load_spec("training", Adjustments(sizes=("train-model=memory=1Gi:3Gi", "stop-run-2=large"))).memory_limits

    assert limits["train_model"] == 3 * 2**30
    assert limits["ingest_examples"] == 4 * 2**30
    assert limits["stop_run"] == 16 * 2**30
    assert read_spec(toys.write_spec(toys.waiting, tmp_path)).memory_limits == {}


CIRCLE = """
pipelineInfo: {name: x}
root: {dag: {tasks: {a: {dependentTasks: [b]}, b: {dependentTasks: [a]}}}}
"""


@pytest.mark.parametrize("text", ["", "a: 1\n", "- 1\n", "a: [\n", "\0", "root: {}\npipelineInfo: {name: x}\n", CIRCLE])
def test_an_invalid_spec_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(text)

    with pytest.raises(InputError, match=r"KFP v2.*spec\.yaml'.*`tiffin compile`"):
        read_spec(path)


def test_a_missing_spec_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.yaml' \(No such"):
        read_spec(tmp_path / "none.yaml")
