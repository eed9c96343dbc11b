"""The connection to a backend: `credentials` provides the address and the credentials; `request` sends all requests.

kfp.Client's own calls are not used: they retry an unreachable host for 25 seconds with tracebacks, raise an
AttributeError for an untrusted certificate, and return an empty response for a login page.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import urllib3

from tiffin.errors import BackendError, InputError
from tiffin.kubeflow.credentials import find_client, split_login
from tiffin.kubeflow.refusals import error_text, network_faults, redacted, refusal, unanswered

_TRANSIENT = (429, 502, 503, 504)
# Time in which the first request is answered, name resolution and TLS included.
FIRST_ANSWER_SECONDS = 8.0
# Time after which a line shows that the first request is still pending.
NOTICE_SECONDS = 1.0
# Length of what `read_tail` returns.
_TAIL_BYTES = 65_536


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


@dataclass(frozen=True)
class Backend:
    """A reachable KFP backend.

    Attributes:
        host: Address without credentials, safe to print.
        namespace: Profile namespace; empty in single-user mode.
        pool: HTTP connection pool.
        headers: Function that returns the request headers with current credentials.
        notify: Function that shows one line while a request is pending or repeated. Prints to standard error by default.
    """

    host: str
    namespace: str
    pool: urllib3.PoolManager = field(repr=False)
    headers: Callable[[], dict[str, str]] = field(repr=False)
    notify: Callable[[str], None] = field(default=_to_stderr, repr=False)

    def run_url(self, run_id: str) -> str:
        """Return the URL of a run in the dashboard."""
        dashboard, _ = split_login(os.environ.get("KF_PIPELINES_UI_ENDPOINT") or self.host)
        return f"{dashboard.rstrip('/')}/#/runs/details/{run_id}"


def connect(
    host: str | None = None,
    namespace: str | None = None,
    token_file: str | Path | None = None,
    ca_file: str | Path | None = None,
) -> Backend:
    """Connect to the backend and check its health endpoint, which is requested once and has to answer within 8 s.

    Args:
        host: Address of the KFP API; `user:password@` in it is sent as basic authentication. Defaults to the environment
            variable KF_PIPELINES_ENDPOINT, then to the cluster of this pod or of the kubeconfig.
        namespace: Profile namespace, required in multi-user mode. Defaults to none.
        token_file: File with a bearer token, read again for each request. Defaults to the environment variable
            TIFFIN_KFP_TOKEN, then to the credentials of kfp.Client: IAP's variables, the pod's projected token, the
            kubeconfig, ~/.config/kfp/context.json.
        ca_file: PEM file of the certificate authority that signed the host's certificate. Defaults to the public ones.

    Returns:
        The connected backend.

    Raises:
        InputError: No host was found, a file cannot be read, or a multi-user backend needs a namespace.
        BackendError: The backend is unreachable or returned an error.
    """
    # urllib3 logs faults that `request` reports itself.
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
    health = _first_answer(backend, lambda: request(backend, "GET", "/apis/v2beta1/healthz", attempts=1))
    if health.get("multi_user") and not namespace:
        raise InputError(
            f"--namespace is required: the backend at {backend.host} is multi-user. Add --namespace with your profile's "
            "namespace, or set TIFFIN_NAMESPACE."
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
    """Send a request and return the decoded response.

    Args:
        backend: Return value of `connect`.
        method: HTTP method. Only `GET` is retried after a transient fault.
        path: Path of the URL, starting with `/apis`.
        query: Query parameters; empty values are omitted. Defaults to none.
        body: JSON body. Defaults to none.
        file: Name and content of a file to upload. Defaults to none.
        attempts: Number of attempts of a GET. Defaults to 4.

    Returns:
        The JSON object of the response.

    Raises:
        BackendError: The backend did not respond, or returned an error.
    """
    url = _url(backend, path, query)
    headers = {**backend.headers(), "Accept": "application/json"}
    options: dict[str, Any] = {}
    if file:
        options["fields"] = {"uploadfile": (file[0], file[1], "application/octet-stream")}
    elif body is not None:
        headers["Content-Type"] = "application/json"
        options["body"] = json.dumps(body)
    # Other methods are not retried: the request may have taken effect. Certificate errors (`other`) are not retried either.
    retries = _ShownRetry(
        attempts - 1 if method == "GET" else 0, other=0, status_forcelist=_TRANSIENT, raise_on_status=False,
        backoff_factor=1, backoff_max=10, respect_retry_after_header=False,
    )  # fmt: skip
    retries.backend = backend
    with network_faults(backend.host):
        try:
            # A redirect usually leads to a login page.
            answer = backend.pool.request(
                method, url, headers=headers, timeout=urllib3.Timeout(connect=10, read=60),
                retries=retries, redirect=False, **options,
            )  # fmt: skip
        except urllib3.exceptions.MaxRetryError as error:
            raise error.reason or error from None
    content = answer.data.decode(errors="replace")
    if not 200 <= answer.status < 300:
        detail = redacted(error_text(content), headers)
        raise refusal(backend.host, backend.namespace, method, answer.status, answer.headers, detail)
    try:
        decoded = json.loads(content or "{}")
    except ValueError:
        decoded = None
    if not isinstance(decoded, dict):
        raise BackendError(
            f"The response of {backend.host} is not JSON, so it is not from the KFP API; it may be a login page. "
            "Check --host: on Kubeflow it often ends in /pipeline. If the host requires a login, pass --token-file, or a "
            "session cookie in TIFFIN_KFP_COOKIE.",
            answer.status,
        )
    return decoded


def read_tail(backend: Backend, path: str, query: Mapping[str, Any], deadline: float) -> str | None:
    """Return the last 64 KiB of a text, such as a log, without a first line that is cut; in constant memory.

    Args:
        backend: Return value of `connect`.
        path: Path of the URL.
        query: Query parameters; empty values are omitted.
        deadline: Time by which the text has to end, in seconds of time.monotonic.

    Returns:
        The text; None if the backend returned an error or a web page, or did not end in time.
    """
    left = max(deadline - time.monotonic(), 0.01)
    headers = {**backend.headers(), "Accept": "text/plain"}
    tail, size = b"", 0
    try:
        answer = backend.pool.request(
            "GET", _url(backend, path, query), headers=headers, retries=False, redirect=False, preload_content=False,
            timeout=urllib3.Timeout(connect=min(10, left), read=min(30, left)),
        )  # fmt: skip
        with contextlib.closing(answer):
            # The dashboard returns its page for an unknown path.
            if answer.status != 200 or "html" in answer.headers.get("Content-Type", ""):
                return None
            for part in answer.stream(_TAIL_BYTES):
                tail, size = (tail + part)[-_TAIL_BYTES:], size + len(part)
                if time.monotonic() > deadline:
                    return None
    except urllib3.exceptions.HTTPError:
        return None
    # KFP 2.17 sends errors with status 200.
    if tail.startswith(b'{"error_message":'):
        return None
    text = tail.decode(errors="replace")
    return text.partition("\n")[2] if size > len(tail) else text


def _url(backend: Backend, path: str, query: Mapping[str, Any] | None) -> str:
    pairs = {key: str(value) for key, value in (query or {}).items() if value not in (None, "")}
    return backend.host + path + (f"?{urllib.parse.urlencode(pairs)}" if pairs else "")


class _ShownRetry(urllib3.Retry):
    """urllib3's retries, with a line before each further attempt."""

    backend: Backend

    def new(self, **changes: Any) -> "_ShownRetry":
        made: _ShownRetry = super().new(**changes)
        made.backend = self.backend
        return made

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: Any = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: Any = None,
    ) -> "_ShownRetry":
        following: _ShownRetry = super().increment(method, url, response, error, _pool, _stacktrace)
        done = len(following.history)
        try:
            with network_faults(self.backend.host):
                if error:
                    raise error
            reason = f"The backend at {self.backend.host} answered with status {response.status}"
        except BackendError as fault:
            reason = str(fault).partition(". ")[0]
        self.backend.notify(f"{reason}; waiting for attempt {done + 1} of {done + 1 + int(following.total or 0)}")
        return following


def _first_answer(backend: Backend, ask: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what `ask` returns, or fail after `FIRST_ANSWER_SECONDS`.

    A timeout of the request does not suffice: it applies to each address of a name and not to the name's resolution, and
    a server that accepts the connection may not answer.
    """
    ended: list[dict[str, Any] | BaseException] = []

    def run() -> None:
        try:
            ended.append(ask())
        except BaseException as error:  # noqa: BLE001 - raised below, in the caller's thread
            ended.append(error)

    # A daemon: the process does not wait for it when it ends.
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(min(NOTICE_SECONDS, FIRST_ANSWER_SECONDS))
    if not ended:
        backend.notify(f"Connecting to the backend at {backend.host}, for at most {FIRST_ANSWER_SECONDS:g} s")
        thread.join(max(FIRST_ANSWER_SECONDS - NOTICE_SECONDS, 0))
    if not ended:
        raise unanswered(backend.host, FIRST_ANSWER_SECONDS)
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]
