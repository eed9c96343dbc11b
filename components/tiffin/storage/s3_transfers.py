"""Transfers of objects in S3: verified downloads, and uploads with checksums and preconditions."""

import contextlib
import io
import itertools
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from botocore import exceptions as errors

from tiffin.errors import StorageError
from tiffin.storage import checksums, files, objects, s3_connection
from tiffin.storage.s3_connection import code, connect

# Larger files are uploaded in parts of this size; S3 takes at most 10,000 of them.
PART_BYTES = 64 << 20
_PARTS = 10_000
_CHUNK_BYTES = 1 << 20
# Codes of a failed precondition. The second reports a concurrent write, the last an upload that was completed before.
UNMET = ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchUpload")


def target(uri: str) -> dict[str, str]:
    """Return bucket and name of an object, as parameters of a request."""
    bucket, name = objects.split(uri)
    return {"Bucket": bucket, "Key": name}


def head(uri: str) -> dict[str, Any] | None:
    """Return size, ETag, checksums and metadata of an object, or None if it does not exist."""
    try:
        return dict(connect(uri).head_object(**target(uri), ChecksumMode="ENABLED"))
    except errors.ClientError as error:
        if code(error) != "404":
            raise
    check_bucket(uri)
    return None


def check_bucket(uri: str) -> None:
    """Raise if the bucket does not exist, which an answer to HEAD on an object does not tell."""
    connect(uri).list_objects_v2(Bucket=objects.split(uri)[0], MaxKeys=1)


def fetch(uri: str, file: BinaryIO) -> dict[str, Any] | None:
    """Write an object to `file`, verify it, and return its description; None if it does not exist."""
    before = None
    reason = ""
    for pause in pauses():
        found = head(uri)
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


def pauses() -> Iterator[float]:
    """Yield the seconds to wait after each attempt."""
    return (min(0.05 * 4**attempt, 10.0) for attempt in range(s3_connection.ATTEMPTS))


def _receive(uri: str, found: dict[str, Any], file: BinaryIO) -> None:
    """Write an object's content to `file`, continuing with the rest after a broken connection."""
    file.seek(0)
    file.truncate()
    left = s3_connection.ATTEMPTS
    for pause in pauses():
        left -= 1
        try:
            done = file.tell()
            if done == found["ContentLength"]:
                return
            rest = {"Range": f"bytes={done}-"} if done else {}
            answer = connect(uri).get_object(**target(uri), IfMatch=found["ETag"], **rest)
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
        return int(connect(uri).head_object(**target(uri), PartNumber=number)["ContentLength"])

    try:
        # All parts but the last usually have the same size.
        sizes = [size(1)] * (count - 1) + [size(count)]
        if sum(sizes) != found["ContentLength"]:
            sizes = [size(number) for number in range(1, count + 1)]
    except errors.ClientError:
        return []
    return sizes if sum(sizes) == found["ContentLength"] else []


def is_copy(path: Path, uri: str) -> bool:
    """Return whether an object has the content of a file."""
    found = head(uri)
    if found is None or found["ContentLength"] != path.stat().st_size:
        return False
    with open(path, "rb") as file:
        same = _is_content(uri, found, file)
    if same is None:
        stored = io.BytesIO()
        same = fetch(uri, stored) is not None and stored.getvalue() == path.read_bytes()
    return same


def upload_new(path: Path, uri: str) -> None:
    """Upload a file to an object that must not exist yet, unless with the same content."""
    condition = {"IfNoneMatch": "*"}
    for pause in pauses():
        try:
            with open(path, "rb") as file:
                _upload(file, path.stat().st_size, uri, condition)
            return
        except errors.ClientError as error:
            if code(error) == "NotImplemented" and condition:
                # The store has no conditional writes; concurrent publications of other content are not detected there.
                condition = {}
                continue
            if code(error) not in UNMET:
                raise
            # Either another publisher was first, or the answer to the first attempt was lost: compare the content.
            if head(uri) is not None:
                if not is_copy(path, uri):
                    raise files.taken(uri) from None
                return
            time.sleep(pause)
    raise StorageError(f"Could not write '{uri}'. Other processes write it at the same time. Try again later.")


def _upload(file: BinaryIO, size: int, uri: str, condition: dict[str, str]) -> None:
    client, place = connect(uri), target(uri)
    sums = checksums.sent(file)
    if size <= PART_BYTES:
        client.put_object(**place, Body=file, **sums, **condition)
        return
    whole = {"ChecksumType": "FULL_OBJECT"}
    upload = client.create_multipart_upload(**place, ChecksumAlgorithm="CRC32", **whole)["UploadId"]
    try:
        parts = []
        for number in itertools.count(1):
            content = io.BytesIO(file.read(max(PART_BYTES, -(-size // _PARTS))))
            if not content.getbuffer().nbytes:
                break
            part = checksums.sent(content)
            tag = client.upload_part(**place, UploadId=upload, PartNumber=number, Body=content, **part)["ETag"]
            parts.append({"PartNumber": number, "ETag": tag, "ChecksumCRC32": part["ChecksumCRC32"]})
        client.complete_multipart_upload(
            **place, UploadId=upload, MultipartUpload={"Parts": parts}, ChecksumCRC32=sums["ChecksumCRC32"],
            **whole, **condition,
        )  # fmt: skip
    except BaseException:
        # Parts of an unfinished upload are stored, and paid for, until it is aborted.
        with contextlib.suppress(errors.BotoCoreError, errors.ClientError):
            client.abort_multipart_upload(**place, UploadId=upload)
        raise
