"""The report of the monitoring of a model as a page."""

import html
import re
import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import pytest

from support.hostile import HOSTILE, controls
from tiffin.artifacts.anomalies import Anomaly
from tiffin.artifacts.drift import Bin, ColumnDrift, Distance, Drift
from tiffin.artifacts.measures import Interval, Slice
from tiffin.artifacts.monitoring import LATENCIES, Finding, Monitoring, Point, Traffic
from tiffin.artifacts.notes import Note
from tiffin.artifacts.performance import (
    BoundCheck,
    Compared,
    ComparedSlice,
    Diagnosis,
    Estimate,
    Hour,
    Labelled,
    Measurement,
    Performance,
    Period,
    TrackRecord,
)
from tiffin.report import monitoring as reports
from tiffin.report.monitoring import describe_monitoring, write_monitoring_report

# Tiffin writes it in `data`, and the other reports in `model`.
RUNS_IN = ("data", "model")

START, END = "2026-03-01T00:00:00+00:00", "2026-03-01T03:00:00+00:00"
EMPTY = Monitoring(
    "taxi", 3, START, END, "no_data", "There is no log.", "Start the gateway.", (), 0, 0, 0, 0, (), (), None, None, None,
    (), None, "d1", "1.0",
)  # fmt: skip


def at(hour):
    return f"2026-03-01T{hour:02}:00:00+00:00"


def latencies(**counts):
    found = [0] * (len(LATENCIES) + 1)
    for place, count in counts.items():
        found[int(place.removeprefix("bin"))] = count
    return tuple(found)


def distance(measure="wasserstein", value=0.52, *, drifted=True, threshold=0.1):
    return Distance(measure, value, 0.01, 0.4, 0.6, threshold, 0.00001, 0.00002, drifted, "default")


def column(name, kind="numbers", *, drifted=False, **changed):
    return ColumnDrift(
        name, kind, drifted, "it moved" if drifted else "", 100, 50, 0.0, 0.02,
        (distance("wasserstein" if kind == "numbers" else "infinity_norm", drifted=drifted),),
        (Bin("<= 2", 0.25, 0.5), Bin("> 2", 0.75, 0.5)), **changed,
    )  # fmt: skip


def drift(*columns, baseline="the training data"):
    return Drift(any(one.drifted for one in columns), "It drifted.", baseline, "the log", 100, 50, 0.005, columns)


def point(hour, requests=10, failed=0, **distances):
    return Point(at(hour), 1, requests, failed, 0.004 if requests else None, 0.01 if requests else None, distances, {})


