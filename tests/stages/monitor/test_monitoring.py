"""Monitoring of a model in production: verdicts over a prediction log with and without changes."""

import json
import re
import shutil
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from support.watched import NOON, draw, write_day, write_hour, write_watched_reference
from tiffin.artifacts import documents
from tiffin.artifacts.monitoring import Outcome, read_monitoring
from tiffin.artifacts.schema import read_schema, write_schema
from tiffin.artifacts.verdict import read_evaluation
from tiffin.errors import InputError
from tiffin.performance.ranked import LEVEL
from tiffin.report.monitoring import describe_monitoring
from tiffin.serving.recording import hash_text
from tiffin.stages.monitor.monitoring import monitor
from tiffin.stages.monitor.performance import Labels, make_labels


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    return write_watched_reference(tmp_path_factory.mktemp("reference"))


@pytest.fixture(scope="module")
def renamed(tmp_path_factory):
    """The reference of a model of which ingest renamed two columns."""
    names = {"Distance (km)": "km", "City name": "city"}
    return write_watched_reference(tmp_path_factory.mktemp("renamed"), renamed=names)


@pytest.fixture
def watch(tmp_path, reference):
    """Return a function that monitors the log in `log` until noon."""

    def run(**options):
        return monitor(
            reference,
            tmp_path / "out",
            log_root=str(tmp_path / "log"),
            **{"now": NOON - timedelta(minutes=1)} | options,
        )

    return run


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def codes(found):
    return [(one.code, one.column) for one in found.findings if one.severity != "info"]


class TestNoData:
    def test_no_log(self, watch, log):
        found = watch()
        assert (found.verdict, found.findings[0].code, found.rows) == ("no_data", "NO_LOG", 0)
        assert "gateway" in found.action

    def test_an_empty_window(self, watch, log):
        write_hour(log, NOON - timedelta(days=9), draw(np.random.default_rng(1), 10))
        found = watch()
        assert (found.verdict, found.findings[0].code) == ("no_data", "NO_REQUESTS")
        assert "2026-02-20" in found.reason

    def test_a_log_of_another_version(self, watch, log):
        write_hour(log, NOON - timedelta(hours=2), draw(np.random.default_rng(1), 50), version=2)
        found = watch()
        assert (found.verdict, found.findings[0].code) == ("no_data", "OTHER_VERSIONS")
        assert [(one.version, one.requests) for one in found.traffic] == [(2, 50)]

    def test_copies_alone_are_no_requests(self, watch, log):
        write_hour(log, NOON - timedelta(hours=2), draw(np.random.default_rng(1), 50), route="mirror")
        assert watch().verdict == "no_data"


