"""What a backend's refusals and the network's faults mean, and what to do about them."""

import contextlib
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping

import urllib3

from tiffin.errors import BackendError
from tiffin.kubeflow.versions import came_with


@contextlib.contextmanager
def network_faults(host: str) -> Iterator[None]:
    """Turn what goes wrong between here and the host into a BackendError of status 0; 495 for a certificate."""
    try:
        yield
    except urllib3.exceptions.SSLError as error:
        said = _one_line(str(error))
        hint = (
            "Its port speaks no TLS: write http:// in --host."
            if re.search("WRONG_VERSION|RECORD_LAYER|UNKNOWN_PROTOCOL", said)
            else "Pass --ca-file with the authority that signed the certificate, and check the name in --host."
        )
        # No passing fault: it is not sent again.
        raise BackendError(
            f"The host {host} should have a certificate to trust. Received: {said}. {hint}", 495
        ) from None
    except urllib3.exceptions.NameResolutionError:
        raise BackendError(
            f"The host {host} should have an address. Received: none for its name. Check --host."
        ) from None
    except urllib3.exceptions.NewConnectionError as error:
        said = _one_line(str(error)).rpartition("] ")[2]
        raise BackendError(
            f"The backend at {host} should answer. Received: {said}. Check --host, and that the port-forward or the VPN is up."
        ) from None
    except urllib3.exceptions.TimeoutError:
        raise BackendError(
            f"The backend at {host} should answer. Received: nothing in time. Check --host, or try later."
        ) from None
    except urllib3.exceptions.HTTPError as error:
        raise BackendError(
            f"The backend at {host} should answer. Received: a broken connection ({_one_line(str(error))}). "
            "Write https:// in --host where the port speaks TLS; otherwise try again."
        ) from None


def refusal(host: str, namespace: str, method: str, status: int, headers: Mapping[str, str], said: str) -> BackendError:
    """Return what to raise for an answer that says no.

    Args:
        host: Address of the backend.
        namespace: Profile namespace; empty for none.
        method: Of the request.
        status: Of the answer.
        headers: Of the answer.
        said: What its body says.
    """
    more = f" ({said})" if said else ""
    where = f" in the namespace '{namespace}'" if namespace else ""
    unknown = re.search(r'unknown field \\?"(\w+)', said)
    if 300 <= status < 400:
        place = urllib.parse.urlsplit(headers.get("Location", "")).netloc.rpartition("@")[2] or "another page"
        message = (
            f"The backend at {host} should answer. Received: a redirect to {place}, as before a login. "
            "Pass a token by --token-file, or a session's cookie in TIFFIN_KFP_COOKIE."
        )
    elif status == 401:
        message = (
            f"The backend at {host} should accept who you are. Received: 401{more}. Pass a fresh token by --token-file "
            "or in TIFFIN_KFP_TOKEN, or a session's cookie in TIFFIN_KFP_COOKIE."
        )
    elif status == 403:
        message = (
            f"You should be allowed to {'read' if method == 'GET' else 'change'} pipelines and runs{where} at {host}. "
            f"Received: 403{more}. Name a --namespace of yours, or ask its owner for the role kubeflow-edit."
        )
    elif status == 400 and unknown:
        field_name = unknown.group(1)
        version = came_with(field_name)
        message = (
            f"The backend at {host} is older than the spec needs: it does not know '{field_name}'"
            + (f", which KFP {version} brought" if version else "")
            + ". Received: 400. Upgrade the backend, or publish a spec that an older Tiffin compiled."
        )
    elif status >= 500:
        message = f"The backend at {host} should answer. Received: {status}{more}. Try again; its log says more."
    else:
        message = f"The backend at {host} refused the request. Received: {status}{more}."
    return BackendError(message, status)


def what_it_said(content: str) -> str:
    """Return what an error's body says: gRPC's gateway, the upload server and proxies each have a form of their own."""
    try:
        body = json.loads(content)
    except ValueError:
        return "" if "<" in content else _one_line(content)
    if not isinstance(body, dict):
        return ""
    # The upload server says `error_message` in words, and details with a stack; the gateway says `message`.
    for name in ("error_message", "message", "error"):
        if isinstance(body.get(name), str) and body[name]:
            return _one_line(body[name])
    return ""


def redacted(text: str, headers: Mapping[str, str]) -> str:
    """Take credentials out that a server or a proxy repeats."""
    for name, value in headers.items():
        if name.lower() in {"authorization", "cookie"}:
            cookies = (cookie.partition("=")[2] for cookie in re.split("; *", value))
            for secret in (value, value.partition(" ")[2], *cookies):
                if len(secret) > 3:
                    text = text.replace(secret, "…")
    return text


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 400 else line[:400] + "…"
