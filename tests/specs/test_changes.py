from typing import Any

import pytest

from tiffin.specs.changes import Change, compare_interfaces, find_shortfall, required_version

BEFORE: dict[str, Any] = {
    "inputs": {"examples": {"type": "Dataset"}, "label": {"type": "str"}, "epochs": {"type": "int", "default": 8}},
    "outputs": {"model": "Model", "task": "str"},
}


def changed(inputs: dict[str, Any] | None = None, outputs: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return BEFORE with changed inputs and outputs; None removes one."""
    return {
        "inputs": {name: about for name, about in {**BEFORE["inputs"], **(inputs or {})}.items() if about},
        "outputs": {name: about for name, about in {**BEFORE["outputs"], **(outputs or {})}.items() if about},
    }


def test_an_unchanged_interface_keeps_its_version() -> None:
    assert compare_interfaces(BEFORE, changed()) == []
    assert required_version("0.1.0", []) == "0.1.0"


def test_an_empty_interface_can_be_compared() -> None:
    empty: dict[str, Any] = {"inputs": {}, "outputs": {}}

    assert compare_interfaces(empty, empty) == []
    assert [change.what for change in compare_interfaces(empty, changed({"examples": None, "epochs": None}))] == [
        "input added, required",
        "output added",
        "output added",
    ]


@pytest.mark.parametrize(
    ("after", "change"),
    [
        (changed({"seed": {"type": "int", "default": 1}}), Change("input added, optional", "seed")),
        (changed({"note": {"type": "str", "default": None}}), Change("input added, optional", "note")),
        (changed({"label": {"type": "str", "default": ""}}), Change("input made optional", "label")),
        (changed({"base": {"type": "Model", "default": None}}), Change("input added, optional", "base")),
        (changed({"examples": {"type": "Dataset", "default": None}}), Change("input made optional", "examples")),
        (changed(outputs={"rows": "int"}), Change("output added", "rows")),
    ],
)
def test_a_compatible_change_requires_a_patch_before_1_and_a_minor_version_after(
    after: dict[str, Any], change: Change
) -> None:
    changes = compare_interfaces(BEFORE, after)

    assert changes == [change]
    assert not change.is_breaking
    assert required_version("0.1.9", changes) == "0.1.10"
    assert required_version("1.2.3", changes) == "1.3.0"


@pytest.mark.parametrize(
    ("after", "change"),
    [
        (changed({"label": None}), Change("input removed", "label")),
        (changed({"epochs": None}), Change("input removed", "epochs")),
        (changed({"seed": {"type": "int"}}), Change("input added, required", "seed")),
        (changed({"epochs": {"type": "int"}}), Change("input made required", "epochs")),
        (changed({"examples": {"type": "Model"}}), Change("input of another type", "examples", "Dataset", "Model")),
        (
            changed({"epochs": {"type": "float", "default": 8.0}}),
            Change("input of another type", "epochs", "int", "float"),
        ),
        (changed({"epochs": {"type": "int", "default": 9}}), Change("input with another default", "epochs", "8", "9")),
        (changed(outputs={"task": None}), Change("output removed", "task")),
        (changed(outputs={"task": "int"}), Change("output of another type", "task", "str", "int")),
    ],
)
def test_a_breaking_change_requires_a_minor_version_before_1_and_a_major_one_after(
    after: dict[str, Any], change: Change
) -> None:
    changes = compare_interfaces(BEFORE, after)

    assert changes == [change]
    assert change.is_breaking
    assert required_version("0.1.9", changes) == "0.2.0"
    assert required_version("1.2.3", changes) == "2.0.0"


def test_a_renamed_input_is_a_removal_and_an_addition() -> None:
    renamed = changed({"epochs": None, "passes": {"type": "int", "default": 8}})
    changes = compare_interfaces(BEFORE, renamed)

    assert [str(change) for change in changes] == ["input removed: epochs", "input added, optional: passes"]
    assert required_version("0.1.0", changes) == "0.2.0"


def test_a_change_shows_the_old_and_the_new_value() -> None:
    (change,) = compare_interfaces(BEFORE, changed({"epochs": {"type": "int", "default": 9}}))

    assert str(change) == "input with another default: epochs (8 -> 9)"


@pytest.mark.parametrize(
    ("interfaces", "version", "needed", "lines"),
    [
        ({"train": BEFORE}, "0.1.0", "0.1.0", []),
        (
            {"train": changed({"seed": {"type": "int", "default": 1}})},
            "0.1.0",
            "0.1.1",
            ["train: breaks nothing: input added, optional: seed"],
        ),
        ({"train": changed({"seed": {"type": "int", "default": 1}})}, "0.1.1", "0.1.1", []),
        ({"train": changed({"label": None})}, "0.1.9", "0.2.0", ["train: BREAKS pipelines: input removed: label"]),
        ({"train": changed({"label": None})}, "0.10.0", "0.10.0", []),
        ({"train": BEFORE, "serve": BEFORE}, "0.1.0", "0.1.1", ["serve: breaks nothing: component added: serve"]),
        ({}, "0.1.0", "0.2.0", ["train: BREAKS pipelines: component removed: train"]),
    ],
)
def test_a_version_that_is_too_low_is_reported_with_the_changes(
    interfaces: dict[str, Any], version: str, needed: str, lines: list[str]
) -> None:
    assert find_shortfall({"train": BEFORE}, "0.1.0", interfaces, version) == (needed, lines)
