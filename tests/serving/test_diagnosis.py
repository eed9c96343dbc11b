"""Reasons of failed connections, for each call of both clients and for the command."""

import asyncio
import contextlib
import functools
import re
import socket
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from click.testing import CliRunner

from support import certificates, model_servers, rest_server
from support.waiting import free_port
from tiffin.commands.main import main
from tiffin.errors import ServingError
from tiffin.serving import AsyncClient, Client, Tls, connection, diagnosis, model_config
from tiffin.serving.rest import RestClient

CALLS = {
    "predict": lambda client: client.predict("taxi", {"miles": [1.0], "passengers": [1], "company": ["a"]}),
    "explain": lambda client: client.explain("taxi", {"miles": [1.0], "passengers": [1], "company": ["a"]}),
    "classify": lambda client: client.classify("taxi", {"miles": [1.0]}),
    "regress": lambda client: client.regress("taxi", {"miles": [1.0]}),
    "metadata": lambda client: client.metadata("taxi"),
    "status": lambda client: client.status("taxi"),
    "reload": lambda client: client.reload_config(model_config.make_config()),
    "wait": lambda client: client.wait_until_available("taxi", timeout_seconds=1),
}


@pytest.fixture(scope="module")
def issued(tmp_path_factory):
    """Certificates by name; those of servers were issued by `ca` unless their name says otherwise."""
    folder = tmp_path_factory.mktemp("tls")
    make = functools.partial(certificates.make, folder)
    ca, other = make("ca", names=()), make("other-ca", names=())
    return {
        "ca": ca,
        "other-ca": other,
        "good": make("good", ca),
        "other-name": make("other-name", ca, names=("model.test", "*.model.test")),
        "expired": make("expired", ca, days=(-3, -1)),
        "early": make("early", ca, days=(1, 3)),
        "self-signed": make("self-signed"),
        "client": make("client", ca),
        "other-client": make("other-client", other),
    }


@pytest.fixture
def serve(issued):
    """A function that serves the test model with a certificate, and returns its address with the host `localhost`."""
    with contextlib.ExitStack() as stack:

        def serve(certificate=None, client_ca=None):
            credentials = issued[certificate].credentials(client_ca and issued[client_ca]) if certificate else None
            served = stack.enter_context(model_servers.serve(credentials=credentials))
            return served.address.replace("127.0.0.1", "localhost")

        yield serve


def fail(address, call="status", tls=False):
    """Return the error of a call of the client."""
    with Client(address, tls=tls, timeout_seconds=20) as client, pytest.raises(ServingError) as raised:
        CALLS[call](client)
    return raised.value


async def fail_async(address, call="status", tls=False):
    async with AsyncClient(address, tls=tls, timeout_seconds=20) as client:
        with pytest.raises(ServingError) as raised:
            await CALLS[call](client)
    return raised.value


class TestCertificates:
    @pytest.mark.parametrize(
        ("certificate", "ca", "names"),
        [
            ("other-name", "ca", ["model.test", "*.model.test", "'localhost'", "server_name"]),
            ("expired", "ca", ["(expired)", "GMT"]),
            ("early", "ca", ["(early)", "GMT"]),
            ("self-signed", "ca", ["(self-signed)", "ca.pem'", "ca_file"]),
            ("good", "other-ca", ["(good)", "'ca'", "other-ca.pem'", "ca_file"]),
            ("good", None, ["(good)", "'ca'", "ca_file"]),
            ("ca", "other-ca", ["(ca)", "other-ca.pem'"]),
        ],
    )
    def test_a_certificate_that_is_not_trusted(self, serve, issued, certificate, ca, names):
        address = serve(certificate)
        error = fail(address, tls=Tls(issued[ca].file) if ca else True)

        assert error.code == "UNAVAILABLE"
        assert [name for name in [address, "GetModelStatus", "'taxi'", *names] if name not in str(error)] == []
        assert "refused" not in str(error)

    def test_a_name_that_is_set(self, serve, issued):
        address = serve("other-name")
        with Client(address, tls=Tls(issued["ca"].file, server_name="a.model.test")) as client:
            assert client.status("taxi")
        error = fail(address, tls=Tls(issued["ca"].file, server_name="b.test"))

        assert "'b.test'" in str(error)

    def test_client_certificates(self, serve, issued):
        address = serve("good", client_ca="ca")

        def tls(name):
            return Tls(issued["ca"].file, issued[name].file, issued[name].key_file)

        with Client(address, tls=tls("client")) as client:
            assert client.status("taxi")
        assert "certificate_file" in str(fail(address, tls=Tls(issued["ca"].file)))
        assert "other-client.pem'" in str(fail(address, tls=tls("other-client")))

    def test_files_that_are_not_certificates(self, serve, issued, tmp_path):
        (tmp_path / "text.pem").write_text("text")
        ca, client, other = (issued[name] for name in ("ca", "client", "other-client"))
        address = serve("good", client_ca="ca")

        assert f"'{tmp_path}/text.pem'" in str(fail(address, tls=Tls(tmp_path / "text.pem")))
        error = fail(address, tls=Tls(ca.file, client.file, other.key_file))
        assert f"'{other.key_file}'" in str(error)
        assert f"'{client.file}'" in str(error)


