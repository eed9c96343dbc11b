"""Objects in S3 and S3-compatible stores: listing, verified downloads, and writes with preconditions.

`tiffin.storage.s3_connection` lists the environment variables. Writes to shared state need a store with conditional writes
(`If-Match` and `If-None-Match`), as AWS and current MinIO have them.
"""

import io
import itertools
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from tiffin.errors import StorageError
from tiffin.storage import files, objects, trail

try:
    from tiffin.storage import checksums, s3_connection
    from tiffin.storage.s3_connection import code, connect, errors, explained
except ImportError as missing:
    raise StorageError(
        f"s3:// and minio:// locations require the package boto3[crt] ({missing}). "
        "Install it, or run in one of Tiffin's environments 'data' and 'model'."
    ) from missing

# Larger files are uploaded in parts of this size; S3 takes at most 10,000 of them.
PART_BYTES = 64 << 20
_PARTS = 10_000
_CHUNK_BYTES = 1 << 20
_TRAIL = "tiffin-writes"
# Codes of a failed precondition. The second reports a concurrent write, the last an upload that was completed before.
_UNMET = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload")


def _target(uri: str) -> dict[str, str]:
    bucket, name = objects.split(uri)
    return {"Bucket": bucket, "Key": name}


def _head(uri: str) -> dict[str, Any] | None:
    """Return size, ETag, checksums and metadata of an object, or None if it does not exist."""
    try:
        return dict(connect(uri).head_object(**_target(uri), ChecksumMode="ENABLED"))
    except errors.ClientError as error:
        if code(error) != "404":
            raise
    _check_bucket(uri)
    return None


def _check_bucket(uri: str) -> None:
    """Raise if the bucket does not exist, which an answer to HEAD on an object does not tell."""
    connect(uri).list_objects_v2(Bucket=objects.split(uri)[0], MaxKeys=1)


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
        found = _head(f"{scheme}://{bucket}/{name}")
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
            found = _fetch(uri, file)
        if found is None:
            raise StorageError(f"Could not download '{uri}'. {s3_connection.absent(uri)}")


def read(uri: str) -> tuple[bytes, str] | None:
    """Return an object's content and its ETag, or None if it does not exist."""
    with explained("read", uri):
        file = io.BytesIO()
        found = _fetch(uri, file)
        return None if found is None else (file.getvalue(), found["ETag"])


def _fetch(uri: str, file: BinaryIO) -> dict[str, Any] | None:
    """Write an object to `file`, verify it, and return its description; None if it does not exist."""
    before = None
    reason = ""
    for pause in _pauses():
        found = _head(uri)
        if found is None:
            return None
        try:
            _receive(uri, found, file)
        except errors.ClientError as error:
            if code(error) not in ("PreconditionFailed", "NoSuchKey"):
                raise
            reason = "It was replaced during every download"
            time.sleep(pause)
            continue
        verified = _is_content(uri, found, file)
        if verified is None:
            # The store offers no checksum: two downloads must agree.
            digest = checksums.sent(file)["ContentMD5"]
            verified, before = digest == before, digest
        if verified:
            return found
        reason = "The download was discarded: its checksum does not match. Check the network"
    raise StorageError(f"Could not read '{uri}'. {reason}. Try again.")


def _pauses() -> Iterator[float]:
    """Yield the seconds to wait after each attempt."""
    return (min(0.05 * 4**attempt, 10.0) for attempt in range(s3_connection.ATTEMPTS))


def _receive(uri: str, found: dict[str, Any], file: BinaryIO) -> None:
    """Write an object's content to `file`, continuing with the rest after a broken connection."""
    file.seek(0)
    file.truncate()
    left = s3_connection.ATTEMPTS
    for pause in _pauses():
        left -= 1
        try:
            done = file.tell()
            if done == found["ContentLength"]:
                return
            rest = {"Range": f"bytes={done}-"} if done else {}
            answer = connect(uri).get_object(**_target(uri), IfMatch=found["ETag"], **rest)
            for chunk in answer["Body"].iter_chunks(_CHUNK_BYTES):
                file.write(chunk)
        except s3_connection.BROKEN:
            if not left:
                raise
            time.sleep(pause)


def _is_content(uri: str, found: dict[str, Any], file: BinaryIO) -> bool | None:
    """Return whether a file has the content of an object; None if the store offers no checksum of it."""
    file.seek(0, io.SEEK_END)
    if file.tell() != found["ContentLength"]:
        return False
    for checksum in checksums.find(found):
        sizes = _part_sizes(uri, found, checksum.parts) if checksum.parts else []
        if sizes or not checksum.parts:
            return checksums.matches(file, checksum, sizes)
    return None


def _part_sizes(uri: str, found: dict[str, Any], count: int) -> list[int]:
    """Return the sizes in bytes of an object's parts; none if the store does not tell."""

    def size(number: int) -> int:
        return int(connect(uri).head_object(**_target(uri), PartNumber=number)["ContentLength"])

    try:
        # All parts but the last usually have the same size.
        sizes = [size(1)] * (count - 1) + [size(count)]
        if sum(sizes) != found["ContentLength"]:
            sizes = [size(number) for number in range(1, count + 1)]
    except errors.ClientError:
        return []
    return sizes if sum(sizes) == found["ContentLength"] else []


