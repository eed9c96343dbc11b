"""Each alert in promtool: it fires when it should, not just below, and also where series have vanished."""

import json
import re

import pytest

from support.prometheus import run_rule_tests
from tiffin.observability.rules import format_rules, make_rules
from tiffin.observability.thresholds import ALERTS, Thresholds

SERVED = 'tiffin_serving_version_info{model="taxi",version="3",role="stable"}'
READ = "tiffin_observability_last_read_timestamp_seconds"
RUN = "tiffin_monitoring_last_run_timestamp_seconds"
MODELS = [(), ("taxi",), ("taxi", "tips")]
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def servers(status="OK", model="taxi", instance="a"):
    return f':tensorflow:serving:request_count{{model_name="{model}",status="{status}",instance="{instance}"}}'


def envoy(name, model="taxi", route="stable", protocol="grpc", **labels):
    found = {"model": model, "route": route, "protocol": protocol, **labels}
    return f"envoy_cluster_{name}{{{','.join(f'{key}={json.dumps(value)}' for key, value in found.items())}}}"


def verdict(of, model="taxi", version="3"):
    return f'tiffin_monitoring_verdict{{model="{model}",version="{version}",verdict="{of}"}}'


@pytest.fixture
def firing(tmp_path):
    """Return a function that returns the alerts of a name that fire at a minute: their labels and their description."""

    def find(name, minute, series, *, models=(), thresholds=None, page=True):
        # The page is read every minute, so that it gives no alert of its own.
        series = {**({READ: "0+60x2000"} if page else {}), **series}
        # A test that expects something else prints what there is.
        other = {"exp_labels": {"no": "such"}}
        test = {
            "interval": "1m",
            "input_series": [{"series": key, "values": values} for key, values in series.items()],
            "alert_rule_test": [{"eval_time": f"{minute}m", "alertname": name, "exp_alerts": [other]}],
        }
        status, printed = run_rule_tests(tmp_path, format_rules(make_rules(models, thresholds)), [test])
        assert (status, "exp:[" in printed) == (1, True), printed
        got = printed.partition("got:[")[2]
        labels = [dict(_LABEL.findall(line)) for line in re.findall(r"Labels:\{(.*)\}", got)]
        texts = [dict(_LABEL.findall(line)) for line in re.findall(r"Annotations:\{(.*)\}", got)]
        return [
            ({key: value for key, value in one.items() if key != "alertname"}, text["description"])
            for one, text in zip(labels, texts, strict=True)
        ]

    return find


@pytest.mark.parametrize("name", ALERTS)
@pytest.mark.parametrize("models", MODELS[:2])
def test_nothing(firing, name, models):
    assert firing(name, 120, {}, models=models) == []


