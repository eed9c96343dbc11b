"""Bodies of HTTP: from base64 and compression to the message."""

import binascii
import zlib

# Of a decompressed body. Envoy sends bodies up to 1 MiB, which may decompress to a thousand times as much.
MAX_BYTES = 16 << 20
_FRAME_BYTES = 5


class Unreadable(ValueError):
    """A body or its content cannot be read.

    Attributes:
        reason: Name of the reason, as the metrics have it.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def decode_body(text: str, encoding: str, *, is_grpc: bool) -> bytes:
    """Return the message of a body.

    Args:
        text: The body as base64.
        encoding: Compression: empty or `identity` for none, `gzip` or `deflate`.
        is_grpc: Whether the body has gRPC's frame, which says whether its message is compressed.

    Raises:
        Unreadable: The body is broken, compressed in another way, or too large.
    """
    try:
        body = binascii.a2b_base64(text)
    except ValueError:
        raise Unreadable("base64") from None
    if not is_grpc:
        return _decompress(body, encoding) if encoding not in ("", "identity") else body
    if len(body) < _FRAME_BYTES or len(body) != _FRAME_BYTES + int.from_bytes(body[1:_FRAME_BYTES], "big"):
        raise Unreadable("frame")
    message = body[_FRAME_BYTES:]
    return _decompress(message, encoding) if body[0] & 1 else message


def _decompress(content: bytes, encoding: str) -> bytes:
    if encoding not in ("gzip", "deflate", "x-gzip"):
        raise Unreadable("encoding")
    try:
        return _inflate(content, zlib.MAX_WBITS | 32)  # gzip's or zlib's header
    except zlib.error:
        if encoding != "deflate":
            raise Unreadable("compression") from None
    try:
        return _inflate(content, -zlib.MAX_WBITS)  # some clients send no header
    except zlib.error:
        raise Unreadable("compression") from None


def _inflate(content: bytes, window_bits: int) -> bytes:
    inflater = zlib.decompressobj(window_bits)
    found = inflater.decompress(content, MAX_BYTES)
    if inflater.unconsumed_tail or (len(found) == MAX_BYTES and not inflater.eof):
        raise Unreadable("too_large")
    if not inflater.eof:
        raise Unreadable("compression")
    return found
