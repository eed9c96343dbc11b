"""A connection to a backend: `credentials` finds its address and who asks, and one function sends every request.

kfp.Client's own calls are not used: it asks a host that is down for 25 seconds, with tracebacks; a certificate it does
not trust ends in an AttributeError, and a login page in an answer without content.
"""

import json
import logging
import os
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tiffin.errors import BackendError, InputError
from tiffin.kubeflow.credentials import find_client, split_login
from tiffin.kubeflow.refusals import network_faults, redacted, refusal, what_it_said

_PASSING = (429, 502, 503, 504)


@dataclass(frozen=True)
class Backend:
    """A backend that answered.

    Attributes:
        host: Its address, without credentials: it is shown.
        namespace: Profile namespace; empty where there are no profiles.
        pool: Connections to it.
        headers: Returns the headers of a request, with credentials that may be renewed in between.
    """

    host: str
    namespace: str
    pool: urllib3.PoolManager = field(repr=False)
    headers: Callable[[], dict[str, str]] = field(repr=False)

    def run_url(self, run_id: str) -> str:
        """Return where the dashboard shows a run."""
        dashboard, _ = split_login(os.environ.get("KF_PIPELINES_UI_ENDPOINT") or self.host)
        return f"{dashboard.rstrip('/')}/#/runs/details/{run_id}"


def connect(
    host: str | None = None,
    namespace: str | None = None,
    token_file: str | Path | None = None,
    ca_file: str | Path | None = None,
) -> Backend:
    """Find the backend and ask it whether it is well.

    Args:
        host: Address of the KFP API; a `user:password@` in it is sent as such. Defaults to KF_PIPELINES_ENDPOINT in the
            environment, then to the cluster around this pod, or of the kubeconfig.
        namespace: Profile namespace. Defaults to none.
        token_file: File with a bearer token, read again for each request. Defaults to TIFFIN_KFP_TOKEN in the
            environment, then to what kfp.Client finds: IAP's variables, a pod's projected token, the kubeconfig,
            ~/.config/kfp/context.json.
        ca_file: PEM file of the authority that signed the host's certificate. Defaults to the public ones.

    Raises:
        InputError: There is no host, a file cannot be read, or the backend has profiles and no namespace is given.
        BackendError: The backend does not answer as it should.
    """
    # A fault that passes is no news; one that stays is raised.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)
    client = find_client(host, token_file, ca_file)
    pool: urllib3.PoolManager = client.rest_client.pool_manager
    address, login = split_login(client.configuration.host.rstrip("/"))

    def headers() -> dict[str, str]:
        found = dict(client.default_headers)
        if client.cookie:
            found["Cookie"] = client.cookie
        client.update_params_for_auth(found, [], ["Bearer"])
        return {"authorization": login, **found} if login else found

    backend = Backend(address if "://" in address else f"http://{address}", namespace or "", pool, headers)
    health = request(backend, "GET", "/apis/v2beta1/healthz", attempts=1)
    if health.get("multi_user") and not namespace:
        raise InputError(
            f"--namespace should name your profile: the backend at {backend.host} is shared by several. "
            "Received: none. Add --namespace NAME, or set TIFFIN_NAMESPACE."
        )
    return backend


def request(
    backend: Backend,
    method: str,
    path: str,
    *,
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    file: tuple[str, bytes] | None = None,
    attempts: int = 4,
) -> dict[str, Any]:
    """Send a request and return its answer.

    Args:
        backend: Of `connect`.
        method: Such as `GET`, which is repeated after a passing fault; nothing else is.
        path: From `/apis` on.
        query: Its parameters; empty ones are left out. Defaults to none.
        body: Sent as JSON. Defaults to none.
        file: Name and content of a file to upload. Defaults to none.
        attempts: How often a GET is sent before a fault counts. Defaults to 4.

    Raises:
        BackendError: No answer came, or one that says no.
    """
    pairs = {key: str(value) for key, value in (query or {}).items() if value not in (None, "")}
    url = backend.host + path + (f"?{urllib.parse.urlencode(pairs)}" if pairs else "")
    headers = {**backend.headers(), "Accept": "application/json"}
    options: dict[str, Any] = {}
    if file:
        options["fields"] = {"uploadfile": (file[0], file[1], "application/octet-stream")}
    elif body is not None:
        headers["Content-Type"] = "application/json"
        options["body"] = json.dumps(body)
    # Whatever is not a GET may have arrived: it is never sent again. Neither is one that met a bad certificate (`other`).
    retries = urllib3.Retry(
        attempts - 1 if method == "GET" else 0, other=0, status_forcelist=_PASSING, raise_on_status=False,
        backoff_factor=1, backoff_max=10, respect_retry_after_header=False,
    )  # fmt: skip
    with network_faults(backend.host):
        try:
            # A redirect leads to a login.
            answer = backend.pool.request(
                method, url, headers=headers, timeout=urllib3.Timeout(connect=10, read=60),
                retries=retries, redirect=False, **options,
            )  # fmt: skip
        except urllib3.exceptions.MaxRetryError as error:
            raise error.reason or error from None
    content = answer.data.decode(errors="replace")
    if not 200 <= answer.status < 300:
        said = redacted(what_it_said(content), headers)
        raise refusal(backend.host, backend.namespace, method, answer.status, answer.headers, said)
    try:
        decoded = json.loads(content or "{}")
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise BackendError(
            f"The host {backend.host} should be the KFP API. Received: a page that is not JSON, such as a login. "
            "Check --host; on Kubeflow it often ends in /pipeline. Behind a login, pass a token or a cookie.",
            answer.status,
        )
    return decoded
