"""The figures of a status, as the monitoring of a log writes them."""

import json
from datetime import timedelta

import pytest

from support.production import column, distance, keep, make_monitoring
from support.watched import MODEL, NOON, write_day, write_watched_reference
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring_status import COLUMNS, MetricStatus, Status
from tiffin.stages.monitor.monitoring import monitor


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_watched_reference(tmp_path_factory.mktemp("reference"), renamed={"Distance (km)": "km"})


def read(place):
    return documents.read(place, Status)


class TestColumns:
    def find(self, tmp_path, *columns, **changed):
        return read(keep(tmp_path, make_monitoring("drifted", columns, **changed)))

    def test_none(self, tmp_path):
        found = self.find(tmp_path)
        assert (found.columns, found.columns_left_out, found.metrics) == ((), 0, ())
        assert read(keep(tmp_path, make_monitoring("no_data", skew=None, performance=None))).columns == ()

    def test_those_that_drifted_come_first(self, tmp_path):
        found = self.find(
            tmp_path,
            column("far", distance(0.9), drifted=True, counts=False),
            column("near", distance(0.02)),
            column("drifted", distance(0.2), drifted=True),
            column("absent", drifted=True),
            column("undefined", distance(None)),
        )
        assert [(one.column, one.drifted) for one in found.columns] == [
            ("drifted", True), ("absent", True), ("far", False), ("near", False), ("undefined", False),
        ]  # fmt: skip
        assert found.columns[-1].figures == ()

    def test_the_limit_is_what_is_more_than_chance(self, tmp_path):
        [one] = self.find(tmp_path, column("km", distance(0.3, 0.1), distance(0.4, None, "jensen_shannon"))).columns
        assert [(f.measure, f.value, f.limit) for f in one.figures] == [
            ("wasserstein", 0.3, 0.11), ("jensen_shannon", 0.4, None),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("number", "shown", "left_out"), [(COLUMNS, COLUMNS, 0), (COLUMNS + 1, COLUMNS, 1), (2000, COLUMNS, 1950)]
    )
    def test_the_bound(self, tmp_path, number, shown, left_out):
        found = self.find(tmp_path, *(column(f"c{index:04}", distance(0.5)) for index in range(number)))
        assert (len(found.columns), found.columns_left_out) == (shown, left_out)
        # Equal ones are chosen by name, so that the same columns have series every time.
        assert [one.column for one in found.columns] == [f"c{index:04}" for index in range(shown)]


def test_metrics(tmp_path):
    found = make_monitoring(measured={"f1": 0.5, "auc": None}, estimated={"auc": 0.75}, training={"brier": 0.1})
    assert read(keep(tmp_path, found)).metrics == (
        MetricStatus("auc", None, 0.75, None),
        MetricStatus("brier", None, None, 0.1),
        MetricStatus("f1", 0.5, None, None),
    )


def test_of_a_log(tmp_path, reference):
    write_day(tmp_path / "log", km=0.5)
    found = monitor(reference, tmp_path / "out", log_root=str(tmp_path / "log"), now=NOON - timedelta(minutes=1))
    status = read(tmp_path / "log" / MODEL / "monitoring" / "status.json")
    assert (status.verdict, status.columns_left_out) == (found.verdict, 0)
    first = status.columns[0]
    assert (first.column, first.drifted) == ("Distance (km)", True)
    assert any(figure.limit is not None and figure.value > figure.limit for figure in first.figures)
    assert {one.column for one in status.columns} == {"Distance (km)", "city", "stops"}
    main = {one.metric: one for one in status.metrics}[status.metric]
    assert (main.estimated, main.training, main.measured) == (status.estimated, status.at_training, status.value)
    assert len(status.metrics) > 3


def test_an_older_status_is_read_and_replaced(tmp_path):
    path = keep(tmp_path, make_monitoring("drifted"), NOON)
    with open(path) as file:
        older = json.load(file)
    for name in ("columns", "columns_left_out", "metrics"):
        del older[name]
    with open(path, "w") as file:
        json.dump(older, file)
    assert read(path).columns == ()
    keep(
        tmp_path,
        make_monitoring("drifted", [column("km", distance(0.3))], end="2026-03-02T12:00:00+00:00"),
        NOON + timedelta(1),
    )
    found = read(path)
    # The verdict holds since the older one.
    assert (found.since, len(found.looks), len(found.columns)) == ("2026-03-01T12:00:00+00:00", 2, 1)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    columns = [column(name, distance(0.5)) for name in "cab"]
    contents = set()
    for order in (columns, columns[::-1]):
        with open(keep(tmp_path / str(len(contents)), make_monitoring("drifted", order)), "rb") as file:
            contents.add(file.read())
    assert len(contents) == 1