class TestErrors:
    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(("minute", "count"), [(5, 0), (12, 1)])
    def test_of_the_servers(self, firing, models, minute, count):
        # 5 of 100 requests a minute fail.
        series = {servers(): "0+95x60", servers("INTERNAL"): "0+5x60"}
        found = firing("TiffinErrors", minute, series, models=models)
        assert [labels for labels, _ in found] == [
            {"model": "taxi", "severity": "critical", "source": "servers"}
        ] * count
        assert all("5% of the requests" in text and "tiffin models rollback taxi" in text for _, text in found)

    def test_just_below(self, firing):
        # 1 % is allowed.
        assert firing("TiffinErrors", 30, {servers(): "0+990x60", servers("INTERNAL"): "0+10x60"}) == []
        assert len(firing("TiffinErrors", 30, {servers(): "0+980x60", servers("INTERNAL"): "0+11x60"})) == 1

    def test_one_of_two_requests(self, firing):
        # In 5 minutes: 1 of 2, and 4 of 8.
        few = {servers(): "0 1x60", servers("INTERNAL"): "0 1x60"}
        assert all(firing("TiffinErrors", minute, few) == [] for minute in range(1, 8))
        some = "0 0 1 2 3 4 4 4 5 6 7 8 8 8 8 8"
        assert all(
            firing("TiffinErrors", minute, {servers(): some, servers("INTERNAL"): some}) == [] for minute in (6, 14)
        )

    def test_every_request_of_few(self, firing):
        assert len(firing("TiffinErrors", 30, {servers("UNAVAILABLE"): "0+2x60"})) == 1

    def test_a_short_burst(self, firing):
        # All errors are in one minute, so that the share is above 1 % for 5 minutes at most.
        series = {servers(): "0+100x60", servers("INTERNAL"): "0x10 50x50"}
        assert [firing("TiffinErrors", minute, series) for minute in range(8, 20)] == [[]] * 12

    def test_the_gateway_counts_for_the_servers_during_a_rollout(self, firing):
        # Copies for the candidate fail, and the servers count them; clients do not get these.
        copies = {servers(): "0+100x60", servers("INTERNAL", instance="candidate"): "0+100x60"}
        gateway = {
            envoy("grpc_success"): "0+100x60",
            envoy("grpc_failure", route="mirror"): "0+100x60",
        }
        assert len(firing("TiffinErrors", 30, copies)) == 1
        assert firing("TiffinErrors", 30, copies | gateway) == []

    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(
        "failed",
        [
            envoy("grpc_failure", route="candidate"),
            envoy("upstream_rq_xx", protocol="rest", envoy_response_code_class="5"),
            envoy("upstream_rq_cancelled"),
            envoy("upstream_rq_tx_reset", protocol="rest"),
        ],
    )
    def test_what_counts_as_failed_at_the_gateway(self, firing, models, failed):
        good = envoy("upstream_rq_xx", protocol="rest", envoy_response_code_class="2")
        series = {good: "0+80x60", failed: "0+20x60", envoy("grpc_success", "tips"): "0+100x60"}
        [(labels, text)] = firing("TiffinErrors", 30, series, models=models)
        assert labels == {"model": "taxi", "severity": "critical", "source": "gateway"}
        assert "20%" in text

    @pytest.mark.parametrize("models", MODELS)
    def test_models_without_a_candidate_share_a_label(self, firing, models):
        # No server is there, so that only the gateway counts.
        series = {envoy("grpc_success", "*"): "0+80x60", envoy("grpc_failure", "*"): "0+20x60"}
        [(labels, text)] = firing("TiffinErrors", 30, series, models=models)
        assert labels == {"model": "*", "severity": "critical", "source": "gateway"}
        assert "20%" in text
        assert "tiffin gateway --status" in text

    def test_namespaces_are_kept_apart(self, firing):
        failed = ':tensorflow:serving:request_count{{model_name="taxi",status="{}",namespace="{}"}}'
        series = {
            failed.format("OK", "a"): "0+9x60",
            failed.format("OK", "b"): "0+9x60",
            failed.format("X", "b"): "0+9x60",
        }
        assert [labels["namespace"] for labels, _ in firing("TiffinErrors", 30, series)] == ["b"]

    def test_other_models_and_versions_aside(self, firing):
        series = {servers("X", "taxi@2"): "0+9x60", servers("X", "(other)"): "0+9x60"}
        assert firing("TiffinErrors", 30, series) == []
        assert firing("TiffinErrors", 30, {servers("X", "tips"): "0+9x60"}, models=("taxi",)) == []

    def test_thresholds(self, firing):
        series = {servers(): "0+95x60", servers("INTERNAL"): "0+5x60"}
        assert firing("TiffinErrors", 30, series, thresholds=Thresholds(max_error_share=0.06)) == []
        assert firing("TiffinErrors", 30, series, thresholds=Thresholds(min_errors=26)) == []
        [(labels, _)] = firing("TiffinErrors", 30, series, thresholds=Thresholds(severities={"TiffinErrors": "page"}))
        assert labels["severity"] == "page"


class TestLatency:
    def buckets(self, slow):
        """Return series of the servers, of 100 requests a minute: some take 1 to 2 s, and the others up to 0.1 s."""
        name = ':tensorflow:serving:request_latency_bucket{{model_name="taxi",API="Predict",entrypoint="GRPC",le="{}"}}'
        return {
            name.format("100000"): f"0+{100 - slow}x60",
            name.format("1e+06"): f"0+{100 - slow}x60",
            name.format("2e+06"): "0+100x60",
            name.format("+Inf"): "0+100x60",
        }

    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(("minute", "count"), [(9, 0), (14, 1)])
    def test_of_the_servers(self, firing, models, minute, count):
        found = firing("TiffinLatency", minute, self.buckets(2), models=models)
        assert [labels for labels, _ in found] == [
            {"model": "taxi", "severity": "warning", "source": "servers"}
        ] * count
        # Half of the way from 1 to 2 s.
        assert all("1.5s" in text and "allowed: 1 s" in text for _, text in found)

    def test_just_below(self, firing):
        assert firing("TiffinLatency", 30, self.buckets(1)) == []

    @pytest.mark.parametrize(("seconds", "count"), [(1.4, 1), (1.6, 0), (0, 0)])
    def test_thresholds(self, firing, seconds, count):
        found = firing("TiffinLatency", 30, self.buckets(2), thresholds=Thresholds(max_p99_seconds=seconds))
        assert len(found) == count

    def test_the_gateway_counts_in_milliseconds(self, firing):
        slow = {
            envoy("upstream_rq_time_bucket", le=le): f"0+{n}x60"
            for le, n in (("2000", 0), ("3000", 100), ("+Inf", 100))
        }
        copies = {envoy("upstream_rq_time_bucket", route="mirror", le="30000"): "0+900x60"}
        [(labels, text)] = firing("TiffinLatency", 30, slow | copies)
        assert labels["source"] == "gateway"
        assert "2.99s" in text


