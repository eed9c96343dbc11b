"""The address and the credentials of a backend, tested with the library against a backend in another process."""

import base64
import datetime
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support import kfp_backend
from support import toy_pipelines as toys
from support.command_line import start, tiffin
from tiffin.errors import BackendError, InputError
from tiffin.kubeflow.connection import Backend, connect, request

SECRET = "s3cret-word"


def ask(backend: Backend) -> Any:
    return request(backend, "GET", "/apis/v2beta1/pipelines")


def with_login(address: str, login: str = f"ann:{SECRET}") -> str:
    return address.replace("://", f"://{login}@")


def test_a_renewed_token_file_is_read_again(server: kfp_backend.Server, tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("first")
    server.set(token="first")
    backend = connect(server.address, token_file=path)

    path.write_text("second\n")
    server.set(token="second")
    ask(backend)
    # The file may be empty or missing while it is rewritten.
    path.write_text("")
    ask(backend)
    path.unlink()
    ask(backend)


def test_following_a_run_uses_the_renewed_token(server: kfp_backend.Server, tmp_path: Path) -> None:
    spec = toys.write_spec(toys.toy, tmp_path)
    (tmp_path / "token").write_text("first")
    server.set(token="first", pictures=[{"state": "RUNNING", "tasks": {}}])
    found: list[tuple[int, str, str]] = []
    arguments = ("submit", spec, "--wait", "--poll", "0.1", "--host", server.address)
    follower = threading.Thread(target=lambda: found.append(tiffin(*arguments, "--token-file", tmp_path / "token")))
    follower.start()
    while not server.state()["runs"]:
        time.sleep(0.05)
    # For a while both are valid, as when a token is renewed before it expires.
    server.set(token=["first", "second"])
    (tmp_path / "token").write_text("second")
    looks = len(server.state()["requests"]) + 1
    while len(server.state()["requests"]) < looks + 2:
        time.sleep(0.05)
    server.set(token="second", pictures=[{"state": "SUCCEEDED", "tasks": {}}])
    follower.join()

    assert found[0][0] == 0


def test_credentials_in_the_host_are_sent_and_never_printed(server: kfp_backend.Server, tmp_path: Path) -> None:
    spec = toys.write_spec(toys.toy, tmp_path)
    host = with_login(server.address)
    server.set(login=f"ann:{SECRET}")

    ends = [
        tiffin("publish", spec, "--host", host),
        tiffin("submit", spec, "--json", "--host", host),
        tiffin("submit", spec, "--host", host, KF_PIPELINES_UI_ENDPOINT=with_login("https://kfp.example.com/")),
        tiffin("submit", spec, KF_PIPELINES_ENDPOINT=with_login(server.address, "ann:s3cret%2Dword")),
    ]
    server.set(login="ann:another")
    refused = tiffin("publish", spec, "--debug", "--host", host)

    assert [status for status, _, _ in ends] == [0] * 4
    assert ends[0][1].endswith(f" at {server.address}\n")
    assert json.loads(ends[1][1])["url"].startswith(f"{server.address}/#/runs/details/")
    assert " https://kfp.example.com/#/runs/details/" in ends[2][1]
    assert (refused[0], "401" in refused[2]) == (1, True)
    assert not any(SECRET in output + errors for _, output, errors in [*ends, refused])
    assert base64.b64encode(f"ann:{SECRET}".encode()).decode() not in refused[2]


@pytest.mark.parametrize(
    "host",
    [
        f"ftp://ann:{SECRET}@x",
        f"ann:{SECRET}@a b",
        f"http://ann:/{SECRET}@x",
        f"ann:p://{SECRET}@x",
        "https://x/pipeline/#/runs",
        f"https://x/pipeline?token={SECRET}",
    ],
)
def test_an_invalid_host_is_reported_without_its_secrets(host: str) -> None:
    with pytest.raises(InputError, match=r"--host .*https://\S+\. Received: '") as caught:
        connect(host)

    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("port", ["abc", "99999"])
def test_a_host_with_an_invalid_port_is_reported(port: str) -> None:
    with pytest.raises((InputError, BackendError), match=rf"localhost:{port}.*--host|--host.*localhost:{port}"):
        connect(f"http://ann:{SECRET}@localhost:{port}")


@pytest.mark.parametrize("variable", ["TIFFIN_KFP_TOKEN", "TIFFIN_KFP_COOKIE"])
@pytest.mark.parametrize("value", ["two\nlines", "tökén…"])
def test_a_value_that_no_header_can_hold_is_reported(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(InputError, match=variable) as caught:
        connect("http://localhost:9")
    assert value not in str(caught.value)


def test_a_token_is_sent_to_the_cluster_of_the_kubeconfig(server: kfp_backend.Server, tmp_path: Path) -> None:
    config = {
        "current-context": "a",
        "contexts": [{"name": "a", "context": {"cluster": "a", "user": "a"}}],
        "clusters": [{"name": "a", "cluster": {"server": server.address}}],
        "users": [{"name": "a", "user": {"token": "of-the-kubeconfig"}}],
    }
    (tmp_path / "config").write_text(json.dumps(config))
    (tmp_path / "token").write_text("of-the-file")

    def schedules(*options: object, **variables: str) -> int:
        # A process of its own: kubernetes reads KUBECONFIG when it is imported.
        variables |= {"KUBECONFIG": str(tmp_path / "config"), "HOME": str(tmp_path)}
        process = start("schedule", "list", *options, **variables)
        process.communicate(timeout=120)
        return process.returncode

    server.set(token="of-the-kubeconfig")
    assert schedules() == 0
    server.set(token="of-the-file")
    assert schedules("--token-file", tmp_path / "token") == 0
    assert schedules(TIFFIN_KFP_TOKEN="of-the-file") == 0


def id_token(number: int, seconds: float) -> str:
    """Return a token like Google's that expires in some seconds."""
    parts = ({"alg": "none"}, {"number": number, "exp": int(time.time() + seconds)})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "signature"])


