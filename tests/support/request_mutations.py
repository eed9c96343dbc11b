"""Random mutations of requests, the same for the same random generator."""

import copy
import json
import random
from collections.abc import Sequence
from typing import Any

SIZES = (-1, 0, 1, 2, 3, 7, 1000, 1_000_000, 1 << 31, 1 << 40, (1 << 62) - 1, (1 << 63) - 1)
HOSTILE = (
    b"\\ud800", b"\\u0000", b"\xff", b"\x00", b"1e400", b"9" * 400, b"9" * 5000, b"NaN", b"-Infinity", b"null", b"true",
    b"[" * 200, b'{"b64": "A"}', b'{"b64": "AAAA"}', b"{}", b"[]", b'""', b",", b"\\", b'"instances"', b'"inputs"', b"-",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, 0, -1, 2**31, 2**63, 2**64, 10**400, 0.5, 1e308, 1e39, float("nan"), float("inf"), "", "a", "\ud800", "\x00",
    [], [[]], [1], [1, [2]], {}, {"b64": "AA=="}, {"b64": 1}, {"x": 1}, "x" * 1000,
)  # fmt: skip


def mutated_bytes(chance: random.Random, content: bytes, others: Sequence[bytes] = HOSTILE) -> bytes:
    """Return the content with one to four changes: of bytes, and of slices that are cut, repeated, inserted or replaced."""
    result = bytearray(content)
    for _ in range(chance.randint(1, 4)):
        start = chance.randint(0, len(result))
        end = min(len(result), start + chance.choice((0, 1, 1, 2, 4, 16)))
        kind = chance.randrange(5)
        if kind == 0:
            result[start:end] = chance.randbytes(end - start)
        elif kind == 1:
            result[start:end] = b""
        elif kind == 2:
            result[start:start] = result[start:end] * chance.choice((1, 2, 100))
        elif kind == 3:
            other = chance.choice(others)
            result[start:end] = other[: chance.randint(0, len(other))]
        elif chance.random() < 0.2:
            del result[start:]
    return bytes(result)


def mutated_message(chance: random.Random, message: Any) -> bytes:
    """Return a request's bytes after changes to some of its fields, with the same structure."""
    changed = copy.deepcopy(message)
    for _ in range(chance.randint(1, 4)):
        _change_field(chance, changed)
    return bytes(changed.SerializeToString())


def _change_field(chance: random.Random, message: Any) -> None:
    fields = [field for field, _ in message.ListFields()] or list(message.DESCRIPTOR.fields)
    if not fields:
        return
    field = chance.choice(fields)
    if chance.random() < 0.1:
        message.ClearField(field.name)
        return
    value = getattr(message, field.name)
    if hasattr(value, "keys"):
        if value and (nested := value[chance.choice(sorted(value))]) is not None and hasattr(nested, "DESCRIPTOR"):
            _change_field(chance, nested)
        return
    if field.message_type is not None:
        repeated = not hasattr(value, "DESCRIPTOR")
        nested = (chance.choice(value) if value and chance.random() < 0.8 else value.add()) if repeated else value
        _change_field(chance, nested)
        return
    kinds = {
        field.CPPTYPE_STRING: lambda: (
            chance.choice(["", "a", "x" * 300]) if field.type == field.TYPE_STRING else chance.randbytes(4)
        ),
        field.CPPTYPE_BOOL: lambda: chance.random() < 0.5,
        field.CPPTYPE_ENUM: lambda: chance.randint(0, 40),
        field.CPPTYPE_INT64: lambda: chance.choice(SIZES),
        field.CPPTYPE_UINT64: lambda: abs(chance.choice(SIZES)),
        field.CPPTYPE_FLOAT: lambda: chance.choice((0.0, -1.5, float("nan"), float("inf"))),
        field.CPPTYPE_DOUBLE: lambda: chance.choice((0.0, 1e308, float("nan"))),
    }
    new = kinds.get(field.cpp_type, lambda: chance.randint(0, 300))()
    if hasattr(value, "extend"):
        if value and chance.random() < 0.5:
            value[chance.randrange(len(value))] = new
        else:
            value.extend([new] * chance.choice((1, 1, 5, 1000)))
    else:
        setattr(message, field.name, new)


def mutated_json(chance: random.Random, document: Any) -> bytes:
    """Return a document's JSON with one to three of its values replaced, removed, repeated or wrapped in lists."""
    changed = copy.deepcopy(document)
    for _ in range(chance.randint(1, 3)):
        holder, key = None, None
        inner = changed
        while isinstance(inner, dict | list) and inner and (holder is None or chance.random() < 0.7):
            holder, key = inner, chance.choice(list(inner)) if isinstance(inner, dict) else chance.randrange(len(inner))
            inner = holder[key]
        if holder is None:
            break
        kind = chance.randrange(4)
        if kind == 0:
            holder[key] = copy.deepcopy(chance.choice(VALUES))
        elif kind == 1:
            del holder[key]
        elif kind == 2:
            for _ in range(chance.choice((1, 3, 70, 300))):
                holder[key] = [holder[key]]
        elif isinstance(holder, list):
            holder += [holder[key]] * chance.choice((1, 10, 1000))
        else:
            holder[chance.choice(["x", "a", "extra", "instances", "inputs", "signature_name"])] = copy.deepcopy(
                chance.choice(VALUES)
            )
    return json.dumps(changed, ensure_ascii=chance.random() < 0.5).encode(errors="surrogatepass")
