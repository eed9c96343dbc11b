import os
import subprocess
import sys
from pathlib import Path

import pytest
from kfp import components

from tiffin import __version__
from tiffin.authoring import compilation
from tiffin.errors import InputError
from tiffin.specs.spec import read_spec
from tiffin.stages import find_components

CODE = """
import sys
from tiffin.authoring.compilation import write_specs
write_specs(sys.argv[1])
print([name for name in ("tensorflow", "tensorflow_data_validation", "keras", "mlflow", "duckdb") if name in sys.modules])
"""


def compile_aside(output: Path, seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    return subprocess.run(
        [sys.executable, "-c", CODE, str(output)], env=environment, capture_output=True, text=True, check=True
    ).stdout


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_compilation_is_deterministic_and_imports_no_tensorflow(tmp_path: Path) -> None:
    printed = [compile_aside(tmp_path / seed, seed) for seed in ("1", "2")]
    first, second = (files_of(tmp_path / seed) for seed in ("1", "2"))

    assert printed == ["[]\n", "[]\n"]
    assert list(first) == sorted(
        [
            "components/README.md",
            *(f"components/{name}/{file}" for name in find_components() for file in ("README.md", "component.yaml")),
            *(f"{name}-{__version__}.yaml" for name in compilation.pipeline_names()),
        ]
    )
    assert first == second


@pytest.mark.parametrize("name", find_components())
def test_a_component_can_be_loaded_from_its_file(tmp_path: Path, name: str) -> None:
    path, page = compilation.write_specs(tmp_path, (name,))

    assert path == tmp_path / "components" / name / "component.yaml"
    assert page == tmp_path / "components" / name / "README.md"
    component = components.load_component_from_file(str(path))
    assert component.name == name.replace("_", "-")
    assert component.description


def test_every_parameter_and_output_has_a_description() -> None:
    for name in compilation.component_names():
        (component,) = (
            value
            for key, value in read_spec(name, compilation.compile_component(name)).documents[0]["components"].items()
            if key == f"comp-{name.replace('_', '-')}"
        )
        for side in ("inputDefinitions", "outputDefinitions"):
            for kind in component.get(side, {}).values():
                for key, about in kind.items():
                    described = about.get("description") or about.get("parameterType") == "TASK_FINAL_STATUS"
                    assert described, f"{name}: {key} has no description"


def test_only_the_given_names_are_compiled(tmp_path: Path) -> None:
    paths = compilation.write_specs(tmp_path, ("training", "stop_run"))

    assert paths == [
        tmp_path / f"training-{__version__}.yaml",
        tmp_path / "components" / "stop_run" / "component.yaml",
        tmp_path / "components" / "stop_run" / "README.md",
    ]
    assert sorted(files_of(tmp_path)) == sorted(str(path.relative_to(tmp_path)) for path in paths)


def test_an_unknown_name_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"\(.*training.*\) .*\(.*stop_run.*\).*'stop_runs'\. .*'stop_run'\?"):
        compilation.write_specs(tmp_path / "out", ("training", "stop_runs"))

    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")

    with pytest.raises(InputError, match=f"--output .*'{tmp_path}/out'"):
        compilation.write_specs(tmp_path / "out", ("training",))
    assert (tmp_path / "out").read_text() == "mine"


def test_an_unknown_pipeline_suggests_the_closest_one() -> None:
    with pytest.raises(InputError, match=r"training.*'trainin'\. .*'training'\?"):
        compilation.load_pipeline("trainin")


def test_a_pipeline_is_compiled_by_name_and_read_by_path(tmp_path: Path) -> None:
    (path,) = compilation.write_specs(tmp_path, ("training",))

    assert compilation.find_spec("training") is None
    assert compilation.load_spec("training") == compilation.find_spec(str(path))
    with pytest.raises(InputError, match=r"none\.yml' \(No such"):
        compilation.load_spec(str(tmp_path / "none.yml"))
    with pytest.raises(InputError, match=r"'trainin'\. .*'training'\?"):
        compilation.load_spec("trainin")
