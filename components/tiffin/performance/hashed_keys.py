"""Keys that the prediction log has as hashes: labels are hashed alike, with the secret of the recorder, and joined.

A log has the HMAC-SHA-256 of a key, in 64 hexadecimal digits, if `tiffin models record` hashes the column. A log may have both,
since its settings change what comes, and not what is there: plain keys of answers are hashed too then. A label whose key is a
hash of the log already, as from a table that was written from the log, is joined as it is.
"""

import hashlib
from dataclasses import dataclass

from tiffin.artifacts.performance import Keys
from tiffin.performance.answers import VIEW
from tiffin.performance.workspace import Workspace

_BLOCK_BYTES = 64
_IS_HASH = "regexp_full_match({name}, '[0-9a-f]{{64}}')"
# RFC 2104: H(K ^ opad, H(K ^ ipad, text)).
_HMAC = "sha256($outer || unhex(sha256($inner || encode({name}))))"


@dataclass(frozen=True)
class KeyHash:
    """How names of labels and answers are compared.

    Attributes:
        hashed: Number of answers whose key is a hash.
        keyed: Number of answers with a key.
        pads: Names and values of the parameters of `of`; empty if names are compared as they are.
    """

    hashed: int
    keyed: int
    pads: dict[str, bytes]

    def of(self, name: str) -> str:
        """Return the SQL of a name of an answer as it is compared."""
        if not self.pads:
            return name
        return f"CASE WHEN {_IS_HASH.format(name=name)} THEN {name} ELSE {_HMAC.format(name=name)} END"

    def judge(self, by: str, labels: int, unknown: int, labelled: int) -> Keys:
        """Return how the log has the keys, as far as it matters to the labels.

        Args:
            by: Column that the labels are joined by.
            labels: Number of labels.
            unknown: Number of labels whose name no answer has.
            labelled: Number of answers with a label.
        """
        if by != "key" or not labels:
            return "PLAIN"
        if not self.keyed:
            return "LEFT_OUT"
        if not self.hashed:
            return "PLAIN"
        if not self.pads:
            return "NO_SECRET" if unknown else "HASHED"
        return "OTHER_SECRET" if unknown and not labelled else "HASHED"


def find_hash(workspace: Workspace, by: str, secret: bytes) -> KeyHash:
    """Return how names are compared.

    Args:
        workspace: The workspace with the answers.
        by: Column that labels are joined by: a request ID is never hashed.
        secret: Secret of the recorder; empty without one.
    """
    if by != "key":
        return KeyHash(0, 0, {})
    hashed, keyed = workspace.fetch(f"SELECT count(*) FILTER ({_IS_HASH.format(name='key')}), count(key) FROM {VIEW}")[
        0
    ]
    return KeyHash(hashed, keyed, _pads(secret) if hashed and secret else {})


def hash_labels(workspace: Workspace, table: str, found: KeyHash) -> None:
    """Replace the names of labels by their hashes, but for those that are hashes of the log already."""
    if found.pads:
        is_known = f"{_IS_HASH.format(name='name')} AND name IN (SELECT key FROM {VIEW} WHERE key IS NOT NULL)"
        workspace.connection.execute(
            f"UPDATE {table} SET name = {_HMAC.format(name='name')} WHERE NOT ({is_known})", found.pads
        )


def _pads(secret: bytes) -> dict[str, bytes]:
    key = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK_BYTES else secret).ljust(_BLOCK_BYTES, b"\0")
    return {"inner": bytes(byte ^ 0x36 for byte in key), "outer": bytes(byte ^ 0x5C for byte in key)}
