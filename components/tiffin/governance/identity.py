"""Who makes a change: the person, and the service account of the pod."""

import base64
import getpass
import json
import os
from pathlib import Path

from tiffin.errors import InputError

# Kubernetes mounts the token of a pod's service account here.
_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
_LONGEST = 200
_LONGEST_REASON = 1000


def current_user() -> str:
    """Return the name of the person who runs this process: TIFFIN_USER, or else the login name.

    In a container whose user has no name, it is `uid` and the number. The name is what the environment says: it is as
    trustworthy as the machine it comes from.

    Raises:
        InputError: TIFFIN_USER is not a name.
    """
    name = os.environ.get("TIFFIN_USER", "").strip()
    if name:
        check_person(name, "TIFFIN_USER")
        return name
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"uid {os.getuid()}"


def check_person(name: str, what: str = "requested_by") -> None:
    """Raise an InputError unless a text is empty or can be the name of a person.

    Args:
        name: The text.
        what: Name of the parameter, for the error.
    """
    if len(name) > _LONGEST or not name.isprintable() or name != name.strip():
        raise InputError(
            f"{what} should be the name of a person: up to {_LONGEST} printable characters, without spaces around it. "
            f"Received: {name[:_LONGEST]!r}."
        )


def check_reason(why: str) -> None:
    """Raise an InputError unless a text can be the reason of a change: one line, which is not empty."""
    if not why.strip() or not why.isprintable() or len(why) > _LONGEST_REASON:
        raise InputError(
            f"--why should be the reason in one line, up to {_LONGEST_REASON} printable characters. Received: {why[:100]!r}."
        )


def find_account() -> str:
    """Return the service account of this pod, such as `system:serviceaccount:team:runner`; empty outside a cluster.

    It is the claim `sub` of the pod's token, which Kubernetes signed. The signature is not verified here: whoever can write
    the token's file can write anything else that this process reads.
    """
    try:
        part = _TOKEN.read_text().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        subject = claims["sub"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return subject if isinstance(subject, str) and subject.isprintable() else ""


def person_or_account(requested_by: str) -> str:
    """Return the person who asked for a run, or else the service account of this pod, or else the user of this process."""
    return requested_by or find_account() or current_user()
