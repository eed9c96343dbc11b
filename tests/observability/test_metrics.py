import math
from dataclasses import replace

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from support import gcs_emulator
from support.hostile import HOSTILE
from support.production import NOON, begin_rollout, column, distance, keep, make_monitoring, serve_versions
from support.prometheus import promtool
from tiffin.artifacts.monitoring_status import COLUMNS
from tiffin.artifacts.retraining import Attempt
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.traffic_document import write_traffic
from tiffin.governance.merging import merge
from tiffin.observability.faults import SOURCES
from tiffin.observability.metrics import METRICS, Page, Places, Reading, make_registry, read_documents
from tiffin.retraining.state import change, locate, pause, with_started
from tiffin.rollout import evidence
from tiffin.rollout.plan import Limits
from tiffin.rollout.statistics.shares import Tally


def page_of(reading):
    """Return the page, which promtool accepts."""
    content = generate_latest(make_registry(Page(reading)))
    status, printed = promtool("check", "metrics", content=content)
    assert (status, printed) == (0, ""), printed
    return content.decode()


def values(reading, start=""):
    """Return the values by name and labels."""
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(page_of(reading))
        for sample in family.samples
        if sample.name.startswith(start)
    }


@pytest.fixture
def places(tmp_path):
    return Places(str(tmp_path / "log"), serving_root=str(tmp_path / "root"))


class TestNothing:
    def test_before_the_first_reading(self):
        found = values(Reading())
        assert {name for name, *_ in found} == {"tiffin_observability_unreadable"}
        assert set(found.values()) == {0.0}

    def test_no_folders(self, places):
        found = values(read_documents(places))
        assert {name for name, *_ in found if "last_read" not in name} == {"tiffin_observability_unreadable"}
        assert len(found) == len(SOURCES) + 1

    def test_every_metric_is_there_with_its_help(self, places):
        families = {
            one.name: one.documentation for one in text_string_to_metric_families(page_of(read_documents(places)))
        }
        assert families == {name: text for name, (_, text) in METRICS.items()}

    def test_no_places(self):
        assert not read_documents(Places("")).faults.texts


