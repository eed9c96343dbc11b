import http.client
import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from support.production import keep, make_monitoring, serve_versions
from support.waiting import free_port, until
from tiffin.errors import InputError, ServingError
from tiffin.observability.metrics import Places
from tiffin.observability.program import Options, join_address, locate, main, start

# The image `gateway` runs it.
RUNS_IN = ("dev", "gateway")


def get(address, path, method="GET"):
    host, _, port = address.rpartition(":")
    connection = http.client.HTTPConnection(host.strip("[]"), int(port), timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.getheader("Content-Type"), answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def running(tmp_path):
    """Return a function that starts the server, and returns its address."""
    stops = []

    def run(**options):
        places = Places(str(tmp_path / "log"), serving_root=str(tmp_path / "root"))
        stop, address = start(Options(places, **{"port": 0} | options))
        stops.append(stop)
        return address

    yield run
    for stop in stops:
        stop()


class TestPages:
    def test_without_models(self, running):
        address = running()
        assert address.startswith("127.0.0.1:")
        status, kind, page = get(address, "/metrics")
        assert (status, kind.partition(";")[0]) == (200, "text/plain")
        assert "tiffin_observability_last_read_timestamp_seconds 1." in page
        assert get(address, "/healthz") == (200, "text/plain; charset=utf-8", "ok\n")

    def test_models(self, running, tmp_path):
        keep(tmp_path / "log", make_monitoring())
        serve_versions(tmp_path / "root", tmp_path, 1, 2)
        page = get(running(), "/metrics")[2]
        assert 'tiffin_monitoring_window_rows{model="taxi",version="3"} 45.0' in page
        assert 'tiffin_serving_version_info{model="taxi",role="stable",version="2"} 1.0' in page

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/", 404),
            ("GET", "/metrics/", 404),
            ("POST", "/metrics", 405),
            ("DELETE", "/healthz", 405),
            ("HEAD", "/healthz", 200),
        ],
    )
    def test_other_requests(self, running, method, path, status):
        assert get(running(), path, method)[0] == status

    def test_the_page_follows_the_documents(self, running, tmp_path):
        address = running(read_seconds=0.1)
        keep(tmp_path / "log", make_monitoring())
        assert until(lambda: "window_rows{" in get(address, "/metrics")[2])

    def test_the_documents_are_not_read_for_each_page(self, running, tmp_path, monkeypatch):
        read = []
        monkeypatch.setattr("tiffin.observability.metrics._find_statuses", lambda *_: read.append(1) or {})
        address = running(read_seconds=3600.0)
        assert len({get(address, "/metrics")[2] for _ in range(5)}) == 1
        assert read == [1]

    def test_a_client_that_sends_nothing_stops_nobody(self, running):
        import socket

        address = running()
        with socket.create_connection(("127.0.0.1", int(address.rpartition(":")[2]))):
            assert get(address, "/healthz")[0] == 200

    def test_a_bug_in_the_reading_keeps_the_last_page(self, running, tmp_path, monkeypatch, caplog):
        keep(tmp_path / "log", make_monitoring())
        address = running(read_seconds=0.05)

        def fail(_places):
            raise ZeroDivisionError("a bug")

        monkeypatch.setattr("tiffin.observability.program.read_documents", fail)
        assert until(lambda: "ZeroDivisionError: a bug" in caplog.text)
        assert "window_rows{" in get(address, "/metrics")[2]

    def test_a_fault_is_logged_once(self, running, tmp_path, caplog):
        Path(keep(tmp_path / "log", make_monitoring())).write_text("{")
        address = running(read_seconds=0.02)
        first = get(address, "/metrics")[2]
        assert 'tiffin_observability_unreadable{source="status"} 1.0' in first
        assert until(lambda: get(address, "/metrics")[2] != first)
        assert len([record for record in caplog.records if "status.json" in record.getMessage()]) == 1

    def test_ipv6(self, running):
        assert get(running(host="::1"), "/healthz")[0] == 200
        assert join_address("::1", 5) == "[::1]:5"


class TestOptions:
    def test_a_port_that_is_taken(self, running):
        port = int(running().rpartition(":")[2])
        with pytest.raises(ServingError, match=str(port)):
            running(port=port)

    def test_places(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert locate("log", "", "root") == Places(f"{tmp_path}/log", "monitoring", f"{tmp_path}/root")
        assert locate("log", "gs://b/state/", "") == Places("gs://b/state", "", "")
        with pytest.raises(InputError, match="TIFFIN_LOG_ROOT"):
            locate("", "", "")
        with pytest.raises(InputError, match="s3://"):
            locate("", "", "s3://b/root")

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            (["--port=65536"], "65536"),
            (["--port=x"], "'x'"),
            (["--port=²"], "²"),
            (["--read-seconds=0"], "'0'"),
            (["--read-seconds=nan"], "'nan'"),
            (["--read-seconds=x"], "'x'"),
            (["--colour"], "--colour"),
        ],
    )
    def test_wrong_ones(self, options, named, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["--log-root=log", *options])
        assert (ended.value.code, named in capsys.readouterr().err.splitlines()[-1]) == (2, True)


class TestProcess:
    def begin(self, *options, **variables):
        command = [sys.executable, "-W", "error", "-m", "tiffin.observability", *options]
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **variables}
        )

    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_it_ends_on_a_signal(self, tmp_path, number):
        port = free_port()
        with self.begin(f"--port={port}", TIFFIN_LOG_ROOT=str(tmp_path), TIFFIN_SERVING_ROOT=str(tmp_path)) as process:
            line = process.stdout.readline()
            assert json.loads(line.removeprefix("READY ")) == {"address": f"127.0.0.1:{port}"}
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
                assert answer.status == 200
            process.send_signal(number)
            _, errors = process.communicate(timeout=60)
        assert (process.returncode, errors) == (0, "")

    def test_without_places(self):
        with self.begin(TIFFIN_LOG_ROOT="", TIFFIN_SERVING_ROOT="") as process:
            printed, errors = process.communicate(timeout=60)
        assert (process.returncode, printed, len(errors.splitlines())) == (65, "", 1)
        assert "TIFFIN_LOG_ROOT" in errors

    def test_its_imports_are_light(self):
        code = "import sys, tiffin.observability.program; print(*sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = {name.partition(".")[0] for name in done.stdout.split()}
        assert not loaded & {"kfp", "click", "duckdb", "pyarrow", "pandas", "scipy", "tensorflow", "mlflow", "yaml"}
        assert not re.search(r"google\.cloud|boto3", done.stdout)
