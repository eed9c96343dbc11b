"""The files of a run's steps."""

import pytest

from support.documents import make_evaluation
from tiffin.artifacts.notes import Note
from tiffin.artifacts.reference import Reference, write_reference
from tiffin.artifacts.run_files import find_files
from tiffin.artifacts.summary import find_notes, find_reports
from tiffin.artifacts.verdict import write_evaluation

NOTE = Note("REFERENCE_INCOMPLETE", "text", count=1)
REFERENCE = Reference("taxi", 1, "r", "http://mlflow", "d1", "s1", "late", "binary", ("0", "1"), {}, (NOTE,))


def test_an_empty_folder(tmp_path):
    assert find_files(str(tmp_path), {"verdict.json"}) == []


@pytest.fixture
def run(tmp_path):
    """The artifacts of a run that evaluated a model, and that found the reference of another one."""
    write_evaluation(tmp_path / "evaluate-model" / "1" / "evaluation", make_evaluation())
    found = tmp_path / "find-reference" / "1" / "reference"
    write_evaluation(found, make_evaluation(notes=(Note("LABEL_MISSING", "of the training"),)))
    write_reference(found, REFERENCE)
    return tmp_path


def test_files_beside_a_reference_are_of_another_run(run):
    assert find_files(str(run), {"verdict.json"}) == [f"{run}/evaluate-model/1/evaluation/verdict.json"]


def test_a_reference_is_a_report_of_its_step(run):
    assert sorted((step, field) for step, field, _ in find_reports(str(run))) == [
        ("evaluate-model", "evaluation"),
        ("find-reference", "reference"),
    ]


def test_its_notes_are_those_of_the_step(run):
    notes, first = find_notes(run / "find-reference")

    assert notes == (NOTE,)
    assert first == run / "find-reference" / "1" / "reference" / "reference.json"
