"""An S3 server: moto over HTTP, with checks of the access key and of uploaded checksums, and injected faults.

with s3_server.serve() as store:
    store.put("data/a.csv", b"x\n1\n")
    storage.list_files(f"s3://{store.name}/data")
"""

import base64
import contextlib
import hashlib
import io
import logging
import os
import threading
import zlib
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
        key: Access key that must sign the requests; empty for a public bucket.
        address: URL of the server.
        refusals: Status and error code of the next responses.
        denied: Whether to respond with 403 to every request.
        lose_answers: Number of next writes that take effect and get 503 as response.
        after_loss: Functions to call after the next lost answers.
        before_read: Functions to call before the next downloads.
        before_write: Functions to call before the next requests that write.
        described: Headers to set in the answers to HEAD, such as checksums that moto does not compute; None removes one.
        requests: Method and path of every request.
    """

    name: str = "bucket"
    key: str = "AKIATEST"
    address: str = ""
    refusals: list[tuple[int, str]] = field(default_factory=list)
    denied: bool = False
    lose_answers: int = 0
    after_loss: list[Callable[[], Any]] = field(default_factory=list)
    described: dict[str, str | None] = field(default_factory=dict)
    before_write: list[Callable[[], Any]] = field(default_factory=list)
    before_read: list[Callable[[], Any]] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)

    def put(self, name: str, content: bytes) -> None:
        _BACKEND.put_object(self.name, name, content)

    def spoil(self, name: str, content: bytes) -> None:
        """Replace the bytes of an object, and leave its checksums as they are."""
        found = _BACKEND.get_object(self.name, name)
        assert found.etag
        found._value_buffer.seek(0)
        found._value_buffer.truncate()
        found._value_buffer.write(content)

    def unfinished(self) -> int:
        """Return the number of uploads in parts that were neither completed nor aborted."""
        return len(_BACKEND.buckets[self.name].multiparts)

    def content(self, name: str) -> bytes:
        found: bytes = _BACKEND.get_object(self.name, name).value
        return found

    def names(self) -> list[str]:
        return sorted(_BACKEND.buckets[self.name].keys)


def _gate(store: Store) -> Callable[..., Iterable[bytes]]:
    lock = threading.Lock()

    def answer(environment: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method, path = environment["REQUEST_METHOD"], environment["PATH_INFO"]
        store.requests.append((method, path))

        def refuse(status: int, code: str) -> list[bytes]:
            body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>injected</Message></Error>".encode()
            body = b"" if method == "HEAD" else body
            start(f"{status} {code}", [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))])
            return [body]

        if not store.key and "HTTP_AUTHORIZATION" not in environment:
            # moto's objects are private.
            environment["HTTP_AUTHORIZATION"] = "AWS4-HMAC-SHA256 Credential=/20260101/us-east-1/s3/aws4_request"
        if f"Credential={store.key}/" not in environment.get("HTTP_AUTHORIZATION", ""):
            return refuse(403, "InvalidAccessKeyId")
        if method in ("PUT", "POST") and store.before_write:
            store.before_write.pop(0)()
        if store.refusals:
            return refuse(*store.refusals.pop(0))
        if store.denied:
            return refuse(403, "AccessDenied")
        if method == "GET" and "list-type=" in environment["QUERY_STRING"]:
            environment["QUERY_STRING"] += f"&max-keys={PAGE}"
        elif method == "GET" and store.before_read:
            store.before_read.pop()()
        body = environment["wsgi.input"].read(int(environment.get("CONTENT_LENGTH") or 0))
        environment["wsgi.input"] = io.BytesIO(body)
        if not _is_intact(environment, body):
            return refuse(400, "BadDigest")

        def send(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
            start(status, _describe(store, headers) if method == "HEAD" else headers)

        with lock:  # moto checks a precondition, writes an object and sets its metadata in three steps
            lost = store.lose_answers > 0 and method in ("PUT", "POST", "DELETE")
            store.lose_answers -= lost
            # werkzeug computes the answer when it is read.
            content = b"".join(_SERVER(environment, (lambda *_: None) if lost else send))
        if not lost:
            return [content]
        if store.after_loss:
            store.after_loss.pop(0)()
        return refuse(503, "SlowDown")

    return answer


def _describe(store: Store, headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the headers of an answer to HEAD, with those that a test sets."""
    found = {name.lower(): value for name, value in headers}
    found.update({name.lower(): value for name, value in store.described.items() if value is not None})
    removed = {name.lower() for name, value in store.described.items() if value is None}
    return [(name, value) for name, value in found.items() if name not in removed]


def _is_intact(environment: dict[str, Any], body: bytes) -> bool:
    """Return whether a body has the checksums in its headers, which AWS checks and moto does not."""
    if environment["REQUEST_METHOD"] == "POST":  # the checksum is that of the parts
        return True
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    crc = base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()
    sent = environment.get("HTTP_CONTENT_MD5", md5), environment.get("HTTP_X_AMZ_CHECKSUM_CRC32", crc)
    return sent == (md5, crc)


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