class TestNoTraffic:
    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(("minute", "count"), [(59, 0), (61, 1)])
    def test_without_any_series(self, firing, models, minute, count):
        found = firing("TiffinNoTraffic", minute, {SERVED: "1x2000"}, models=models)
        assert [labels for labels, _ in found] == [{"model": "taxi", "severity": "warning"}] * count
        assert all("for 1h" in text for _, text in found)

    @pytest.mark.parametrize("values", ["0+9x30 270x100", "0+9x30 _x100"], ids=["no more requests", "vanished"])
    def test_requests_that_end(self, firing, values):
        series = {SERVED: "1x2000", servers(): values}
        # The rate is above 0 until minute 35 or so.
        assert [len(firing("TiffinNoTraffic", minute, series)) for minute in (30, 90, 97)] == [0, 0, 1]

    def test_a_request_in_the_hour(self, firing):
        few = "0x40 1x40 2x40 3x40"
        assert [firing("TiffinNoTraffic", minute, {SERVED: "1x2000", servers(): few}) for minute in (80, 120, 160)] == [
            []
        ] * 3

    def test_requests_through_the_gateway_only(self, firing):
        assert firing("TiffinNoTraffic", 90, {SERVED: "1x2000", envoy("grpc_success"): "0+1x200"}) == []

    def test_a_model_that_is_not_served(self, firing):
        assert firing("TiffinNoTraffic", 90, {SERVED.replace("stable", "candidate"): "1x2000"}) == []

    def test_thresholds(self, firing):
        assert len(firing("TiffinNoTraffic", 11, {SERVED: "1x2000"}, thresholds=Thresholds(no_traffic_for="10m"))) == 1
        assert firing("TiffinNoTraffic", 200, {SERVED: "1x2000"}, thresholds=Thresholds(no_traffic_for="")) == []


class TestVerdicts:
    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(("minute", "count"), [(4, 0), (6, 1)])
    def test_drift(self, firing, models, minute, count):
        column = 'tiffin_monitoring_column_drifted{{model="{}",version="3",column="{}"}}'
        series = {
            verdict("drifted"): "1x60",
            verdict("healthy"): "0x60",
            column.format("taxi", "km"): "1x60",
            column.format("taxi", "city"): "0x60",
            column.format("taxi", 'a \\"b\\"'): "1x60",
            column.format("tips", "other"): "1x60",
        }
        found = firing("TiffinDrift", minute, series, models=models)
        labels = {"model": "taxi", "severity": "warning", "verdict": "drifted", "version": "3"}
        assert [one for one, _ in found] == [labels] * count
        for _, text in found:
            assert r"version 3, have moved" in text
            assert r"Inputs that drifted: a \"b\", km." in text
            assert text.endswith("tiffin monitor status taxi")

    def test_drift_of_the_predictions_alone(self, firing):
        [(_, text)] = firing("TiffinDrift", 6, {verdict("drifted"): "1x60"})
        assert "Inputs that drifted: none." in text

    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(("minute", "count"), [(4, 0), (6, 1)])
    def test_decay(self, firing, models, minute, count):
        quality = 'tiffin_monitoring_quality{{model="taxi",version="3",metric="{}",source="{}"}}'
        series = {
            verdict("degraded"): "1x60",
            quality.format("auc", "measured"): "0.71x60",
            quality.format("accuracy", "measured"): "0.5x60",
            quality.format("auc", "training"): "0.83x60",
        }
        found = firing("TiffinDecay", minute, series, models=models)
        assert [one["version"] for one, _ in found] == ["3"] * count
        assert all(
            "Measured: accuracy 0.5, auc 0.71; estimated: none; at training: auc 0.83." in text for _, text in found
        )

    @pytest.mark.parametrize("of", ["healthy", "no_data"])
    def test_other_verdicts(self, firing, of):
        series = {verdict(of): "1x60", verdict("drifted"): "0x60", verdict("degraded"): "0x60"}
        assert [firing(name, 30, series) for name in ("TiffinDrift", "TiffinDecay")] == [[], []]

    def test_a_version_that_is_gone(self, firing):
        assert firing("TiffinDrift", 40, {verdict("drifted"): "1x20 _x60"}) == []


