"""Statistics are reused for the same data version and code, and for no other."""

from dataclasses import replace

import pytest

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.anomalies import read_anomalies
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.statistics import read_statistics
from tiffin.stages.validate.reuse import compute_or_reuse
from tiffin.stages.validate.validation import validate
from tiffin.validation import statistics


@pytest.fixture
def examples(tmp_path):
    rows = table(day=list(range(20)), late=[row % 2 for row in range(20)])
    return write_examples(tmp_path / "examples", {"train": rows, "eval": rows})


def computed(examples, folder, **options):
    notes = compute_or_reuse(examples, folder / "statistics", store=str(folder / "store"), **options)
    return [note.code for note in notes]


def test_the_same_data_reuses_the_statistics(examples, tmp_path, monkeypatch):
    assert computed(examples, tmp_path) == []
    before = read_statistics(tmp_path / "statistics")
    monkeypatch.setattr(statistics, "compute", pytest.fail)

    assert computed(examples, tmp_path) == ["REUSED"]
    assert read_statistics(tmp_path / "statistics") == before


def with_date(manifest):
    day, *others = manifest.columns
    return replace(manifest, columns=(replace(day, logical="date"), *others))


@pytest.mark.parametrize(
    "change",
    [
        lambda manifest: replace(manifest, version="d2"),
        lambda manifest: replace(manifest, key="day"),
        lambda manifest: replace(manifest, splits={"train": manifest.splits["train"]}),
        with_date,
    ],
    ids=["data version", "key", "splits", "what integers stand for"],
)
def test_other_data_computes_them_anew(examples, tmp_path, change):
    computed(examples, tmp_path)
    documents.write(examples / MANIFEST, change(read_manifest(examples)))

    assert computed(examples, tmp_path) == []


def test_reuse_can_be_turned_off(examples, tmp_path):
    computed(examples, tmp_path)

    assert computed(examples, tmp_path, reuse=False) == []


def test_the_anomalies_hold_the_note(examples, tmp_path):
    for run in ("one", "two"):
        places = [tmp_path / run / name for name in ("statistics", "schema", "anomalies", "drift", "report.md")]
        found = validate(examples, *places, "late", store=str(tmp_path / "store"), run=run)
        assert found == read_anomalies(tmp_path / run / "anomalies")

    assert [(note.code, note.example) for note in found.notes] == [("REUSED", "one")]
    assert (tmp_path / "one" / "report.md").read_bytes() == (tmp_path / "two" / "report.md").read_bytes()
