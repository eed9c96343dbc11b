from kfp import dsl

from tiffin.authoring.compilation import compile_component, compile_spec
from tiffin.specs.changes import Change, compare_interfaces
from tiffin.specs.interfaces import read_interface


def test_an_interface_is_read_from_a_compiled_component() -> None:
    interface = read_interface(compile_component("train_model"))

    assert interface.name == "train_model"
    assert len(interface.description.splitlines()) > 1
    assert interface.image.startswith("tiffin/model:")
    assert [port.name for port in interface.inputs[:4]] == ["examples", "schema", "statistics", "label"]
    assert interface.to_json()["inputs"]["hidden_units"] == {"type": "list", "default": [64, 32]}
    assert interface.to_json()["inputs"]["label"] == {"type": "str"}
    assert interface.to_json()["outputs"] == {"model": "Model", "schema_digest": "str", "task": "str"}


def test_an_input_that_kfp_sets_is_optional() -> None:
    inputs = read_interface(compile_component("summarize_run")).to_json()["inputs"]

    assert inputs.pop("status") == {"type": "PipelineTaskFinalStatus", "default": None}
    assert {name: about["type"] for name, about in inputs.items()} == {
        "notify_on": "list", "notify_to": "list", "pipeline": "str", "run": "str", "tracking_uri": "str",
    }  # fmt: skip


@dsl.component(base_image="tiffin/model:1", install_kfp_package=False)
def tune(examples: dsl.Input[dsl.Dataset], base: dsl.Input[dsl.Model] = None, epochs: int = 8) -> None:
    """Tune a model.

    Over epochs.
    """


def test_a_description_has_a_summary_and_further_lines() -> None:
    assert read_interface(compile_spec(tune)).description == "Tune a model.\nOver epochs."


def test_an_artifact_may_be_optional() -> None:
    inputs = read_interface(compile_spec(tune)).to_json()["inputs"]

    assert inputs == {
        "base": {"type": "Model", "default": None},
        "examples": {"type": "Dataset"},
        "epochs": {"type": "int", "default": 8},
    }
    without = {"inputs": {"examples": {"type": "Dataset"}}, "outputs": {}}
    with_base = {"inputs": {"examples": {"type": "Dataset"}, "base": inputs["base"]}, "outputs": {}}
    required = {"inputs": {"examples": {"type": "Dataset"}, "base": {"type": "Model"}}, "outputs": {}}
    assert compare_interfaces(without, with_base) == [Change("input added, optional", "base")]
    assert compare_interfaces(with_base, required) == [Change("input made required", "base")]
