"""Objects in the namespace of the pod that this process runs in, read and changed as the pod's service account.

Plain HTTPS: what Tiffin needs of the API is two calls. Kubernetes replaces the token while the pod runs, so it is read at each
call. https://kubernetes.io/docs/reference/using-api/api-concepts/
"""

import contextlib
import http.client
import json
import ssl
import time
import urllib.parse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin.errors import Conflict, InputError, ServingError

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")

_SECONDS = 10.0
# Before the next attempts, while the API server is restarting or overloaded.
_PAUSES = (0.2, 0.5, 1.0, 2.0, 4.0)
_MOST_BYTES = 8 << 20
# The owner of the fields that are changed: `kubectl apply --server-side` reports a conflict about them.
_MANAGER = "tiffin"


@dataclass(frozen=True)
class Api:
    """The API server of a pod's cluster.

    Attributes:
        host: Its address.
        port: Its port.
        account: Folder with the files of the pod's service account: `token`, `ca.crt`, `namespace`.
    """

    host: str
    port: int
    account: Path = ACCOUNT

    @property
    def namespace(self) -> str:
        """Namespace of the pod."""
        return (self.account / "namespace").read_text().strip()


@dataclass(frozen=True)
class Resource:
    """An object, or a subresource of it, and what to do if it cannot be used.

    Attributes:
        api: Group and version, such as `apps/v1`.
        kind: Kind, such as `Deployment`.
        plural: Name of the kind in paths, such as `deployments`.
        name: Name of the object.
        role: Role of the manifests that allows it.
        option: Option of the manifests that adds it; empty for their base.
        subresource: Name of the subresource; empty for the object.
    """

    api: str
    kind: str
    plural: str
    name: str
    role: str
    option: str = ""
    subresource: str = ""

    def path(self, namespace: str) -> str:
        """Return the path of the object in the API."""
        parts = [self.plural, self.name, *([self.subresource] if self.subresource else [])]
        return f"/apis/{self.api}/namespaces/{namespace}/" + "/".join(urllib.parse.quote(one, "") for one in parts)

    @property
    def source(self) -> str:
        """What adds the object to a cluster."""
        return f"the option {self.option} of the manifests" if self.option else "the manifests"


def find_api(environment: Mapping[str, str], account: Path = ACCOUNT) -> Api:
    """Return the API server that a pod's environment names.

    Args:
        environment: The environment variables.
        account: Folder with the files of the service account. Defaults to where Kubernetes mounts it.

    Raises:
        InputError: This is not a pod, or it has no token.
    """
    host, port = (environment.get(f"KUBERNETES_SERVICE_{name}", "") for name in ("HOST", "PORT"))
    if not host or not port.isdecimal() or not (account / "token").is_file():
        raise InputError(
            f"A rollout that changes objects of a cluster should run in a pod with the token of its service account, "
            f"'{account}'. Received: KUBERNETES_SERVICE_HOST='{host}', and "
            f"{'a' if (account / 'token').is_file() else 'no'} token. Remove automountServiceAccountToken: false from the "
            "account or the pod; outside of a cluster, unset TIFFIN_CANDIDATE_DEPLOYMENT and TIFFIN_ROUTES."
        )
    return Api(host, int(port), account)


def read(api: Api, resource: Resource) -> dict[str, Any]:
    """Return an object.

    Raises:
        InputError: The cluster does not have it, or the service account may not read it.
        ServingError: The API server does not answer.
    """
    return _call(api, "GET", resource, None)


def patch(api: Api, resource: Resource, changes: Mapping[str, Any]) -> dict[str, Any]:
    """Change an object by a JSON merge patch, and return it.

    Args:
        api: The API server.
        resource: The object.
        changes: The patch. With `metadata.resourceVersion`, it only applies to the object as it was read.

    Raises:
        Conflict: The object was changed since it was read.
        InputError: The cluster does not have the object, refuses the change, or the service account may not make it.
        ServingError: The API server does not answer.
    """
    return _call(api, "PATCH", resource, json.dumps(changes).encode())


