"""Evidently's report of the monitoring of a model."""

import os
import re
import subprocess
import sys
from datetime import timedelta

import numpy as np
import pytest

from support import logged
from support.watched import NOON, VERSION, draw, write_day, write_hour
from tiffin.artifacts.monitoring import Monitoring
from tiffin.stages.monitor import evidently
from tiffin.stages.monitor.evidently import write_evidently
from tiffin.stages.monitor.windows import in_utc

WATCHED = Monitoring(
    "deliveries", VERSION, in_utc(NOON - timedelta(hours=24)), in_utc(NOON), "healthy", "", "", (), 0, 0, 0, 0, (), (), None,
    None, None, (), None, "d1", "1.0",
)  # fmt: skip


@pytest.fixture
def page(tmp_path):
    """Return a function that writes the report of the log in `log`, and returns its page."""

    def run(monitoring=WATCHED):
        write_evidently(tmp_path / "page.html", monitoring, str(tmp_path / "log"), is_wanted=True)
        return (tmp_path / "page.html").read_text()

    return run


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def state(page):
    return re.search(r'<span class="state \w+">(.*?)</span>', page)[1]


def notes(page):
    """Return the notes above Evidently's report."""
    return re.findall("<p>(.*?)</p>", re.search("<body><div.*?</div>", page)[0])


def test_not_asked_for(tmp_path):
    write_evidently(tmp_path / "page.html", WATCHED, "", is_wanted=False)
    page = (tmp_path / "page.html").read_text()
    assert state(page) == "not asked for"
    assert "parameter evidently" in page


def test_no_data(page):
    assert state(page()) == "no data"


def test_two_windows(page, log):
    write_day(log, seed=1, end=NOON - timedelta(hours=24), rows=1200)
    write_day(log, seed=2, km=1.0)
    found = page()
    assert notes(found) == [
        "2,400 of 2,400 rows of the window as current data, and 1,200 of 1,200 rows of the window before as reference data."
    ]
    assert "Data Drift Summary" in found
    assert "input.km" in found
    assert "output.probability" in found


def test_one_window(page, log):
    write_day(log)
    found = page()
    assert notes(found)[0].endswith("0 of 0 rows of the window before as reference data.")
    assert "Data Drift Summary" not in found
    assert "Dataset Summary" in found


def test_samples_are_bounded(page, log, monkeypatch):
    write_day(log)
    monkeypatch.setattr(evidently, "MOST_INPUTS", 2)
    monkeypatch.setattr(evidently.sample_rows, "__defaults__", (100,))
    first, second = notes(page())
    assert first.startswith("100 of 2,400 rows")
    assert second == "Inputs beyond 2, which are left out: 1. Drifted and important ones come first."


def test_columns_that_evidently_cannot_show(page, log):
    """It fails on columns without values."""
    rng = np.random.default_rng(3)
    for number in range(2):
        rows = draw(rng, 100)
        write_hour(log, NOON - timedelta(hours=1 + number), {**rows, "km": [None] * 100, "stops": [float("inf")] * 100})
    assert notes(page())[1:] == ["Columns left out for no values in one of the windows: input.km, input.stops."]


def test_no_column_has_values(page, log):
    nothing = {"km": [None] * 9, "city": [None] * 9, "stops": [None] * 9, "probability": [None] * 9}
    write_hour(log, NOON - timedelta(hours=1), nothing)
    assert state(page()) == "no data"


def test_lists_and_numbers_that_are_not_finite(page, tmp_path):
    rows = [
        logged.row("stable", VERSION, f"r{number}", NOON - timedelta(minutes=9), output_score=[number / 9],
                   input_image=[1.0, 2.0], input_km=float("inf") if number < 3 else number / 2)
        for number in range(9)
    ]  # fmt: skip
    logged.write(tmp_path / "log", rows)
    found = page(Monitoring(**{**vars(WATCHED), "model": "taxi"}))
    assert notes(found)[1:] == [
        "Columns left out for several values in a row: input.image.",
        "Values that are not finite, shown as missing: 3.",
    ]
    assert "output.score" in found


def test_values_are_no_html(page, log):
    rng = np.random.default_rng(4)
    rows = draw(rng, 90)
    write_hour(
        log, NOON - timedelta(hours=1), {**rows, "city": ["</script><script>alert(1)</script>", "a & b", "Oslo"] * 30}
    )
    found = page()
    assert "script><script>alert" not in found
    assert notes(found)[1] == "Values with control characters, &lt;, &gt; or &amp;, which are replaced: 60."


def test_the_page_loads_nothing(page, log):
    write_day(log)
    found = page()
    policy = re.search('<meta http-equiv="Content-Security-Policy" content="(.*?)">', found)[1]
    assert found.index("Content-Security-Policy") < found.index("<script")
    assert policy.startswith("default-src 'none'; ")
    assert not re.search("https?:", policy)
    assert not re.search(r"""<(script|link|img|iframe)[^>]* (src|href)=["']?https?:""", found)


def test_its_telemetry_is_off(page, log, monkeypatch):
    monkeypatch.setenv("DO_NOT_TRACK", "")
    write_day(log)
    page()
    assert os.environ["DO_NOT_TRACK"] == "1"


def test_an_error_of_evidently_does_not_fail_the_step(page, log, monkeypatch):
    def fail(*_, **__):
        raise ValueError("first line\nsecond line")

    monkeypatch.setattr(evidently, "_run", fail)
    write_day(log)
    found = page()
    assert state(found) == "failed"
    assert "ValueError: first line" in found
    assert "second line" not in found


def test_it_is_imported_only_if_it_is_asked_for():
    code = "import sys, tiffin.stages.monitor.reporting as r; print('evidently' in sys.modules)"
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
