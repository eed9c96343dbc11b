"""The reports of a monitored model, from its prediction log to the pages."""

import re
from datetime import timedelta

import numpy as np
import pytest

from support.hostile import HOSTILE
from support.watched import NOON, draw, write_day, write_hour, write_watched_reference
from tiffin.stages.monitor.monitoring import monitor
from tiffin.stages.monitor.performance import Labels
from tiffin.stages.monitor.reporting import write_reports


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_watched_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


@pytest.fixture
def reports(tmp_path, reference, log):
    """Return a function that monitors the log until noon, and returns the two pages."""

    def run(*, evidently=False, **options):
        found = monitor(
            reference, tmp_path / "out", log_root=str(log), **{"now": NOON - timedelta(minutes=1)} | options
        )
        paths = [tmp_path / "report.html", tmp_path / "evidently.html"]
        write_reports(*paths, found, str(log), evidently=evidently)
        return [path.read_text() for path in paths]

    return run


def state(page):
    return re.search(r'<span class="state \w+">(.*?)</span>', page)[1]


def charts(page):
    return [re.sub("<.+?>", "", title) for title in re.findall(r"<figcaption>(.+?)</figcaption>", page)]


def test_no_data(reports):
    own, other = reports()
    assert (state(own), charts(own)) == ("no data", [])
    assert state(other) == "not asked for"
    assert state(reports(evidently=True)[1]) == "no data"


def test_healthy(reports, log):
    write_day(log)
    own, _ = reports()
    assert state(own) == "healthy"
    assert charts(own) == [
        "Requests",
        "Latency",
        "km as before",
        "city as before",
        "stops as before",
        "probability as before",
    ]
    assert "parameter labels" in own
    assert "could not be written" not in own


def test_drifted(reports, log):
    write_day(log, seed=1, end=NOON - timedelta(hours=24))
    write_day(log, seed=2, km=0.5)
    own, _ = reports()
    assert state(own) == "drifted"
    # From the training data, the window before, and the evaluation.
    assert [title for title in charts(own) if title.endswith("drifted")] == [
        "km drifted",
        "km drifted",
        "probability drifted",
    ]


def test_degraded(reports, log, tmp_path):
    """The labels are the opposite of what the model learned."""
    rng = np.random.default_rng(3)
    lines = ["request_id,label"]
    for number in range(24):
        start, rows = NOON - timedelta(hours=24 - number), draw(rng, 100)
        write_hour(log, start, rows)
        lines += [f"{start:%d%H}-a-{place},{1 - late}" for place, late in enumerate(rows["late"])]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    own, _ = reports(labels=Labels(str(tmp_path / "labels.csv"), slices=(("city",),)))
    assert state(own) == "degraded"
    assert charts(own)[-3:] == ["log_loss over time", "Answers with a label", "log_loss by slice"]
    assert "worse than at training" in own


def test_hostile_values(reports, log):
    rng = np.random.default_rng(4)
    for number in range(24):
        rows = draw(rng, 100)
        texts = [text.replace("\ud800", "") for text in HOSTILE]
        write_hour(log, NOON - timedelta(hours=24 - number), {**rows, "city": rng.choice(texts, 100)})
    own, other = reports(evidently=True)
    assert not re.search(r"<(script|iframe|img|svg on|!--|\?)", own)
    assert "alert(1)" in other
    assert not re.search(r"<(/script><script>alert|img src=x|iframe src=//h|svg onload)", other)