def compare_and_swap(uri: str, content: bytes, expected: str | None) -> str:
    """Replace an object if its ETag is still `expected` (None: it does not exist), and return the new ETag."""
    with explained("write", uri):
        mine = uuid.uuid4().hex
        condition = {"IfNoneMatch": "*"} if expected is None else {"IfMatch": expected}
        before = _head(uri) if expected is not None else None
        if expected is not None and (before is None or before["ETag"] != expected):
            raise files.changed(uri, expected)
        writes = trail.extend(mine, before and before["Metadata"].get(_TRAIL), expected)
        body = io.BytesIO(content)
        for pause in _pauses():
            try:
                answer = connect(uri).put_object(
                    **_target(uri), Body=body, Metadata={_TRAIL: writes}, **checksums.sent(body), **condition
                )
                return str(answer["ETag"])
            except errors.ClientError as error:
                if code(error) not in (*_UNMET, "NoSuchKey"):
                    raise
                # The answer to the first attempt may have been lost: look for this write in the object's trail.
                current = _head(uri)
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
            connect(uri).delete_object(**_target(uri), IfMatch=expected)
        except errors.ClientError as error:
            # An object that is gone was deleted by the attempt whose answer was lost, or by another process.
            if code(error) not in ("404", "NoSuchKey") and (code(error) not in _UNMET or _head(uri) is not None):
                if code(error) in _UNMET:
                    raise files.changed(uri, expected) from None
                raise


def publish_folder(local: Path, uri: str) -> None:
    """Upload the folder `local` to `uri`, files at its top last, without replacing an object that differs."""
    uri = uri.rstrip("/")
    with explained("publish", uri):
        prefix = objects.split(uri)[1] + "/"
        present = {entry.name[len(prefix) :] for entry in _list(uri, prefix) if entry.name != prefix}
        names = files.relative_files(local)
        if any(name not in names or not _is_copy(local / name, f"{uri}/{name}") for name in present):
            raise files.taken(uri)
        for name in sorted(names, key=lambda name: (-name.count("/"), name)):
            if name not in present:
                _upload_new(local / name, f"{uri}/{name}")


def _is_copy(path: Path, uri: str) -> bool:
    """Return whether an object has the content of a file."""
    found = _head(uri)
    if found is None or found["ContentLength"] != path.stat().st_size:
        return False
    with open(path, "rb") as file:
        same = _is_content(uri, found, file)
    if same is None:
        stored = read(uri)
        same = stored is not None and stored[0] == path.read_bytes()
    return same


def _upload_new(path: Path, uri: str) -> None:
    """Upload a file to an object that must not exist yet, unless with the same content."""
    condition = {"IfNoneMatch": "*"}
    for pause in _pauses():
        try:
            with open(path, "rb") as file:
                _upload(file, path.stat().st_size, uri, condition)
            return
        except errors.ClientError as error:
            if code(error) == "NotImplemented" and condition:
                # The store has no conditional writes; concurrent publications of other content are not detected there.
                condition = {}
                continue
            if code(error) not in _UNMET:
                raise
            # Either another publisher was first, or the answer to the first attempt was lost: compare the content.
            if _head(uri) is not None:
                if not _is_copy(path, uri):
                    raise files.taken(uri) from None
                return
            time.sleep(pause)
    raise StorageError(f"Could not write '{uri}'. Other processes write it at the same time. Try again later.")


def _upload(file: BinaryIO, size: int, uri: str, condition: dict[str, str]) -> None:
    client, target = connect(uri), _target(uri)
    sums = checksums.sent(file)
    if size <= PART_BYTES:
        client.put_object(**target, Body=file, **sums, **condition)
        return
    whole = {"ChecksumType": "FULL_OBJECT"}
    upload = client.create_multipart_upload(**target, ChecksumAlgorithm="CRC32", **whole)["UploadId"]
    try:
        parts = []
        for number in itertools.count(1):
            content = io.BytesIO(file.read(max(PART_BYTES, -(-size // _PARTS))))
            if not content.getbuffer().nbytes:
                break
            part = checksums.sent(content)
            tag = client.upload_part(**target, UploadId=upload, PartNumber=number, Body=content, **part)["ETag"]
            parts.append({"PartNumber": number, "ETag": tag, "ChecksumCRC32": part["ChecksumCRC32"]})
        client.complete_multipart_upload(
            **target, UploadId=upload, MultipartUpload={"Parts": parts}, ChecksumCRC32=sums["ChecksumCRC32"],
            **whole, **condition,
        )  # fmt: skip
    except BaseException:
        # Parts of an unfinished upload are stored, and paid for, until it is aborted.
        try:
            client.abort_multipart_upload(**target, UploadId=upload)
        except (errors.BotoCoreError, errors.ClientError):
            pass
        raise


def exists(uri: str) -> bool:
    """Return whether an object of this name, or one below it, exists."""
    uri = uri.rstrip("/")
    name = objects.split(uri)[1]
    with explained("read", uri):
        if not name:
            _check_bucket(uri)
            return True
        return _head(uri) is not None or any(True for _ in _list(uri, name + "/"))


def delete(uri: str) -> None:
    """Delete an object and all objects below it; do nothing if there are none."""
    bucket, name = objects.split(uri.rstrip("/"))
    with explained("delete", uri):
        for found in [name, *(entry.name for entry in _list(uri, name + "/"))]:
            connect(uri).delete_object(Bucket=bucket, Key=found)


def find(root_uri: str, names: set[str]) -> list[str]:
    """Return the sorted URIs of the objects under `root_uri` with one of these base names."""
    bucket, name = objects.split(root_uri.rstrip("/"))
    scheme = root_uri.partition("://")[0]
    with explained("search", root_uri):
        entries = _list(root_uri, name + "/" if name else "")
        return [f"{scheme}://{bucket}/{entry.name}" for entry in entries if entry.name.rpartition("/")[2] in names]
