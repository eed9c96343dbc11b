"""How a build reaches packages: as this machine does, by pip's settings and certificates, handed over as secrets.

No address of a registry is written in this project, so a build works behind a mirror as it does without one, and what
such settings hold, a password for one, stays out of the image.
"""

import ast
import os
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tiffin.errors import TiffinError

# Settings of pip that mean the same inside a build.
_KEPT = (
    "index-url", "extra-index-url", "find-links", "trusted-host", "proxy", "timeout", "default-timeout", "retries", "no-index",
    "only-binary", "prefer-binary",
)  # fmt: skip
_BUNDLES = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_DEBIANS_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")

# Where the Dockerfile mounts the certificates.
MOUNTED = "/run/secrets/certificates.pem"


def write_settings(folder: Path, root: Path) -> list[str]:
    """Write pip's settings and the certificates of this machine into a folder.

    Args:
        folder: To write into.
        root: The checkout.

    Returns:
        What to add to `docker build` or `buildah build`.

    Raises:
        TiffinError: There is no pip to ask for its settings.
    """
    lines = list_settings(root)
    certificates = find_certificates(lines, os.environ)
    configuration = folder / "pip.conf"
    configuration.write_text(make_configuration(lines, os.environ, certificates is not None))
    arguments = ["--secret", f"id=pip,src={configuration}"]
    if certificates is not None:
        arguments += ["--secret", f"id=certificates,src={certificates}"]
    # Docker and buildah know these without an ARG, and keep them out of the image.
    for name in PROXIES:
        if os.environ.get(name):
            arguments += ["--build-arg", name]
    return arguments


def list_settings(root: Path) -> list[str]:
    """Return what `pip config list` says on this machine: files, environment and all.

    Args:
        root: The checkout. Set-up's own virtualenv in it has a pip; those that uv makes have none.

    Raises:
        TiffinError: There is no pip, or it does not say.
    """
    python = root / ".venvs" / "uv" / "bin" / "python"
    command = [str(python) if python.exists() else sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        raise TiffinError(
            f"A build takes pip's settings from `pip config list`. Received: {' '.join(listed.stderr.split())[-300:]}. "
            "Run `make setup` in the checkout, and mend pip's configuration file where that is what it names."
        )
    return listed.stdout.splitlines()


def make_configuration(lines: Iterable[str], environment: Mapping[str, str], has_certificates: bool) -> str:
    """Return a pip.conf that says inside a build what pip's settings say here.

    Args:
        lines: Of `pip config list`, such as `global.index-url='https://…'`. The later ones win.
        environment: Of this process. Where pip has no index, uv's is taken.
        has_certificates: Whether certificates are mounted.
    """
    kept: dict[str, str] = {}
    for name, value in _read(lines):
        # Of the places to find packages in, folders of this machine are not there in the build.
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
    """Return the file of certificate authorities that this machine trusts; None where there is none."""
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