class TestVerdicts:
    def test_healthy(self, watch, log, tmp_path):
        write_day(log)
        found = watch()
        assert (found.verdict, codes(found), found.rows, found.files) == ("healthy", [], 2400, 24)
        assert read_monitoring(tmp_path / "out") == found
        assert sorted(column.column for column in found.skew.columns) == ["city", "km", "stops"]
        assert [column.column for column in found.predictions.columns] == ["probability"]
        assert len(found.points) == 24
        assert {one.requests for one in found.points} == {100}

    def test_an_important_input_drifted(self, watch, log):
        write_day(log, km=0.5)
        found = watch()
        assert found.verdict == "drifted"
        assert ("DATA_DRIFT", "km") in codes(found)
        assert ("PREDICTION_DRIFT", "probability") in codes(found)
        assert ("DATA_DRIFT", "stops") not in codes(found)

    def test_an_input_that_cannot_matter(self, watch, log):
        rng = np.random.default_rng(6)
        for number in range(24):
            rows = draw(rng, 100)
            write_hour(log, NOON - timedelta(hours=24 - number), {**rows, "stops": rows["stops"] + 2})
        found = watch()
        assert (found.verdict, codes(found)) == ("healthy", [])
        assert [(one.code, one.severity) for one in found.findings if one.column == "stops"] == [("DATA_DRIFT", "info")]

    def test_a_new_city(self, watch, log):
        write_day(log, new_city=0.3)
        found = watch()
        assert found.verdict == "drifted"
        assert ("ANOMALY", "city") in codes(found)
        assert ("DATA_DRIFT", "city") in codes(found)

    def test_errors(self, watch, log):
        write_day(log)
        write_hour(
            log, NOON - timedelta(hours=1), draw(np.random.default_rng(7), 200), "e", version=0, code="UNAVAILABLE"
        )
        found = watch()
        assert (found.verdict, codes(found)) == ("degraded", [("ERROR_RATE", "")])
        assert "tiffin models rollback deliveries" in found.action
        assert watch(max_error_share=0.2).verdict == "healthy"

    def test_no_server_answers(self, watch, log):
        write_hour(
            log, NOON - timedelta(hours=1), draw(np.random.default_rng(7), 200), "e", version=0, code="UNAVAILABLE"
        )
        found = watch()
        assert (found.verdict, codes(found)) == ("degraded", [("ERROR_RATE", "")])

    def test_failed_requests_beside_another_version(self, watch, log):
        """Most requests are answered by version 2, so that those without a version are not counted as of version 3."""
        rng = np.random.default_rng(7)
        write_hour(log, NOON - timedelta(hours=1), draw(rng, 20), "e", version=0, code="UNAVAILABLE")
        write_hour(log, NOON - timedelta(hours=1), draw(rng, 400), "other", version=2)
        assert watch().findings[0].code == "OTHER_VERSIONS"

    def test_comparators_of_the_schema(self, reference, log, tmp_path):
        """The skew comparator applies to the training data, the drift comparator to the window before."""
        changed = tmp_path / "changed"
        shutil.copytree(reference, changed)
        schema = read_schema(changed)
        [city] = [one for one in schema.feature if one.name == "city"]
        city.skew_comparator.infinity_norm.threshold = 0.9
        city.drift_comparator.infinity_norm.threshold = 0.8
        write_schema(changed, schema)
        write_day(log, seed=1, end=NOON - timedelta(hours=24))
        write_day(log)
        found = monitor(changed, tmp_path / "out", log_root=str(log), now=NOON - timedelta(minutes=1))
        for drift, threshold in ((found.skew, 0.9), (found.drift, 0.8)):
            [column] = [one for one in drift.columns if one.column == "city"]
            [norm] = [one for one in column.distances if one.measure == "infinity_norm"]
            assert (norm.threshold, norm.source) == (threshold, "schema")

    def test_slow_answers(self, watch, log):
        write_day(log)
        assert watch(max_p99_seconds=0.001).findings[0].code == "LATENCY"
        assert watch(max_p99_seconds=0.1).verdict == "healthy"

    def test_few_rows_decide_nothing(self, watch, log):
        write_hour(log, NOON - timedelta(hours=1), draw(np.random.default_rng(8), 10, km=0.3, new_city=0.1))
        assert watch().verdict == "healthy"

    def test_a_ruined_column(self, watch, log):
        rng = np.random.default_rng(9)
        for number in range(24):
            rows = draw(rng, 100)
            write_hour(log, NOON - timedelta(hours=24 - number), {**rows, "km": [float("nan")] * 100})
        found = watch()
        assert found.verdict == "drifted"
        assert ("ANOMALY", "km") in codes(found)
        assert found.skew.columns[0].missing == 1.0

    def test_the_window_before(self, watch, log):
        write_day(log, seed=1, end=NOON - timedelta(hours=24))
        write_day(log, seed=2, km=0.5)
        found = watch()
        assert found.drift.drifted
        assert found.drift.baseline == "split 'train' of the baseline" or found.drift.baseline == "the window before"


