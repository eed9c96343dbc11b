"""The HTTP server: framing, broken connections and the end."""

import gzip
import http.client
import json
import socket

import pytest

HEAD = b"POST /v1/models/score:predict HTTP/1.1\r\nHost: here\r\n"
BODY = b'{"instances": [[1, 1, 1]]}'
REPLY = {"predictions": [[9.0]]}
PATH = "/v1/models/score:predict"


@pytest.fixture(scope="module")
def server(launch, saved_models):
    return launch("--model_name=score", f"--model_base_path={saved_models / 'score'}", rest=True).wait()


@pytest.fixture
def connection(server):
    with socket.create_connection(("127.0.0.1", server.rest_port), 30) as connection:
        yield connection


def test_keep_alive_and_chunked_bodies(server):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_port, timeout=60)
    for _ in range(2):
        connection.request("POST", PATH, iter([BODY[:5], BODY[5:]]), encode_chunked=True)
        assert json.loads(connection.getresponse().read()) == REPLY
    connection.request("HEAD", "/v1/models/score")
    assert (connection.getresponse().read(), connection.sock is None) == (b"", False)
    connection.close()


def test_gzip(server):
    headers = {"Content-Encoding": "gzip"}
    status, reply = server.rest(PATH, gzip.compress(BODY), **headers)
    assert (status, json.loads(reply)) == (200, REPLY)
    assert server.rest(PATH, b"no gzip", **headers)[0] == 400
    assert server.rest(PATH, gzip.compress(b" " * (1 << 28) + BODY), **headers)[0] == 400


@pytest.mark.parametrize("length", [b"-1", b"nonsense", b""])
def test_invalid_lengths(connection, length):
    connection.sendall(HEAD + b"Content-Length: " + length + b"\r\n\r\n{}")
    assert connection.recv(100).startswith(b"HTTP/1.1 400")


def test_an_incomplete_body_is_ignored(server, connection):
    before = server.log
    connection.sendall(HEAD + b"Content-Length: 100\r\n\r\n" + BODY)
    connection.shutdown(socket.SHUT_WR)
    assert connection.recv(100) == b""
    assert server.log == before


def test_declared_lengths_allocate_no_memory(server):
    """Connections declare large bodies and send little."""
    before = server.resident_mib()
    waiting = [socket.create_connection(("127.0.0.1", server.rest_port), 30) for _ in range(20)]
    for one in waiting:
        one.sendall(HEAD + b"Content-Length: 2147483647\r\n\r\n{")
    assert json.loads(server.rest(PATH, BODY)[1]) == REPLY
    assert server.resident_mib() < before + 100
    for one in waiting:
        one.close()