TRAFFIC = (
    Traffic(0, "stable", 2, 2, {"UNAVAILABLE": 2}, latencies(bin40=2)),
    Traffic(3, "stable", 38, 40, {"INTERNAL": 1}, latencies(bin8=20, bin16=18)),
    Traffic(4, "mirror", 7, 7, {}, latencies(bin0=7)),
)
DRIFTED = replace(
    EMPTY, verdict="drifted", reason="'km' drifted.", action="Train again.", files=3, new_files=2, late_files=1, rows=40,
    findings=(Finding("DATA_DRIFT", "drifted", "'km' drifted", "km"), Finding("OTHER", "info", "to know")),
    traffic=TRAFFIC, anomalies=(Anomaly("log", "city", "ENUM", "'Ulm' is new", "Add it"),),
    skew=drift(column("km", drifted=True, importance=0.7), column("city", "texts")),
    drift=drift(column("km"), column("city", "texts"), baseline="the window before"),
    predictions=drift(column("probability")),
    points=(point(0, km=0.1, city=0.05, probability=0.2), point(1, 0), point(2, 30, 3, km=0.6, city=0.06)),
    notes=(Note("LATE_FILES", "files came late", count=1),),
)  # fmt: skip
MEASURED = Measurement(30, {"auc": 0.7, "log_loss": 0.6}, {"log_loss": Interval(0.5, 0.7)}, {})
PERFORMANCE = Performance(
    "log_loss", START, END,
    Labelled("request_id", "last", 33, 40, 30, 1, 2, 0, 3, "nobody", 0, {"invalid": 4}, {"failed": 5}, 5400.0, 172_800.0,
             (Hour(at(0), 10, 10, True), Hour(at(1), 0, 0, True), Hour(at(2), 30, 20, False))),
    MEASURED,
    (Period(at(0), at(1), 40, MEASURED), Period(at(1), at(2), 0, Measurement(0, {"log_loss": None}, {}, {}))),
    (Slice(("city",), "city = Oslo", 20, {"log_loss": 0.65}, {"log_loss": Interval(0.5, 0.8)}),),
    (Compared("log_loss", 0.6, 0.4, 0.2, 0.1, 0.3, 0.05, 0.00001, 0.01, 30, "WORSE_THAN_TRAINING"),
     Compared("auc", 0.7, 0.8, -0.1, -0.2, 0.0, 0.05, 0.02, 0.0, 30, "WORSE_THAN_TRAINING")),
    (BoundCheck("auc", "", 0.7, 0.75, 0.6, 0.8, 30, "UNCLEAR"),
     BoundCheck("log_loss", "", 0.6, 0.45, 0.5, 0.7, 30, "BEYOND_BOUND")),
    Estimate(40, {"log_loss": 0.42, "auc": 0.79}, {"log_loss": Interval(0.4, 0.44)}, {}, "evaluation", False),
    Diagnosis("CONCEPT_DRIFT", "log_loss is 0.6: the relation has changed", "log_loss", 0.4, 0.42, 0.6, 30),
    (TrackRecord("log_loss", 4, 0.01, -0.005, 0.75),),
    (ComparedSlice(("city",), "city = Oslo", (
        Compared("log_loss", 0.65, 0.41, 0.24, 0.1, 0.38, 0.07, 0.0003, 0.0025, 20, "WORSE_THAN_TRAINING"),)),),
    {"log_loss": 0.4, "auc": 0.8},
)  # fmt: skip
DEGRADED = replace(
    DRIFTED, verdict="degraded", skew=drift(column("km")), performance=PERFORMANCE,
    findings=(Finding("CONCEPT_DRIFT", "degraded", "the relation has changed"),),
)  # fmt: skip


def titles(page):
    return [html.unescape(title) for title in re.findall(r"<h2>(.+?)</h2>", page)]


def charts(page):
    return [re.sub("<.+?>", "", html.unescape(title)) for title in re.findall(r"<figcaption>(.+?)</figcaption>", page)]


def marks(page, title):
    """Return the titles of the marks of the chart under a title."""
    figure = re.search(rf"<figcaption>{re.escape(title)}\b.*?</figure>", page, re.S)[0]
    return [html.unescape(text).replace("\N{MINUS SIGN}", "-") for text in re.findall("<title>(.*?)</title>", figure)]


def tables(page):
    """Return the cells of each row of each table."""
    return [
        [[html.unescape(re.sub("<.+?>", "", cell)) for cell in re.findall(r"<td.*?>(.*?)</td>", row)]
         for row in re.findall(r"<tr>(.*?)</tr>", body, re.S)]
        for body in re.findall(r"<tbody>(.*?)</tbody>", page, re.S)
    ]  # fmt: skip


def rows(page):
    return [row for table in tables(page) for row in table]


@pytest.fixture(scope="module")
def drifted():
    return describe_monitoring(DRIFTED)


@pytest.fixture(scope="module")
def degraded():
    return describe_monitoring(DEGRADED)


def test_without_data():
    page = describe_monitoring(EMPTY)

    assert titles(page) == ["Findings", "Quality", "What was left out, dropped or guessed"]
    assert '<span class="state warning">no data</span>' in page
    assert "There is no log." in page
    assert "Start the gateway." in page
    assert charts(page) == []


def test_a_window_without_answers():
    """Requests failed, and nothing else is known."""
    page = describe_monitoring(
        replace(EMPTY, verdict="degraded", traffic=TRAFFIC[:1], points=(point(0, 2, 2), point(1, 0)))
    )

    assert titles(page)[:2] == ["Findings", "Traffic"]
    assert charts(page) == ["Requests", "Failed requests", "Latency"]


@pytest.mark.parametrize(
    ("verdict", "tone"), [("healthy", "good"), ("degraded", "bad"), ("drifted", "warning"), ("no_data", "warning")]
)
def test_the_verdict_has_a_colour(verdict, tone):
    assert f'<span class="state {tone}">{verdict.replace("_", " ")}</span>' in describe_monitoring(
        replace(EMPTY, verdict=verdict)
    )


