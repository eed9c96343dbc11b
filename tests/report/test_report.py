"""The report of a run as a page."""

import html
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from support.documents import make_evaluation, make_manifest, make_predictions, make_training
from support.hostile import HOSTILE, controls
from support.reporting import COLUMNS, EVALUATION, MANIFEST, STATISTICS, TRAINING
from tiffin.artifacts.anomalies import Anomalies, Anomaly
from tiffin.artifacts.drift import Bin, ColumnDrift, Distance, Drift
from tiffin.artifacts.examples import Source
from tiffin.artifacts.notes import Note
from tiffin.artifacts.predictions import PredictionFile
from tiffin.artifacts.summary import RegisteredModel, Step, Summary, noted
from tiffin.report import report as reports
from tiffin.report.report import describe, write_report

EMPTY = Summary("training", "FAILED", "", None, None, {}, None, None, None, steps={})
ENDED = replace(
    EMPTY, state="SUCCEEDED", reason=EVALUATION.reason, data_version="d1", model=RegisteredModel("taxi", 3),
    serving="serving:8500", notes=(noted("train-model", Note("TASK_CHOSEN", "binary: 2 distinct integers")),),
    steps={"ingest-examples": Step(examples=MANIFEST), "train-model": Step(model=TRAINING),
           "validate-examples": Step(anomalies=Anomalies(True, "No anomalies.", ())),
           "evaluate-model": Step(evaluation=EVALUATION)},
)  # fmt: skip


def titles(page):
    return re.findall(r"<h2>(.+?)</h2>", page)


def charts(page):
    return re.findall(r"<figcaption>(.+?)</figcaption>", page)


@pytest.fixture(scope="module")
def page():
    return describe(ENDED, {"validate-examples": STATISTICS})


def test_predictions_of_a_batch():
    files = (PredictionFile("a.parquet", "all", 3, "d" * 64, {"3": 2, "4": 1}, logged=2),)
    found = make_predictions(rows=3, files=files, log="/log", classes=("no", "yes"))
    page = describe(replace(EMPTY, state="SUCCEEDED", steps={"predict-batch": Step(predictions=found)}), {})

    assert titles(page)[0] == "Predictions"
    for text in (
        found.sentence,
        "a.parquet",
        "/log",
        "no, yes",
        "<td>probability</td>",
        "Versions",
        "place of the row",
    ):
        assert text in page


def _drift(*columns, **changed):
    who = "the training data of model 'taxi' version 2 in production"
    return replace(
        Drift(bool(columns), "1 column drifted.", who, "split 'train'", 100, 50, 0.005, tuple(columns)), **changed
    )


class TestDrift:
    """The drift of examples, as the drift gate and compare_examples write it."""

    @staticmethod
    def page(drift):
        return describe(replace(EMPTY, steps={"a": Step(examples=MANIFEST, drift=drift)}), {})

    def test_nothing_was_looked_for(self):
        assert "Drift" not in titles(self.page(_drift()))

    def test_nothing_to_compare_with(self):
        page = self.page(_drift(reason="No model.", notes=(Note("NO_BASELINE", "No model."),)))

        assert "No model." in page.partition("<h2>Drift</h2>")[2]
        assert charts(page) == []

    def test_columns_before_and_now(self):
        distance = Distance("infinity_norm", 0.4, 0.05, 0.3, 0.5, 0.1, 0.0001, 0.0002, True, "default")
        bins = (Bin("Oslo", 0.6, 0.2), Bin("Rome", 0.4, 0.8))
        city = ColumnDrift("city", "texts", True, "it moved", 100, 50, 0.0, 0.0, (distance,), bins)
        manifest = replace(MANIFEST, renamed={"Stadt %": "city"})
        page = describe(replace(EMPTY, steps={"a": Step(examples=manifest), "b": Step(drift=_drift(city))}), {})

        assert "Stadt %" in charts(page)[0]
        for text in ("100 rows; now 50", "1 column drifted.", "version 2 in production", "Oslo: 20 %", "0.4"):
            assert text in page


def test_a_run_without_any_report():
    page = describe(EMPTY, {})

    assert titles(page) == ["What the steps dropped, converted or chose"]
    assert "FAILED" in page
    assert charts(page) == []


