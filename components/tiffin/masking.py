"""Mask passwords, tokens and signatures in texts that are shown, logged or stored.

    http://ada:hunter2@mlflow:5000      http://***@mlflow:5000
    https://host/x?token=abc&page=2     https://host/x?token=***&page=2
    Authorization: Bearer abc           Authorization: ***
    password=abc host=db                password=*** host=db

A password may contain any character except white space, even those that should be percent-encoded. Where a text is
ambiguous, more is masked than necessary: in `http://host:80/a@b`, `host:80/a` may be a user and a password.
"""

import re
import urllib.parse

MASK = "***"

# Names have a greatest length, so that the time grows with the length of a text and not with its square.
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,30})://(\S*)")
# Without a scheme, as in the address of a gRPC server; not the tag and digest of an image.
_LOGIN = re.compile(r"(?<![\w@/:.=-])[\w.%+-]{1,2048}:[^\s@/'\"]{1,16384}@(?!sha\d+:)(?=[\w.-]+:\d|\[)")
# Schemes with a user before the @ that is no secret by itself.
_DATABASES = {"postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "mongodb", "ssh", "sftp"}
# Schemes whose path may contain an @: without a colon before the first slash, nothing precedes the host.
_STORES = {"s3", "s3a", "gs", "file", "abfss", "wasbs", "hdfs", "minio", "dbfs", "models", "runs"}

_PARAMETER = re.compile(r"([?&;])([^=?&;#\s'\"]+)=([^&#\s]*)")
_SECRET_NAMES = re.compile(r"pass|pwd|token|secret|signature|credential|apikey|accesskey|accessid|auth(?!or)")
_SHORT_NAMES = {"sig", "key", "pw", "sas"}
# Closes a quoted text, a sentence or a bracket around a URL.
_END = re.compile(r"['\"`)\]}>,.:;]*$")

_HEADER = re.compile(
    r"""\b((?:proxy-)?authorization|(?:set-)?cookie|x-api-key|x-amz-security-token|x-auth-token)(['"]?\s*[:=]\s*['"]?)"""
    r"""[^'"\n]+""",
    re.IGNORECASE,
)
# Without a header's name, a token is told from a word by a capital or a digit after its first character.
_BEARER = re.compile(r"\b((?i:bearer|basic))\s+(?=\S+[0-9A-Z=+/])[\w.+/=~-]{8,}")
_SETTING = re.compile(
    r"""\b((?i:ssl)?(?i:password|passwd)|[A-Z][A-Z0-9_]*(?:PASSWORD|TOKEN|SECRET|SECRET_KEY|ACCESS_KEY|API_KEY))(\s*=\s*)"""
    r"""('[^']*'|"[^"]*"|[^\s,;&)]+)"""
)


def masked(text: str) -> str:
    """Return a text with `***` in place of passwords, tokens and signatures.

    Args:
        text: Text that may contain URLs, HTTP headers, connection strings and environment variables.
    """
    text = _URL.sub(lambda match: f"{match[1]}://{_without_user(match[1].lower(), match[2])}", text)
    text = _LOGIN.sub(f"{MASK}@", text)
    text = _PARAMETER.sub(_without_value, text)
    text = _HEADER.sub(lambda match: match[1] + match[2] + MASK, text)
    # A scheme that is shown stays readable.
    text = _BEARER.sub(lambda match: f"{match[1]} {MASK}", text)
    return _SETTING.sub(lambda match: match[1] + match[2] + (MASK + _END.search(match[3])[0].lstrip(",.:;")), text)  # type: ignore[index]


def has_secret(uri: str) -> bool:
    """Return whether a URI contains a password, a token or a signature."""
    return masked(uri) != uri


def _without_user(scheme: str, rest: str) -> str:
    """Return the part of a URL behind `://` without a user and a password."""
    user, at, host = rest.rpartition("@")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if not at or not authority:
        return rest
    scheme = scheme.partition("+")[0]
    is_named = ":" in user or (scheme not in _DATABASES and ("@" in authority or scheme not in _STORES))
    return f"{MASK}@{host}" if is_named else rest


def _without_value(match: re.Match[str]) -> str:
    name = re.sub(r"[^a-z]", "", urllib.parse.unquote(match[2]).lower())
    if not match[3] or not (_SECRET_NAMES.search(name) or name in _SHORT_NAMES):
        return match[0]
    end = _END.search(match[3])
    return f"{match[1]}{match[2]}={MASK}{end[0] if end else ''}"