class TestNames:
    """People know the names in their data, the log has those of the model."""

    def watch(self, reference, tmp_path, **options):
        return monitor(
            reference,
            tmp_path / "out",
            log_root=str(tmp_path / "log"),
            **{"now": NOON - timedelta(minutes=1)} | options,
        )

    def test_findings_and_reasons(self, renamed, log, tmp_path):
        write_day(log, km=0.5, new_city=0.3)
        found = self.watch(renamed, tmp_path)
        assert {("ANOMALY", "city"), ("DATA_DRIFT", "city"), ("DATA_DRIFT", "km")} <= set(codes(found))
        texts = [one.text for one in found.findings if one.column in ("city", "km")]
        assert all(text.startswith(("'Distance (km)'", "'City name'")) for text in texts)
        assert found.names == {"km": "Distance (km)", "city": "City name"}
        for text in (found.reason, found.skew.reason):
            assert "'Distance (km)'" in text or "'City name'" in text
            assert "'km'" not in text
        page = describe_monitoring(found)
        assert "<figcaption>Distance (km)" in page
        assert "Renamed columns" in page

    @pytest.mark.parametrize("name", ["city", "City name"])
    def test_slices(self, renamed, log, tmp_path, name):
        """Either name is taken, and the groups have the names of the evaluation, with which they are compared."""
        write_labelled(log, tmp_path / "labels.csv", concept_in_bonn=0.4, seed=32)
        found = self.watch(renamed, tmp_path, labels=Labels(str(tmp_path / "labels.csv"), slices=((name,),)))
        assert sorted(part.slice for part in found.performance.compared_slices) == [
            f"City name = {city}" for city in ("Bonn", "Oslo", "Rome")
        ]
        assert set(codes(found)) == {("WORSE_THAN_TRAINING", "city")}
        assert "City name = Bonn" in found.reason

    def test_inputs_that_are_not_recorded(self, renamed, log, tmp_path):
        rng = np.random.default_rng(9)
        for number in range(24):
            rows = {name: one for name, one in draw(rng, 100).items() if name != "city"}
            write_hour(log, NOON - timedelta(hours=24 - number), rows)
        assert [(one.code, one.example) for one in self.watch(renamed, tmp_path).notes] == [
            ("NOT_RECORDED", "City name")
        ]


class TestFiles:
    def test_each_file_is_counted_once(self, watch, log):
        write_day(log)
        first, second = watch(), watch()
        assert (first.new_files, second.new_files) == (24, 0)
        assert replace(second, new_files=24) == first

    def test_late_files_are_added(self, watch, log):
        write_day(log)
        watch()
        write_hour(log, NOON - timedelta(hours=5), draw(np.random.default_rng(3), 40), "late")
        found = watch()
        assert (found.new_files, found.late_files, found.rows) == (1, 1, 2440)
        assert "LATE_FILES" in [note.code for note in found.notes]

    def test_a_file_that_was_cut_short(self, watch, log):
        write_day(log)
        path = write_hour(log, NOON - timedelta(hours=3), draw(np.random.default_rng(4), 40), "cut")
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        found = watch()
        assert (found.verdict, found.rows) == ("healthy", 2400)
        assert [(note.code, note.count) for note in found.notes] == [("UNREADABLE", 1)]
        path.write_bytes(whole)
        assert watch().rows == 2440

    def test_windows(self, watch, log):
        write_day(log)
        assert watch(window="6h").rows == 600
        assert watch(window="7d").rows == 2400

    def test_since_the_last_run(self, watch, log):
        write_day(log)
        first = watch(window="last", now=NOON - timedelta(hours=6, minutes=1))
        assert (first.rows, first.start) == (1800, "2026-02-28T06:00:00+00:00")
        second = watch(window="last")
        assert (second.start, second.rows) == ("2026-03-01T05:00:00+00:00", 700)

    def test_hashed_and_omitted_inputs_are_told(self, watch, log):
        rng = np.random.default_rng(9)
        for number in range(24):
            rows = draw(rng, 100)
            rows = {name: one for name, one in rows.items() if name != "stops"} | {"city": ["ab" * 32] * 100}
            write_hour(log, NOON - timedelta(hours=24 - number), rows)
        found = watch()
        assert found.verdict == "healthy"
        assert [(note.code, note.count, note.example) for note in found.notes] == [
            ("NOT_RECORDED", 1, "stops"),
            ("HASHED", 1, "city"),
        ]

    def test_another_state(self, watch, log, tmp_path):
        write_day(log)
        assert watch(state=str(tmp_path / "state")).new_files == 24
        assert watch().new_files == 24
        assert (tmp_path / "state" / "deliveries" / "3" / "hours").is_dir()


