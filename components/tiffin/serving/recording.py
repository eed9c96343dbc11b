"""What the prediction log keeps of a model: `<serving root>/<model>/recording.json`.

    {"share": 0.1, "omit": ["input.name"], "hash": ["key"], "keep_days": 30}

A model without the file has the defaults. The gateway reads `share`; the recorder reads the rest every half minute.
"""

import dataclasses
import hashlib
import hmac
import json
import math
from dataclasses import dataclass
from typing import Any

from tiffin import storage
from tiffin.artifacts import documents
from tiffin.errors import Conflict, InputError
from tiffin.serving.prediction_log import INPUT, OUTPUT
from tiffin.serving.root import RECORDING, ServedModel

# Environment variable of the recorder with the secret of `hash`.
KEY_VARIABLE = "TIFFIN_LOG_KEY"
# 10,000 years would be outside the range of dates.
_MOST_DAYS = 36_500
_ATTEMPTS = 5


@dataclass(frozen=True)
class Recording:
    """What the prediction log keeps of a model.

    Attributes:
        share: Share of the requests that are recorded, from 0 to 1.
        omit: Columns that are left out: `input.<name>`, `output.<name>` or `key`.
        hash: Columns that are replaced by the HMAC-SHA-256 of their text, with the secret in TIFFIN_LOG_KEY; left out if the
            recorder has no secret.
        keep_days: Days after which an hour of the log is removed; 0 keeps it for ever.
    """

    share: float = 1.0
    omit: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    keep_days: int = 30


def as_text(value: Any) -> str:
    """Return the text of a value: JSON, except that text is itself."""
    if isinstance(value, str):
        # JSON may have halves of surrogate pairs, which UTF-8 does not.
        return value if value.isascii() else value.encode("utf-8", "backslashreplace").decode()
    return json.dumps(value, sort_keys=True)


def hash_text(text: str, secret: bytes) -> str:
    """Return the HMAC-SHA-256 of a text, in hexadecimal digits, which the log has in place of a value of `hash`."""
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def check(recording: Recording) -> None:
    """Raise an InputError unless all settings are valid."""
    if not (math.isfinite(recording.share) and 0 <= recording.share <= 1):
        raise InputError(f"share should be from 0 to 1. Received: {recording.share}.")
    if not 0 <= recording.keep_days <= _MOST_DAYS:
        raise InputError(f"keep_days should be from 0, for ever, to {_MOST_DAYS}. Received: {recording.keep_days}.")
    for field in ("omit", "hash"):
        for name in getattr(recording, field):
            if name != "key" and not (name.startswith((INPUT, OUTPUT)) and name.partition(".")[2]):
                raise InputError(
                    f"{field} should have columns of the prediction log: input.<name>, output.<name> or key. "
                    f"Received: '{name}'. Did you mean 'input.{name}'?"
                )
    if both := sorted(set(recording.omit) & set(recording.hash)):
        raise InputError(f"A column should be in one of omit and hash. Received: '{both[0]}' in both.")


def parse(content: bytes, place: str) -> Recording:
    """Parse the file.

    Raises:
        InputError: The content is not JSON, or a setting is invalid.
    """
    try:
        value: Any = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise InputError(f"'{place}' should be JSON. Received: {error}. Correct the file, or delete it.") from None
    recording = documents.convert(value, Recording, f"'{place}'")
    check(recording)
    return recording


def read_recording(served: ServedModel) -> tuple[Recording, str | None]:
    """Return the settings of a model, and the version token of the file; None if it does not exist.

    Raises:
        InputError: The file is invalid.
        StorageError: The file cannot be read.
    """
    found = served.read(RECORDING)
    return (parse(found[0], served.locate(RECORDING)), found[1]) if found else (Recording(), None)


def change_recording(served: ServedModel, **changes: Any) -> Recording:
    """Change settings of a model by compare-and-swap, and return all.

    Args:
        served: The model.
        **changes: Fields of `Recording` with their new values.

    Raises:
        InputError: A setting is invalid.
        Conflict: The file was modified by others on every attempt.
    """
    for attempt in range(_ATTEMPTS):
        before, token = read_recording(served)
        recording = dataclasses.replace(before, **changes)
        check(recording)
        if recording == before:
            return recording
        text = json.dumps(documents.to_json(recording), indent=2, ensure_ascii=False) + "\n"
        try:
            storage.compare_and_swap(served.locate(RECORDING), text.encode(), token)
        except Conflict:
            if attempt + 1 == _ATTEMPTS:
                raise
        else:
            return recording
    raise AssertionError
