"""The sections of a report about retraining, labelled answers and a rollback."""

import re

import pytest

from support.documents import make_summary
from tiffin.artifacts.labelled import LabelledRows
from tiffin.artifacts.retraining import Retraining
from tiffin.artifacts.rollback import Rollback
from tiffin.artifacts.summary import Step
from tiffin.report.report import describe

DECIDED = Retraining(
    "taxi", 3, "monitoring", "CONCEPT_DRIFT", "START", "It is trained again.", "", {"data": "/a.csv\n/b.csv", "seed": 7}, ("9",),
    "https://ada:secret@host/state", "r1",
)  # fmt: skip


def page(**steps):
    return describe(make_summary(steps=steps), {})


def headings(text):
    return re.findall(r"<h2[^>]*>(.*?)</h2>", text)


def test_a_run_without_them():
    assert not {"Retraining", "Rollback", "Labelled answers"} & set(headings(page(one=Step())))


def test_a_decision_to_start_has_the_settings():
    text = page(plan=Step(retraining=DECIDED))
    assert "Retraining" in headings(text)
    for part in ("START", "CONCEPT_DRIFT", "/a.csv, /b.csv", "seed"):
        assert part in text
    assert "secret" not in text


def test_a_decision_not_to_start_has_none():
    text = page(
        plan=Step(retraining=Retraining("t", 1, "hand", "", "PAUSED", "Paused.", "", {"seed": 7}, (), "/s", "r"))
    )
    assert "PAUSED" in text
    assert "seed" not in text


@pytest.mark.parametrize("hostile", ["<script>x</script>", '"><img src=x>'])
def test_texts_are_escaped(hostile):
    back = Rollback("taxi", 3, 2, hostile, hostile, "2026-03-01T12:00:00+00:00")
    text = page(back=Step(rollback=back))
    assert "Rollback" in headings(text)
    assert hostile not in text


def test_labelled_answers():
    found = LabelledRows("taxi", 3, "2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00", 40, 30, 30)
    assert "30 of 40 answers" in page(collect=Step(labelled=found))
    assert "Labelled answers" not in headings(page(collect=Step(labelled=LabelledRows("taxi", 3, "", "", 0, 0, 0))))