def marks(page, title):
    """Return the titles of the marks of the chart under a title."""
    drawn = re.search(f"<(figcaption|h3)>{re.escape(title)}</.*?(<svg.*?</svg>)", page, re.S)
    found = re.findall("<title>(.*?)</title>", drawn[2])
    return [html.unescape(text).replace("\N{MINUS SIGN}", "-") for text in found]


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Beside the model in production",
         ["equal", "better by -0.01 to 0.03", "margin 0.0155"]),
        ("Calibration", ["predicted probability: 0.1; observed share: 0.2", "predicted probability: 0.8; observed share: 0.7"]),
        ("Confusion", [f"predicted class: {p}; true class: {t}; rows: {n}"
                       for t, p, n in ((0, 0, 50), (0, 1, 10), (1, 0, 5), (1, 1, 25))]),
        ("log_loss by slice",
         ["city = Oslo: 0.35 to 0.45", "log_loss: 0.4; slice: city = Oslo", "all rows: 0.3"]),
        ("selection_rate by city", ["selection_rate: 0.4; group: city = Oslo", "selection_rate: 0.5; group: city = Bergen"]),
        ("What the predictions depend on",
         ["mean size of the contribution: 0.7; column: km", "mean size of the contribution: 0.2; column: city"]),
        ("km", ["mean contribution: -0.6; value: <= 2.5", "mean contribution: 0.8; value: 2.5 to 4"]),
        ("Loss of each epoch", [f"epoch: {n}; loss: {loss}; rows: {rows}" for rows, losses in
                                (("training", (0.6, 0.4, 0.3)), ("held out", (0.5, 0.45, 0.47)))
                                for n, loss in enumerate(losses, 1)] + ["epoch: 2"]),
        ("late", ["share: 0.6; value: true", "share: 0.4; value: false"]),
        ("area_code", ["17031081401 to 17031460250.5: 80 %", "17031460250.5 to 17031839100: 20 %", "eval"]),
        ("ordered_at", ["2013-01-01 00:00:00 to 2013-10-26 19:07:30: 80 %",
                        "2013-10-26 19:07:30 to 2014-08-21 14:15:00: 20 %", "eval"]),
    ],
)  # fmt: skip
def test_the_values_that_a_chart_shows(page, title, expected):
    found = iter(marks(page, title))

    # In this order; a line has a title too, that of its first point.
    assert [text for text in expected if text not in found] == []


def test_the_curves(page):
    """In 280 by 210 pixels, with 0 at the bottom: (0, 0), (0.5, 0.9), (1, 1), and (1, 0.5), (0.9, 0.8), (0, 1)."""
    for title, path in (("ROC curve", "M0,210L140,21L280,0"), ("Precision and recall", "M280,105L252,42L0,0")):
        drawn = re.search(f"<figcaption>{title}</.*?(<svg.*?</svg>)", page, re.S)[1]
        assert path in drawn, title


def test_every_section_and_chart_of_a_run(page):
    assert titles(page) == [
        "Gate", "Metrics", "Slices", "Fairness", "Explanation", "Training", "Validation", "Data",
        "What the steps dropped, converted or chose",
    ]  # fmt: skip
    assert charts(page) == [
        "Beside the model in production", "ROC curve", "Precision and recall", "Calibration", "Confusion",
        "log_loss by slice", "selection_rate by city", "What the predictions depend on", "km", "city",
        "Loss of each epoch",
    ]  # fmt: skip
    # One card for each column.
    assert page.count("<article>") == len(COLUMNS)
    assert page.count("<svg") == len(charts(page)) + len(COLUMNS)


def test_the_page_has_no_script_and_loads_nothing(page):
    assert "default-src 'none'" in page
    assert not re.search(r"<script|\bon\w+=|javascript:|@import", page)
    # Namespaces of SVG are names, not addresses that are loaded.
    assert not re.search(r"""(?:src|href)=["'](?!#|data:,")""", page)
    assert set(re.findall(r"https?://[^\"' ]+", page)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}


