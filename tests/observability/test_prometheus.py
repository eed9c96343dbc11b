"""A real Prometheus reads the real page; an alert arrives at a real Alertmanager, and from there at a webhook."""

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from support.production import column, distance, keep, make_monitoring, serve_versions
from support.prometheus import ask, query, running_alertmanager, running_prometheus
from support.waiting import free_port, until
from tiffin.gateway.traffic import Traffic
from tiffin.gateway.traffic_document import write_traffic
from tiffin.observability.metrics import Places
from tiffin.observability.program import Options, start
from tiffin.observability.scraping import ALERTMANAGER, PROMETHEUS, RULES, TARGETS, make_configs, make_targets


@contextlib.contextmanager
def webhook() -> Iterator[tuple[str, list[dict]]]:
    """Run a webhook; yield its URL and what it receives."""
    received: list[dict] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/alerts", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def write_configs(folder: Path, page: str, alertmanager: str, hook: str) -> None:
    """Write the files of `tiffin monitor config`, with shorter times."""
    (folder / TARGETS).mkdir()
    for name, content in make_targets({"tiffin": [page]}).items():
        (folder / TARGETS / name).write_bytes(content)
    found = make_configs(alertmanager, "1s")
    (folder / PROMETHEUS).write_bytes(found[PROMETHEUS])
    rules = yaml.safe_load(found[RULES])
    for group in rules["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                rule["for"] = "1s"
    (folder / RULES).write_text(yaml.safe_dump(rules))
    routes = yaml.safe_load(found[ALERTMANAGER])
    routes["route"] |= {"group_wait": "1s", "group_interval": "1s"}
    routes["receivers"][0]["webhook_configs"][0]["url"] = hook
    (folder / ALERTMANAGER).write_text(yaml.safe_dump(routes))


def keep_verdict(log_root: Path, verdict, **options) -> None:
    # Of an hour ago, so that the monitoring has not stopped.
    keep(log_root, make_monitoring(verdict, **options), datetime.now(UTC) - timedelta(hours=1))


@pytest.mark.runs
def test_a_real_prometheus(tmp_path):
    log_root, root = tmp_path / "log", tmp_path / "root"
    served = serve_versions(root, tmp_path / "model", 1, 3)
    write_traffic(served, Traffic(4, 25, 0, "", 3), None)
    columns = [column("Distance (km)", distance(0.5), drifted=True), column('"city" {a}', distance(0.02))]
    quality = {"measured": {"auc": 0.71}, "training": {"auc": 0.83}}
    keep_verdict(log_root, "healthy", columns=columns, **quality)
    port = free_port()
    stop, page = start(Options(Places(str(log_root), serving_root=str(root)), port=0, read_seconds=0.2))
    with webhook() as (hook, received), contextlib.ExitStack() as running:
        running.callback(stop)
        write_configs(tmp_path, page, f"127.0.0.1:{port}", hook)
        running.enter_context(running_alertmanager(tmp_path, port))
        url = running.enter_context(running_prometheus(tmp_path))

        assert until(lambda: query(url, "tiffin_monitoring_verdict == 1"))
        of = (("model", "taxi"), ("version", "3"))
        verdict = (of[0], ("verdict", "healthy"), of[1])
        assert query(url, "tiffin_monitoring_verdict == 1") == {verdict: 1}
        distances = query(url, "tiffin_monitoring_column_distance > tiffin_monitoring_column_limit")
        assert distances == {(("column", "Distance (km)"), ("measure", "wasserstein"), *of): 0.5}
        assert query(url, "tiffin_serving_weight") == {
            (("model", "taxi"), ("role", "stable"), ("version", "3")): 0.75,
            (("model", "taxi"), ("role", "candidate"), ("version", "4")): 0.25,
        }
        # No model server is scraped, so that the model has no traffic.
        assert until(lambda: any("TiffinNoTraffic" in one for one in names(received)), 90)
        assert not any("TiffinDrift" in one for one in names(received))

        keep_verdict(log_root, "drifted", columns=columns, **quality)
        assert until(lambda: any("TiffinDrift" in one for one in names(received)), 90)
        [alert] = [one for one in received[-1]["alerts"] if one["labels"]["alertname"] == "TiffinDrift"][:1]
        assert (alert["labels"]["model"], alert["labels"]["severity"], alert["status"]) == ("taxi", "warning", "firing")
        assert "Inputs that drifted: Distance (km)." in alert["annotations"]["description"]
        # Both alerts of the model come in one notification.
        assert received[-1]["groupLabels"] == {"model": "taxi"}

        keep_verdict(log_root, "healthy", columns=columns, **quality)
        assert until(
            lambda: any(one == ("TiffinDrift", "resolved") for found in received for one in states(found)), 120
        )
        rules = ask(f"{url}/api/v1/rules")["data"]["groups"]
        assert {rule["health"] for group in rules for rule in group["rules"]} == {"ok"}


def names(received):
    return [{alert["labels"]["alertname"] for alert in found["alerts"]} for found in list(received)]


def states(found):
    return [(alert["labels"]["alertname"], alert["status"]) for alert in found["alerts"]]
