"""Signatures of a candidate."""

from dataclasses import replace
from pathlib import Path

import pytest

from support.serving_roots import ADA, make_saved_model, put
from tiffin.errors import InputError
from tiffin.rollout import course
from tiffin.rollout.compatibility import find_changes
from tiffin.rollout.document import read_rollout
from tiffin.serving import wire
from tiffin.serving.root import ServedModel
from tiffin.serving.signatures import Signature, TensorSpec

NUMBERS, TEXTS = TensorSpec("float32", (None,)), TensorSpec("string", (None,))
SCORE = Signature({"x": NUMBERS, "kind": TEXTS}, {"y": NUMBERS, "z": NUMBERS})
ONE = Signature({"x": NUMBERS}, {"y": NUMBERS})


def changes(before: Signature, after: Signature) -> list[str]:
    return find_changes({"serving_default": before}, {"serving_default": after})


def test_nothing_changed() -> None:
    assert find_changes({}, {}) == find_changes({}, {"new": SCORE}) == changes(SCORE, SCORE) == []


@pytest.mark.parametrize(
    "after",
    [
        replace(SCORE, inputs={**SCORE.inputs, "more": NUMBERS}, defaults=frozenset({"more"})),
        replace(SCORE, outputs={**SCORE.outputs, "more": NUMBERS}),
        replace(SCORE, inputs={**SCORE.inputs, "x": TensorSpec("float32", None)}),
        replace(SCORE, outputs={**SCORE.outputs, "y": TensorSpec("float32", (5,))}),
        replace(SCORE, defaults=frozenset({"x"})),
    ],
)
def test_changes_that_clients_do_not_notice(after: Signature) -> None:
    assert changes(SCORE, after) == []


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        (SCORE, replace(SCORE, inputs={"kind": TEXTS}), ["'x'"]),
        (SCORE, replace(SCORE, inputs={**SCORE.inputs, "more": NUMBERS}), ["'more'"]),
        (SCORE, replace(SCORE, inputs={"x": TEXTS, "kind": NUMBERS}), ["'x'", "'kind'"]),
        (SCORE, replace(SCORE, inputs={**SCORE.inputs, "x": TensorSpec("float32", (5,))}), ["'x'"]),
        (SCORE, replace(SCORE, inputs={**SCORE.inputs, "x": TensorSpec("float32", (None, 2))}), ["'x'"]),
        (replace(SCORE, defaults=frozenset({"x"})), SCORE, ["'x'"]),
        (SCORE, replace(SCORE, outputs={"y": NUMBERS}), ["'z'"]),
        (SCORE, replace(SCORE, outputs={"y": TEXTS, "z": NUMBERS}), ["'y'"]),
        (SCORE, replace(SCORE, outputs={**SCORE.outputs, "y": TensorSpec("float32", None)}), ["'y'"]),
        (ONE, replace(ONE, outputs={**ONE.outputs, "z": NUMBERS}), ["'z'"]),
        (ONE, replace(ONE, inputs={**ONE.inputs, "more": NUMBERS}, defaults=frozenset({"more"})), ["'more'"]),
    ],
)
def test_changes_that_clients_notice(before: Signature, after: Signature, named: list[str]) -> None:
    found = changes(before, after)

    assert len(found) == len(named)
    assert all("'serving_default'" in one and name in one for one, name in zip(found, named, strict=True))


def test_a_signature_that_is_missing() -> None:
    assert len(find_changes({"a": SCORE, "b": SCORE}, {"a": SCORE})) == 1


def save(folder: Path, dtype: int) -> Path:
    """Write a SavedModel that has a graph without operations."""
    model = wire.SavedModel()
    graph = model.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    graph.signature_def["serving_default"].inputs["x"].dtype = dtype
    saved = make_saved_model(folder)
    (saved / "saved_model.pb").write_bytes(model.SerializeToString())
    return saved


def test_a_rollout_is_refused_unless_told(tmp_path: Path) -> None:
    taxi = ServedModel(str(tmp_path / "root"), "taxi")
    put(taxi, save(tmp_path / "1", 1), 1)
    taxi.publish(save(tmp_path / "2", 2), 2)

    with pytest.raises(InputError, match=r"float32.*--allow-signature-change"):
        course.start(taxi, 2, ADA, strategy="direct", steps=())
    assert read_rollout(taxi) == (None, None)

    started = course.start(taxi, 2, ADA, strategy="direct", steps=(), allow_signature_change=True)
    assert started.phase == "starting"
