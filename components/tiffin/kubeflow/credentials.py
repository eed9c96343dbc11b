"""Where a backend is and who asks it: kfp.Client finds what it can, and this adds what it leaves out.

It reads a token once, and a run is followed for longer than a token is good for: here a token file is read for every
request, and a token for IAP is renewed before it ends.
"""

import base64
import contextlib
import io
import json
import os
import re
import ssl
import sys
import time
import urllib.parse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import google.auth.exceptions
import kfp
import kfp_server_api
import requests
from kfp.client import auth
from kfp.client.set_volume_credentials import ServiceAccountTokenVolumeCredentials

from tiffin.errors import BackendError, InputError

_PROJECTED_TOKEN = "/var/run/secrets/kubeflow/pipelines/token"  # noqa: S105 - a path
_IAP = "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID"


def find_client(host: str | None, token_file: str | Path | None, ca_file: str | Path | None) -> Any:
    """Return kfp's API client, with what kfp.Client finds out about the host and the credentials.

    Args:
        host: As for `connect`.
        token_file: The same.
        ca_file: The same.

    Raises:
        InputError: There is no host, or a file or a variable breaks a rule.
        BackendError: Google gives no token for IAP.
    """
    host = _check_host(host or os.environ.get("KF_PIPELINES_ENDPOINT"))
    _check_ca_file(ca_file)
    token, renew = _find_token(host, token_file)
    projected = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or _PROJECTED_TOKEN
    in_pod = not token and Path(projected).is_file()
    # kfp warns about versions long gone, and prints where it finds no kubeconfig.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        client = _Client(
            host=host,
            # With a token and no host it would not look for the cluster.
            existing_token=token if host else None,
            cookies=_check_variable("TIFFIN_KFP_COOKIE", "one line", r"[ -~]+") or None,
            ssl_ca_cert=str(ca_file) if ca_file else None,
            credentials=ServiceAccountTokenVolumeCredentials() if in_pod else None,
        )
    found: Any = client.runs.api_client
    if not host and found.configuration.host == kfp_server_api.Configuration().host:
        raise InputError(
            "--host should be the address of the KFP API, such as http://localhost:8080 behind "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`. Received: none, and there is neither a "
            "kubeconfig nor a pod's account. Add --host, or set KF_PIPELINES_ENDPOINT."
        )
    if token:
        found.configuration.api_key["authorization"] = token
        found.configuration.api_key_prefix["authorization"] = "Bearer"
        found.configuration.refresh_api_key_hook = renew
    return found


def split_login(address: str) -> tuple[str, str]:
    """Return an address without the `user:password@` in it, and the header's value that says the same; empty for none.

    Everything up to the last @ goes, so that nothing of a password is left of an address that breaks the rules either.
    """
    scheme, login, place = re.fullmatch(r"([a-z]+://)?(?:(.*)@)?([^@]*)", address, re.I | re.S).groups("")  # type: ignore[union-attr]
    encoded = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
    return scheme + place, f"Basic {encoded}" if login else ""


class _Client(kfp.Client):  # type: ignore[misc]
    def get_kfp_healthz(self, sleep_duration: int = 5) -> kfp_server_api.V2beta1GetHealthzResponse:
        """Say nothing: the constructor would ask five times, five seconds apart. `connect` asks once."""
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)


def _check_host(host: str | None) -> str | None:
    if host and "://" not in host:
        host = f"https://{host}"
    # What follows a ? or a # is the dashboard's, not the API's.
    if host and not re.fullmatch(r"https?://([^\s/?#]+@)?[^\s/?#@]+(/[^\s?#@]*)?", host):
        raise InputError(
            "--host should be an address, such as https://kubeflow.example.com/pipeline. "
            f"Received: '{re.split('[?#]', split_login(host)[0])[0]}'{' and more' if re.search('[?#@]', host) else ''}."
        )
    return host


def _check_ca_file(path: str | Path | None) -> None:
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # an SSLError is one
        said = getattr(error, "reason", None) or error.strerror
        raise InputError(f"--ca-file should be a PEM file. Received: '{path}' ({said}). Check the path.") from None


def _check_variable(name: str, rule: str, pattern: str) -> str:
    value = os.environ.get(name, "").strip()
    if value and not re.fullmatch(pattern, value):
        raise InputError(f"{name} should be {rule} of ASCII. Received: something else. Set it anew.")
    return value


def _find_token(host: str | None, token_file: str | Path | None) -> tuple[str, Callable[[Any], None] | None]:
    """Return the token that was passed, or IAP's, and what renews it in kfp's configuration before each request."""
    if token_file:
        path = token_file

        def read_again(configuration: Any) -> None:
            # It may be empty for a moment while somebody writes it; then the token before is as good as any.
            with contextlib.suppress(InputError):
                configuration.api_key["authorization"] = _read_token(path)

        return _read_token(path), read_again
    token = _check_variable("TIFFIN_KFP_TOKEN", "one token", "[!-~]+")
    client_id = os.environ.get(_IAP)
    if token or not host or not client_id:
        return token, None

    def renew(configuration: Any) -> None:
        if _ends_soon(configuration.api_key["authorization"]):
            configuration.api_key["authorization"] = _ask_google(client_id)

    return _ask_google(client_id), renew


def _read_token(path: str | Path) -> str:
    try:
        token = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not re.fullmatch("[!-~]+", token):
        raise InputError(f"--token-file should hold one token. Received: '{path}'. Check the path and the file.")
    return token


def _ask_google(client_id: str) -> str:
    """Return an identity token for IAP, as kfp.Client gets it: for a service account, or for whoever logs in."""
    names = ("KF_PIPELINES_APP_OAUTH2_CLIENT_ID", "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET")
    said = "there is neither a service account nor a login"
    token = None
    try:
        # It says where to log in; standard output is the command's own.
        with contextlib.redirect_stdout(sys.stderr):
            token, _ = auth.get_auth_token(client_id, *(os.environ.get(name) for name in names))
    except (google.auth.exceptions.GoogleAuthError, requests.RequestException, OSError, EOFError, ValueError) as error:
        said = " ".join(str(error.args[0] if error.args else error).split())[:200]
    if not token:
        raise BackendError(
            f"{_IAP} asks for an identity token. Received: none ({said}). Set GOOGLE_APPLICATION_CREDENTIALS to a "
            f"service account's key, or {' and '.join(names)} to log in, or pass a token by --token-file."
        )
    return str(token)


def _ends_soon(token: str) -> bool:
    """Return whether a JWT says that it ends within five minutes."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return bool(claims["exp"] - time.time() < 300)
    except (IndexError, KeyError, TypeError, ValueError):
        return False
