import json
import os
import signal
import urllib.request
from pathlib import Path

import pytest
import yaml

from support.command_line import start, tiffin
from support.production import column, distance, keep, make_monitoring, serve_versions
from support.prometheus import promtool
from support.waiting import free_port
from tiffin.artifacts.monitoring_status import Status
from tiffin.artifacts.retraining import Attempt
from tiffin.retraining.state import change, locate, read_state, with_started


@pytest.fixture
def state(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def made(state, tmp_path):
    """A state folder with a model in production, and a verdict about it."""
    serve_versions(state / "serving", tmp_path / "model", 1, 3)
    keep(state / "predictions", make_monitoring("drifted", [column("km", distance(0.5), drifted=True)]))
    return state


def status_file(state):
    return state / "predictions" / "taxi" / "monitoring" / "status.json"


class TestStatus:
    def test_nothing(self, state):
        status, _, errors = tiffin("monitor", "status", "--state", state)
        assert (status, len(errors.splitlines())) == (2, 1)

    def test_a_status(self, made):
        status, printed, _ = tiffin("monitor", "status", "taxi", "--state", made)
        assert status == 0
        assert printed.startswith("taxi version 3: drifted since 2026-03-01 12:00 UTC")
        assert all(len(line) <= 80 for line in printed.splitlines())

    def test_json(self, made):
        status, printed, _ = tiffin("monitor", "status", "--json", "--state", made)
        found = json.loads(printed)
        assert (status, found["columns"][0]["column"], found["columns_left_out"]) == (0, "km", 0)

    def test_one_of_an_older_version(self, made):
        path = status_file(made)
        older = json.loads(path.read_text())
        for name in ("columns", "columns_left_out", "metrics"):
            del older[name]
        path.write_text(json.dumps(older))
        assert set(older) < {*Status.__dataclass_fields__}
        assert tiffin("monitor", "status", "--state", made)[0] == 0
        status, printed, errors = tiffin("monitor", "metrics", "--state", made)
        assert (status, errors) == (0, "")
        assert 'tiffin_monitoring_window_rows{model="taxi",version="3"} 45.0' in printed

    def test_one_that_is_damaged(self, made):
        status_file(made).write_text("{")
        status, _, errors = tiffin("monitor", "status", "--state", made)
        assert (status, len(errors.splitlines()), "status.json" in errors) == (2, 1, True)

    def test_a_name_that_is_none(self, made):
        status, _, errors = tiffin("monitor", "status", "tax", "--state", made)
        assert (status, "'taxi'" in errors) == (2, True)


class TestMetrics:
    def test_nothing(self, state):
        status, printed, errors = tiffin("monitor", "metrics", "--state", state)
        assert (status, len(errors.splitlines()), str(state) in errors) == (0, 1, True)
        assert promtool("check", "metrics", content=printed.encode()) == (0, "")
        assert not state.exists()

    def test_a_page(self, made):
        status, printed, errors = tiffin("monitor", "metrics", "--state", made)
        assert (status, errors) == (0, "")
        assert promtool("check", "metrics", content=printed.encode()) == (0, "")
        assert 'tiffin_monitoring_verdict{model="taxi",verdict="drifted",version="3"} 1.0' in printed
        assert 'tiffin_serving_version_info{model="taxi",role="stable",version="3"} 1.0' in printed

    def test_other_places(self, made, tmp_path):
        variables = {"TIFFIN_LOG_ROOT": str(made / "predictions"), "TIFFIN_SERVING_ROOT": str(made / "serving")}
        _, printed, _ = tiffin("monitor", "metrics", "--state", tmp_path / "none", **variables)
        assert "tiffin_monitoring_window_rows{" in printed
        assert "tiffin_serving_weight{" in printed
        (tmp_path / "kept").mkdir()
        (made / "predictions" / "taxi" / "monitoring").rename(tmp_path / "kept" / "tips")
        _, printed, _ = tiffin("monitor", "metrics", "--monitor-state", tmp_path / "kept", "--state", tmp_path / "none")
        assert 'tiffin_monitoring_window_rows{model="tips",version="3"} 45.0' in printed

    def test_a_damaged_document(self, made):
        status_file(made).write_text("{")
        status, printed, errors = tiffin("monitor", "metrics", "--state", made)
        assert (status, len(errors.splitlines()), "status.json" in errors) == (0, 1, True)
        assert 'tiffin_observability_unreadable{source="status"} 1.0' in printed

    def test_a_file(self, made, tmp_path):
        path = tmp_path / "node" / "tiffin.prom"
        status, printed, _ = tiffin("monitor", "metrics", "--state", made, "--output", path)
        assert (status, printed) == (0, f"Written: {path}\n")
        assert promtool("check", "metrics", content=path.read_bytes()) == (0, "")
        # Written under another name first, which node_exporter does not read.
        assert os.listdir(path.parent) == ["tiffin.prom"]

    def test_serve(self, made):
        port = free_port()
        with start("monitor", "metrics", "--serve", "--port", port, "--state", made) as process:
            assert f"http://127.0.0.1:{port}/metrics" in process.stdout.readline()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                assert b"tiffin_monitoring_window_rows{" in answer.read()
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["--serve", "--output", "x"], "--output"),
            (["--port", "1"], "--serve"),
            (["--host", "0.0.0.0"], "--serve"),
            (["--serve", "--port", "0"], "--port"),
            (["--serve", "--port", "65536"], "--port"),
            (["--log-root", "s4://b"], "s4://b"),
            (["--serving-root", "s3://b"], "s3://b"),
            (["--colour"], "--colour"),
            (["taxi"], "taxi"),
        ],
    )
    def test_wrong_options(self, state, options, named):
        status, printed, errors = tiffin("monitor", "metrics", *options, "--state", state)
        # A location is known to be none when it is read: the page counts it.
        assert (status, named in errors.splitlines()[-1]) == (0 if options[1:] == ["s4://b"] else 2, True)
        assert bool(printed) == (status == 0)

    def test_a_port_that_is_taken(self, made):
        port = free_port()
        with start("monitor", "metrics", "--serve", "--port", port, "--state", made) as process:
            process.stdout.readline()
            status, _, errors = tiffin("monitor", "metrics", "--serve", "--port", port, "--state", made)
            process.terminate()
        assert (status, len(errors.splitlines()), str(port) in errors) == (1, 1, True)

    def test_an_output_that_cannot_be_written(self, made, tmp_path):
        (tmp_path / "file").touch()
        status, _, errors = tiffin("monitor", "metrics", "--state", made, "--output", tmp_path / "file" / "x.prom")
        assert (status, len(errors.splitlines())) == (1, 1)