def _call(api: Api, method: str, resource: Resource, body: bytes | None) -> dict[str, Any]:
    for pause in (*_PAUSES, None):
        try:
            status, content = _send(api, method, resource, body)
            problem = f"it answered HTTP {status}"
        except ssl.SSLCertVerificationError as error:
            raise InputError(
                f"The certificate of the API server at {api.host}:{api.port} is not trusted: {error.verify_message}. Check "
                f"'{api.account / 'ca.crt'}'."
            ) from None
        except (OSError, http.client.HTTPException) as error:
            status, content = 0, b""
            problem = getattr(error, "strerror", None) or str(error) or repr(error)
        if status == http.HTTPStatus.OK:
            return _parse(content)
        if status not in (0, http.HTTPStatus.TOO_MANY_REQUESTS) and status < http.HTTPStatus.INTERNAL_SERVER_ERROR:
            raise _refusal(status, _message(content), method, resource, api)
        if pause is not None:
            time.sleep(pause)
    raise ServingError(
        f"The {resource.kind} '{resource.name}' could not be {_DONE[method]}: no answer from the API server at "
        f"{api.host}:{api.port} after {len(_PAUSES) + 1} attempts: {problem}.",
        "UNAVAILABLE",
    )


_DONE = {"GET": "read", "PATCH": "changed"}


def _send(api: Api, method: str, resource: Resource, body: bytes | None) -> tuple[int, bytes]:
    with _connected(api) as connection:
        headers = {
            "Authorization": f"Bearer {(api.account / 'token').read_text().strip()}",
            "Accept": "application/json",
        }
        path = resource.path(api.namespace)
        if body is not None:
            headers["Content-Type"] = "application/merge-patch+json"
            path += f"?fieldManager={_MANAGER}"
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, response.read(_MOST_BYTES)


@contextlib.contextmanager
def _connected(api: Api) -> Iterator[http.client.HTTPSConnection]:
    # http.client uses no proxies and follows no redirects.
    context = ssl.create_default_context(cafile=str(api.account / "ca.crt"))
    with contextlib.closing(
        http.client.HTTPSConnection(api.host, api.port, timeout=_SECONDS, context=context)
    ) as connection:
        yield connection


def _refusal(status: int, message: str, method: str, resource: Resource, api: Api) -> Exception:
    what = f"The {resource.kind} '{resource.name}' in the namespace '{api.namespace}'"
    if status == http.HTTPStatus.CONFLICT:
        return Conflict(f"{what} was changed by others: {message}")
    if status in (http.HTTPStatus.UNAUTHORIZED, http.HTTPStatus.FORBIDDEN):
        return InputError(
            f"{what} could not be {_DONE[method]}: {message} ({status}). The Role '{resource.role}' of {resource.source} allows "
            "it to the service account tiffin-pipeline: run the pipeline with --service-account tiffin-pipeline."
        )
    if status == http.HTTPStatus.NOT_FOUND and message:
        return InputError(f"{what} does not exist. Apply {resource.source} in this namespace.")
    if status == http.HTTPStatus.NOT_FOUND:
        group = resource.api.partition("/")[0]
        return InputError(
            f"{what} needs the API {resource.api}, which this cluster does not have. Install it, or use the option envoy of the "
            f"manifests. To list the APIs: kubectl api-resources --api-group={group}"
        )
    return InputError(f"{what} could not be {_DONE[method]}: {message or f'HTTP {status}'} ({status}).")


def _parse(content: bytes) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict):
            return found
    raise ServingError("The API server sent no JSON object.")


def _message(content: bytes) -> str:
    """Return the message of a refusal; empty if it is none of Kubernetes' kind, as for an API that does not exist."""
    with contextlib.suppress(ValueError):
        found = json.loads(content)
        if isinstance(found, dict) and found.get("kind") == "Status":
            return str(found.get("message", "")).rstrip(".")
    return ""
