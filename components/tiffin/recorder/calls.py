"""A call as rows: bodies decoded, values left out or hashed as the model's settings say."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from tiffin.recorder.bodies import Unreadable, decode_body
from tiffin.recorder.documents import read_documents
from tiffin.recorder.entries import Call
from tiffin.recorder.messages import Rows, read_messages
from tiffin.recorder.values import Column, Texts
from tiffin.serving.prediction_log import INPUT, OUTPUT, UNNAMED_INPUT, UNNAMED_OUTPUT
from tiffin.serving.recording import as_text, hash_text

_SERIALIZED = f"{INPUT}examples"


@dataclass(frozen=True)
class Policy:
    """Which values of a model are recorded.

    Attributes:
        omit: Columns to leave out.
        hash: Columns to hash.
        secret: Key of the hash; without one, these columns are left out.
        is_known: Whether the settings could be read; otherwise all values are left out.
    """

    omit: frozenset[str] = frozenset()
    hash: frozenset[str] = frozenset()
    secret: bytes = b""
    is_known: bool = True

    def names(self, prefix: str) -> bool:
        """Return whether a column with this prefix is omitted or hashed."""
        return any(name.startswith(prefix) for name in self.omit | self.hash)


def read_call(call: Call, policy: Policy, problems: Counter[str]) -> Rows:
    """Return the rows of a call.

    A call whose bodies cannot be read is one row without values.

    Args:
        call: The call.
        policy: Settings of its model.
        problems: Counts what was replaced or left out, by reason.
    """
    texts = Texts()
    rows = Rows(1, {}, "", None)
    if not policy.is_known:
        problems["settings_unknown"] += 1
    elif call.is_too_large:
        problems["too_large"] += 1
    elif call.request:
        try:
            rows = _read(call, texts)
        except Unreadable as error:
            problems[error.reason] += 1
    if texts.replaced:
        problems["text"] += texts.replaced
    if policy.omit or policy.hash:
        return rows._replace(columns=_protect(rows.columns, policy, problems))
    return rows


def protect_key(key: str | None, policy: Policy) -> str | None:
    """Return the client's key as the settings of the model allow it."""
    if key is None or "key" in policy.omit or not policy.is_known:
        return None
    if "key" in policy.hash:
        return hash_text(key, policy.secret) if policy.secret else None
    return key


def _read(call: Call, texts: Texts) -> Rows:
    is_grpc = call.protocol == "grpc"
    request = decode_body(call.request or "", call.request_encoding, is_grpc=is_grpc)
    response = None
    if call.code == "OK" and call.response:
        response = decode_body(call.response, call.response_encoding, is_grpc=is_grpc)
    return (read_messages if is_grpc else read_documents)(call.method, request, response, texts)


def _protect(columns: Mapping[str, Column], policy: Policy, problems: Counter[str]) -> dict[str, Column]:
    kept = {}
    for name, column in columns.items():
        if name in policy.omit:
            continue
        if name in policy.hash:
            if policy.secret:
                kept[name] = _hashed(column, policy.secret)
            else:
                problems["no_secret"] += 1
        elif _may_hide(name, policy):
            problems["unnamed"] += 1
        else:
            kept[name] = column
    return kept


def _may_hide(name: str, policy: Policy) -> bool:
    """Return whether a column may have the values of another one that is protected.

    The REST API may omit the name of an input or output, and text that is no tf.Example may still hold its features.
    """
    if name in (UNNAMED_INPUT, _SERIALIZED):
        return policy.names(INPUT)
    return name == UNNAMED_OUTPUT and policy.names(OUTPUT)


def _hashed(column: Column, secret: bytes) -> Column:
    return Column("string", [None if value is None else hash_text(as_text(value), secret) for value in column.values])
