import contextlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.waiting import free_port
from tiffin.errors import InputError
from tiffin.gateway import applied
from tiffin.gateway.applied import find_state
from tiffin.gateway.routes import APPLIED
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic
from tiffin.serving.root import GATEWAY

OLD, NEW = Table({}).digest, Table({"taxi": Served(1, Traffic(2, weight=5.0))}).digest
HOSTS = ("127.0.0.1", "127.0.0.2")


class Gateways:
    """Two gateways behind one name.

    Attributes:
        digests: Address to the digest that its gateway shows.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.digests = dict.fromkeys(HOSTS, NEW)


@pytest.fixture
def root(tmp_path: Path) -> str:
    (tmp_path / GATEWAY).write_bytes(Table({"taxi": Served(1, Traffic(2, weight=5.0))}).content)
    return str(tmp_path)


@pytest.fixture
def gateways(monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateways]:
    found = Gateways(free_port())

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == APPLIED
            content = found.digests[self.server.server_address[0]].encode()  # type: ignore[index]
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setattr(applied, "find_addresses", lambda *_: list(HOSTS))
    with contextlib.ExitStack() as stack:
        for host in HOSTS:
            server = stack.enter_context(http.server.ThreadingHTTPServer((host, found.port), Handler))
            thread = threading.Thread(target=server.serve_forever, args=(0.01,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.shutdown)
        yield found


def test_all_gateways_have_taken_over_the_traffic(gateways: Gateways, root: str) -> None:
    assert find_state(f"gateways:{gateways.port}", root) == "applied"


@pytest.mark.parametrize("host", HOSTS)
def test_a_gateway_that_sends_requests_as_before(gateways: Gateways, root: str, host: str) -> None:
    gateways.digests[host] = OLD

    assert find_state(f"gateways:{gateways.port}", root) == "pending"


@pytest.mark.parametrize(("digest", "expected"), [(NEW, "silent"), (OLD, "pending")])
def test_a_gateway_that_does_not_answer(
    gateways: Gateways, root: str, digest: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateways.digests[HOSTS[0]] = digest
    # Nothing listens at the second address.
    monkeypatch.setattr(applied, "find_addresses", lambda *_: [HOSTS[0], "127.0.0.3"])

    assert find_state(f"gateways:{gateways.port}", root) == expected


def test_no_gateway(root: str) -> None:
    assert find_state(f"127.0.0.1:{free_port()}", root) == "silent"
    assert find_state("no-such-host.invalid:8500", root) == "silent"


def test_a_serving_root_that_cannot_be_read(gateways: Gateways, root: str) -> None:
    Path(root, GATEWAY).write_text("[]")
    with pytest.raises(InputError):
        find_state(f"gateways:{gateways.port}", root)
