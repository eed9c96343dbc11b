"""Why a server cannot be reached: a second connection, of which each step is looked at.

gRPC reports the error of the last address of a name only, so that "connection refused" of IPv6 hides the error of the
certificate. This module is imported after a call has failed.
"""

import contextlib
import os
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SECONDS = 5.0
# Codes of X509_verify_cert of OpenSSL.
_EXPIRED, _NOT_YET_VALID = 10, 9
_SELF_SIGNED = 18
_UNKNOWN_ISSUER = (2, 19, 20, 21)
_OTHER_NAME = (62, 64)
_NO_CHECK_TIME = 0x200000
# An HTTP/2 client starts with this line and a frame of settings; a server answers with its own settings.
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
_SETTINGS_FRAME = b"\x04"
_TLS_ALERT = b"\x15\x03"


@dataclass(frozen=True)
class Endpoint:
    """A server to connect to.

    Attributes:
        host: Name or IP address.
        port: Port number.
        tls: Whether to use TLS.
        ca_file: PEM file with the trusted CA certificates; None for those of `roots`.
        roots: PEM file with the CA certificates that the failed client trusts by default.
        certificate_file: PEM file with the client certificate.
        key_file: PEM file with its key.
        server_name: Name in the server's certificate; None for the host.
        is_http2: Whether the server should speak HTTP/2, as gRPC does.
    """

    host: str
    port: int
    tls: bool = False
    ca_file: str | Path | None = None
    roots: str | Path | None = None
    certificate_file: str | Path | None = None
    key_file: str | Path | None = None
    server_name: str | None = None
    is_http2: bool = True

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def find_reason(endpoint: Endpoint, seconds: float = SECONDS) -> str:
    """Return why the server cannot be reached and what to do; empty if the server can be reached.

    Args:
        endpoint: The server.
        seconds: Maximum time. Defaults to 5.
    """
    end = time.monotonic() + seconds
    if proxy := _proxy(endpoint):
        return f"The environment variable {proxy} names a proxy. Add {endpoint.host} to no_proxy, or check the proxy."
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return f"The name '{endpoint.host}' has no IP address. Check the spelling, and the DNS of this machine."
    addresses = list(dict.fromkeys(info[4] for info in found))
    failures = []
    for place, address in enumerate(addresses):
        left = max(end - time.monotonic(), 0.05) / (len(addresses) - place)
        try:
            with socket.create_connection((str(address[0]), endpoint.port), timeout=left) as connection:
                connection.settimeout(max(end - time.monotonic(), 0.05))
                return _examine_tls(endpoint, connection, end) if endpoint.tls else _examine(endpoint, connection, end)
        except OSError as error:
            failures.append(f"{address[0]}: {_describe(error)}")
    return f"Could not connect to {endpoint} ({', '.join(failures)}). Check that the server is running, and its port."


def connects(endpoint: Endpoint, seconds: float) -> bool:
    """Return whether one of the server's addresses accepts a connection in time."""
    try:
        with socket.create_connection((endpoint.host, endpoint.port), timeout=seconds):
            return True
    except (OSError, UnicodeError):
        return False


def _proxy(endpoint: Endpoint) -> str:
    """Return the environment variable of the proxy that gRPC uses for a host; empty if none."""
    import urllib.request

    names = ("grpc_proxy", "https_proxy", "http_proxy") if endpoint.is_http2 else (f"http{'s' * endpoint.tls}_proxy",)
    name = next((name for name in names if os.environ.get(name)), "")
    return "" if not name or urllib.request.proxy_bypass(endpoint.host) else name


def _describe(error: OSError) -> str:
    return "timed out" if isinstance(error, TimeoutError) else (error.strerror or str(error))


def _examine(endpoint: Endpoint, connection: socket.socket, end: float) -> str:
    """Return what is wrong with a server that should not use TLS."""
    answer = b""
    with contextlib.suppress(OSError):
        connection.sendall(_PREFACE if endpoint.is_http2 else b"GET / HTTP/1.0\r\n\r\n")
        answer = connection.recv(64)
    if answer.startswith(_TLS_ALERT) or (not answer and _speaks_tls(endpoint, end)):
        return f"The server at {endpoint} requires TLS. Pass tls=True, or --tls."
    if answer[3:4] == _SETTINGS_FRAME and not endpoint.is_http2:
        return f"The server at {endpoint} speaks HTTP/2, as gRPC does. Use its REST port, 8501 by default, or gRPC."
    if answer and answer[3:4] != _SETTINGS_FRAME and endpoint.is_http2:
        return f"The server at {endpoint} answers in HTTP/1, not gRPC. Use its gRPC port, 8500 by default, not 8501 for REST."
    return ""


def _speaks_tls(endpoint: Endpoint, end: float) -> bool:
    with contextlib.suppress(OSError), _handshake(endpoint, _trusting(), end):
        return True
    return False


