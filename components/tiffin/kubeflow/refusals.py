"""Error messages for a backend's error responses and for network faults."""

import contextlib
import json
import re
import urllib.parse
from collections.abc import Iterator, Mapping

import urllib3

from tiffin.errors import BackendError
from tiffin.kubeflow.versions import introduced_in


@contextlib.contextmanager
def network_faults(host: str) -> Iterator[None]:
    """Convert network errors to BackendErrors with status 0, or 495 for an untrusted certificate.

    Args:
        host: Address of the backend, for the message.

    Raises:
        BackendError: The enclosed request failed.
    """
    try:
        yield
    except urllib3.exceptions.SSLError as error:
        detail = _one_line(str(error))
        if re.search("WRONG_VERSION|RECORD_LAYER|UNKNOWN_PROTOCOL", detail):
            message = f"The port of {host} does not use TLS: {detail}. Use http:// in --host."
        else:
            message = (
                f"The TLS certificate of {host} is not trusted: {detail}. Pass --ca-file with the certificate of the "
                "authority that signed it, and check the host name in --host."
            )
        # Not transient: a retry would fail in the same way.
        raise BackendError(message, 495) from None
    except urllib3.exceptions.NameResolutionError:
        raise BackendError(f"The name of the host {host} could not be resolved. Check --host.") from None
    except urllib3.exceptions.NewConnectionError as error:
        detail = _one_line(str(error)).rpartition("] ")[2]
        raise BackendError(
            f"No response from the backend at {host}: {detail}. Check --host, and that the port-forward or VPN is running."
        ) from None
    except urllib3.exceptions.TimeoutError:
        raise BackendError(
            f"No response from the backend at {host}: the request timed out. Check --host, or try again later."
        ) from None
    except urllib3.exceptions.HTTPError as error:
        raise BackendError(
            f"No response from the backend at {host}: the connection broke ({_one_line(str(error))}). If the port uses "
            "TLS, use https:// in --host; otherwise try again."
        ) from None


def unanswered(host: str, seconds: float) -> BackendError:
    """Return the error for a host that gives no answer in time: it does not exist, a firewall drops it, or it hangs."""
    return BackendError(
        f"No response from the backend at {host} within {seconds:g} s. Check --host, that the port-forward or VPN is "
        "running, and that no firewall blocks the port."
    )


def refusal(
    host: str, namespace: str, method: str, status: int, headers: Mapping[str, str], detail: str
) -> BackendError:
    """Return the error for a response with an error status.

    Args:
        host: Address of the backend.
        namespace: Profile namespace; empty for none.
        method: HTTP method of the request.
        status: HTTP status of the response.
        headers: Headers of the response.
        detail: Error text from the body of the response; may be empty.
    """
    more = f": {detail}" if detail else ""
    where = f" in the namespace '{namespace}'" if namespace else ""
    unknown = re.search(r'unknown field \\?"(\w+)', detail)
    if 300 <= status < 400:
        place = urllib.parse.urlsplit(headers.get("Location", "")).netloc.rpartition("@")[2] or "another page"
        message = (
            f"The backend at {host} redirected to {place} ({status}), probably to log in. Pass --token-file, or a session "
            "cookie in TIFFIN_KFP_COOKIE."
        )
    elif status == 401:
        message = (
            f"Authentication failed at {host} (401){more}. Pass a valid token with --token-file or TIFFIN_KFP_TOKEN, or a "
            "session cookie in TIFFIN_KFP_COOKIE."
        )
    elif status == 403:
        message = (
            f"Permission denied: you may not {'read' if method == 'GET' else 'change'} pipelines and runs{where} at {host} "
            f"(403){more}. Choose another --namespace, or ask its owner for the role kubeflow-edit."
        )
    elif status == 400 and unknown:
        field_name = unknown.group(1)
        version = introduced_in(field_name)
        message = (
            f"The backend at {host} is too old for this spec: it does not support the field '{field_name}'"
            + (f", which needs KFP {version} or newer" if version else "")
            + " (400). Upgrade the backend, or publish a spec compiled by an older Tiffin."
        )
    elif status >= 500:
        message = f"The backend at {host} failed ({status}){more}. Try again; for details see the backend's log."
    else:
        message = f"The backend at {host} rejected the request ({status}){more}."
    return BackendError(message, status)


def error_text(content: str) -> str:
    """Return the message in an error's body, in the format of gRPC's gateway, the upload server or a proxy."""
    try:
        body = json.loads(content)
    except ValueError:
        return "" if "<" in content else _one_line(content)
    if not isinstance(body, dict):
        return ""
    # The upload server puts the text in `error_message` (its details hold a stack trace), the gateway in `message`.
    for name in ("error_message", "message", "error"):
        if isinstance(body.get(name), str) and body[name]:
            return _one_line(body[name])
    return ""


def redacted(text: str, headers: Mapping[str, str]) -> str:
    """Return a text without the credentials that a server or a proxy echoed."""
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
