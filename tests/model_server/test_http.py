"""HTTP as it should not be, on the port of the REST API: bounds, and an answer wherever one can be given."""

import json
import socket

import pytest

HEAD = b"POST /v1/models/score:predict HTTP/1.1\r\nHost: here\r\n"
BODY = b'{"instances": [[1, 1, 1]]}'
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def server(launch, saved_models):
    return launch("--model_name=score", f"--model_base_path={saved_models / 'score'}", rest=True).wait()


@pytest.fixture
def connection(server):
    with socket.create_connection(("127.0.0.1", server.rest_port), 30) as connection:
        yield connection


def replies(connection, count=1):
    """Return the status lines and bodies of some replies."""
    found = []
    with connection.makefile("rb") as file:
        for _ in range(count):
            status = int(file.readline().split()[1])
            length = 0
            while (line := file.readline().strip()) != b"":
                if line.lower().startswith(b"content-length:"):
                    length = int(line.split(b":")[1])
            found.append((status, file.read(length)))
    return found


def chunk(content, end=b"\r\n"):
    return b"%x\r\n%s%s" % (len(content), content, end)


@pytest.mark.parametrize("length", ["10000000000000000000", "1000000000000000", str(2**31), "9" * 4000])
def test_lengths_that_are_too_large(connection, length):
    connection.sendall(HEAD + b"Content-Length: " + length.encode() + b"\r\n\r\n{}")
    assert replies(connection)[0][0] == 413


@pytest.mark.parametrize("length", ["-1", "+2", "1_0", "nonsense", "", "9" * 5000])
def test_lengths_that_are_none(connection, length):
    connection.sendall(HEAD + b"Content-Length: " + length.encode() + b"\r\n\r\n{}")
    assert replies(connection)[0][0] == 400


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"ffffffffffffffff\r\n{}", 413),
        (b"80000000\r\n{}", 413),
        (b"-1\r\n{}", 400),
        (b"\r\n{}", 400),
        (b"0x2\r\n{}", 400),
        (chunk(b"{}", b"more than that\r\n"), 400),
        (chunk(b"{}") + b"1" * 70_000, 400),
        (chunk(b"{}") + b"0\r\n" + b"A: b\r\n" * 200, 400),
    ],
)
def test_chunks_that_are_none(connection, content, status):
    connection.sendall(CHUNKED + content)
    assert replies(connection)[0][0] == status


def test_an_encoding_that_is_not_known(connection):
    connection.sendall(HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + chunk(BODY) + b"0\r\n\r\n")
    assert replies(connection)[0][0] == 400


def test_trailers_are_read(connection):
    """The next request of the connection begins after them."""
    one = CHUNKED + chunk(BODY[:5]) + b"1;name=value\r\n" + BODY[5:6] + b"\r\n" + chunk(BODY[6:]) + b"0\r\n"
    connection.sendall((one + b"Checksum: 1\r\nOther: 2\r\n\r\n") * 2)
    for status, body in replies(connection, 2):
        assert (status, json.loads(body)) == (200, {"predictions": [[9.0]]})


def test_a_body_that_ends_before_its_end_is_no_request(server, connection):
    before = server.log
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + BODY)
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(100) == b""
    assert server.log == before


def test_declared_bodies_take_no_memory(server):
    """Connections that say much and send little."""
    before = server.resident_mib()
    waiting = [socket.create_connection(("127.0.0.1", server.rest_port), 30) for _ in range(20)]
    for one in waiting:
        one.sendall(HEAD + b"Content-Length: 2147483647\r\n\r\n{")
    assert server.rest("/v1/models/score:predict", BODY) == (200, '{"predictions": [[9.0]]}')
    assert server.resident_mib() < before + 100
    for one in waiting:
        one.close()


def test_silence_ends_a_connection(saved_models, monkeypatch):
    from tiffin.model_server import flags, web

    monkeypatch.setattr(web, "_WAIT_SECONDS", 0.2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options, _, _ = flags.parse([f"--rest_api_port={port}"])
    pages = web.start(options, lambda *_: (200, {}, b""), None, lambda: "")
    with socket.create_connection(("127.0.0.1", port), 30) as connection:
        connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n{")
        assert connection.recv(100) == b""
    pages.shutdown()
    pages.server_close()
