"""The watch after a deployment, on the metrics that a server shows."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from support import serving_roots
from support.serving_roots import ADA, BOB, put
from tiffin.errors import InputError, ServingError
from tiffin.governance.promotion import roll_back
from tiffin.serving.history import read_history
from tiffin.serving.root import ServedModel
from tiffin.stages.deploy import watching


class Metrics:
    """The counters of a server: each look at them adds requests and errors."""

    def __init__(self):
        self.ok, self.failed, self.more = 0, 0, (0, 0)
        self.looks = 0
        self.meanwhile = lambda: None

    def page(self):
        self.looks += 1
        self.ok, self.failed = self.ok + self.more[0], self.failed + self.more[1]
        self.meanwhile()
        name = ':tensorflow:serving:request_count{model_name="taxi"'
        return f'{name},status="OK"}} {self.ok}\n{name},status="INVALID_ARGUMENT"}} {self.failed}\n'


@pytest.fixture
def metrics(monkeypatch):
    """The counters that TIFFIN_SERVING_METRICS names."""
    found = Metrics()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            body = found.page().encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("TIFFIN_SERVING_METRICS", f"http://127.0.0.1:{server.server_port}/metrics")
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def taxi(tmp_path):
    """A model whose version 2 was put into service after version 1."""
    served = ServedModel(str(tmp_path / "root"), "taxi")
    put(served, serving_roots.make_saved_model(tmp_path), 1, 2)
    return served


def champion(served):
    return read_history(served).standing.champion


def follow(served, duration="1s", version=2):
    return watching.follow(served, version, ADA, watching.prepare(duration, 0.05, "taxi"))


def test_no_watch(taxi, metrics):
    assert follow(taxi, "0") == ""
    assert metrics.looks == 0


def test_a_server_without_an_address_is_told(taxi, monkeypatch):
    monkeypatch.delenv("TIFFIN_SERVING_METRICS", raising=False)

    assert "TIFFIN_SERVING_METRICS" in follow(taxi)


def test_the_variable_is_the_default(taxi, metrics, monkeypatch):
    monkeypatch.setenv("TIFFIN_WATCH", "0")
    assert follow(taxi, "") == ""
    monkeypatch.setenv("TIFFIN_WATCH", "soon")
    with pytest.raises(InputError, match="TIFFIN_WATCH"):
        follow(taxi, "")
    monkeypatch.delenv("TIFFIN_WATCH")

    assert watching.prepare("", 0.05, "taxi").seconds == 120


@pytest.mark.parametrize(("duration", "seconds"), [("0", 0), ("30s", 30), ("1.5m", 90), ("2h", 7200)])
def test_a_duration(duration, seconds):
    assert watching.seconds_of(duration) == seconds


def test_good_traffic_changes_nothing(taxi, metrics):
    metrics.more = (100, 0)

    assert " 0 of " in follow(taxi)
    assert champion(taxi) == 2


def test_errors_roll_the_version_back(taxi, metrics):
    metrics.ok = 1000
    metrics.more = (50, 50)
    with pytest.raises(ServingError, match=r"INVALID_ARGUMENT.*taxi@2") as raised:
        follow(taxi)

    assert raised.value.code == "ABORTED"
    assert champion(taxi) == 1
    assert read_history(taxi).newest.action == "rollback"
    assert "INVALID_ARGUMENT" in read_history(taxi).newest.author.why


def test_a_first_version_stays(tmp_path, metrics):
    served = ServedModel(str(tmp_path / "root"), "taxi")
    put(served, serving_roots.make_saved_model(tmp_path), 1)
    metrics.more = (50, 50)
    with pytest.raises(ServingError, match=r"'taxi'.* 1 "):
        follow(served, version=1)

    assert champion(served) == 1


def test_another_change_ends_the_watch(taxi, metrics):
    def meanwhile():
        if metrics.looks == 2:
            roll_back(taxi, BOB)

    metrics.meanwhile = meanwhile

    assert "bob" in follow(taxi, "20s")
    assert champion(taxi) == 1
