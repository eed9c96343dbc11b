"""Certificates for TLS in tests, and servers that use them."""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, in memory and as PEM files."""

    content: Any
    key: Any
    file: Path
    key_file: Path

    def credentials(self, client_ca: "Certificate | None" = None) -> Any:
        """Return gRPC's credentials of a server; with `client_ca`, it requires a client certificate of that CA."""
        pair = (self.key_file.read_bytes(), self.file.read_bytes())
        roots = client_ca.file.read_bytes() if client_ca else None
        return grpc.ssl_server_credentials([pair], roots, require_client_auth=client_ca is not None)


def make(
    folder: Path,
    name: str,
    issuer: Certificate | None = None,
    *,
    names: tuple[str, ...] = ("localhost",),
    days: tuple[int, int] = (-1, 1),
) -> Certificate:
    """Write a certificate; without an issuer it is self-signed, and without names it is that of a CA.

    Args:
        folder: Folder for `<name>.pem` and `<name>.key`.
        name: Common name.
        issuer: The CA.
        names: DNS names.
        days: Start and end of the validity, from today.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    start, end = (now + datetime.timedelta(days=day) for day in days)
    parent = issuer.content.subject if issuer else subject
    builder = x509.CertificateBuilder(parent, subject, key.public_key(), x509.random_serial_number(), start, end)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names]), False)
    builder = builder.add_extension(x509.BasicConstraints(ca=not names, path_length=None), True)
    content = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    files = folder / f"{name}.pem", folder / f"{name}.key"
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    files[0].write_bytes(content.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    return Certificate(content, key, *files)