def _trusting() -> ssl.SSLContext:
    """Return a context that accepts every certificate, to look at it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextlib.contextmanager
def _handshake(endpoint: Endpoint, context: ssl.SSLContext, end: float) -> Iterator[ssl.SSLSocket]:
    seconds = max(end - time.monotonic(), 0.05)
    name = endpoint.server_name or endpoint.host
    with (
        socket.create_connection((endpoint.host, endpoint.port), timeout=seconds) as connection,
        context.wrap_socket(connection, server_hostname=name) as encrypted,
    ):
        yield encrypted


def _examine_tls(endpoint: Endpoint, connection: socket.socket, end: float) -> str:
    """Return what is wrong with a server that should use TLS."""
    try:
        context = _context(endpoint)
    except (OSError, ValueError) as error:
        return str(error)
    try:
        with context.wrap_socket(connection, server_hostname=endpoint.server_name or endpoint.host) as encrypted:
            if endpoint.is_http2 and encrypted.selected_alpn_protocol() != "h2":
                return f"The server at {endpoint} uses TLS, but not HTTP/2. Use its gRPC port."
            # With TLS 1.3, a server refuses the client's certificate after the handshake.
            encrypted.sendall(_PREFACE if endpoint.is_http2 else b"GET / HTTP/1.0\r\n\r\n")
            answer = encrypted.recv(1)
        return "" if answer else _explain_client_certificate(endpoint)
    except ssl.SSLCertVerificationError as error:
        return _explain_certificate(endpoint, error, end)
    except ssl.SSLError as error:
        return _explain_handshake(endpoint, error)
    except OSError as error:
        return f"The server at {endpoint} ended the TLS handshake ({_describe(error)}). Check that its port uses TLS."


def _context(endpoint: Endpoint) -> ssl.SSLContext:
    """Return a context like that of the failed client.

    Raises:
        ValueError: A file is not what it should be; the message is for the user.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if endpoint.is_http2:
        context.set_alpn_protocols(["h2"])
    try:
        if endpoint.ca_file or endpoint.roots:
            context.load_verify_locations(endpoint.ca_file or endpoint.roots)
        else:
            context.load_default_certs()
    except ssl.SSLError:
        raise ValueError(f"ca_file '{endpoint.ca_file}' has no certificates. Pass a PEM file.") from None
    if endpoint.certificate_file:
        try:
            context.load_cert_chain(endpoint.certificate_file, endpoint.key_file)
        except ssl.SSLError:
            raise ValueError(
                f"key_file '{endpoint.key_file}' should be the private key of certificate_file "
                f"'{endpoint.certificate_file}', both in PEM format, without a password. Pass files that belong together."
            ) from None
    return context


def _explain_handshake(endpoint: Endpoint, error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if "CERTIFICATE" in reason or "UNKNOWN_CA" in reason or "ACCESS_DENIED" in reason:  # an alert of the server
        return _explain_client_certificate(endpoint)
    if "VERSION" in reason or "HTTP_REQUEST" in reason:
        return f"The server at {endpoint} does not use TLS. Connect without tls, or use its port for TLS."
    return f"The TLS handshake with {endpoint} failed ({reason or error}). Check that its port uses TLS."


def _explain_client_certificate(endpoint: Endpoint) -> str:
    if endpoint.certificate_file:
        return f"The server at {endpoint} does not accept the client certificate '{endpoint.certificate_file}'. Pass another."
    return f"The server at {endpoint} requires a client certificate. Pass certificate_file and key_file in tls."


def _explain_certificate(endpoint: Endpoint, error: ssl.SSLCertVerificationError, end: float) -> str:
    found = _read_certificate(endpoint, end)
    subject = _name(found.get("subject", ()))
    certificate = f"The certificate of {endpoint}" + (f" ({subject})" if subject else "")
    if error.verify_code in _OTHER_NAME:
        names = [value for kind, value in found.get("subjectAltName", ()) if kind in ("DNS", "IP Address")]
        return (
            f"{certificate} is for {', '.join(names) or 'no name'}, not for '{endpoint.server_name or endpoint.host}'. "
            "Connect by a name of the certificate, or set it as server_name in tls."
        )
    if error.verify_code == _EXPIRED:
        return f"{certificate} expired on {found.get('notAfter', 'an unknown date')}. Renew it."
    if error.verify_code == _NOT_YET_VALID:
        return f"{certificate} is valid from {found.get('notBefore', 'an unknown date')} only. Check the clock."
    trusted = f"ca_file '{endpoint.ca_file}'" if endpoint.ca_file else "the public CA certificates"
    if error.verify_code == _SELF_SIGNED:
        return f"{certificate} is self-signed, and not in {trusted}. Pass it as ca_file if it is the server's."
    if error.verify_code in _UNKNOWN_ISSUER:
        issuer = _name(found.get("issuer", ())) or "an unknown CA"
        return f"{certificate} was issued by '{issuer}', which is not in {trusted}. Pass the certificate of this CA as ca_file."
    return f"{certificate} is not trusted: {error.verify_message}. Check the certificate, and ca_file."


def _read_certificate(endpoint: Endpoint, end: float) -> Mapping[str, Any]:
    """Return the fields of the server's certificate, verified or not."""
    with contextlib.suppress(OSError):
        with _handshake(endpoint, _trusting(), end) as encrypted:
            content = encrypted.getpeercert(binary_form=True) or b""
        # Only the fields of a verified certificate can be read, so it is made a trusted one.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN | _NO_CHECK_TIME
        context.load_verify_locations(cadata=content)
        with _handshake(endpoint, context, end) as encrypted:
            return encrypted.getpeercert() or {}
    return {}


def _name(subject: Any) -> str:
    fields = {key: value for part in subject for key, value in part}
    return str(fields.get("commonName") or fields.get("organizationName") or "")
