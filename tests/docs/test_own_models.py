"""The model files of the documentation, trained on a few rows; support/code_blocks.py needs packages of `dev`."""

import re
from pathlib import Path

import pytest

RUNS_IN = ("model",)

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "own-model.md"
FILES = re.findall(
    r'^```python title="needs TensorFlow: model.py"\n(.*?)^```$', PAGE.read_text(), re.MULTILINE | re.DOTALL
)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    from support.trained import deliveries
    from support.written import write_examples, write_schema, write_statistics

    folder, rows = tmp_path_factory.mktemp("docs"), deliveries(200).drop(["speed", "minutes"])
    return (
        write_examples(folder / "examples", {"train": rows}),
        write_statistics(folder / "statistics", rows),
        write_schema(folder / "schema", rows),
    )


@pytest.mark.parametrize(
    ("number", "function", "inputs"),
    [(0, "build_model", "encoded"), (1, "build_model", "raw"), (2, "train", "encoded")],
)
def test_a_model_file_trains(written, tmp_path, monkeypatch, number, function, inputs):
    from tiffin.artifacts.model import Settings
    from tiffin.stages.train import export
    from tiffin.stages.train.own_code import Code
    from tiffin.stages.train.training import train

    monkeypatch.setattr(export, "write", lambda *_: None)  # tests/stages/train exports such models
    code = Code("model.py", FILES[number].encode())
    record = train(*written, tmp_path / "model", "late", settings=Settings(epochs=4, learning_rate=0.02), code=code)

    assert (record.own.function, record.own.inputs, len(record.losses)) == (function, inputs, 4)
    assert record.losses[-1] < record.losses[0]


def test_every_model_file_of_the_page_is_trained():
    assert len(FILES) == 3
