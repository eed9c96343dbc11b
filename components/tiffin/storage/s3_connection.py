"""Connections to S3 and S3-compatible stores: settings from the environment, and error messages.

`s3://` is AWS, or the store at `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`. `minio://` is the scheme of Kubeflow Pipelines'
own store, whatever its server: `MINIO_ENDPOINT_URL`, `MINIO_ACCESS_KEY` and `MINIO_SECRET_KEY` take precedence there.
Otherwise credentials are found as by AWS's tools: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, `~/.aws`, or the role
of the pod's service account or of the machine. Without any, requests are anonymous, as public buckets allow.
"""

import contextlib
import functools
import os
import re
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3.session
from botocore import UNSIGNED
from botocore import exceptions as errors
from botocore.config import Config

from tiffin.errors import InputError, StorageError, explain
from tiffin.storage import objects

# Default address of the store in the launcher of Kubeflow Pipelines 2.16 and later.
STORE = "http://seaweedfs.kubeflow:9000"
# Attempts for a request that fails with a transient error; the waits add up to half a minute at most.
ATTEMPTS = 6
# No answer, a connection that broke, or a download that was shorter than announced.
BROKEN = (errors.ConnectionError, errors.HTTPClientError, errors.IncompleteReadError)
# The certificates that the system trusts, on Debian, Fedora and Alpine, and macOS. botocore has only public ones.
_SYSTEM_CERTIFICATES = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


def connect(uri: str) -> Any:
    """Return a client for the store of a location.

    Raises:
        InputError: The store's address is invalid.
    """
    is_kubeflows = uri.startswith("minio:")
    settings = tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith(("AWS_", "MINIO_"))))
    with contextlib.suppress(errors.ProfileNotFound):
        return _connect(os.getpid(), is_kubeflows, address(is_kubeflows), ATTEMPTS, os.environ.get("HOME"), settings)
    raise InputError(
        f"AWS_PROFILE should name a profile in ~/.aws. Received: AWS_PROFILE='{os.environ.get('AWS_PROFILE')}'. "
        "Correct or unset it."
    )