class TestPorts:
    @pytest.mark.parametrize("call", CALLS)
    def test_tls_that_the_client_lacks(self, serve, call):
        address = serve("good")

        for error in (fail(address, call), asyncio.run(fail_async(address, call))):
            assert re.search(rf"{address} .*TLS.*tls=True.*--tls", str(error))
            assert "refused" not in str(error)

    @pytest.mark.parametrize("call", CALLS)
    def test_tls_that_the_server_lacks(self, serve, issued, call):
        address = serve()

        for error in (
            fail(address, call, Tls(issued["ca"].file)),
            asyncio.run(fail_async(address, call, Tls(issued["ca"].file))),
        ):
            assert re.search(rf"{address} .*TLS", str(error))
            assert "SSL" not in str(error)

    @pytest.mark.parametrize("call", CALLS)
    def test_a_certificate_that_is_not_trusted(self, serve, issued, call):
        address = serve("expired")

        for error in (
            fail(address, call, Tls(issued["ca"].file)),
            asyncio.run(fail_async(address, call, Tls(issued["ca"].file))),
        ):
            assert f"{address} (expired)" in str(error)

    @pytest.mark.parametrize("tls", [False, True])
    @pytest.mark.parametrize("call", CALLS)
    def test_no_server(self, call, tls):
        address = f"localhost:{free_port()}"

        for error in (fail(address, call, tls), asyncio.run(fail_async(address, call, tls))):
            assert error.code == ("DEADLINE_EXCEEDED" if call == "wait" else "UNAVAILABLE")
            assert f"{address} (" in str(error)

    @pytest.mark.parametrize("call", CALLS)
    def test_a_name_that_has_no_address(self, call, monkeypatch):
        lookup = socket.getaddrinfo

        def without_delay(host, *arguments, **options):
            # A name server may take longer than the call waits.
            if host == "model.invalid":
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return lookup(host, *arguments, **options)

        monkeypatch.setattr(socket, "getaddrinfo", without_delay)
        for error in (fail("model.invalid", call), asyncio.run(fail_async("model.invalid", call))):
            assert "'model.invalid'" in str(error)
            assert "DNS" in str(error)

    def test_a_socket_that_does_not_exist(self, tmp_path):
        assert f"'{tmp_path}/s'" in str(fail(f"unix:{tmp_path}/s"))

    def test_a_rest_port(self):
        with rest_server.serve() as rest:
            error = fail(rest.address)

        assert re.search(rf"{rest.address} .*HTTP/1\b.* 8500 .* 8501 .*REST", str(error))

    def test_a_web_server_with_tls(self, issued):
        with https(issued["good"]) as address:
            error = fail(address, tls=Tls(issued["ca"].file))

        assert re.search(rf"{address} .*HTTP/2\b", str(error))

    def test_a_proxy(self, monkeypatch):
        port = free_port()
        monkeypatch.setenv("http_proxy", f"http://localhost:{port}")
        assert "http_proxy" in str(fail("serving.example:8500"))
        monkeypatch.setenv("no_proxy", "localhost")
        assert "http_proxy" not in str(fail(f"localhost:{port}"))

    def test_a_server_that_does_not_accept(self):
        """A full backlog: the kernel drops further connections, like a firewall."""
        with socket.socket() as listener, contextlib.ExitStack() as stack:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            for _ in range(3):
                waiting = stack.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            with Client(address, timeout_seconds=0.5) as client, pytest.raises(ServingError) as raised:
                client.status("taxi")

        assert raised.value.code == "DEADLINE_EXCEEDED"
        assert re.search(rf"{address} .* 1 s\.", str(raised.value))

    def test_a_server_that_can_be_reached_keeps_its_message(self, serve):
        address = serve()

        assert diagnosis.find_reason(diagnosis.Endpoint("localhost", int(address.split(":")[1]))) == ""
        assert connection.find_reason(address, False, "UNAVAILABLE", "The queue is full.") == ""
        assert connection.find_reason(address, False, "INTERNAL", "connect") == ""
        assert connection.find_reason(address, False, "DEADLINE_EXCEEDED", "") == ""
        assert connection.find_reason("xds:///model", False, "UNAVAILABLE", "connect") == ""