def test_every_section_and_chart(drifted, degraded):
    assert titles(drifted) == [
        "Findings", "Traffic", "Data", "Predictions", "Quality", "What was left out, dropped or guessed",
    ]  # fmt: skip
    first = ["Requests", "Failed requests", "Latency"]
    assert charts(drifted) == [*first, "km drifted", "city as before", "probability as before"]
    assert charts(degraded) == [
        *first, "km as before", "probability as before", "log_loss over time", "Answers with a label", "log_loss by slice",
    ]  # fmt: skip


def test_facts(drifted):
    facts = dict(re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", drifted))
    assert facts == {
        "window (UTC)": "2026-03-01 00:00 to 03:00, 3 hours", "requests": "40, 3 failed (7.5 %)", "rows": "40",
        "files of the log": "3, 2 new, 1 late", "data version": "d1", "Tiffin": "1.0",
    }  # fmt: skip


def test_tables_of_a_drifted_model(drifted):
    found = rows(drifted)
    for row in (
        ["drifted", "DATA_DRIFT", "'km' drifted"],
        ["none reached", "stable", "2", "2", "2 (100 %)", "UNAVAILABLE 2", "10000 ms", "10000 ms"],
        ["3", "stable", "38", "40", "1 (2.63 %)", "INTERNAL 1", "1 ms", "10 ms"],
        ["city", "'Ulm' is new. Add it", "ENUM"],
        ["km", "drifted", "numbers", "70 %", "100", "50", "0 %", "2 %", "it moved"],
        ["km", "wasserstein", "0.52", "0.4 to 0.6", "0.01", "0.1", "default", "under 0.0001", "drifted"],
        ["city", "infinity norm", "0.52", "0.4 to 0.6", "0.01", "0.1", "default", "under 0.0001", "as before"],
        ["files came late", "1"],
    ):
        assert row in found


@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("Requests", ["2026-03-01 00:00 to 01:00: 10 requests", "2026-03-01 02:00 to 03:00: 30 requests"]),
        ("Failed requests", ["2026-03-01 02:00 to 03:00: 3 failed requests"]),
        ("Latency", ["2026-03-01 00:00 to 01:00: median 4 ms", "2026-03-01 00:00 to 01:00: 99th percentile 10 ms"]),
        ("km", ["2026-03-01 00:00 to 01:00: distance 0.1", "2026-03-01 02:00 to 03:00: distance 0.6", "threshold 0.1",
                "<= 2: 25 % in the training data", "> 2: 75 % in the training data", "<= 2: 50 % now"]),
        ("probability", ["2026-03-01 00:00 to 01:00: distance 0.2", "<= 2: 25 % in the evaluation"]),
    ],
)  # fmt: skip
def test_the_values_that_a_chart_shows(drifted, title, expected):
    assert set(expected) <= set(marks(drifted, title))


def test_an_hour_without_requests_has_no_point(drifted):
    assert not [text for text in marks(drifted, "Latency") if "01:00 to 02:00" in text]