class TestStatus:
    OF = (("model", "taxi"), ("version", "3"))

    def find(self, places, name, *labels):
        found = values(read_documents(places), f"tiffin_monitoring_{name}")
        return {key[1:]: value for key, value in found.items() if key[0] == f"tiffin_monitoring_{name}"}

    def test_figures(self, places):
        keep(places.statuses, make_monitoring("drifted"))
        assert self.find(places, "verdict") == {
            (self.OF[0], ("verdict", name), self.OF[1]): float(name == "drifted")
            for name in ("healthy", "degraded", "drifted", "no_data")
        }
        figures = {
            "window_requests": 40, "window_failed_requests": 2, "window_rows": 45, "window_p99_seconds": 0.001,
            "last_run_timestamp_seconds": NOON.timestamp(), "window_end_timestamp_seconds": NOON.timestamp(),
            "verdict_since_timestamp_seconds": NOON.timestamp(), "columns_left_out": 0, "labelled_rows": 0,
        }  # fmt: skip
        for name, value in figures.items():
            assert self.find(places, name) == {self.OF: value}, name

    def test_quality(self, places):
        keep(
            places.statuses,
            make_monitoring(measured={"auc": 0.7, "f1": None}, estimated={"auc": 0.75}, training={"auc": 0.8}),
        )
        assert self.find(places, "quality") == {
            (("metric", "auc"), ("model", "taxi"), ("source", source), ("version", "3")): value
            for source, value in (("measured", 0.7), ("estimated", 0.75), ("training", 0.8))
        }
        assert self.find(places, "labelled_rows") == {self.OF: 30}

    def test_columns(self, places):
        columns = [
            column("km", distance(0.5), distance(0.2, None, "jensen_shannon"), drifted=True),
            column("city", distance(None), drifted=True, counts=False),
        ]
        keep(places.statuses, make_monitoring("drifted", columns, names={"km": "Distance (km)"}))
        assert self.find(places, "column_drifted") == {
            (("column", "Distance (km)"), *self.OF): 1.0,
            (("column", "city"), *self.OF): 0.0,
        }
        measured = lambda name: (("column", "Distance (km)"), ("measure", name), *self.OF)  # noqa: E731
        key = {name: tuple(sorted(measured(name))) for name in ("wasserstein", "jensen_shannon")}
        assert self.find(places, "column_distance") == {key["wasserstein"]: 0.5, key["jensen_shannon"]: 0.2}
        # 0.01 by chance, and the threshold 0.1.
        assert self.find(places, "column_limit") == {key["wasserstein"]: 0.11}

    def test_the_number_of_columns_is_bounded(self, places):
        columns = [column(f"c{number:04}", distance(number / 1000)) for number in range(COLUMNS + 20)]
        drifted = column("important", distance(0.001), drifted=True)
        keep(places.statuses, make_monitoring("drifted", [*columns, drifted]))
        shown = {dict(key)["column"] for key in self.find(places, "column_drifted")}
        assert len(shown) == COLUMNS
        assert {"important", "c0069", "c0021"} <= shown
        assert "c0020" not in shown
        assert self.find(places, "columns_left_out") == {self.OF: 21}

    # Half of a pair cannot be written, see below.
    @pytest.mark.parametrize("name", [name for name in HOSTILE if "\ud800" not in name])
    def test_hostile_names(self, places, name):
        keep(places.statuses, make_monitoring(columns=[column(name, distance(0.2))], measured={name: 0.5}))
        [key] = self.find(places, "column_drifted")
        # As the parser reads it: prometheus_client escapes quotes, backslashes and line feeds.
        assert dict(key)["column"] == name

    def test_half_of_a_surrogate_pair(self, places):
        path = keep(places.statuses, make_monitoring(columns=[column("km", distance(0.2))]))
        with open(path) as file:
            content = file.read()
        with open(path, "w") as file:
            file.write(content.replace('"km"', '"\\ud800"'))
        [key] = self.find(places, "column_drifted")
        assert dict(key)["column"] == "?"

    def test_another_state(self, tmp_path):
        keep(tmp_path / "log", make_monitoring())
        places = Places(f"{tmp_path}/log/taxi", folder="")
        assert {dict(key)["model"] for key in self.find(places, "window_rows")} == {"monitoring"}

    def test_the_next_version_takes_the_place_of_the_last(self, places):
        keep(places.statuses, make_monitoring())
        keep(places.statuses, make_monitoring(version=4))
        assert self.find(places, "labelled_rows") == {(("model", "taxi"), ("version", "4")): 0.0}

    def test_a_log_root_with_wildcards_in_its_name(self, tmp_path):
        keep(tmp_path / "l[o]g*", make_monitoring())
        assert self.find(Places(str(tmp_path / "l[o]g*")), "window_rows") == {self.OF: 45.0}