def test_ids_are_unique(page):
    found = re.findall(r'\bid="([^"]+)"', page)

    assert len(found) == len(set(found))
    assert set(re.findall(r"url\(#([^)]+)\)", page)) <= set(found)


def test_the_same_run_gives_the_same_bytes(page, tmp_path):
    write_report(tmp_path / "run" / "report.html", ENDED, {"validate-examples": STATISTICS})

    assert (tmp_path / "run" / "report.html").read_bytes() == page.encode()


def test_numbers_of_the_gate_and_the_metrics(page):
    cells = [re.sub("<.+?>", "", html.unescape(cell)) for cell in re.findall(r"<td.*?>(.*?)</td>", page)]

    assert {"auc", "0.9", "0.85 to 0.95", "0.88", "passed", "CHAMPION", "taxi.csv", "city = Oslo"} < set(cells)
    assert "in production (version 2)" in page


def test_times_are_dates_and_codes_are_whole(page):
    assert "2013-01-01 00:00:00 to 2014-08-21 14:15:00" in page
    assert "17031081401 to 17031839100" in page
    assert "as seconds since 1970: 2013-01-01 00:00:00 to 2014-08-21 14:15:00" in page
    assert not re.search(r"\d\.\d+e\+\d", re.sub(r"<svg.*?</svg>", "", page, flags=re.S))


def test_several_models_have_sections_of_their_own():
    other = make_evaluation(passed=False, reason="auc is missing.", metrics={"auc": None})
    steps = {"evaluate-model": Step(evaluation=make_evaluation()), "evaluate-model-2": Step(evaluation=other)}
    page = describe(replace(EMPTY, stopped_by="evaluation", steps=steps), {})

    assert [title for title in titles(page) if title.startswith("Gate")] == [
        "Gate of evaluate-model", "Gate of evaluate-model-2",
    ]  # fmt: skip
    assert "not measured" in page


def test_a_text_of_users_stays_text():
    first = HOSTILE[0]
    manifest = replace(
        make_manifest(columns=COLUMNS), renamed={first: "city"}, derive={text: text for text in HOSTILE},
        exclude=HOSTILE, sources=tuple(Source(text, "d" * 64, 3) for text in HOSTILE),
    )  # fmt: skip
    slices = tuple(replace(EVALUATION.slices[0], value=text) for text in HOSTILE)
    evaluation = replace(
        EVALUATION, reason=first, slices=slices, classes=HOSTILE, confusion=((1,) * len(HOSTILE),) * len(HOSTILE)
    )
    two = replace(EVALUATION, classes=HOSTILE[:2])
    anomalies = Anomalies(False, first, tuple(Anomaly("eval", "city", "C", text, text) for text in HOSTILE))
    steps = {
        "a": Step(examples=manifest, model=TRAINING, evaluation=evaluation, anomalies=anomalies),
        "b": Step(evaluation=two),
    }
    notes = tuple(noted("ingest-examples", Note("CONVERTED", text, text, 1, text)) for text in HOSTILE)
    page = describe(
        replace(EMPTY, pipeline=first, reason=first, notes=notes, unread=HOSTILE, steps=steps), {"a": STATISTICS}
    )

    assert "could not be written" not in page
    assert not re.search(r"<(script|iframe|img|svg on|!--|\?)|<a (?!href=\"#section)", page)
    assert not controls(page)
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(svg)


def test_a_defect_in_a_section_hides_no_other(monkeypatch):
    monkeypatch.setattr(reports, "describe_quality", lambda *_: 1 / 0)
    page = describe(ENDED, {})

    assert titles(page)[:3] == ["Gate", "Metrics", "Slices"]
    assert "ZeroDivisionError" in page


def test_values_that_are_no_numbers_are_left_out():
    nan = float("nan")
    training = make_training(losses=(0.5, nan, float("inf")))
    page = describe(replace(EMPTY, steps={"train": Step(model=training)}), {})

    assert charts(page) == ["Loss of each epoch"]
    assert "could not be written" not in page


def test_reports_that_could_not_be_read():
    assert titles(describe(replace(EMPTY, unread=("a", "b")), {}))[-1] == "Reports that could not be read"
