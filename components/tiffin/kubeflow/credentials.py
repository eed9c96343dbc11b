"""The backend's address and credentials: those of kfp.Client, and tokens that are renewed.

kfp.Client reads a token once, but a run may take longer than a token is valid. Here the token file is read for each
request, and a token for IAP is renewed before it expires.
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
    """Return kfp's API client, configured with the host and the credentials.

    Args:
        host: As in `connect`.
        token_file: As in `connect`.
        ca_file: As in `connect`.

    Raises:
        InputError: No host was found, or a file or an environment variable is invalid.
        BackendError: Google issued no token for IAP.
    """
    host = _check_host(host or os.environ.get("KF_PIPELINES_ENDPOINT"))
    _check_ca_file(ca_file)
    token, renew = _find_token(host, token_file)
    projected = os.environ.get("KF_PIPELINES_SA_TOKEN_PATH") or _PROJECTED_TOKEN
    in_pod = not token and Path(projected).is_file()
    # kfp warns about outdated versions, and prints a message if there is no kubeconfig.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        client = _Client(
            host=host,
            # Given a token without a host, kfp.Client does not look for the cluster.
            existing_token=token if host else None,
            cookies=_check_variable("TIFFIN_KFP_COOKIE", "one line of ASCII", r"[ -~]+") or None,
            ssl_ca_cert=str(ca_file) if ca_file else None,
            credentials=ServiceAccountTokenVolumeCredentials() if in_pod else None,
        )
    found: Any = client.runs.api_client
    if not host and found.configuration.host == kfp_server_api.Configuration().host:
        raise InputError(
            "--host is required: there is neither a kubeconfig nor a pod's service account. Add --host or set "
            "KF_PIPELINES_ENDPOINT, for example to http://localhost:8080 after "
            "`kubectl port-forward -n kubeflow svc/ml-pipeline-ui 8080:80`."
        )
    if token:
        found.configuration.api_key["authorization"] = token
        found.configuration.api_key_prefix["authorization"] = "Bearer"
        found.configuration.refresh_api_key_hook = renew
    return found


def split_login(address: str) -> tuple[str, str]:
    """Split an address into the address without `user:password@`, and the value of the Authorization header.

    Everything up to the last @ is removed, so that no part of a password remains even if the address is invalid.

    Returns:
        The address, and `Basic …` or an empty string.
    """
    scheme, login, place = re.fullmatch(r"([a-z]+://)?(?:(.*)@)?([^@]*)", address, re.I | re.S).groups("")  # type: ignore[union-attr]
    encoded = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
    return scheme + place, f"Basic {encoded}" if login else ""


class _Client(kfp.Client):  # type: ignore[misc]
    def get_kfp_healthz(self, sleep_duration: int = 5) -> kfp_server_api.V2beta1GetHealthzResponse:
        """Skip the check: the constructor would repeat it five times, five seconds apart. `connect` sends it once."""
        return kfp_server_api.V2beta1GetHealthzResponse(multi_user=False)


def _check_host(host: str | None) -> str | None:
    if host and "://" not in host:
        host = f"https://{host}"
    # A query or a fragment belongs to the dashboard, not to the API.
    if host and not re.fullmatch(r"https?://([^\s/?#]+@)?[^\s/?#@]+(/[^\s?#@]*)?", host):
        raise InputError(
            "--host should be a URL without a query or a fragment, such as https://kubeflow.example.com/pipeline. "
            f"Received: '{re.split('[?#]', split_login(host)[0])[0]}'{' (shortened)' if re.search('[?#@]', host) else ''}."
        )
    return host


def _check_ca_file(path: str | Path | None) -> None:
    if not path:
        return
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # an SSLError is one
        reason = getattr(error, "reason", None) or error.strerror
        raise InputError(f"--ca-file should be a PEM file. Received: '{path}' ({reason}). Check the path.") from None


def _check_variable(name: str, rule: str, pattern: str) -> str:
    value = os.environ.get(name, "").strip()
    if value and not re.fullmatch(pattern, value):
        raise InputError(
            f"{name} should be {rule}. The value is not shown, since it is secret. Set the variable again."
        )
    return value


def _find_token(host: str | None, token_file: str | Path | None) -> tuple[str, Callable[[Any], None] | None]:
    """Return the token that was passed, or IAP's, and a function that renews it in kfp's configuration."""
    if token_file:
        path = token_file

        def read_again(configuration: Any) -> None:
            # The file may be empty while it is rewritten; the previous token stays valid until then.
            with contextlib.suppress(InputError):
                configuration.api_key["authorization"] = _read_token(path)

        return _read_token(path), read_again
    token = _check_variable("TIFFIN_KFP_TOKEN", "a single token in ASCII", "[!-~]+")
    client_id = os.environ.get(_IAP)
    if token or not host or not client_id:
        return token, None

    def renew(configuration: Any) -> None:
        if _expires_soon(configuration.api_key["authorization"]):
            configuration.api_key["authorization"] = _ask_google(client_id)

    return _ask_google(client_id), renew


def _read_token(path: str | Path) -> str:
    try:
        token = Path(path).read_text().strip()
    except (OSError, UnicodeDecodeError):
        token = ""
    if not re.fullmatch("[!-~]+", token):
        raise InputError(
            f"--token-file should be a file with a single token. Received: '{path}'. Check the path and the file."
        )
    return token


def _ask_google(client_id: str) -> str:
    """Return an identity token for IAP, as kfp.Client does: of a service account, or of the user who logs in."""
    names = ("KF_PIPELINES_APP_OAUTH2_CLIENT_ID", "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET")
    reason = "neither a service account nor a login was found"
    token = None
    try:
        # It prints the login's URL; standard output is reserved for the command's result.
        with contextlib.redirect_stdout(sys.stderr):
            token, _ = auth.get_auth_token(client_id, *(os.environ.get(name) for name in names))
    except (google.auth.exceptions.GoogleAuthError, requests.RequestException, OSError, EOFError, ValueError) as error:
        reason = " ".join(str(error.args[0] if error.args else error).split())[:200]
    if not token:
        raise BackendError(
            f"Could not get an identity token for {_IAP}: {reason}. Set GOOGLE_APPLICATION_CREDENTIALS to the path of a "
            f"service account's key, set {' and '.join(names)} to log in, or pass --token-file."
        )
    return str(token)


def _expires_soon(token: str) -> bool:
    """Return whether a JWT expires within five minutes."""
    try:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return bool(claims["exp"] - time.time() < 300)
    except (IndexError, KeyError, TypeError, ValueError):
        return False