class Google(http.server.BaseHTTPRequestHandler):
    """A proxy that imitates Google's token endpoints: it returns `tokens` one by one."""

    protocol_version = "HTTP/1.1"
    context: ssl.SSLContext
    tokens: list[str]

    def log_message(self, *_: Any) -> None: ...

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", buffering=0)
        self.close_connection = False

    def finish(self) -> None:
        super().finish()
        self.connection.close()

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = {"access_token": "of-the-account", "expires_in": 3600, "token_type": "Bearer"}
        status = 200
        if "www.googleapis.com" in self.headers["Host"]:
            answer = {"id_token": self.tokens.pop(0)} if self.tokens else {"error": "invalid_grant"}
            status = 200 if "id_token" in answer else 400
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def google(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Google]]:
    """Imitate Google, and set a service account's key for IAP."""
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "google")])
    now = datetime.datetime.now(datetime.UTC)
    hosts = [x509.DNSName(host) for host in ("www.googleapis.com", "oauth2.googleapis.com")]
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(hosts), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path / "google.pem"
    path.write_text(certificate.public_bytes(serialization.Encoding.PEM).decode() + pem)
    account = {
        "type": "service_account", "project_id": "p", "private_key": pem, "private_key_id": "1", "client_id": "1",
        "client_email": "ci@p.iam.gserviceaccount.com", "token_uri": "https://oauth2.googleapis.com/token",
    }  # fmt: skip
    (tmp_path / "account.json").write_text(json.dumps(account))

    Google.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    Google.context.load_cert_chain(path)
    Google.tokens = []
    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Google)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "account.json"))
    monkeypatch.setenv("KF_PIPELINES_IAP_OAUTH2_CLIENT_ID", "iap.apps.googleusercontent.com")
    monkeypatch.setenv("HOME", str(tmp_path))
    yield Google
    proxy.shutdown()
    thread.join()
    proxy.server_close()


def test_a_service_account_gets_a_token_for_iap(
    server: kfp_backend.Server, google: type[Google], tmp_path: Path
) -> None:
    google.tokens[:] = [id_token(1, 3600)]
    server.set(token=google.tokens[0])

    assert tiffin("publish", toys.write_spec(toys.toy, tmp_path), "--host", server.address)[0] == 0
    assert google.tokens == []


def test_the_token_for_iap_is_renewed_before_it_expires(server: kfp_backend.Server, google: type[Google]) -> None:
    google.tokens[:] = [id_token(1, 10), id_token(2, 3600)]
    server.set(token=google.tokens[1])

    ask(connect(server.address))
    assert google.tokens == []


def test_an_explicit_token_takes_precedence_over_iap(
    server: kfp_backend.Server, google: type[Google], monkeypatch: pytest.MonkeyPatch
) -> None:
    server.set(token="own")
    monkeypatch.setenv("TIFFIN_KFP_TOKEN", "own")

    ask(connect(server.address))


@pytest.mark.parametrize("fault", ["refused", "no credentials"])
def test_a_missing_token_for_iap_is_reported(
    server: kfp_backend.Server, google: type[Google], tmp_path: Path, fault: str
) -> None:
    if fault == "no credentials":
        (tmp_path / "account.json").unlink()

    status, _, errors = tiffin("publish", toys.write_spec(toys.toy, tmp_path), "--host", server.address)

    assert status == 1
    assert "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID" in errors
    assert "GOOGLE_APPLICATION_CREDENTIALS" in errors
    assert "--token-file" in errors
