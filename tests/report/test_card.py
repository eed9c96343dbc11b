"""The model card of a run."""

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from support.documents import make_evaluation, make_summary
from support.hostile import HOSTILE, controls
from support.reporting import EVALUATION, MANIFEST, TRAINING
from tiffin.artifacts.notes import Note
from tiffin.artifacts.registration import Registration
from tiffin.artifacts.summary import RegisteredModel, Step
from tiffin.report.card import describe_card, write_card

STEPS = {
    "evaluate-model": Step(evaluation=EVALUATION), "ingest-examples": Step(examples=MANIFEST),
    "register-model": Step(registration=Registration("taxi", 3, "r1", "d1", "s1", "0.1.0")),
    "train-model": Step(model=TRAINING),
}  # fmt: skip
SUMMARY = make_summary(model=RegisteredModel("taxi", 3), steps=STEPS)


def test_a_run_without_a_model():
    assert describe_card(make_summary()).splitlines() == ["# Model card", "", "This run evaluated no model."]


def test_the_card_of_a_model():
    card = describe_card(SUMMARY)

    assert re.findall("^#+ (.+)$", card, re.M) == [
        "Model card: taxi version 3", "Model", "Data", "Metrics on 90 rows of eval", "Gate", "Groups",
        "What the predictions depend on", "Limits", "Use",
    ]  # fmt: skip
    for row in (
        "| MLflow run | r1 |", "| `auc` | 0.9 | 0.85 to 0.95 |", "| km | 0.7 |", "| city \\= Oslo | 40 | 0.4 |",
        "| city | `demographic_parity_difference` | 0.1 | 0 to 0.2 |", "| area\\_code | int |",
    ):  # fmt: skip
        assert row in card.splitlines()
    assert "`tiffin predict FILE --model taxi`" in card


def test_each_of_several_models_has_a_card():
    steps = {
        "evaluate-model": Step(evaluation=make_evaluation()),
        "evaluate-model-2": Step(evaluation=make_evaluation()),
    }

    assert describe_card(make_summary(steps=steps)).count("# Model card: ") == 2


def test_the_page_of_a_card(tmp_path):
    write_card(tmp_path / "card.md", tmp_path / "card.html", SUMMARY)
    page = (tmp_path / "card.html").read_text()

    assert (tmp_path / "card.md").read_text() == describe_card(SUMMARY)
    assert MarkdownIt("commonmark").enable("table").render(describe_card(SUMMARY)) in page
    assert "default-src 'none'" in page


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_text_of_users_cannot_add_markup(hostile, tmp_path):
    own = {tag for _, tag in elements(describe_card(SUMMARY))}
    record = replace(TRAINING, label=hostile, left_out={hostile: hostile}, notes=(Note("X", hostile),))
    manifest = replace(MANIFEST, renamed={hostile: "km"}, derive={hostile: hostile}, exclude=(hostile,))
    evaluation = replace(EVALUATION, reason=hostile)
    steps = {"a": Step(examples=manifest, model=record, evaluation=evaluation)}
    write_card(tmp_path / "card.md", tmp_path / "card.html", make_summary(reason=hostile, steps=steps))
    card, page = ((tmp_path / name).read_text() for name in ("card.md", "card.html"))

    found = elements(card)
    assert {tag for _, tag in found} <= own
    assert not [kind for kind, _ in found if kind.startswith(("html", "link", "image"))]
    assert not controls(card + page)
    assert not re.search(r"<(script|iframe|img|svg|!--|\?|a )", page)


def elements(text):
    """Return the kinds and the elements of Markdown's tokens, with HTML enabled."""
    tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).enable("table").parse(text)
    return {(each.type, each.tag) for token in tokens for each in [token, *(token.children or [])]}
