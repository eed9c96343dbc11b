"""Parts of the protobuf wire format, to build replies as bytes.

See https://protobuf.dev/programming-guides/encoding/. Message objects would take longer than the model.
"""

from typing import Any

import numpy as np

_SMALL = tuple(bytes([number]) for number in range(128))


def varint(number: int) -> bytes:
    """Return a varint; negative numbers take ten bytes, as in protobuf's int64."""
    if 0 <= number < 128:
        return _SMALL[number]
    if number < 0:
        number += 1 << 64
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def varints(array: Any) -> bytes:
    """Return the packed varints of an array of integers; signed ones are extended to 64 bits."""
    numbers = array.ravel()
    if numbers.size == 0:
        return b""
    if numbers.min() >= 0 and numbers.max() < 128:
        return bytes(numbers.astype(np.uint8).tobytes())
    numbers = numbers.astype(np.int64).view(np.uint64) if numbers.dtype != np.uint64 else numbers
    # One row of ten 7-bit groups per number; groups above its highest bit are dropped.
    shifts = np.arange(0, 70, 7, dtype=np.uint64)
    groups = np.right_shift(numbers[:, None], shifts)
    kept = groups != 0
    kept[:, 0] = True
    continued = np.zeros_like(groups, dtype=np.uint8)
    continued[:, :-1] = np.where(kept[:, 1:], 128, 0)
    octets = (groups & np.uint64(127)).astype(np.uint8) | continued
    return bytes(octets[kept].tobytes())


def tagged(field: int, number: int) -> bytes:
    """Return a varint field."""
    return varint(field << 3) + varint(number)


def delimited(field: int, content: bytes) -> bytes:
    """Return a length-delimited field: bytes, a string, a message or packed numbers."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def read_strings(content: bytes, count: int) -> list[bytes]:
    """Return the strings of a `tensor_content`, which has all lengths as varints, then all bytes.

    Raises:
        ValueError: The content does not hold exactly `count` strings.
    """
    lengths = []
    position = 0
    if count > len(content):  # each length takes at least one byte
        raise ValueError("lengths")
    for _ in range(count):
        length = shift = 0
        while True:
            if position >= len(content) or shift > 28:
                raise ValueError("lengths")
            octet = content[position]
            position += 1
            length |= (octet & 127) << shift
            shift += 7
            if octet < 128:
                break
        lengths.append(length)
    if position + sum(lengths) != len(content):
        raise ValueError("content")
    strings = []
    for length in lengths:
        strings.append(content[position : position + length])
        position += length
    return strings