class TestQuality:
    def test_tables(self, degraded):
        found = rows(degraded)
        for row in (
            ["log_loss", "0.6", "0.5 to 0.7", "0.4", "+0.2", "0.1 to 0.3", "under 0.0001", "worse than at training"],
            ["auc", "0.7", "", "0.8", "-0.1", "-0.2 to 0", "0.02", "worse than at training, not watched"],
            ["log_loss", "0.42", "0.4 to 0.44", "0.6", "0.4"],
            [
                "city = Oslo",
                "20",
                "log_loss",
                "0.65",
                "0.41",
                "+0.24",
                "0.1 to 0.38",
                "0.0003",
                "worse than at training",
            ],
            ["beyond the bound", "log_loss", "0.6", "0.5 to 0.7", "0.45", "30"],
            ["beyond the bound, within chance", "auc", "0.7", "0.6 to 0.8", "0.75", "30"],
            ["answers with a label", "30 (75 %)"],
            ["labels of unknown answers", "3, such as nobody"],
            ["answers with corrected labels", "2"],
            ["labels left out: invalid", "4"],
            ["answers left out: failed", "5"],
            ["median delay", "90 minutes"],
            ["nine of ten labels come within", "2 days"],
            ["log_loss", "4", "0.01", "-0.005", "75 %"],
        ):
            assert row in found
        assert "the relation has changed" in degraded

    def test_charts(self, degraded):
        assert set(marks(degraded, "log_loss over time")) == {
            "2026-03-01 00:00 to 01:00: 0.6, 30 labels (75 % of the answers)",
            "95 % interval: 0.5 to 0.7", "at training: 0.4", "bound of the gate: 0.45",
        }  # fmt: skip
        assert "city = Oslo at training: 0.41" in marks(degraded, "log_loss by slice")
        assert "2026-03-01 02:00 to 03:00: 20 with a label" in marks(degraded, "Answers with a label")
        assert "More labels are expected for 1 hour." in degraded

    def test_without_labels(self):
        bare = replace(
            PERFORMANCE,
            labelled=None,
            measured=None,
            periods=(),
            slices=(),
            compared=(),
            bounds=(),
            diagnosis=None,
            record=(),
        )
        page = describe_monitoring(replace(DRIFTED, performance=bare))
        assert ["log_loss", "0.42", "0.4 to 0.44", "0.4"] in rows(page)
        assert "parameter labels" in page
        assert "the calibration of the evaluation" in page

    def test_without_labels_and_estimate(self):
        bare = Performance("rmse", START, END, None, None, (), (), (), (), None, None, ())
        assert "could not be written" not in describe_monitoring(replace(DRIFTED, performance=bare))

    def test_a_year_of_hours(self):
        """Hours are drawn in at most 60 periods, which have all answers together."""
        hours = tuple(
            Hour(f"2026-{1 + n // 672:02}-{1 + n // 24 % 28:02}T{n % 24:02}:00:00+00:00", 2, 1) for n in range(8064)
        )
        labelled = replace(PERFORMANCE.labelled, hours=hours)
        page = describe_monitoring(replace(DEGRADED, performance=replace(PERFORMANCE, labelled=labelled)))
        found = [text for text in marks(page, "Answers with a label") if text.endswith("with a label")]
        assert len(found) == 60
        assert sum(int(text.split()[-4].replace(",", "")) for text in found) == 8064
        assert found[0].startswith("2026-01-01 00:00 to 2026-01-06 15:00: 135 with")


def test_renamed_columns():
    """Columns have their names in the data; the log's are in a table."""
    page = describe_monitoring(replace(DRIFTED, names={"km": "Distance (km)"}))
    assert ["Distance (km)", "km"] in rows(page)
    assert {row[0] for row in rows(page) if row[0] in ("km", "Distance (km)")} == {"Distance (km)"}
    assert marks(page, "Distance (km")


def test_without_reference_statistics():
    page = describe_monitoring(replace(DRIFTED, skew=None, drift=None, predictions=None))
    assert "the reference has no statistics" in page
    assert "The window before has no rows" in page
    assert "the reference has no evaluation" in page


def test_a_column_that_is_absent():
    gone = ColumnDrift("gone", "absent", True, "is missing now", 100, 0, 0.0, 0.0, (), (), None, True)
    page = describe_monitoring(replace(DRIFTED, skew=drift(gone)))
    assert ["gone", "drifted", "absent", "100", "0", "0 %", "0 %", "is missing now"] in rows(page)


def test_missing_values_over_time():
    missing = replace(column("km", drifted=True), distances=(distance("missing_share"),))
    points = tuple(replace(one, missing={"km": 0.25}) for one in DRIFTED.points)
    page = describe_monitoring(replace(DRIFTED, skew=drift(missing), points=points))
    assert "2026-03-01 00:00 to 01:00: missing 0.25" in marks(page, "km")


