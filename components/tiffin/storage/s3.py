"""Objects in S3 and S3-compatible stores: listing, verified downloads, and writes with preconditions.

`tiffin.storage.s3_connection` lists the environment variables. Writes to shared state need a store with conditional writes
(`If-Match` and `If-None-Match`), as AWS and current MinIO have them.
"""

import io
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import StorageError
from tiffin.storage import files, objects, trail

try:
    from botocore import exceptions as errors

    from tiffin.storage import checksums, s3_connection
    from tiffin.storage.s3_connection import code, connect, explained
    from tiffin.storage.s3_transfers import UNMET, check_bucket, fetch, head, is_copy, pauses, target, upload_new
except ImportError as missing:
    raise StorageError(
        f"s3:// and minio:// locations require the package boto3[crt] ({missing}). "
        "Install it, or run in one of Tiffin's environments 'data' and 'model'."
    ) from missing

_TRAIL = "tiffin-writes"


def _list(uri: str, prefix: str, *, flat: bool = False) -> Iterator[objects.Entry]:
    """Yield the objects whose name starts with `prefix`, sorted; with `flat`, none below the next `/`."""
    for page in _pages(uri, prefix, flat=flat):
        yield from (objects.Entry(found["Key"], found["Size"]) for found in page.get("Contents", ()))


def _pages(uri: str, prefix: str, *, flat: bool) -> Any:
    options = {"Delimiter": "/"} if flat else {}
    pages = connect(uri).get_paginator("list_objects_v2")
    return pages.paginate(Bucket=objects.split(uri)[0], Prefix=prefix, **options)


def list_files(location: str) -> list[tuple[str, int, str]]:
    """Return URI, size in bytes and an empty generation of each data object at `location` (object, prefix or glob)."""
    scheme, bucket = location.partition("://")[0], objects.split(location)[0]

    def get(name: str) -> objects.Entry | None:
        found = head(f"{scheme}://{bucket}/{name}")
        return None if found is None else objects.Entry(name, found["ContentLength"])

    def siblings(prefix: str) -> list[str]:
        found = [
            entry.get("Key") or entry["Prefix"]
            for page in _pages(location, prefix, flat=True)
            for entry in (*page.get("Contents", ()), *page.get("CommonPrefixes", ()))
        ]
        return [name[len(prefix) :].rstrip("/") for name in found]

    with explained("list", location):
        found = objects.select(objects.split(location)[1], get, lambda prefix, flat: _list(location, prefix, flat=flat))
        if not found:
            raise objects.nothing(location, siblings)
        return [(f"{scheme}://{bucket}/{entry.name}", entry.size_bytes, "") for entry in found]


def download(uri: str, path: Path) -> None:
    """Stream an object to `path` and verify its checksum.

    Raises:
        StorageError: The object cannot be read, or what arrived has another checksum on every attempt.
    """
    with explained("download", uri):
        with open(path, "w+b") as file:
            found = fetch(uri, file)
        if found is None:
            raise StorageError(f"Could not download '{uri}'. {s3_connection.absent(uri)}")


def read(uri: str) -> tuple[bytes, str] | None:
    """Return an object's content and its ETag, or None if it does not exist."""
    with explained("read", uri):
        file = io.BytesIO()
        found = fetch(uri, file)
        return None if found is None else (file.getvalue(), found["ETag"])


def compare_and_swap(uri: str, content: bytes, expected: str | None) -> str:
    """Replace an object if its ETag is still `expected` (None: it does not exist), and return the new ETag."""
    with explained("write", uri):
        mine = uuid.uuid4().hex[:16]
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        before = head(uri) if expected is not None else None
        if expected is not None and (before is None or before["ETag"] != expected):
            raise files.changed(uri, expected)
        writes = trail.extend(mine, before["Metadata"].get(_TRAIL) if before else None, expected)
        body = io.BytesIO(content)
        for pause in pauses():
            try:
                answer = connect(uri).put_object(
                    **target(uri), Body=body, Metadata={_TRAIL: writes}, **checksums.sent(body), **condition
                )
                return str(answer["ETag"])
            except errors.ClientError as error:
                if code(error) not in (*UNMET, "NoSuchKey"):
                    raise
                # The answer to the first attempt may have been lost: look for this write in the object's trail.
                current = head(uri)
                found = current and trail.find(mine, current["Metadata"].get(_TRAIL), current["ETag"])
                if found:
                    return found
                if code(error) != "ConditionalRequestConflict" or (current and current["ETag"]) != expected:
                    break
                time.sleep(pause)
        raise files.changed(uri, expected)


def compare_and_delete(uri: str, expected: str) -> None:
    """Delete an object if its ETag is still `expected`."""
    with explained("delete", uri):
        try:
            connect(uri).delete_object(**target(uri), IfMatch=expected)
        except errors.ClientError as error:
            # An object that is gone was deleted by the attempt whose answer was lost, or by another process.
            if code(error) not in ("404", "NoSuchKey") and (code(error) not in UNMET or head(uri) is not None):
                if code(error) in UNMET:
                    raise files.changed(uri, expected) from None
                raise


def publish_folder(local: Path, uri: str) -> None:
    """Upload the folder `local` to `uri`, files at its top last, without replacing an object that differs."""
    uri = uri.rstrip("/")
    with explained("publish", uri):
        prefix = objects.split(uri)[1] + "/"
        present = {entry.name[len(prefix) :] for entry in _list(uri, prefix) if entry.name != prefix}
        names = files.relative_files(local)
        if any(name not in names or not is_copy(local / name, f"{uri}/{name}") for name in present):
            raise files.taken(uri)
        for name in sorted(names, key=lambda name: (-name.count("/"), name)):
            if name not in present:
                upload_new(local / name, f"{uri}/{name}")


def exists(uri: str) -> bool:
    """Return whether an object of this name, or one below it, exists."""
    uri = uri.rstrip("/")
    name = objects.split(uri)[1]
    with explained("read", uri):
        if not name:
            check_bucket(uri)
            return True
        return head(uri) is not None or any(True for _ in _list(uri, name + "/"))


def delete(uri: str) -> None:
    """Delete an object and all objects below it, those at the top first; do nothing if there are none."""
    bucket, name = objects.split(uri.rstrip("/"))
    with explained("delete", uri):
        for found in objects.from_the_top([name, *(entry.name for entry in _list(uri, name + "/"))]):
            connect(uri).delete_object(Bucket=bucket, Key=found)


def find(root_uri: str, names: set[str]) -> list[str]:
    """Return the sorted URIs of the objects under `root_uri` with one of these base names."""
    bucket, name = objects.split(root_uri.rstrip("/"))
    scheme = root_uri.partition("://")[0]
    with explained("search", root_uri):
        entries = _list(root_uri, name + "/" if name else "")
        return [f"{scheme}://{bucket}/{entry.name}" for entry in entries if entry.name.rpartition("/")[2] in names]