class TestWrongInput:
    @pytest.mark.parametrize("window", ["", "0h", "24", "24 hours", "400d", "-1h", "h"])
    def test_window(self, watch, window):
        with pytest.raises(InputError, match="window"):
            watch(window=window)

    def test_no_log_root(self, watch, reference, tmp_path, monkeypatch):
        monkeypatch.delenv("TIFFIN_LOG_ROOT", raising=False)
        with pytest.raises(InputError, match="log"):
            monitor(reference, tmp_path / "out")

    def test_no_reference(self, tmp_path):
        with pytest.raises(InputError, match=r"reference\.json"):
            monitor(tmp_path, tmp_path / "out", log_root=str(tmp_path))

    def test_a_damaged_hour_is_counted_again(self, watch, log):
        write_day(log)
        first = watch()
        [hour, *_] = sorted(log.glob("deliveries/monitoring/3/hours/*.json"))
        hour.write_text("{}")
        assert watch().rows == first.rows


def test_the_same_log_gives_the_same_bytes(reference, tmp_path, log):
    write_day(log)
    for name in ("one", "two"):
        monitor(
            reference,
            tmp_path / name,
            log_root=str(log),
            state=str(tmp_path / f"state {name}"),
            now=NOON - timedelta(minutes=1),
        )
    texts = ((tmp_path / name / "monitoring.json").read_text().replace(f"state {name}", "") for name in ("one", "two"))
    first, second = map(json.loads, texts)
    assert first == second


def write_labelled(log, path, hours=24, rows=100, unlabelled=0.0, end=NOON, seed=31, key=str, **changed):
    """Write a day of the log, and a CSV with the labels of its requests."""
    rng = np.random.default_rng(seed)
    lines = ["request_id,label"]
    for number in range(hours):
        start = end - timedelta(hours=hours - number)
        drawn = draw(rng, rows, **changed)
        write_hour(log, start, drawn, key=key)
        keep = rng.random(rows) >= unlabelled
        lines += [f"{start:%d%H}-a-{place},{late}" for place, late in enumerate(drawn["late"]) if keep[place]]
    path.write_text("\n".join(lines) + "\n")


class TestOutcomes:
    def test_each_run_has_one_for_mlflow(self, watch, log):
        write_day(log)
        watch()
        [one] = (log / "deliveries" / "monitoring" / "unsent").glob("*.json")
        found = documents.read(one, Outcome)
        assert (found.run_id, found.verdict, found.metrics["monitoring.requests"]) == ("run", "healthy", 2400)
        assert found.metrics["monitoring.estimated_auc"] == pytest.approx(0.85, abs=0.05)

    def test_the_oldest_are_dropped(self, watch, log, monkeypatch):
        monkeypatch.setattr("tiffin.stages.monitor.outcomes._MOST", 2)
        write_day(log)
        for minute in (40, 30, 20):
            found = watch(now=NOON - timedelta(minutes=minute))
        assert [(note.code, note.count) for note in found.notes] == [("OUTCOMES_DROPPED", 1)]
        names = sorted(path.name for path in (log / "deliveries" / "monitoring" / "unsent").glob("*.json"))
        assert [name[9:13] for name in names] == ["1130", "1140"]


