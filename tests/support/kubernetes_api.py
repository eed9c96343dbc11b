"""An API server of Kubernetes in small: a few objects over HTTPS, behind the Roles of the manifests."""

import contextlib
import copy
import functools
import http.server
import json
import ssl
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from support import certificates
from support.manifest_rendering import read_goldens
from tiffin.rollout.cluster.kubernetes import Api

NAMESPACE = "team"
ACCOUNT = "tiffin-pipeline"

DEPLOYMENT = f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/tiffin-candidate/scale"
ROUTE = f"/apis/gateway.networking.k8s.io/v1/namespaces/{NAMESPACE}/grpcroutes/tiffin-serving"
SERVICE = f"/apis/networking.istio.io/v1/namespaces/{NAMESPACE}/virtualservices/tiffin-serving"

Document = dict[str, Any]


@dataclass
class Cluster:
    """The cluster that a pod runs in.

    Attributes:
        api: The API server, as the pod finds it.
        objects: Path to the object, or to the scale of one.
        rules: Rules of the Roles of the service account.
        token: Token that is accepted.
        faults: Statuses with which the next requests are answered.
        requests: Method and path of each request.
        before_patch: Called before each change.
        controller: Called with an object after each change.
    """

    api: Api
    objects: dict[str, Document]
    rules: list[Document]
    token: str = "first"
    faults: list[int] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    before_patch: Callable[[], None] = lambda: None
    controller: Callable[[Document], None] = lambda _: None

    @property
    def replicas(self) -> int:
        return int(self.objects[DEPLOYMENT]["spec"]["replicas"])

    @property
    def environment(self) -> dict[str, str]:
        """The variables that Kubernetes sets in every pod."""
        return {"KUBERNETES_SERVICE_HOST": self.api.host, "KUBERNETES_SERVICE_PORT": str(self.api.port)}

    def changes(self) -> list[str]:
        return [path for method, path in self.requests if method == "PATCH"]

    def rotate(self, token: str) -> None:
        """Replace the token, as Kubernetes does every hour."""
        self.token = token
        (self.api.account / "token").write_text(token)

    def answer(self, method: str, path: str, headers: Any, body: bytes) -> tuple[int, Document | None]:
        self.requests.append((method, path))
        if self.faults:
            return self.faults.pop(0), None
        if headers.get("Authorization") != f"Bearer {self.token}":
            return _status(401, "Unauthorized")
        _, _, group, _, _, namespace, plural, name, *rest = path.split("/")
        resource = "/".join([plural, *rest])
        verb = {"GET": "get", "PATCH": "patch"}[method]
        if namespace != NAMESPACE or not any(_allows(rule, group, resource, name, verb) for rule in self.rules):
            user = f"system:serviceaccount:{NAMESPACE}:{ACCOUNT}"
            return _status(403, f'{plural} "{name}" is forbidden: User "{user}" cannot {verb} resource "{resource}"')
        if not any(f"/apis/{group}/" in one for one in self.objects):
            return 404, None
        if path not in self.objects:
            return _status(404, f'{plural} "{name}" not found')
        if method == "PATCH":
            assert headers["Content-Type"] == "application/merge-patch+json"
            self.before_patch()
            return self._patch(self.objects[path], json.loads(body))
        return 200, self.objects[path]

    def change(self, document: Document, changes: Document) -> None:
        """Change an object as somebody else."""
        assert self._patch(document, changes)[0] == 200

    def _patch(self, document: Document, changes: Document) -> tuple[int, Document | None]:
        metadata = document["metadata"]
        wanted = changes.get("metadata", {}).get("resourceVersion")
        if wanted not in (None, metadata["resourceVersion"]):
            return _status(409, "the object has been modified; please apply your changes to the latest version")
        before = json.dumps(document.get("spec"))
        _merge(document, changes)
        metadata["resourceVersion"] = str(int(metadata["resourceVersion"]) + 1)
        metadata["generation"] += json.dumps(document.get("spec")) != before
        self.controller(document)
        return 200, document


def _status(code: int, message: str) -> tuple[int, Document]:
    return code, {"kind": "Status", "status": "Failure", "message": message, "code": code}


def _allows(rule: Document, group: str, resource: str, name: str, verb: str) -> bool:
    return (
        group in rule["apiGroups"]
        and resource in rule["resources"]
        and verb in rule["verbs"]
        and name in rule.get("resourceNames", [name])
    )


def _merge(document: Document, changes: Document) -> None:
    """Apply a JSON merge patch."""
    for name, value in changes.items():
        if isinstance(value, dict):
            _merge(document.setdefault(name, {}), value)
        elif value is None:
            document.pop(name, None)
        else:
            document[name] = value


def accept(document: Document) -> None:
    """Accept a GRPCRoute, as the controller of its Gateway does."""
    generation = document["metadata"]["generation"]
    kinds = {"Accepted": "True", "ResolvedRefs": "True"}
    conditions = [{"type": kind, "status": one, "observedGeneration": generation} for kind, one in kinds.items()]
    document["status"] = {"parents": [{"conditions": conditions}]}


def make_object(spec: Document) -> Document:
    return {"metadata": {"name": "it", "resourceVersion": "7", "generation": 1}, "spec": spec}


@functools.cache
def find_rules(option: str) -> tuple[Document, ...]:
    """Return the rules that the manifests with an option give to the service account of steps."""
    texts = [text for key, text in read_goldens()["local", (option,)].items() if key.startswith("Role")]
    documents = [yaml.safe_load(text) for text in texts]
    roles = {
        one["roleRef"]["name"]
        for one in documents
        if one["kind"] == "RoleBinding" and ACCOUNT in [subject["name"] for subject in one["subjects"]]
    }
    return tuple(
        rule for one in documents if one["kind"] == "Role" and one["metadata"]["name"] in roles for rule in one["rules"]
    )


@contextlib.contextmanager
def running_cluster(folder: Path, option: str = "envoy") -> Iterator[Cluster]:
    """Run an API server with the objects and the Roles of the manifests with an option.

    Args:
        folder: An empty folder for certificates and the files of the service account.
        option: `envoy`, `gateway` or `istio`.
    """
    authority = certificates.make(folder, "authority", names=())
    certificate = certificates.make(folder, "server", authority)
    account = folder / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(authority.file.read_bytes())
    (account / "namespace").write_text(NAMESPACE)
    objects = {DEPLOYMENT: make_object({"replicas": 0})}
    objects |= {"gateway": {ROUTE: make_object({})}, "istio": {SERVICE: make_object({})}}.get(option, {})

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            path = urllib.parse.urlsplit(self.path).path
            status, document = cluster.answer(self.command, path, self.headers, body)
            content = b"404 page not found\n" if document is None else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_PATCH = do_GET  # noqa: N815 - its name in http.server

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate.file, certificate.key_file)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        cluster = Cluster(
            Api("localhost", server.server_port, account), objects, copy.deepcopy(list(find_rules(option)))
        )
        cluster.rotate("first")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield cluster
        finally:
            server.shutdown()
            thread.join()
