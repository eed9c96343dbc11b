import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.waiting import free_port
from tiffin.errors import InputError, ServingError
from tiffin.serving.counters import (
    Counts,
    Reading,
    check_url,
    difference,
    has_restarted,
    parse_page,
    read_counters,
    resolve,
)

TYPE = "# TYPE :tensorflow:serving:request_count counter\n"
PAGE = f"""# TYPE :tensorflow:serving:model_warmup_latency histogram
{TYPE}:tensorflow:serving:request_count{{model_name="taxi",status="INVALID_ARGUMENT"}} 3
:tensorflow:serving:request_count{{model_name="taxi",status="OK"}} 1799
:tensorflow:serving:request_count{{model_name="taxi2",status="OK"}} 5
# TYPE :tensorflow:serving:request_latency histogram
:tensorflow:serving:request_latency_count{{model_name="taxi",API="Predict",entrypoint="GRPC"}} 1799
"""
TAXI = Counts({"INVALID_ARGUMENT": 3, "OK": 1799})


class Pages:
    """A server of pages on some addresses of loopback.

    Attributes:
        answers: Address to its status, headers and content, or to a function that writes the answer.
        requests: Address, path and headers of each request.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://servers:{port}/monitoring/prometheus/metrics"
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, str, Any]] = []

    def read(self, **options: Any) -> Reading:
        return read_counters(self.url, "taxi", resolve=lambda *_: sorted(self.answers), **options)


@pytest.fixture
def pages() -> Iterator[Pages]:
    port = free_port()
    found = Pages(port)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = self.server.server_address[0]
            found.requests.append((address, self.path, self.headers))
            answer = found.answers.get(address, (404, {}, b""))
            if callable(answer):
                with contextlib.suppress(OSError):
                    answer(self)
                return
            status, headers, content = answer
            self.send_response(status)
            for name, value in ({"Content-Length": len(content)} | headers).items():
                self.send_header(name, str(value))
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    class Server6(http.server.ThreadingHTTPServer):
        address_family = socket.AF_INET6

    with contextlib.ExitStack() as stack:
        for address in ("127.0.0.1", "127.0.0.2", "::1"):
            made = Server6 if ":" in address else http.server.ThreadingHTTPServer
            server = stack.enter_context(made((address, port), Handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield found


def page(content: bytes | str = PAGE, status: int = 200, **headers: Any) -> tuple[int, dict[str, Any], bytes]:
    return status, headers, content.encode() if isinstance(content, str) else content


def test_no_requests() -> None:
    assert parse_page(TYPE.encode(), "taxi") == Counts()
    assert Counts().requests == Counts().failed == 0
    assert Counts().errors == {}
    assert Reading().total == Counts()


@pytest.mark.parametrize("content", ["", "<html></html>", "request_count 1\n", PAGE.replace("request_count", "count")])
def test_a_page_of_another_server(content: str) -> None:
    with pytest.raises(ServingError, match=":tensorflow:serving:request_count"):
        parse_page(content.encode(), "taxi")


def test_the_counts_of_a_model() -> None:
    found = parse_page(PAGE.encode(), "taxi")

    assert found == TAXI
    assert (found.requests, found.failed, found.errors) == (1802, 3, {"INVALID_ARGUMENT": 3})
    assert parse_page(PAGE.encode(), "tax") == Counts()


def test_errors_start_with_the_most_frequent() -> None:
    assert list(Counts({"OK": 9, "INTERNAL": 2, "ABORTED": 2, "CANCELLED": 0, "UNAVAILABLE": 5}).errors) == [
        "UNAVAILABLE", "ABORTED", "INTERNAL",
    ]  # fmt: skip


# TensorFlow Serving's SanitizeLabelValue escapes backslashes and quotation marks only; the stand-in escapes line breaks too.
@given(st.text(), st.sampled_from([("\\", '"'), ("\\", '"', "\n")]), st.integers(0, 10**18))
def test_any_name_of_a_model(name: str, escaped: tuple[str, ...], number: int) -> None:
    written = name
    for sign in escaped:
        written = written.replace(sign, {"\n": "\\n"}.get(sign, f"\\{sign}"))
    line = f':tensorflow:serving:request_count{{model_name="{written}",status="OK"}} {number}\n'
    content = (TYPE + line + PAGE).encode()

    assert parse_page(content, "taxi") == (TAXI if name != "taxi" else Counts({**TAXI.statuses, "OK": 1799 + number}))
    if name != "taxi" and "\n" not in written and not written.endswith("\r"):
        assert parse_page(content, name).statuses.get("OK") == (5 + number if name == "taxi2" else number)


@given(st.text(alphabet=':{}",= \\\nOKtaxi#1'), st.text(alphabet=':{}",= \\\nOKtaxi#1'))
def test_a_page_of_any_text(before: str, after: str) -> None:
    assert parse_page((TYPE + before + "\n" + after).encode(), "taxi").requests >= 0


COUNTS = st.builds(Counts, st.dictionaries(st.sampled_from(["OK", "INTERNAL", "ABORTED"]), st.integers(0, 1000)))
SERVERS = st.dictionaries(st.sampled_from("abc"), COUNTS)


@given(SERVERS, SERVERS)
def test_a_difference_of_servers_that_only_count(before: dict[str, Counts], more: dict[str, Counts]) -> None:
    now = {name: before[name] + more.get(name, Counts()) for name in before}

    assert difference(before, now) == sum((more[name] for name in before if name in more), Counts()) + Counts(
        dict.fromkeys({status for counts in before.values() for status in counts.statuses}, 0)
    )
    assert not any(has_restarted(before[name], now[name]) for name in before)


@given(SERVERS, SERVERS)
def test_a_difference_of_any_two_readings(before: dict[str, Counts], now: dict[str, Counts]) -> None:
    found = difference(before, now)

    assert all(number >= 0 for number in found.statuses.values())
    # No request that was counted before the first reading, or by a server that was not in it, is counted.
    assert found.requests <= sum(counts.requests for name, counts in now.items() if name in before)
    assert difference(now, now).requests == 0
    assert difference({}, now) == difference(before, {}) == Counts()


def test_a_server_that_restarted_counts_from_0() -> None:
    before = {"a": Counts({"OK": 100, "INTERNAL": 1}), "b": Counts({"OK": 10})}
    now = {"a": Counts({"OK": 101}), "b": Counts({"OK": 14, "INTERNAL": 2}), "new": Counts({"INTERNAL": 1000})}

    assert difference(before, now) == Counts({"INTERNAL": 2, "OK": 105})


@pytest.mark.parametrize(
    "url", ["", "servers:8501", "http://servers:8501", "http://servers/metrics", "https://servers:8501/metrics",
            "http://:8501/metrics", "http://servers:x/metrics", "http://servers:99999/metrics",
            "http://me:secret@servers:8501/metrics", "http://servers:8501/met rics", "http://servers:8501/m\r\nA: b",
            "file:///etc/passwd"],
)  # fmt: skip
def test_a_wrong_url(url: str) -> None:
    with pytest.raises(InputError, match="TIFFIN_SERVING_METRICS") as caught:
        read_counters(url, "taxi")

    assert "secret" not in str(caught.value)


def test_the_parts_of_a_url() -> None:
    parts = check_url("http://[::1]:8501/monitoring/prometheus/metrics")

    assert (parts.hostname, parts.port, parts.path) == ("::1", 8501, "/monitoring/prometheus/metrics")


def test_all_addresses_of_a_host() -> None:
    assert resolve("127.0.0.1", 1) == ["127.0.0.1"]
    assert resolve("::1", 1) == ["::1"]
    assert set(resolve("localhost", 1)) <= {"127.0.0.1", "::1"}


def test_a_name_without_addresses() -> None:
    assert [*read_counters("http://servers.invalid:1/x", "taxi").unread] == ["servers.invalid"]
    assert read_counters("http://servers:1/x", "taxi", resolve=lambda *_: []) == Reading(
        unread={"servers": "the name has no address"}
    )


def test_each_server_behind_a_name_is_read(pages: Pages, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    pages.answers = {"127.0.0.1": page(), "127.0.0.2": page(PAGE.replace(" 3\n", " 7\n"))}

    found = pages.read()

    assert found.servers == {"127.0.0.1": TAXI, "127.0.0.2": Counts({"INVALID_ARGUMENT": 7, "OK": 1799})}
    assert found.total == Counts({"INVALID_ARGUMENT": 10, "OK": 3598})
    assert found.unread == {}
    assert {path for _, path, _ in pages.requests} == {"/monitoring/prometheus/metrics"}
    assert {headers["Host"] for *_, headers in pages.requests} == {f"servers:{pages.port}"}


def test_a_server_with_two_addresses_is_counted_once(pages: Pages) -> None:
    pages.answers = {"127.0.0.1": page(), "::1": page()}
    assert pages.read() == Reading({"127.0.0.1": TAXI})

    pages.answers = {"127.0.0.1": page(status=404), "::1": page()}
    assert pages.read() == Reading({"::1": TAXI})


def drip(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b"# \n")
        time.sleep(0.01)


def drip_headers(handler: http.server.BaseHTTPRequestHandler) -> None:
    while True:
        handler.wfile.write(b"H")
        time.sleep(0.01)


def not_http(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.wfile.write(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00\r\n")


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        pytest.param(page("<!DOCTYPE html><title>Sign in</title>"), "HTML", id="html"),
        pytest.param(page("{}"), "2 bytes", id="json"),
        pytest.param(page(status=404), "404", id="off"),
        pytest.param(page(status=302, Location="http://127.0.0.1:1/"), "302", id="redirect"),
        pytest.param(page(PAGE + "#" * (4 << 20)), "4 MiB", id="long"),
        pytest.param(page(**{"Content-Length": len(PAGE) + 1, "Connection": "close"}), "cut", id="cut"),
        pytest.param(drip, "0.3 s", id="slow"),
        pytest.param(drip_headers, "0.3 s", id="slow headers"),
        pytest.param(not_http, "HTTP", id="no http"),
        pytest.param(lambda _: None, "HTTP", id="nothing"),
    ],
)
def test_a_server_that_cannot_be_read(pages: Pages, answer: Any, word: str) -> None:
    pages.answers = {"127.0.0.1": answer, "127.0.0.2": page()}

    found = pages.read(timeout_seconds=0.3 if callable(answer) else 30)

    assert found.servers == {"127.0.0.2": TAXI}
    assert [*found.unread] == ["127.0.0.1"]
    assert word in found.unread["127.0.0.1"]


def test_a_port_without_a_server() -> None:
    found = read_counters(f"http://127.0.0.1:{free_port()}/metrics", "taxi")

    assert (found.servers, [*found.unread]) == ({}, ["127.0.0.1"])
    assert "refused" in found.unread["127.0.0.1"].lower()
