"""Checksums of objects in S3: which one the store offers, and whether bytes match it.

S3 keeps a checksum of the whole object, or of its parts: the digest of the parts' digests, marked by `-<number of parts>`.
An ETag is an MD5 in the same two forms, unless the object is encrypted with a key of its own.
"""

import base64
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from awscrt import checksums as crt

_CHUNK_BYTES = 1 << 20


class _Crc:
    """A cyclic redundancy check with the interface of `hashlib`.

    Args:
        step: Returns the check of bytes that follow others, from these bytes and the check of the others.
        size_bytes: Size of the check.
    """

    def __init__(self, step: Callable[[bytes, int], int], size_bytes: int) -> None:
        self._step, self._size_bytes, self._value = step, size_bytes, 0

    def update(self, chunk: bytes) -> None:
        self._value = self._step(chunk, self._value)

    def digest(self) -> bytes:
        return self._value.to_bytes(self._size_bytes, "big")


# By the name of the field in an answer of S3, in the order of preference.
_ALGORITHMS: Mapping[str, Callable[[], Any]] = {
    "ChecksumSHA256": hashlib.sha256,
    "ChecksumCRC64NVME": lambda: _Crc(crt.crc64nvme, 8),
    "ChecksumCRC32C": lambda: _Crc(crt.crc32c, 4),
    "ChecksumCRC32": lambda: _Crc(zlib.crc32, 4),
    "ChecksumSHA1": lambda: hashlib.sha1(usedforsecurity=False),
    "ETag": lambda: hashlib.md5(usedforsecurity=False),
}


@dataclass(frozen=True)
class Checksum:
    """A checksum of an object.

    Attributes:
        algorithm: Name of the field in the answer of S3.
        value: Digest.
        parts: Number of parts whose digests it is the digest of; 0 for a checksum of the whole object.
    """

    algorithm: str
    value: bytes
    parts: int = 0


def find(described: Mapping[str, Any]) -> list[Checksum]:
    """Return the checksums in an answer of HeadObject: of the whole object first, then by preference."""
    found = []
    for name in _ALGORITHMS:
        digest, _, parts = str(described.get(name) or "").strip('"').partition("-")
        if name == "ETag":
            if not re.fullmatch("[0-9a-f]{32}", digest) or _has_own_key(described):
                continue
            value = bytes.fromhex(digest)
        elif digest:
            value = base64.b64decode(digest)
        else:
            continue
        if not parts or parts.isdigit():
            found.append(Checksum(name, value, int(parts or 0)))
    return sorted(found, key=lambda checksum: checksum.parts > 0)


def _has_own_key(described: Mapping[str, Any]) -> bool:
    """Return whether the object is encrypted such that its ETag is no MD5."""
    by_kms = str(described.get("ServerSideEncryption", "")).startswith("aws:kms")
    return by_kms or "SSECustomerAlgorithm" in described


def matches(file: BinaryIO, checksum: Checksum, part_sizes: Sequence[int] = ()) -> bool:
    """Return whether the content of a file has a checksum.

    Args:
        file: Read from its start.
        checksum: Expected checksum.
        part_sizes: Sizes of the object's parts in bytes, for a checksum of parts.
    """
    file.seek(0)
    make = _ALGORITHMS[checksum.algorithm]
    if not checksum.parts:
        return bool(_digest(file, make(), None) == checksum.value)
    parts = make()
    for size in part_sizes:
        parts.update(_digest(file, make(), size))
    return bool(parts.digest() == checksum.value)


def _digest(file: BinaryIO, algorithm: Any, size: int | None) -> bytes:
    """Return the digest of the next `size` bytes (None: all)."""
    left = size
    while chunk := file.read(_CHUNK_BYTES if left is None else min(left, _CHUNK_BYTES)):
        algorithm.update(chunk)
        left = None if left is None else left - len(chunk)
    return bytes(algorithm.digest())


def sent(file: BinaryIO) -> dict[str, str]:
    """Return the checksums to send with the content of a file, as parameters of PutObject and UploadPart.

    Every store checks the MD5; AWS and newer stores keep the CRC32 for downloads.
    """
    file.seek(0)
    md5, crc = hashlib.md5(usedforsecurity=False), _Crc(zlib.crc32, 4)
    while chunk := file.read(_CHUNK_BYTES):
        md5.update(chunk)
        crc.update(chunk)
    file.seek(0)
    return {
        "ContentMD5": base64.b64encode(md5.digest()).decode(),
        "ChecksumAlgorithm": "CRC32",
        "ChecksumCRC32": base64.b64encode(crc.digest()).decode(),
    }