class TestRules:
    def test_all_models(self, tmp_path):
        status, printed, errors = tiffin("monitor", "rules")
        assert (status, errors) == (0, "")
        (tmp_path / "rules.yml").write_text(printed)
        assert promtool("check", "rules", tmp_path / "rules.yml")[0] == 0

    def test_models_and_thresholds(self, tmp_path):
        path = tmp_path / "rules.yml"
        options = ["--max-error-share=0.25", "--min-errors=9", "--max-p99-seconds=0.75", "--no-traffic-for=90m"]
        more = ["--monitoring-every=7d", "--max-dropped-share=0.5", "--severity=TiffinDrift=info"]
        status, printed, _ = tiffin("monitor", "rules", "taxi", "tips", *options, *more, "--output", path)
        assert (status, printed) == (0, f"Written: {path}\n")
        assert promtool("check", "rules", path)[0] == 0
        groups = yaml.safe_load(path.read_text())["groups"]
        assert [group["name"] for group in groups] == ["tiffin-taxi", "tiffin-tips", "tiffin-shared"]
        alerts = {rule["alert"]: rule for rule in groups[0]["rules"] if "alert" in rule}
        assert "> 0.25" in alerts["TiffinErrors"]["expr"]
        assert ">= 9" in alerts["TiffinErrors"]["expr"]
        assert "> 0.75" in alerts["TiffinLatency"]["expr"]
        assert alerts["TiffinNoTraffic"]["for"] == "90m"
        assert "> 1209600" in alerts["TiffinMonitoringStopped"]["expr"]
        assert alerts["TiffinDrift"]["labels"]["severity"] == "info"

    def test_left_out(self):
        _, printed, _ = tiffin("monitor", "rules", "--max-p99-seconds=0", "--no-traffic-for=")
        assert "TiffinLatency" not in printed
        assert "TiffinNoTraffic" not in printed

    def test_operator(self):
        status, printed, _ = tiffin("monitor", "rules", "taxi", "--operator")
        assert (status, yaml.safe_load(printed)["kind"]) == (0, "PrometheusRule")

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["a b"], "'a b'"),
            (["--max-error-share", "1"], "max_error_share=1"),
            (["--max-error-share", "many"], "'many'"),
            (["--min-errors", "0"], "min_errors=0"),
            (["--min-errors", "1.5"], "'1.5'"),
            (["--max-p99-seconds", "-1"], "max_p99_seconds=-1"),
            (["--no-traffic-for", "1 hour"], "no_traffic_for='1 hour'"),
            (["--monitoring-every", "daily"], "monitoring_every='daily'"),
            (["--max-dropped-share", "nan"], "max_dropped_share=nan"),
            (["--severity", "critical"], "'critical'"),
            (["--severity", "TiffinDirft=info"], "TiffinDrift"),
            (["--severity", "TiffinDrift=Very bad"], "Very bad"),
        ],
    )
    def test_wrong_options(self, options, named):
        status, printed, errors = tiffin("monitor", "rules", *options)
        error = errors.splitlines()[-1]
        assert (status, printed, error[:7], named in error) == (2, "", "error: ", True)


