"""Bodies from base64, gRPC's frame and compression."""

import base64
import gzip
import zlib

import pytest

from support.access_log import frame
from tiffin.recorder.bodies import MAX_BYTES, Unreadable, decode_body


def decode(body: bytes, encoding: str = "", is_grpc: bool = False) -> bytes:
    return decode_body(base64.b64encode(body).decode(), encoding, is_grpc=is_grpc)


def raw_deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(content) + packer.flush()


def test_an_empty_message() -> None:
    assert decode(b"") == b""
    assert decode(frame(b""), is_grpc=True) == b""


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw_deflate)]
)
def test_compressed_bodies(encoding: str, pack) -> None:
    assert decode(pack(b"body" * 100), encoding) == b"body" * 100
    assert decode(frame(pack(b"body"), compressed=True), encoding, is_grpc=True) == b"body"
    # Of a stream that may be compressed, a message that is not.
    assert decode(frame(b"body"), encoding, is_grpc=True) == b"body"


@pytest.mark.parametrize(
    ("body", "encoding", "is_grpc", "reason"),
    [
        (b"", "", True, "frame"),
        (b"\0\0\0\0\5abc", "", True, "frame"),
        (frame(b"one") + frame(b"two"), "", True, "frame"),
        (frame(b"x", compressed=True), "", True, "encoding"),
        (b"x", "br", False, "encoding"),
        (b"x", "gzip", False, "compression"),
        (b"x", "deflate", False, "compression"),
        (gzip.compress(b"body" * 100, mtime=0)[:-9], "gzip", False, "compression"),
        (gzip.compress(bytes(MAX_BYTES + 1), mtime=0), "gzip", False, "too_large"),
        (raw_deflate(bytes(MAX_BYTES * 2)), "deflate", False, "too_large"),
    ],
)
def test_bodies_that_cannot_be_read(body: bytes, encoding: str, is_grpc: bool, reason: str) -> None:
    with pytest.raises(Unreadable) as caught:
        decode(body, encoding, is_grpc)

    assert caught.value.reason == reason


def test_a_text_that_is_not_base64() -> None:
    with pytest.raises(Unreadable) as caught:
        decode_body("a", "", is_grpc=False)

    assert caught.value.reason == "base64"