class TestPerformance:
    def test_an_unchanged_model(self, watch, log, tmp_path):
        write_labelled(log, tmp_path / "labels.csv", rows=600, unlabelled=0.25)
        found = watch(labels=Labels(str(tmp_path / "labels.csv"), slices=(("city",),)))
        quality = found.performance
        assert (found.verdict, codes(found)) == ("healthy", [])
        assert (quality.metric, quality.diagnosis.code) == ("log_loss", "NO_DECAY")
        assert quality.labelled.coverage == pytest.approx(0.75, abs=0.03)
        assert sorted(one.value for one in quality.slices) == ["city = Bonn", "city = Oslo", "city = Rome"]
        assert quality.estimated.metrics["auc"] == pytest.approx(quality.measured.metrics["auc"], abs=0.03)

    def test_the_concept_drifted(self, watch, log, tmp_path):
        """Inputs are as before, and their relation with the labels is not."""
        write_labelled(log, tmp_path / "labels.csv", concept=0.7)
        found = watch(labels=Labels(str(tmp_path / "labels.csv")))
        assert found.verdict == "degraded"
        assert ("CONCEPT_DRIFT", "") in codes(found)
        assert [one.code for one in found.findings if one.text.startswith("log_loss")] == ["CONCEPT_DRIFT"]
        assert not found.skew.drifted
        assert found.performance.diagnosis.code == "CONCEPT_DRIFT"
        assert "Train again" in found.action

    def test_a_concept_that_drifted_days_ago_excuses_none(self, watch, log, tmp_path):
        """The estimates of days on which the model was worse than estimated do not show how wrong estimates are."""
        midnight = NOON.replace(hour=0)
        labels = Labels(str(tmp_path / "labels.csv"))
        write_labelled(log, tmp_path / "labels.csv", hours=72, end=midnight, concept=0.7)
        found = []
        for days in (2, 1, 0):
            at = midnight - timedelta(days=days, minutes=1)
            found.append(watch(now=at, labels=labels).performance)
        assert [one.diagnosis.code for one in found] == ["CONCEPT_DRIFT"] * 3
        # The last hour of a window has begun, and so its day is not over.
        assert [dict.fromkeys(record.periods for record in one.record) for one in found] == [{}, {}, {}]
        later = watch(now=midnight + timedelta(minutes=1), labels=labels, performance_window="3d").performance
        assert later.diagnosis.code == "CONCEPT_DRIFT"
        assert {one.periods for one in later.record} == {2}
        last = watch(now=midnight + timedelta(minutes=1), labels=labels).performance
        assert (last.diagnosis.code, {one.periods for one in last.record}) == ("CONCEPT_DRIFT", {2})

    def test_a_slice_decays_alone(self, watch, log, tmp_path):
        """In Bonn, a fifth of the rows, two fifths of the relation are gone; the whole is within chance."""
        write_labelled(log, tmp_path / "labels.csv", concept_in_bonn=0.4, seed=32)
        found = watch(labels=Labels(str(tmp_path / "labels.csv"), slices=(("city",),)))
        quality = found.performance
        assert (found.verdict, set(codes(found))) == ("degraded", {("WORSE_THAN_TRAINING", "city")})
        assert "city = Bonn" in found.reason
        assert [one.code for one in quality.compared if one.level] == ["AS_AT_TRAINING"] * 2
        worse = [
            (part.slice, one.code) for part in quality.compared_slices for one in part.compared if one.code[0] == "W"
        ]
        assert set(worse) == {("city = Bonn", "WORSE_THAN_TRAINING")}
        assert {one.level for part in quality.compared_slices for one in part.compared} == {LEVEL / 8}

    def test_slices_that_the_evaluation_does_not_have(self, watch, log, tmp_path):
        write_labelled(log, tmp_path / "labels.csv")
        found = watch(labels=Labels(str(tmp_path / "labels.csv"), slices=(("stops",),)))
        [note] = [one for one in found.notes if one.code == "SLICE_WITHOUT_REFERENCE"]
        assert (note.count, found.performance.compared_slices) == (len(found.performance.slices), ())

    def test_only_the_data_drifted(self, watch, log, tmp_path):
        write_labelled(log, tmp_path / "labels.csv", km=0.8)
        found = watch(labels=Labels(str(tmp_path / "labels.csv")))
        quality = found.performance
        assert found.verdict == "drifted"
        assert quality.diagnosis.code != "CONCEPT_DRIFT"
        assert quality.estimated.metrics["auc"] == pytest.approx(quality.measured.metrics["auc"], abs=0.02)

    def test_without_labels_the_quality_is_estimated(self, watch, log, reference):
        write_day(log)
        quality = watch().performance
        assert (quality.labelled, quality.measured, quality.diagnosis) == (None, None, None)
        assert quality.estimated.source == "evaluation"
        assert quality.estimated.metrics["auc"] == pytest.approx(0.85, abs=0.05)
        evaluation = read_evaluation(reference)
        assert quality.at_training == {name: value for name, value in evaluation.metrics.items() if value is not None}

    def test_answers_that_are_not_in_the_estimate_are_told(self, watch, log):
        """A file of 100 rows that came twice, and three of the others without a number."""
        rows = draw(np.random.default_rng(5), 200)
        rows["probability"][:3] = float("nan")
        write_hour(log, NOON - timedelta(hours=2), rows)
        path = write_hour(log, NOON - timedelta(hours=3), draw(np.random.default_rng(6), 100))
        shutil.copy(path, path.with_name("b.parquet"))
        found = watch()
        told = {one.code: one.count for one in found.notes if one.code.startswith("ANSWERS_")}
        assert told == {"ANSWERS_VALUES": 3, "ANSWERS_REPEATED": 100}
        assert found.performance.estimated.rows == 297

    def test_the_record_of_estimates(self, watch, log, tmp_path):
        """Labels come a day later: the estimate of the day before is measured against them."""
        midnight = NOON.replace(hour=0)
        write_labelled(log, tmp_path / "labels.csv", end=midnight)
        first = watch(now=midnight, performance_window="2d")
        assert first.performance.record == ()
        second = watch(performance_window="2d", labels=Labels(str(tmp_path / "labels.csv")))
        by_metric = {one.metric: one for one in second.performance.record}
        assert by_metric["auc"].periods == 1
        assert by_metric["auc"].error < 0.03

    def test_labels_of_unknown_requests(self, watch, log, tmp_path):
        write_day(log)
        (tmp_path / "labels.csv").write_text("request_id,label\nnobody,1\n")
        found = watch(labels=Labels(str(tmp_path / "labels.csv")))
        assert (found.verdict, found.performance.labelled.unknown, found.performance.labelled.unknown_example) == (
            "healthy",
            1,
            "nobody",
        )

    @pytest.mark.parametrize(
        ("key", "secret", "labelled", "code"),
        [
            (lambda one: hash_text(one, b"s"), "s", 2400, None),
            (lambda one: hash_text(one, b"s"), "", 0, "KEYS_NO_SECRET"),
            (lambda one: hash_text(one, b"s"), "other", 0, "KEYS_OTHER_SECRET"),
            (lambda one: None, "s", 0, "KEYS_LEFT_OUT"),
        ],
    )
    def test_keys_that_the_log_hashes_or_leaves_out(
        self, watch, log, tmp_path, monkeypatch, key, secret, labelled, code
    ):
        monkeypatch.setenv("TIFFIN_LOG_KEY", secret)
        write_labelled(log, tmp_path / "labels.csv", key=key)
        text = (tmp_path / "labels.csv").read_text().replace("request_id", "key") + "unknown,1\n"
        (tmp_path / "labels.csv").write_text(text)
        found = watch(labels=Labels(str(tmp_path / "labels.csv")))
        assert (found.verdict, found.performance.labelled.labelled) == ("healthy", labelled)
        assert [one.code for one in found.findings if one.code.startswith("KEYS")] == ([code] if code else [])
        assert found.performance.labelled.unknown == 2401 - labelled
        shown = (tmp_path / "out" / "monitoring.json").read_text() + describe_monitoring(found)
        assert not re.search(r"\d{4}-a-\d|unknown, ", shown)

    def test_slices_of_an_unknown_input(self, watch, log):
        write_day(log)
        with pytest.raises(InputError, match=r"slices.*'citi'.*'city'"):
            watch(labels=Labels(slices=(("citi",),)))

    def test_no_labels_at_the_location(self, watch, log, tmp_path):
        write_day(log)
        with pytest.raises(InputError, match="labels"):
            watch(labels=Labels(str(tmp_path / "none.csv")))


@pytest.mark.parametrize(
    ("name", "value"),
    [("columns", {"lable": "x"}), ("columns", []), ("corrections", "newest"), ("tolerance_hours", -1),
     ("clock_skew_seconds", 1e9), ("slices", "city"), ("slices", [["a", "b", "c"]])],
)  # fmt: skip
def test_wrong_labels(name, value):
    right = {
        "source": "",
        "columns": {},
        "corrections": "last",
        "tolerance_hours": 1,
        "clock_skew_seconds": 1,
        "slices": [],
    }
    with pytest.raises(InputError, match=name):
        make_labels(**{**right, name: value})
