"""An S3 server: moto over HTTP, with a check of the access key and injected faults.

with s3_server.serve() as store:
    store.put("data/a.csv", b"x\n1\n")
    storage.list_files(f"s3://{store.name}/data")
"""

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.core import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

PAGE = 3  # small, so that listings of a few objects have several pages
# moto's server and its backend, which exist once per process.
_SERVER = DomainDispatcherApplication(create_backend_app)
_BACKEND = s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
SECRET = "keep-me-out-of-messages"


@dataclass
class Store:
    """A bucket, and the faults to inject.

    Attributes:
        key: Access key that must sign the requests.
        address: URL of the server.
        refusals: Status and error code of the next responses.
        denied: Whether to respond with 403 to every request.
        before_read: Functions to call before the next downloads.
        requests: Method and path of every request.
    """

    name: str = "bucket"
    key: str = "AKIATEST"
    address: str = ""
    refusals: list[tuple[int, str]] = field(default_factory=list)
    denied: bool = False
    before_read: list[Callable[[], Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def put(self, name: str, content: bytes) -> None:
        _BACKEND.put_object(self.name, name, content)

    def content(self, name: str) -> bytes:
        found: bytes = _BACKEND.get_object(self.name, name).value
        return found

    def names(self) -> list[str]:
        return sorted(_BACKEND.buckets[self.name].keys)


def _gate(store: Store) -> Callable[..., Iterable[bytes]]:
    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = environment["REQUEST_METHOD"]
        store.requests.append((method, environment["PATH_INFO"]))
        refusal = store.refusals.pop(0) if store.refusals else (403, "AccessDenied") if store.denied else None
        if f"Credential={store.key}/" not in environment.get("HTTP_AUTHORIZATION", ""):
            refusal = (403, "InvalidAccessKeyId")
        if refusal:
            status, code = refusal
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
            body = b"" if method == "HEAD" else body
            start(f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]
        if "HTTP_RANGE" in environment and store.before_read:
            store.before_read.pop()()
        environment["QUERY_STRING"] = environment.get("QUERY_STRING", "").replace("max-keys=1000", f"max-keys={PAGE}")
        return _SERVER(environment, start)

    return answer


@contextlib.contextmanager
def serve(**variables: str) -> Iterator[Store]:
    """Serve an empty bucket in the context, and set the environment variables for it.

    Args:
        **variables: Environment variables in place of AWS's; the values `ADDRESS`, `KEY` and `SECRET` are filled in.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    store = Store()
    server = make_server("127.0.0.1", 0, _gate(store), threaded=True)
    store.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    variables = variables or {
        "AWS_ENDPOINT_URL": "ADDRESS",
        "AWS_ACCESS_KEY_ID": "KEY",
        "AWS_SECRET_ACCESS_KEY": "SECRET",
    }
    values = {"ADDRESS": store.address, "KEY": store.key, "SECRET": SECRET}
    before = dict(os.environ)
    os.environ.update({name: values.get(value, value) for name, value in variables.items()})
    try:
        _BACKEND.create_bucket(store.name, "us-east-1")
        yield store
    finally:
        _BACKEND.reset()
        os.environ.clear()
        os.environ.update(before)
        server.shutdown()
        server.server_close()
        thread.join()
