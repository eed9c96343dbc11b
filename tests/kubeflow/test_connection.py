"""A backend that does not answer, tested with the library and with the command."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
import urllib3

from support import kfp_backend
from support.command_line import tiffin
from tiffin.errors import BackendError
from tiffin.kubeflow import connection
from tiffin.kubeflow.connection import connect, request


@contextlib.contextmanager
def listening(*, full: bool = False) -> Iterator[str]:
    """Listen without answering; with `full`, further connections are not accepted, as by a firewall that drops them."""
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(socket.socket())
        server.bind(("127.0.0.1", 0))
        server.listen(0 if full else 16)
        address = server.getsockname()
        for _ in range(4 if full else 0):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the time for the first answer."""
    monkeypatch.setattr(connection, "FIRST_ANSWER_SECONDS", 0.4)
    monkeypatch.setattr(connection, "NOTICE_SECONDS", 0.1)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses between attempts, which are not made."""
    made: list[float] = []
    measured = urllib3.Retry.get_backoff_time

    def skip(retry: urllib3.Retry) -> float:
        made.append(measured(retry))
        return 0

    monkeypatch.setattr(urllib3.Retry, "get_backoff_time", skip)
    return made


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("full", [False, True])
def test_a_host_that_does_not_answer_is_reported_in_time(
    capsys: pytest.CaptureFixture[str], scheme: str, full: bool
) -> None:
    with listening(full=full) as address:
        started = time.monotonic()
        with pytest.raises(BackendError, match=rf"{scheme}://{address}.*0\.4 s.*--host") as caught:
            connect(f"{scheme}://{address}")

    assert caught.value.status == 0
    assert time.monotonic() - started < 8
    shown = capsys.readouterr().err.splitlines()
    assert len(shown) == 1
    assert f"{scheme}://{address}" in shown[0]
    assert "0.4 s" in shown[0]


@pytest.mark.usefixtures("brief")
def test_a_name_that_takes_too_long_to_resolve_is_reported_in_time(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: done.wait(20) and [])

    with pytest.raises(BackendError, match=r"http://far\.example:8080.*0\.4 s"):
        connect("http://far.example:8080")
    done.set()

    assert "http://far.example:8080" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "https://127.0.0.1:9", "http://no-such-host.invalid"])
def test_a_host_that_refuses_or_has_no_address_is_asked_once(
    capsys: pytest.CaptureFixture[str], pauses: list[float], host: str
) -> None:
    with pytest.raises(BackendError, match=f"{host}.*--host"):
        connect(host)

    assert pauses == []
    assert capsys.readouterr().err.count("\n") <= 1


def test_the_command_ends_within_ten_seconds_and_shows_that_it_tries() -> None:
    with listening() as address:
        status, output, errors = tiffin("schedule", "list", "--host", f"http://{address}")

    tries, error = errors.splitlines()
    assert (status, output) == (1, "")
    assert address in tries
    assert error.startswith("error: ")
    assert f"{connection.FIRST_ANSWER_SECONDS:g} s" in error
    # The remaining time is for the start of the command.
    assert connection.FIRST_ANSWER_SECONDS <= 8


@pytest.mark.parametrize(("fault", "seen"), [(503, "503"), (0, "broke"), (429, "429")])
def test_later_requests_are_repeated_with_a_line_for_each_attempt(
    capsys: pytest.CaptureFixture[str], pauses: list[float], fault: int, seen: str
) -> None:
    with kfp_backend.serve() as server:
        backend = connect(server.address)
        server.fail("GET .*/pipelines", fault, times=2)
        request(backend, "GET", "/apis/v2beta1/pipelines")
        lines = capsys.readouterr().err.splitlines()

        server.fail("GET .*/pipelines", fault, times=10)
        with pytest.raises(BackendError, match=server.address):
            request(backend, "GET", "/apis/v2beta1/pipelines", attempts=3)

        assert pauses == [0, 2, 0, 2]
        assert [seen in line for line in lines] == [True, True]
        assert "2 of 4" in lines[0]
        assert "3 of 4" in lines[1]


def test_a_change_is_never_repeated(capsys: pytest.CaptureFixture[str], pauses: list[float]) -> None:
    with kfp_backend.serve() as server:
        backend = connect(server.address)
        server.fail("POST .*/pipelines", 503, times=2)
        with pytest.raises(BackendError) as caught:
            request(backend, "POST", "/apis/v2beta1/pipelines", body={"display_name": "x"})

    assert caught.value.status == 503
    assert (pauses, capsys.readouterr().err) == ([], "")