class TestServing:
    def test_versions(self, places, tmp_path):
        served = serve_versions(places.serving_root, tmp_path, 1, 2)
        found = values(read_documents(places), "tiffin_serving")
        of = (("model", "taxi"), ("role", "stable"), ("version", "2"))
        changed = found.pop(("tiffin_serving_last_change_timestamp_seconds", ("model", "taxi")))
        assert found == {("tiffin_serving_version_info", *of): 1.0, ("tiffin_serving_weight", *of): 1.0}
        assert changed > NOON.timestamp()
        assert served.name == "taxi"

    @pytest.mark.parametrize(("weight", "mirror"), [(25, 0), (0, 50), (100, 0)])
    def test_traffic(self, places, tmp_path, weight, mirror):
        served = serve_versions(places.serving_root, tmp_path, 1)
        write_traffic(served, Traffic(2, weight, mirror, "", 1), None)
        found = values(read_documents(places), "tiffin_serving")
        of = {
            role: (("model", "taxi"), ("role", role), ("version", str(v)))
            for role, v in (("stable", 1), ("candidate", 2))
        }
        assert found["tiffin_serving_weight", *of["stable"]] == 1 - weight / 100
        assert found["tiffin_serving_weight", *of["candidate"]] == weight / 100
        assert found["tiffin_serving_mirror_share", ("model", "taxi"), ("version", "2")] == mirror / 100

    def test_traffic_for_another_stable_version_does_not_count(self, places, tmp_path):
        served = serve_versions(places.serving_root, tmp_path, 1, 3)
        write_traffic(served, Traffic(2, 25, 0, "", 1), None)
        roles = {dict(key[1:]).get("role") for key in values(read_documents(places), "tiffin_serving_weight")}
        assert roles == {"stable"}

    def test_a_rollout(self, places, tmp_path):
        served = serve_versions(places.serving_root, tmp_path, 1)
        progress = evidence.begin(Limits())
        counted = evidence.Counted(Tally(200, 3))
        begin_rollout(served, 2, 1, progress=replace(progress, candidate=counted))
        found = values(read_documents(places), "tiffin_rollout")
        of = (("model", "taxi"), ("version", "2"))
        states = {key[2][1]: value for key, value in found.items() if key[0] == "tiffin_rollout_state"}
        assert states == {
            "starting": 0, "running": 1, "paused": 0, "promoting": 0, "ending": 0, "over": 0,
        }  # fmt: skip
        assert (found["tiffin_rollout_step", *of], found["tiffin_rollout_steps", *of]) == (2, 2)
        assert found["tiffin_rollout_start_timestamp_seconds", *of] == NOON.timestamp() - 7200
        assert found["tiffin_rollout_state_since_timestamp_seconds", *of] == NOON.timestamp() - 3600
        candidate = (("model", "taxi"), ("role", "candidate"), ("version", "2"))
        assert found["tiffin_rollout_requests", *candidate] == 200
        assert found["tiffin_rollout_failed_requests", *candidate] == 3
        assert {found["tiffin_rollout_outcome", of[0], ("outcome", o), of[1]] for o in ("promoted", "aborted")} == {0}

    def test_a_direct_rollout_that_is_over(self, places, tmp_path):
        served = serve_versions(places.serving_root, tmp_path, 1)
        begin_rollout(served, 2, 1, steps=(), step=0, phase="over", outcome="aborted")
        found = values(read_documents(places), "tiffin_rollout")
        of = (("model", "taxi"), ("version", "2"))
        assert (found["tiffin_rollout_step", *of], found["tiffin_rollout_steps", *of]) == (0, 0)
        assert found["tiffin_rollout_outcome", of[0], ("outcome", "aborted"), of[1]] == 1
        assert "tiffin_rollout_requests" not in {key[0] for key in found}

    def test_a_model_that_was_served_without_tiffin(self, places, tmp_path):
        served = serve_versions(places.serving_root, tmp_path, 5)
        for path in (tmp_path / "root" / "taxi" / "history").iterdir():
            path.unlink()
        assert served.read("stable.config")
        found = values(read_documents(places), "tiffin_serving")
        assert ("tiffin_serving_version_info", ("model", "taxi"), ("role", "stable"), ("version", "5")) in found
        assert "tiffin_serving_last_change_timestamp_seconds" not in {key[0] for key in found}

    def test_on_cloud_storage(self, tmp_path):
        with gcs_emulator.serve() as bucket:
            places = Places(f"gs://{bucket.name}/log", serving_root=f"gs://{bucket.name}/root")
            assert not read_documents(places).samples
            served = serve_versions(places.serving_root, tmp_path, 1, 2)
            keep(places.statuses, make_monitoring())
            merge(served.root)
            found = values(read_documents(places))
        assert found["tiffin_monitoring_window_rows", ("model", "taxi"), ("version", "3")] == 45
        assert found["tiffin_serving_weight", ("model", "taxi"), ("role", "stable"), ("version", "2")] == 1


# Kind of a document to a file of the model `taxi`.
FILES = {
    "status": "log/taxi/monitoring/status.json",
    "history": "root/taxi/history/00000003.json",
    "traffic": "root/taxi/traffic.json",
    "rollout": "root/taxi/rollout.json",
}


