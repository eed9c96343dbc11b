"""The step of a file of a run."""

import pytest

from tiffin.artifacts.steps import split_step


@pytest.mark.parametrize(
    ("path", "step", "rest"),
    [
        ("", "", []),
        ("/train/model/training.json", "train", ["model", "training.json"]),
        ("train/8f2e/model/training.json", "train", ["8f2e", "model", "training.json"]),
        (
            "for-loop-2-iteration-1/predict/x/predictions.json",
            "predict",
            ["for-loop-2-iteration-1", "x", "predictions.json"],
        ),
        (
            "for-loop-1-iteration-0/for-loop-2-iteration-10/predict/x",
            "predict",
            ["for-loop-1-iteration-0", "for-loop-2-iteration-10", "x"],
        ),
        ("for-loop-2/predict/x", "for-loop-2", ["predict", "x"]),
    ],
)
def test_split(path, step, rest):
    assert split_step(path) == (step, rest)
