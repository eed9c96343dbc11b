"""A trained model is reused for the same data version, statistics, schema, parameters and code, and for no other."""

import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from support.trained import SETTINGS
from support.written import write_schema
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.model import Settings, read_training
from tiffin.artifacts.recipe import Recipe
from tiffin.artifacts.schema import read_schema
from tiffin.errors import InputError
from tiffin.stages.train import reuse, training
from tiffin.version import __version__


class Trainer:
    """Inputs of a training that can be changed, and the number of trainings."""

    def __init__(self, folder, model, monkeypatch):
        self.store, self.output, self.trained = folder / "store", folder / "model", 0
        self.inputs = {}
        for name in ("examples", "statistics", "schema"):
            self.inputs[name] = folder / name
            shutil.copytree(getattr(model, name), self.inputs[name])

        def train(*_, **__):
            self.trained += 1
            shutil.copytree(model.model, self.output, dirs_exist_ok=True)

        monkeypatch.setattr(training, "train", train)

    def __call__(self, label="late", **options):
        record = reuse.train_or_reuse(*self.inputs.values(), self.output, label, store=str(self.store), **options)
        assert record == read_training(self.output)
        return [note.code for note in record.notes if note.code == "REUSED"]

    def change_manifest(self, **changes):
        manifest = read_manifest(self.inputs["examples"])
        documents.write(self.inputs["examples"] / MANIFEST, replace(manifest, **changes))


@pytest.fixture
def trainer(tmp_path, models, monkeypatch):
    return Trainer(tmp_path, models.binary, monkeypatch)


def test_the_same_inputs_reuse_the_model(trainer, capsys):
    assert trainer(run="run-1") == []
    before = sorted(path.name for path in trainer.output.rglob("*") if path.is_file())
    shutil.rmtree(trainer.output)
    capsys.readouterr()

    assert trainer(run="run-2") == ["REUSED"]
    assert trainer.trained == 1
    assert sorted(path.name for path in trainer.output.rglob("*") if path.is_file()) == before
    assert "run-1" in capsys.readouterr().out


def test_the_note_does_not_pile_up(trainer):
    for _ in range(3):
        notes = trainer()
    assert notes == ["REUSED"]


def change_statistics(trainer):
    with next(trainer.inputs["statistics"].iterdir()).open("ab") as file:
        file.write(b"\x0a\x00")  # an empty dataset more


def change_schema(trainer):
    schema = read_schema(trainer.inputs["schema"])
    schema.feature[0].presence.min_fraction = 0.5
    path = next(trainer.inputs["schema"].iterdir())
    path.write_text(str(schema))


CHANGES = {
    "data": lambda trainer: trainer.change_manifest(version="d2"),
    "what integers stand for": lambda trainer: trainer.change_manifest(
        columns=tuple(
            replace(column, logical="date") if column.name == "items" else column
            for column in read_manifest(trainer.inputs["examples"]).columns
        )
    ),
    "how the source is read": lambda trainer: trainer.change_manifest(recipe=Recipe((), missing_values=("-999",))),
    "names in the source": lambda trainer: trainer.change_manifest(renamed={"kilometres": "km"}),
    "statistics": change_statistics,
    "schema": change_schema,
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_input_trains_anew(trainer, change):
    trainer()
    CHANGES[change](trainer)

    assert trainer() == []
    assert trainer.trained == 2


@pytest.mark.parametrize(
    "options",
    [
        {"label": "items"}, {"task": "regression"}, {"reuse": False},
        *({"settings": Settings(**{name: value})} for name, value in (
            ("hidden_units", ()), ("epochs", 1), ("batch_size", 1), ("learning_rate", 0.5), ("dropout", 0.0),
            ("weight_decay", 0.5), ("seed", 2),
        )),
    ],
    ids=str,
)  # fmt: skip
def test_another_parameter_trains_anew(trainer, options):
    trainer()

    assert trainer(**options) == []
    assert trainer.trained == 2


class TestModelCode:
    """A changed file, or other hyperparameters, train anew; the same content and place do not."""

    @pytest.fixture
    def code(self, tmp_path):
        path = tmp_path / "model.py"
        path.write_text("x = 1\n")
        return path

    def test_the_same_file_reuses_the_model(self, trainer, code):
        assert trainer(model_code=str(code)) == []
        code.write_text("x = 1\n")

        assert trainer(model_code=str(code)) == ["REUSED"]

    def test_a_changed_file_trains_anew(self, trainer, code):
        trainer(model_code=str(code))
        code.write_text("x = 2\n")

        assert trainer(model_code=str(code)) == []
        assert trainer.trained == 2

    @pytest.mark.parametrize("other", [{}, {"units": 2}, {"units": [1]}, {"unit": 1}])
    def test_other_hyperparameters_train_anew(self, trainer, code, other):
        trainer(model_code=str(code), hyperparameters={"units": 1})

        assert trainer(model_code=str(code), hyperparameters=other) == []

    def test_the_default_network_is_another_model(self, trainer, code):
        trainer()

        assert trainer(model_code=str(code)) == []
        assert trainer() == ["REUSED"]

    def test_a_file_that_does_not_exist(self, trainer, tmp_path):
        with pytest.raises(InputError, match=r"other\.py"):
            trainer(model_code=str(tmp_path / "other.py"))
        assert not trainer.store.exists()


def test_another_version_of_a_library_trains_anew(trainer, monkeypatch):
    trainer()
    monkeypatch.setattr("importlib.metadata.version", lambda name: "0")

    assert trainer() == []


def test_a_mistake_keeps_nothing(tmp_path, models):
    one = models.binary
    with pytest.raises(InputError, match="'lat'"):
        reuse.train_or_reuse(one.examples, one.statistics, one.schema, tmp_path / "model", "lat", store=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_real_training_is_kept(tmp_path, models):
    one = models.binary
    settings = Settings(**SETTINGS | {"epochs": 1})
    records = [
        reuse.train_or_reuse(
            one.examples, one.statistics, one.schema, tmp_path / f"model-{number}", "late",
            settings=settings, store=str(tmp_path / "store"),
        )
        for number in range(2)
    ]  # fmt: skip

    assert [replace(record, notes=()) for record in records] == [replace(records[0], notes=())] * 2
    assert records[1].notes[1:] == records[0].notes
    assert records[0].tiffin_version == __version__


def test_a_schema_of_one_s_own_reuses_its_own_model(trainer, models):
    trainer()
    write_schema(trainer.inputs["schema"], models.binary.rows.drop(["km"]))

    assert trainer() == []
    assert trainer() == ["REUSED"]


@pytest.mark.parametrize("name", ["statistics", "schema"])
def test_another_artifact_is_told_before_tensorflow_is_imported(tmp_path, models, name):
    one = models.binary
    places = {"examples": one.examples, "statistics": one.statistics, "schema": one.schema, name: one.examples}
    program = (
        "import sys\n"
        "from tiffin.errors import InputError\n"
        "from tiffin.stages.train.reuse import train_or_reuse\n"
        "try:\n"
        f"    train_or_reuse(*{[str(place) for place in places.values()]}, {str(tmp_path / 'model')!r}, 'late')\n"
        "except InputError as error:\n"
        "    print(error, 'tensorflow' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert f"'{name}." in done.stdout
    assert "'manifest.json'" in done.stdout
    assert done.stdout.split()[-1] == "False"