def test_a_value_that_is_undefined_and_one_that_is_not_judged():
    undefined = Distance("wasserstein", None, None, None, None, 0.1, None, None, False, "default")
    unjudged = distance("jensen_shannon", drifted=False, threshold=None)
    one = replace(column("km"), reason="dates are not judged", distances=(undefined, unjudged), importance=None)
    found = rows(describe_monitoring(replace(DRIFTED, skew=drift(one), drift=None, predictions=None)))
    assert [row[-1] for row in found if row[:2] in (["km", "wasserstein"], ["km", "jensen shannon"])] == [
        "undefined", "not judged",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def wide():
    columns = tuple(column(f"c{number}", drifted=number < 500) for number in range(1000))
    names = [f"c{number}" for number in range(24)]
    points = tuple(
        replace(
            point(hour % 24, **dict.fromkeys(names, 0.1)), start=f"2026-03-0{1 + hour // 24}T{hour % 24:02}:00:00+00:00"
        )
        for hour in range(60)
    )
    findings = tuple(Finding("DATA_DRIFT", "drifted", f"'c{number}' drifted") for number in range(500))
    return describe_monitoring(
        replace(DRIFTED, findings=findings, skew=drift(*columns), drift=drift(*columns), points=points)
    )


def test_the_first_columns_are_drawn_of_wide_data(wide):
    assert [title for title in charts(wide) if title.startswith("c")] == [
        *(f"c{number} drifted" for number in range(24)), *(f"c{number} drifted" for number in range(6)),
    ]  # fmt: skip
    assert "24 of 1,000 columns are drawn" in wide


def test_all_columns_are_listed_of_wide_data(wide):
    assert max(map(len, tables(wide))) == 1000
    assert "All 1,000 columns compared with the training data" in wide
    assert "480 more findings" in wide


def test_the_size_of_a_page_of_wide_data(wide):
    assert len(wide) < 3_000_000


def test_the_page_has_no_script_and_loads_nothing(degraded):
    assert "default-src 'none'" in degraded
    assert not re.search(r"<script|\bon\w+=|javascript:|@import", degraded)
    assert not re.search(r"""(?:src|href)=["'](?!#|data:,")""", degraded)


def test_ids_are_unique(degraded):
    found = re.findall(r'\bid="([^"]+)"', degraded)

    assert len(found) == len(set(found))
    assert set(re.findall(r"url\(#([^)]+)\)", degraded)) <= set(found)


def test_the_same_monitoring_gives_the_same_bytes(degraded, tmp_path):
    write_monitoring_report(tmp_path / "run" / "report.html", DEGRADED)

    assert (tmp_path / "run" / "report.html").read_bytes() == degraded.encode()


def test_a_defect_in_a_section_hides_no_other(monkeypatch):
    monkeypatch.setattr(reports, "describe_traffic", lambda *_: 1 / 0)
    page = describe_monitoring(DRIFTED)

    assert titles(page)[:3] == ["Findings", "Traffic", "Data"]
    assert "ZeroDivisionError" in page


def test_a_text_of_users_stays_text():
    columns = tuple(
        replace(column(text, drifted=True), reason=text, bins=tuple(Bin(one, 0.1, 0.2) for one in HOSTILE))
        for text in HOSTILE
    )
    labelled = replace(
        PERFORMANCE.labelled, by=HOSTILE[0], unknown_example=HOSTILE[0], skipped=dict.fromkeys(HOSTILE, 1)
    )
    slices = tuple(replace(PERFORMANCE.slices[0], value=text) for text in HOSTILE)
    monitoring = replace(
        DEGRADED,
        model=HOSTILE[0],
        reason=HOSTILE[0],
        action=HOSTILE[1],
        data_version=HOSTILE[2],
        findings=tuple(Finding(text, "degraded", text, text) for text in HOSTILE),
        traffic=tuple(Traffic(3, text, 1, 1, {text: 1}, latencies(bin3=1)) for text in HOSTILE),
        anomalies=tuple(Anomaly(text, text, text, text, text) for text in HOSTILE),
        # Each column is a chart, which takes time.
        skew=drift(*columns),
        drift=drift(columns[0]),
        predictions=drift(columns[1]),
        points=(point(0, **dict.fromkeys(HOSTILE, 0.1)), point(1, **dict.fromkeys(HOSTILE, 0.2))),
        performance=replace(PERFORMANCE, labelled=labelled, slices=slices),
        notes=tuple(Note("X", text, text, 1, text) for text in HOSTILE),
    )
    page = describe_monitoring(monitoring)

    assert "could not be written" not in page
    assert not re.search(r"<(script|iframe|img|svg on|!--|\?)|<a (?!href=\"#section)", page)
    assert not controls(page)
    for svg in re.findall(r"<svg.*?</svg>", page, re.S):
        ElementTree.fromstring(svg)
