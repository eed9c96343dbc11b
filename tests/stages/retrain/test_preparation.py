"""The parameters of the training that a retraining starts."""

import pytest

from tiffin.artifacts.documents import write
from tiffin.artifacts.labelled import LABELLED, LabelledRows
from tiffin.artifacts.retraining import Retraining, write_retraining
from tiffin.errors import InputError
from tiffin.retraining.settings import SETTINGS
from tiffin.stages.retrain.preparation import prepare

DEFAULTS = {name: kind() for name, kind in SETTINGS.items()} | {"epochs": 0.0, "label": "late"}


def decision(folder, code="START", **settings):
    found = Retraining("trips", 3, "hand", "", code, "Because.", "", {"data": "/a.csv", **settings}, (), "/state", "r1")
    write_retraining(folder, found)
    return folder


def labelled(folder, rows):
    write(folder / LABELLED, LabelledRows("trips", 3, "", "", rows, rows, rows))
    return folder


def test_a_decision_not_to_start(tmp_path):
    with pytest.raises(InputError, match="COOL_DOWN"):
        prepare(decision(tmp_path, "COOL_DOWN"), DEFAULTS)


def test_settings_and_defaults(tmp_path):
    found = prepare(decision(tmp_path, epochs=5.0), DEFAULTS)
    assert list(found) == sorted(SETTINGS)
    assert (found["data"], found["epochs"], found["label"]) == ("/a.csv", 5, "late")


def test_labelled_answers_are_added_to_the_data(tmp_path):
    plan = decision(tmp_path / "plan")
    without = labelled(tmp_path / "none", 0)
    assert prepare(plan, DEFAULTS, without, "gs://b/none")["data"] == "/a.csv"
    some = labelled(tmp_path / "some", 2)
    assert prepare(plan, DEFAULTS, some, "gs://b/some")["data"] == "/a.csv\ngs://b/some/labelled.parquet"
