"""An emulator of the parts of Cloud Storage's JSON API that Tiffin uses: generations, preconditions, uploads.

with gcs_emulator.serve() as bucket:
    bucket.put("data/a.csv", b"x\n1\n")
    storage.list_files(f"gs://{bucket.name}/data")
"""

import base64
import contextlib
import itertools
import json
import os
import re
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import google_crc32c

PAGE = 3  # small, so that listings of a few objects have several pages


@dataclass
class Object:
    content: bytes
    generation: int
    metadata: dict[str, str]

    @property
    def crc32c(self) -> str:
        return base64.b64encode(google_crc32c.value(self.content).to_bytes(4, "big")).decode()


@dataclass
class Bucket:
    """The only bucket, and the faults to inject.

    Attributes:
        failures: Status codes of the next responses.
        lose_answers: Number of next uploads that take effect and get 503 as response.
        after_loss: Functions to call after the next lost answers.
        replaced: Versions that were replaced, oldest first.
        no_content: Whether to respond with 404 to downloads.
        corrupt: Whether to change the first byte of downloads.
        forbidden: Whether to respond with 403 to every request.
        replace_before_download: Content that replaces an object before its next download.
        requests: Method and path of every request.
    """

    name: str = "bucket"
    objects: dict[str, Object] = field(default_factory=dict)
    failures: list[int] = field(default_factory=list)
    lose_answers: int = 0
    after_loss: list[Callable[[], Any]] = field(default_factory=list)
    replaced: list[Object] = field(default_factory=list)
    no_content: bool = False
    corrupt: bool = False
    forbidden: bool = False
    replace_before_download: list[bytes] = field(default_factory=list)
    requests: list[tuple[str, str]] = field(default_factory=list)
    address: str = ""
    # Microseconds, so that no generation occurs twice in a process.
    _generations: Iterator[int] = field(default_factory=lambda: itertools.count(time.time_ns() // 1000))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(
        self, name: str, content: bytes, match: int | None = None, metadata: dict[str, str] | None = None
    ) -> Object | None:
        """Write an object and return it, or return None if its generation is not `match`."""
        with self._lock:
            current = self.objects.get(name)
            if match is not None and match != (current.generation if current else 0):
                return None
            if current:
                self.replaced.append(current)
            self.objects[name] = Object(content, next(self._generations), metadata or {})
            return self.objects[name]


class _RefusalError(Exception):
    def __init__(self, status: int, message: str) -> None:
        self.status, self.message = status, message


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket
    uploads: dict[str, dict[str, Any]]

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self) -> None:
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        bucket = self.bucket
        bucket.requests.append((self.command, url.path))
        try:
            if bucket.failures:
                raise _RefusalError(bucket.failures.pop(0), "injected failure")
            if bucket.forbidden:
                raise _RefusalError(403, "does not have storage.objects.get access to the Google Cloud Storage object.")
            match = re.fullmatch(r"/(upload/|download/)?storage/v1/b/([^/]+)(/o(?:/(.+))?)?", url.path)
            if not match:
                raise _RefusalError(400, f"no such method: {url.path}")
            kind, bucket_name, collection, name = match.groups()
            if bucket_name != bucket.name:
                raise _RefusalError(404, "The specified bucket does not exist.")
            if kind == "upload/":
                self._upload(query, body)
            elif collection is None:
                self._json({"kind": "storage#bucket", "name": bucket.name})
            elif name is None:
                self._list(query)
            else:
                self._object(urllib.parse.unquote(name), query)
        except _RefusalError as refused:
            self._json({"error": {"code": refused.status, "message": refused.message}}, refused.status)

    do_GET = do_POST = do_PUT = do_DELETE = _handle  # noqa: N815 - names of http.server

    def _answer(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._answer(status, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _describe(self, name: str, found: Object) -> dict[str, Any]:
        return {
            "kind": "storage#object",
            "name": name,
            "bucket": self.bucket.name,
            "generation": str(found.generation),
            "size": str(len(found.content)),
            "crc32c": found.crc32c,
            "metadata": found.metadata,
        }

    def _list(self, query: dict[str, str]) -> None:
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter")
        names = sorted(name for name in self.bucket.objects if name.startswith(prefix))
        if delimiter:
            names = [name for name in names if delimiter not in name[len(prefix) :]]
        start = int(query.get("pageToken", 0))
        page: dict[str, Any] = {
            "items": [self._describe(name, self.bucket.objects[name]) for name in names[start : start + PAGE]]
        }
        if start + PAGE < len(names):
            page["nextPageToken"] = str(start + PAGE)
        self._json(page)

    def _object(self, name: str, query: dict[str, str]) -> None:
        if query.get("alt") == "media" and self.bucket.replace_before_download:
            self.bucket.put(name, self.bucket.replace_before_download.pop())
        found = self.bucket.objects.get(name)
        if query.get("alt") == "media" and self.bucket.no_content:
            raise _RefusalError(404, "injected failure")
        if found is None or int(query.get("generation", found.generation)) != found.generation:
            raise _RefusalError(404, f"No such object: {self.bucket.name}/{name}")
        if self.command == "DELETE":
            if int(query.get("ifGenerationMatch", found.generation)) != found.generation:
                raise _RefusalError(412, "At least one of the pre-conditions you specified did not hold.")
            del self.bucket.objects[name]
            self._answer(204, b"", {})
        elif query.get("alt") == "media":
            content = found.content
            if self.bucket.corrupt:
                content = bytes([content[0] ^ 1]) + content[1:]
            headers = {"x-goog-hash": f"crc32c={found.crc32c}", "x-goog-generation": str(found.generation)}
            self._answer(200, content, {"Content-Type": "application/octet-stream", **headers})
        else:
            self._json(self._describe(name, found))

    def _upload(self, query: dict[str, str], body: bytes) -> None:
        kind = query.get("uploadType")
        if kind == "multipart":
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            described, content = BytesParser().parsebytes(head + body).get_payload()
            # The e-mail parser may change line ends: take the bytes from the body.
            boundary = re.search(r'boundary="?([^";]+)', self.headers["Content-Type"]).group(1).encode()
            raw = body.split(b"--" + boundary)[2].split(b"\r\n\r\n", 1)[1].removesuffix(b"\r\n")
            assert content is not None
            self._finish(json.loads(described.get_payload()), query, raw)
        elif kind == "resumable" and self.command == "POST":
            session = str(len(self.uploads))
            self.uploads[session] = {"resource": json.loads(body), "query": query, "content": b""}
            self._json({}, headers={"Location": f"{self.bucket.address}{self.path}&upload_id={session}"})
        elif kind == "resumable":
            upload = self.uploads[query["upload_id"]]
            upload["content"] += body
            total = self.headers["Content-Range"].rpartition("/")[2]
            if total == "*" or len(upload["content"]) < int(total):
                self._answer(308, b"", {"Range": f"bytes=0-{len(upload['content']) - 1}"})
            else:
                self._finish(upload["resource"], upload["query"], upload["content"])
        elif kind == "media":
            self._finish({"name": query["name"]}, query, body)
        else:
            raise _RefusalError(400, f"no such upload type: {kind}")

    def _finish(self, resource: dict[str, Any], query: dict[str, str], content: bytes) -> None:
        sent = resource.get("crc32c")
        if sent and sent != Object(content, 0, {}).crc32c:
            raise _RefusalError(400, f"Provided CRC32C {sent} doesn't match.")
        match = query.get("ifGenerationMatch")
        name = resource.get("name") or query["name"]
        written = self.bucket.put(name, content, None if match is None else int(match), resource.get("metadata"))
        if written is None:
            raise _RefusalError(412, "At least one of the pre-conditions you specified did not hold.")
        if self.bucket.lose_answers > 0:
            self.bucket.lose_answers -= 1
            if self.bucket.after_loss:
                self.bucket.after_loss.pop(0)()
            raise _RefusalError(503, "lost response")
        self._json(self._describe(name, written))


@contextlib.contextmanager
def serve() -> Iterator[Bucket]:
    """Serve an empty bucket in the context, and set STORAGE_EMULATOR_HOST."""
    bucket = Bucket()
    handler = type("Handler", (_Handler,), {"bucket": bucket, "uploads": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    bucket.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    os.environ["STORAGE_EMULATOR_HOST"] = bucket.address
    try:
        yield bucket
    finally:
        if before is None:
            del os.environ["STORAGE_EMULATOR_HOST"]
        else:
            os.environ["STORAGE_EMULATOR_HOST"] = before
        server.shutdown()
        server.server_close()
        thread.join()