class TestMonitoringStopped:
    NAME = "TiffinMonitoringStopped"
    EVERY = Thresholds(monitoring_every="10m")

    def run(self, version="3", model="taxi"):
        return f'{RUN}{{model="{model}",version="{version}"}}'

    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(("minute", "count"), [(25, 0), (27, 1)])
    def test_twice_the_time(self, firing, models, minute, count):
        # 20 minutes have passed at minute 20; 5 minutes more.
        found = firing(self.NAME, minute, {self.run(): "0x200"}, models=models, thresholds=self.EVERY)
        assert [labels for labels, _ in found] == [{"model": "taxi", "severity": "warning"}] * count
        assert all("27m 0s old" in text and "every 10m" in text for _, text in found)

    def test_a_newer_version(self, firing):
        # Version 4 took the place of version 3 at minute 20.
        series = {self.run("3"): "0x20 _x200", self.run("4"): "_x20 0+60x300"}
        assert firing(self.NAME, 100, series, thresholds=self.EVERY) == []

    def test_a_status_that_vanished(self, firing):
        series = {self.run(): "0+60x20 _x200"}
        assert len(firing(self.NAME, 100, {**series, SERVED: "1x300"}, thresholds=self.EVERY)) == 1
        # A model that is not served any more needs no monitoring.
        assert firing(self.NAME, 100, series, thresholds=self.EVERY) == []

    def test_a_model_that_was_never_monitored(self, firing):
        assert firing(self.NAME, 100, {SERVED: "1x300"}, thresholds=self.EVERY) == []

    @pytest.mark.parametrize("models", MODELS)
    @pytest.mark.parametrize(("minute", "count"), [(14, 0), (16, 1)])
    def test_no_page(self, firing, models, minute, count):
        found = firing(self.NAME, minute, {}, models=models, page=False)
        assert [labels for labels, _ in found] == [{"part": "page", "severity": "warning"}] * count

    def test_a_page_that_stopped(self, firing):
        # 15 minutes until it counts as stopped, and 15 minutes that this has to hold.
        old, gone = {READ: "0+60x10 600x100"}, {READ: "0+60x10 _x100"}
        assert [len(firing(self.NAME, minute, old, page=False)) for minute in (39, 42)] == [0, 1]
        assert [len(firing(self.NAME, minute, gone, page=False)) for minute in (29, 32)] == [0, 1]

    @pytest.mark.parametrize(("number", "count"), [(0, 0), (2, 1)])
    def test_documents_that_cannot_be_read(self, firing, number, count):
        found = firing(self.NAME, 20, {'tiffin_observability_unreadable{source="status"}': f"{number}x30"})
        assert [labels for labels, _ in found] == [
            {"part": "documents", "severity": "warning", "source": "status"}
        ] * count
        assert all(text.startswith("2 documents (status)") for _, text in found)


class TestRecorderDropping:
    NAME = "TiffinRecorderDropping"
    DROPPED = 'tiffin_recorder_dropped_requests_total{reason="queue"}'
    TAKEN = 'tiffin_recorder_requests_total{model="taxi",route="stable"}'

    @pytest.mark.parametrize(("minute", "count"), [(14, 0), (20, 1)])
    def test_requests(self, firing, minute, count):
        found = firing(self.NAME, minute, {self.DROPPED: "0+10x60", self.TAKEN: "0+90x60"})
        assert [labels for labels, _ in found] == [{"part": "requests", "severity": "warning"}] * count
        assert all("10% of the requests" in text for _, text in found)

    def test_just_below(self, firing):
        assert firing(self.NAME, 40, {self.DROPPED: "0+1x60", self.TAKEN: "0+99x60"}) == []
        assert firing(self.NAME, 40, {self.TAKEN: "0+99x60"}) == []

    def test_all_requests(self, firing):
        assert len(firing(self.NAME, 40, {self.DROPPED: "0+1x60"})) == 1

    def test_files(self, firing):
        series = {"tiffin_recorder_dropped_rows_total": "0x10 500x90"}
        found = [firing(self.NAME, minute, series) for minute in (9, 13, 40)]
        assert [[labels["part"] for labels, _ in one] for one in found] == [[], ["files"], []]