class TestDamage:
    """Each damaged document is counted and named, and the others are on the page."""

    @pytest.fixture
    def both(self, places, tmp_path):
        """Two models in full; `taxi` is damaged by the test."""
        for model in ("taxi", "tips"):
            served = serve_versions(places.serving_root, tmp_path / model, 1, 2, model=model)
            begin_rollout(served, 3, 2)
            write_traffic(served, Traffic(3, 25, 0, "", 2), None)
            keep(places.statuses, make_monitoring(model=model))
        return tmp_path

    @pytest.mark.parametrize("source", FILES)
    @pytest.mark.parametrize(
        "content", [b"", b"{", b"[]", b"\xff", b'{"model": 1}', b"[" * 100_000, b"null"], ids=range(7)
    )
    def test_content(self, both, places, source, content):
        whole = values(read_documents(places))
        path = both / FILES[source]
        assert path.exists()
        path.write_bytes(content)
        reading = read_documents(places)
        found = values(reading)
        # storage.read returns an empty status as one that is not there: its writer replaces it.
        named = {one for one, _ in reading.faults.texts}
        assert named == {source}
        assert all("taxi" in text for _, text in reading.faults.texts)
        assert found["tiffin_observability_unreadable", ("source", source)] == 1
        others = {key for key in whole if ("model", "tips") in key}
        assert others <= set(found)

    @pytest.mark.parametrize(
        ("source", "old", "new"),
        [
            ("status", '"2026-03-01T12:00:00+00:00"', '"yesterday"'),
            ("status", '"requests": 40', f'"requests": 1{"0" * 400}'),
            ("rollout", '"2026-03-01T10:00:00+00:00"', '"yesterday"'),
            ("traffic", '"weight": 25', '"weight": 250'),
            ("rollout", '"step": 1', '"step": 7'),
        ],
    )
    def test_values(self, both, places, source, old, new):
        path = both / FILES[source]
        content = path.read_text()
        assert old in content
        path.write_text(content.replace(old, new))
        reading = read_documents(places)
        assert [one for one, _ in reading.faults.texts] == [source]
        assert ("tiffin_monitoring_window_rows", ("model", "tips"), ("version", "3")) in values(reading)

    def test_numbers_that_are_none(self, both, places):
        path = both / FILES["status"]
        path.write_text(path.read_text().replace('"p99_seconds": 0.001', '"p99_seconds": NaN'))
        found = values(read_documents(places))
        assert math.isnan(found["tiffin_monitoring_window_p99_seconds", ("model", "taxi"), ("version", "3")])

    def test_the_version_is_that_of_the_config_without_a_history(self, both, places):
        for path in (both / "root/taxi/history").iterdir():
            path.write_bytes(b"{")
        found = values(read_documents(places), "tiffin_serving_version_info")
        assert ("tiffin_serving_version_info", ("model", "taxi"), ("role", "stable"), ("version", "2")) in found

    def test_a_config(self, both, places):
        for path in (both / "root/taxi/history").iterdir():
            path.write_bytes(b"{")
        (both / "root/taxi/stable.config").write_bytes(b"}")
        assert {one for one, _ in read_documents(places).faults.texts} == {"history", "config"}

    @pytest.mark.parametrize(("source", "name"), [("log_root", "log"), ("serving_root", "root")])
    def test_a_root_that_cannot_be_listed(self, both, places, source, name, monkeypatch):
        # No bucket answers there.
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
        monkeypatch.setattr("tiffin.storage.gcs._TIMEOUT", 0.1, raising=False)
        changed = {"log": {"statuses": "s4://bucket"}, "root": {"serving_root": "s4://bucket"}}[name]
        reading = read_documents(replace(places, **changed))
        assert [one for one, _ in reading.faults.texts] == [source]
        assert reading.samples


def test_the_same_documents_give_the_same_bytes(places, tmp_path):
    serve_versions(places.serving_root, tmp_path, 1, 2)
    keep(places.statuses, make_monitoring(columns=[column("b", distance(0.1)), column("a", distance(0.1))]))
    one, other = (replace(read_documents(places), time=NOON) for _ in range(2))
    assert page_of(one) == page_of(other)


class TestRetrainings:
    def test_a_model_that_was_trained_again(self, places):
        uri = locate(f"{places.statuses}/taxi/monitoring")
        for number, outcome in enumerate(("rejected", "promoted", "running")):
            one = Attempt(f"r{number}", "schedule", "", 3, "d", f"2026-03-0{number + 1}T00:00:00+00:00", outcome)
            change(uri, "taxi", lambda before, one=one: with_started(before, one))
        found = values(read_documents(places), "tiffin_retraining_")
        assert {name: value for (name, *labels), value in found.items() if len(labels) == 1} == {
            "tiffin_retraining_paused": 0,
            "tiffin_retraining_running": 1,
            "tiffin_retraining_last_start_timestamp_seconds": 1_772_496_000,
        }
        ended = {dict(labels)["outcome"]: value for (_, *labels), value in found.items() if len(labels) == 2}
        assert {outcome for outcome, value in ended.items() if value} == {"rejected", "promoted", "running"}
        pause(uri, "taxi", by="ada", why="", now=NOON)
        assert values(read_documents(places), "tiffin_retraining_paused") == {
            ("tiffin_retraining_paused", ("model", "taxi")): 1
        }

    @pytest.mark.parametrize("content", ["{", '{"model": "taxi", "attempts": 3}'])
    def test_a_damaged_state_is_counted(self, places, tmp_path, content):
        path = tmp_path / "log" / "taxi" / "monitoring" / "retrainings.json"
        path.parent.mkdir(parents=True)
        path.write_text(content)
        reading = read_documents(places)
        assert reading.faults.counts["retraining"] == 1
        assert values(reading, "tiffin_retraining_") == {}
