import contextlib
import http.server
import threading
from collections.abc import Iterator

import pytest

from support.waiting import free_port
from tiffin.errors import InputError, ServingError
from tiffin.gateway.stats import Side
from tiffin.model_server.metrics import PATH, Metrics
from tiffin.rollout import evidence
from tiffin.rollout.cluster.counts import parse_side, read_servers
from tiffin.rollout.evidence import Progress
from tiffin.rollout.plan import Limits
from tiffin.serving.counters import read_pages


class Server:
    """A model server's metrics page.

    Attributes:
        metrics: What it has counted; None for a page that is another.
        url: URL of the page.
    """

    def __init__(self) -> None:
        self.metrics: Metrics | None = Metrics()
        self.url = ""

    def count(self, number: int, status: str = "OK", micros: float = 900.0, model: str = "taxi") -> None:
        assert self.metrics
        for _ in range(number):
            self.metrics.count_request(model, status, "Predict", "GRPC", micros)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                content = (server.metrics.page() if server.metrics else "another page").encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as web:
            self.url = f"http://127.0.0.1:{web.server_port}{PATH}"
            thread = threading.Thread(target=web.serve_forever, args=(0.01,))
            thread.start()
            yield
            web.shutdown()
            thread.join()


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    stable, candidate = Server(), Server()
    with stable.running(), candidate.running():
        yield stable, candidate


def test_a_model_without_requests() -> None:
    assert parse_side(Metrics().page().encode(), "taxi") == Side()


def test_requests_errors_and_latencies() -> None:
    metrics = Metrics()
    metrics.count_request("taxi", "OK", "Predict", "GRPC", 900)
    metrics.count_request("taxi", "OK", "predict", "REST", 25_000)
    metrics.count_request("taxi", "INTERNAL", "Predict", "GRPC", 900)
    metrics.count_request("other", "OK", "Predict", "GRPC", 900)
    side = parse_side(metrics.page().encode(), "taxi")

    assert (side.requests, side.errors) == (3, 1)
    # In milliseconds; the failed request has no latency.
    assert side.bounds[0] == 0.01
    totals = dict(zip(side.bounds, side.totals, strict=True))
    assert {bound: total for bound, total in totals.items() if bound < 0.9} == dict.fromkeys(side.bounds[:8], 0)
    assert sorted(set(totals.values())) == [0, 1, 2]
    assert max(totals.values()) == totals[side.bounds[-1]] == 2


def test_the_servers_of_both_tracks(servers: tuple[Server, Server]) -> None:
    stable, candidate = servers
    stable.count(3)
    candidate.count(2, "INTERNAL")
    reading = read_servers(stable.url, "taxi", candidate.url)

    assert {name: {route: (side.requests, side.errors) for route, side in sides.items()} for name, sides in reading.items()} == {
        "stable 127.0.0.1": {"stable": (3, 0)},
        "candidate 127.0.0.1": {"candidate": (2, 2)},
    }  # fmt: skip


def test_looks_at_what_the_servers_counted(servers: tuple[Server, Server]) -> None:
    stable, candidate = servers
    # Before the rollout.
    stable.count(1000)
    progress = evidence.look(Progress(), read_servers(stable.url, "taxi", candidate.url), Limits())
    stable.count(500)
    candidate.count(400)
    candidate.count(100, "INTERNAL")
    progress = evidence.look(progress, read_servers(stable.url, "taxi", candidate.url), Limits())

    assert (progress.stable.tally.requests, progress.candidate.tally.requests) == (500, 500)
    assert progress.candidate.tally.errors == 100
    assert progress.stable.latency.total == 500
    assert (progress.decision.is_worse, progress.decision.leading) == (True, "errors")


def test_servers_that_are_not_there(servers: tuple[Server, Server]) -> None:
    stable, candidate = servers
    gone = f"http://127.0.0.1:{free_port()}{PATH}"
    for urls in ((stable.url, gone), (gone, candidate.url)):
        with pytest.raises(ServingError) as caught:
            read_servers(urls[0], "taxi", urls[1])
        assert caught.value.code == "UNAVAILABLE"
    with pytest.raises(InputError):
        read_servers("stable", "taxi", candidate.url)


def test_a_server_that_starts_is_left_out(servers: tuple[Server, Server]) -> None:
    sides, unread = read_pages(
        servers[0].url, lambda page: parse_side(page, "taxi"), lambda *_: ["127.0.0.1", "127.0.0.2"]
    )

    assert (list(sides), list(unread)) == (["127.0.0.1"], ["127.0.0.2"])


def test_a_page_that_is_another(servers: tuple[Server, Server]) -> None:
    stable, candidate = servers
    candidate.metrics = None
    with pytest.raises(ServingError, match="request_count"):
        read_servers(stable.url, "taxi", candidate.url)