class TestConfig:
    def test_files(self, made, tmp_path):
        folder = tmp_path / "a folder"
        status, printed, errors = tiffin("monitor", "config", "--state", made, "--output", folder)
        assert (status, errors) == (0, "")
        assert sorted(os.listdir(folder)) == ["alertmanager.yml", "prometheus.yml", "rules.yml", "targets"]
        assert promtool("check", "config", folder / "prometheus.yml")[0] == 0
        assert json.loads((folder / "targets" / "tiffin.json").read_text()) == [{"targets": ["127.0.0.1:9105"]}]
        assert f"--config.file '{folder}/prometheus.yml'" in printed
        assert printed.count("listen-address=127.0.0.1") == 2
        # Nothing else runs.
        assert "tiffin-servers, tiffin-gateway, tiffin-recorder" in printed

    def test_again(self, made, tmp_path):
        arguments = ("monitor", "config", "--state", made, "--output", tmp_path)
        tiffin(*arguments)
        (tmp_path / "alertmanager.yml").write_text("mine")
        (tmp_path / "targets" / "tiffin.json").unlink()
        status, printed, _ = tiffin(*arguments)
        assert (status, (tmp_path / "alertmanager.yml").read_text()) == (0, "mine")
        assert "changes of its own" in printed
        assert Path(tmp_path, "targets", "tiffin.json").exists()

    def test_without_a_folder(self, made, tmp_path):
        status, _, errors = tiffin("monitor", "config", "--state", made)
        assert (status, "--output" in errors.splitlines()[-1]) == (2, True)
        (tmp_path / "file").touch()
        status, _, errors = tiffin("monitor", "config", "--state", made, "--output", tmp_path / "file")
        assert (status, "--output" in errors.splitlines()[-1]) == (2, True)


class TestRetrainings:
    def test_a_model_that_is_not_there(self, state):
        for command in (("pause", "taxi", "--why", "x"), ("resume", "taxi")):
            status, _, errors = tiffin("monitor", *command, "--state", state)
            assert (status, len(errors.splitlines())) == (2, 1)
        assert not state.exists()

    def test_a_typo_pauses_nothing(self, made):
        status, _, errors = tiffin("monitor", "pause", "tax", "--why", "x", "--state", made)
        assert status == 2
        assert "taxi" in errors
        assert not list(made.rglob("retrainings.json"))

    def test_pause_and_resume(self, made):
        assert tiffin("monitor", "pause", "taxi", "--state", made)[0] == 2  # without a reason
        assert tiffin("monitor", "pause", "taxi", "--why", "labels are wrong", "--state", made)[0] == 0
        assert tiffin("monitor", "pause", "taxi", "--why", "again", "--state", made)[0] == 2
        _, printed, _ = tiffin("monitor", "status", "taxi", "--state", made)
        assert "labels are wrong" in " ".join(printed.split())
        status, printed, _ = tiffin("monitor", "resume", "taxi", "--json", "--state", made)
        assert (status, json.loads(printed)) == (0, {"model": "taxi", "attempts": []})
        assert tiffin("monitor", "resume", "taxi", "--state", made)[0] == 2

    def test_the_last_retrainings_are_in_the_status(self, made):
        uri = locate(str(made / "predictions" / "taxi" / "monitoring"))
        for number in range(5):
            one = Attempt(f"r{number}", "schedule", "", 3, "d", f"2026-03-0{number + 1}T00:00:00+00:00", "rejected")
            change(uri, "taxi", lambda before, one=one: with_started(before, one))
        _, printed, _ = tiffin("monitor", "status", "taxi", "--state", made)
        shown = [line.split()[-5] for line in printed.splitlines() if line.endswith("by schedule: rejected")]
        assert len(shown) == 3
        assert "2026-03-05" in printed
        assert all(len(line) <= 80 for line in printed.splitlines())
        status, printed, _ = tiffin("monitor", "status", "taxi", "--json", "--state", made)
        assert (status, len(json.loads(printed)["retrainings"]["attempts"])) == (0, 5)

    def test_the_state_that_was_passed_to_the_pipeline(self, tmp_path):
        state = tmp_path / "state" / "taxi"
        change(
            locate(str(state)),
            "taxi",
            lambda before: with_started(before, Attempt("r", "hand", "", 3, "d", "2026-03-01T00:00:00+00:00")),
        )
        assert tiffin("monitor", "pause", "taxi", "--why", "x", "--monitor-state", tmp_path / "state")[0] == 0
        assert read_state(locate(str(state)), "taxi").paused is not None
