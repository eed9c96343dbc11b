"""The artifacts with a single JSON document."""

import json

import pytest

from support.documents import make_evaluation, make_predictions, make_summary, make_training
from tiffin.artifacts.anomalies import Anomalies, Anomaly, read_anomalies, write_anomalies
from tiffin.artifacts.deployment import Deployment, read_deployment, write_deployment
from tiffin.artifacts.measures import Curve
from tiffin.artifacts.model import class_name, read_training, saved_model, write_training
from tiffin.artifacts.notes import Note
from tiffin.artifacts.predictions import read_predictions, write_predictions
from tiffin.artifacts.reference import Reference, read_reference, write_reference
from tiffin.artifacts.registration import Registration, read_registration, write_registration
from tiffin.artifacts.summary import Step, noted, read_summary, write_summary
from tiffin.artifacts.verdict import read_evaluation, write_evaluation
from tiffin.errors import InputError

ANOMALIES = Anomalies(False, "1 anomaly.", (Anomaly("eval", "fare", "CODE", "few", "many"),))
DEPLOYMENT = Deployment("taxi", 1, "host:1", "/root/taxi", {"probability": 0.5, "classes": ["a"]})
EVALUATION = make_evaluation(classes=("0", "1"), confusion=((1, 0), (0, 1)), curve=Curve((0.0,), (1.0,), (0.5,)))
REFERENCE = Reference(
    "taxi", 1, "r", "http://mlflow", "d1", "s1", "late", "binary", ("0", "1"), {"schema.pbtxt": "sha"}
)
REPORTS = [
    ("anomalies.json", write_anomalies, read_anomalies, ANOMALIES),
    ("training.json", write_training, read_training, make_training()),
    ("verdict.json", write_evaluation, read_evaluation, EVALUATION),
    ("registration.json", write_registration, read_registration, Registration("taxi", 1, "r", "d1", "s1", "0.1.0")),
    ("reference.json", write_reference, read_reference, REFERENCE),
    ("deployment.json", write_deployment, read_deployment, DEPLOYMENT),
    ("predictions.json", write_predictions, read_predictions, make_predictions(classes=("no", "yes"))),
    ("summary.json", write_summary, read_summary, make_summary(steps={"evaluate": Step(evaluation=EVALUATION)})),
    (
        "summary.json",
        write_summary,
        read_summary,
        make_summary(notes=(noted("ingest", Note("CODE", "text", count=4)),)),
    ),
]


@pytest.mark.parametrize(("name", "write", "read", "document"), REPORTS, ids=[name for name, *_ in REPORTS])
def test_a_written_document_is_read(tmp_path, name, write, read, document):
    with pytest.raises(InputError, match=f"'{name}'.*'{tmp_path}'"):
        read(tmp_path)
    write(tmp_path, document)

    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert read(tmp_path) == document


def test_fields_that_a_task_does_not_have_are_omitted(tmp_path):
    write_evaluation(tmp_path, make_evaluation())
    written = json.loads(next(tmp_path.iterdir()).read_text())

    assert sorted(written) == [
        "checks", "data_version", "fairness", "gate_digest", "metrics", "notes", "passed", "reason", "rows", "slices", "split",
        "task", "tiffin_version", "verdict_digest",
    ]  # fmt: skip
    assert written["metrics"] == {"auc": 0.9, "brier": None}


def test_the_folder_of_the_saved_model(tmp_path):
    assert saved_model(tmp_path) == tmp_path / "saved_model"


@pytest.mark.parametrize(
    ("value", "name"), [(1, "1"), (1.0, "1"), (1.5, "1.5"), ("1.0", "1.0"), ("yes", "yes"), (-2.0, "-2")]
)
def test_the_name_of_a_class(value, name):
    assert class_name(value) == name