class _Text(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def https(certificate):
    """Serve HTTP/1 with TLS, and return its address."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.file, certificate.key_file)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Text)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"localhost:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class TestRest:
    @pytest.mark.parametrize(
        ("certificate", "ca", "names"),
        [
            ("expired", "ca", ["(expired)"]),
            ("other-name", "ca", ["model.test", "'localhost'"]),
            ("self-signed", "ca", ["(self-signed)", "ca.pem'"]),
            ("good", None, ["(good)", "'ca'"]),
        ],
    )
    def test_certificates(self, issued, certificate, ca, names):
        with (
            https(issued[certificate]) as address,
            contextlib.closing(RestClient(address, tls=True, ca_file=ca and str(issued[ca].file))) as client,
            pytest.raises(ServingError) as raised,
        ):
            client.metadata(("taxi", None, None))

        assert raised.value.code == "UNAVAILABLE"
        assert [name for name in names if name not in str(raised.value)] == []
        assert "HTTPSConnectionPool" not in str(raised.value)

    def test_other_servers(self, serve, issued):
        with https(issued["good"]) as tls, rest_server.serve() as plain:
            cases = [
                (f"https://{plain.address}", "TLS"),
                (f"http://{tls}", "TLS"),
                (f"http://{serve()}", "8501"),
                (f"localhost:{free_port()}", "localhost:"),
                ("model.invalid", "'model.invalid'"),
            ]
            for address, name in cases:
                with (
                    contextlib.closing(RestClient(address)) as client,
                    pytest.raises(ServingError, match=name) as raised,
                ):
                    client.metadata(("taxi", None, None))
                assert raised.value.code == "UNAVAILABLE"
                assert "ConnectionPool" not in str(raised.value)


class TestCommand:
    @pytest.fixture
    def run(self):
        def run(address, *more):
            row = '{"miles": 1.5, "passengers": 2, "company": "a"}\n'
            return CliRunner().invoke(main, ["predict", "--model", "taxi", "--address", address, *more, "-"], input=row)

        return run

    def test_tls(self, serve, issued, run):
        done = run(serve("good"), "--ca-file", str(issued["ca"].file))

        assert (done.exit_code, done.stdout.count("\n")) == (0, 1)

    @pytest.mark.parametrize(
        ("certificate", "ca", "names"),
        [
            ("good", None, ["requires TLS", "--tls"]),
            ("expired", "ca", ["(expired)"]),
            ("other-name", "ca", ["model.test", "'localhost'"]),
            ("good", "other-ca", ["'ca'", "other-ca.pem'"]),
            (None, "ca", ["TLS"]),
        ],
    )
    def test_reasons(self, serve, issued, run, certificate, ca, names):
        done = run(serve(certificate), *(["--ca-file", str(issued[ca].file)] if ca else []))

        assert (done.exit_code, done.stdout) == (1, "")
        assert [name for name in names if name not in done.stderr] == []
        assert done.stderr.count("\n") == 1

    def test_a_failed_handshake_is_one_line(self, serve, issued):
        program = "from tiffin.commands.main import main; main()"
        options = ["--address", serve("expired"), "--ca-file", issued["ca"].file]
        done = subprocess.run(
            [sys.executable, "-c", program, "predict", "--model", "taxi", *options, "-"],
            input="{}",
            capture_output=True,
            text=True,
            timeout=120,
        )

        assert (done.returncode, done.stdout) == (1, "")
        assert re.fullmatch(r"error: .*\(expired\).*\n", done.stderr)

    def test_missing_files(self, run, tmp_path):
        done = run("localhost", "--ca-file", str(tmp_path / "none.pem"))

        assert done.exit_code == 2
        assert f"'{tmp_path}/none.pem'" in done.stderr
