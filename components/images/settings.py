"""Passes pip's settings and certificates of this machine to a build, as secrets.

The project names no registry, so a build works with and without a mirror. Passwords in the settings stay out of the image.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tiffin.errors import TiffinError

# Settings of pip that are also valid inside a build.
_KEPT = (
    "index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "timeout", "default-timeout", "retries", "no-index",
    "only-binary", "prefer-binary",
)  # fmt: skip
_BUNDLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_DEBIANS_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

# Path at which the Dockerfile mounts the certificates.
MOUNTED = "/run/secrets/certificates.pem"


def write_settings(folder: Path, root: Path) -> list[str]:
    """Write the pip settings and certificates of this machine to a folder.

    Args:
        folder: Folder to write to.
        root: The checkout.

    Returns:
        Arguments for `docker build` or `buildah build`.

    Raises:
        TiffinError: pip is missing, or cannot read its settings.
    """
    lines = list_settings(root)
    certificates = find_certificates(lines, os.environ)
    configuration = folder / "pip.conf"
    configuration.write_text(make_configuration(lines, os.environ, certificates is not None))
    arguments = ["--secret", f"id=pip,src={configuration}"]
    if certificates is not None:
        arguments += ["--secret", f"id=certificates,src={certificates}"]
    # Docker and buildah accept these without an ARG, and do not store them in the image.
    for name in PROXIES:
        if os.environ.get(name):
            arguments += ["--build-arg", name]
    return arguments


def list_settings(root: Path) -> list[str]:
    """Return the lines of `pip config list`, which include files and environment variables.

    Args:
        root: The checkout. Its virtualenv of uv has pip; the other virtualenvs do not.

    Raises:
        TiffinError: pip is missing, or cannot read its settings.
    """
    python = root / ".venvs" / "uv" / "bin" / "python"
    command = [str(python) if python.exists() else sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        raise TiffinError(
            f"`pip config list` failed, so a build has no settings for pip: {' '.join(listed.stderr.split())[-300:]}. "
            "Run `make setup` in the checkout, or fix pip's configuration file."
        )
    return listed.stdout.splitlines()


def make_configuration(lines: Iterable[str], environment: Mapping[str, str], has_certificates: bool) -> str:
    """Return a pip.conf with the settings of this machine for use inside a build.

    Args:
        lines: Output of `pip config list`, such as `global.index-url='https://…'`. The last value of a setting counts.
        environment: Environment variables. uv's index is used if pip has none.
        has_certificates: Whether certificates are mounted.
    """
    kept: dict[str, str] = {}
    for name, value in _read(lines):
        # Folders of this machine do not exist in the build.
        words = [word for word in value.split() if name != "find-links" or "://" in word]
        if name in _KEPT and words:
            kept["timeout" if name == "default-timeout" else name] = " ".join(words)
    index = environment.get("UV_DEFAULT_INDEX") or environment.get("UV_INDEX_URL")
    if index:
        kept.setdefault("index-url", index)
    if has_certificates:
        kept["cert"] = MOUNTED
    return "[global]\n" + "".join(f"{name} = {value}\n" for name, value in sorted(kept.items()))


def find_certificates(lines: Iterable[str], environment: Mapping[str, str]) -> Path | None:
    """Return the file of trusted certificate authorities; None if none is found."""
    named = [value for name, value in _read(lines) if name == "cert"]
    places = [*reversed(named), *(environment.get(name, "") for name in _BUNDLES), _DEBIANS_BUNDLE]
    return next((Path(place) for place in places if place and Path(place).is_file()), None)


def _read(lines: Iterable[str]) -> list[tuple[str, str]]:
    settings = []
    for line in lines:
        key, separator, value = line.partition("=")
        if separator:
            settings.append((key.rpartition(".")[2].strip(), str(ast.literal_eval(value.strip()))))
    return settings