# Connections must not cross a fork, so the cache's key has the process; the rest of the key is what a client depends on.
@functools.lru_cache(maxsize=8)
def _connect(process: int, is_kubeflows: bool, address: str, attempts: int, *environment: object) -> Any:
    session = boto3.session.Session()
    keys = {}
    if is_kubeflows and os.environ.get("MINIO_ACCESS_KEY") and os.environ.get("MINIO_SECRET_KEY"):
        keys = {
            "aws_access_key_id": os.environ["MINIO_ACCESS_KEY"],
            "aws_secret_access_key": os.environ["MINIO_SECRET_KEY"],
        }
    anonymous = not keys and session.get_credentials() is None
    return session.client(
        "s3",
        endpoint_url=address or None,
        # Stores other than AWS have no regions, but the signature of a request includes one.
        region_name=os.environ.get("AWS_REGION") or session.region_name or "us-east-1",
        verify=_certificates(),
        config=Config(
            signature_version=UNSIGNED if anonymous else None,
            connect_timeout=5,
            read_timeout=30,
            retries={"mode": "standard", "total_max_attempts": attempts},
            # Other stores rarely have a host name per bucket.
            s3={"addressing_style": "path" if address else "auto"},
            # Some stores reject the form in which the client would add its own; `checksums` adds and verifies them.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
        **keys,
    )


def _certificates() -> str | None:
    """Return the file of trusted CA certificates; None for the client's own choice, which AWS_CA_BUNDLE sets."""
    if os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE"):
        return None
    files = (os.environ.get("SSL_CERT_FILE"), ssl.get_default_verify_paths().cafile, *_SYSTEM_CERTIFICATES)
    return next((file for file in files if file and Path(file).is_file()), None)


def address(is_kubeflows: bool) -> str:
    """Return the address of the store; empty for AWS.

    Raises:
        InputError: The environment variable has no HTTP address.
    """
    name, found = _find_address(is_kubeflows)
    if found and not re.fullmatch(r"https?://[^/@?#\s]+/?", found):
        # The part before an @ may be a password.
        raise InputError(
            f"{name} should be http://host:port or https://host. "
            f"Received: {name}='{re.sub(r'.*@', '…@', found)}'. Correct this step's environment variable."
        )
    return found


def _find_address(is_kubeflows: bool) -> tuple[str, str]:
    """Return the variable with the store's address, and the address; empty for AWS."""
    names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
    if is_kubeflows:
        names.insert(0, "MINIO_ENDPOINT_URL")
    name = next((name for name in names if os.environ.get(name)), names[0])
    return name, os.environ.get(name) or (STORE if is_kubeflows else "")


@contextlib.contextmanager
def explained(doing: str, uri: str) -> Iterator[None]:
    """Convert the client's errors to a StorageError with the failed action, the reason and the next step."""
    try:
        yield
    except (StorageError, InputError):
        raise
    except (errors.BotoCoreError, errors.ClientError, OSError) as error:
        raise StorageError(f"Could not {doing} '{uri}'. {_reason(error, uri)}") from error


def code(error: errors.ClientError) -> str:
    """Return the code of a store's error, such as `NoSuchKey`; of an answer to HEAD, which has none, its status."""
    return str(error.response.get("Error", {}).get("Code", ""))


_AUTHENTICATION = "Authentication failed. Check or renew the credentials ({keys})."
_REGION = "The bucket '{bucket}' is in another region. Set AWS_REGION to the bucket's region."
_DENIED = (
    "Access denied (403). Give this step credentials that may list, read and write the bucket '{bucket}' ({keys}), "
    "or choose another bucket."
)
# By the code of the error, then by its status.
_REASONS = {
    **dict.fromkeys(("InvalidAccessKeyId", "SignatureDoesNotMatch", "InvalidClientTokenId"), _AUTHENTICATION),
    **dict.fromkeys(("ExpiredToken", "InvalidToken", "TokenRefreshRequired"), _AUTHENTICATION),
    **dict.fromkeys(("AuthorizationHeaderMalformed", "PermanentRedirect", "301"), _REGION),
    "RequestTimeTooSkewed": "This machine's clock differs from the store's clock. Correct it.",
    "NoSuchBucket": "No such bucket: '{bucket}' (404) at {address}. Check its name and {variable}.",
    "BadDigest": "The store discarded the upload: its checksum does not match. Try again; check the network if it "
    "happens again.",
    "NotImplemented": "The store at {address} does not support conditional writes. Upgrade it, or choose another store.",
    "401": _DENIED,
    "403": _DENIED,
    "404": "No such object, or no such bucket: '{bucket}' (404) at {address}. Check the names and {variable}.",
    "NoName": "The location names a bucket, not an object. Add the name of the object.",
    "InvalidBucketName": "A bucket's name should have 3 to 63 letters, digits, '-' and '.'. Received: '{bucket}'. Correct it.",
    "400": "The store rejected the request (400). Check the credentials ({keys}) and AWS_REGION.",
}


def absent(uri: str) -> str:
    """Return the reason of an error about an object that does not exist."""
    return _REASONS["404"].format(**_names(uri))


def _names(uri: str) -> dict[str, str]:
    """Return what the reasons name: the bucket, the address, and the settings to check."""
    is_kubeflows = uri.startswith("minio:")
    keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of the pod's service account"
    if is_kubeflows:
        keys = "MINIO_ACCESS_KEY and MINIO_SECRET_KEY, from Kubeflow's secret mlpipeline-minio-artifact"
    variable, found = _find_address(is_kubeflows)
    return {"bucket": objects.split(uri)[0], "keys": keys, "variable": variable, "address": found or "AWS"}


def _reason(error: Exception, uri: str) -> str:
    names = _names(uri)
    if isinstance(error, errors.ClientError):
        status = str(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", ""))
        reason = _REASONS.get(code(error)) or _REASONS.get(status)
        return (reason or "Error from the store: {code} ({status}). Try again later.").format(
            **names, code=code(error), status=status
        )
    if isinstance(error, errors.SSLError):
        return (
            f"The TLS certificate of {names['address']} is not trusted ({error}). "
            "Set AWS_CA_BUNDLE to the file of its CA certificate."
        )
    if isinstance(error, BROKEN):
        # The message of a refused connection has only the address.
        cause = error.kwargs.get("error", error)
        # urllib3 puts the system's error behind a text of its own.
        inner = cause.args[-1] if cause.args and isinstance(cause.args[-1], Exception) else cause
        return (
            f"No response from the store at {names['address']} ({str(inner).rstrip('.')}). "
            f"Check the network, and {names['variable']} in this step's environment."
        )
    if isinstance(error, errors.ParamValidationError):
        return _REASONS["InvalidBucketName" if objects.split(uri)[1] else "NoName"].format(**names)
    if isinstance(error, errors.BotoCoreError):
        return f"{str(error).rstrip('.')}. Check the credentials ({names['keys']})."
    return explain(error) or f"{error}. Check the free disk space and the network."
