"""Objects in Google Cloud Storage: listing, verified downloads, and writes with generation preconditions."""

import base64
import contextlib
import functools
import os
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import InputError, StorageError
from tiffin.storage import files, objects, trail

try:
    import google_crc32c
    import requests
    from google.api_core import exceptions
    from google.auth import exceptions as auth_exceptions
    from google.cloud import storage as google_storage
    from google.cloud.storage import retry as google_retry
except ImportError as missing:
    raise StorageError(
        f"gs:// locations require the package google-cloud-storage ({missing}). "
        "Install it, or run in one of Tiffin's environments."
    ) from missing

# Time during which a request that fails with a transient error is retried.
RETRY_SECONDS = 60.0
_CHUNK_BYTES = 1 << 20
# Attempts for a download that arrives with another checksum, or whose object is replaced meanwhile.
ATTEMPTS = 6
_TRAIL = "tiffin-writes"


@functools.cache
def _connect(process: int, emulator: str | None) -> Any:
    """Return a client, cached per process, because connections must not cross a fork, and per emulator."""
    return google_storage.Client(project=None) if emulator is None else google_storage.Client()


def _bucket(uri: str) -> Any:
    client = _connect(os.getpid(), os.environ.get("STORAGE_EMULATOR_HOST"))
    return client.bucket(objects.split(uri)[0])


def _retry() -> Any:
    return google_retry.DEFAULT_RETRY.with_timeout(RETRY_SECONDS)


@contextlib.contextmanager
def _explained(doing: str, uri: str) -> Iterator[None]:
    """Convert the library's errors to a StorageError with the failed action, the reason and the next step."""
    try:
        yield
    except (StorageError, InputError):
        raise
    except Exception as error:
        reason = _reason(error, objects.split(uri)[0])
        if reason is None:
            raise
        raise StorageError(f"Could not {doing} '{uri}'. {reason}") from error


# The first row whose classes match the error gives the reason; {bucket} and {error} are filled in.
_REASONS: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    (
        (auth_exceptions.DefaultCredentialsError,),
        "No Google credentials found. Run 'gcloud auth application-default login', "
        "set GOOGLE_APPLICATION_CREDENTIALS, or give the pod a service account.",
    ),
    (
        (auth_exceptions.TransportError, requests.exceptions.ConnectionError, requests.exceptions.Timeout),
        "No response from Cloud Storage. Check the network, and STORAGE_EMULATOR_HOST if it is set.",
    ),
    (
        (auth_exceptions.GoogleAuthError, exceptions.Unauthorized),
        "Authentication failed: Google rejected the credentials. Log in again, or replace the key.",
    ),
    (
        (exceptions.Forbidden,),
        "Access denied (403). Grant this account the role Storage Object User on the bucket '{bucket}', "
        "or choose another bucket.",
    ),
    (
        (exceptions.NotFound,),
        "No such object, or no such bucket: '{bucket}' (404). Check the names, or create the bucket.",
    ),
    ((exceptions.GoogleAPICallError,), "Error from Cloud Storage: {error}. Try again later."),
    ((OSError,), "{error}. Check the free disk space and the network."),
)


def _reason(error: BaseException, bucket: str) -> str | None:
    if isinstance(error, exceptions.RetryError) and error.cause is not None:
        return _reason(error.cause, bucket)
    if _is_corrupt(error):
        return (
            "The answer was discarded: it is cut off, or its checksum does not match. Try again; check the network if it "
            "happens again."
        )
    if type(error).__name__ == "InvalidResponse":  # of a download
        return f"Error from Cloud Storage: {' '.join(map(str, error.args[:2]))}. Try again later."
    reasons = (reason for classes, reason in _REASONS if isinstance(error, classes))
    reason = next(reasons, None)
    return reason and reason.format(bucket=bucket, error=error)


def _list(uri: str, prefix: str, *, flat: bool = False) -> Iterator[Any]:
    """Yield the objects whose name starts with `prefix`, sorted; with `flat`, none below the next `/`."""
    bucket = _bucket(uri)
    delimiter = "/" if flat else None
    yield from bucket.client.list_blobs(bucket, prefix=prefix, delimiter=delimiter, retry=_retry())


def _uri(blob: Any) -> str:
    return f"gs://{blob.bucket.name}/{blob.name}"


def list_files(location: str) -> list[tuple[str, int, str]]:
    """Return URI, size in bytes and generation of each data object at `location`: an object, a prefix or a glob."""
    bucket, name = objects.split(location)

    def get(name: str) -> objects.Entry | None:
        blob = _bucket(location).get_blob(name, retry=_retry())
        return None if blob is None else _entry(blob)

    def siblings(prefix: str) -> set[str]:
        return {blob.name[len(prefix) :].split("/")[0] for blob in _list(location, prefix)}

    with _explained("list", location):
        found = objects.select(name, get, lambda prefix, flat: map(_entry, _list(location, prefix, flat=flat)))
        if not found:
            raise objects.nothing(location, siblings)
        return [(f"gs://{bucket}/{entry.name}", entry.size_bytes, entry.generation) for entry in found]


def _entry(blob: Any) -> objects.Entry:
    return objects.Entry(blob.name, int(blob.size), str(blob.generation))


def _get(uri: str) -> tuple[Any, Any] | None:
    """Return the object's metadata and a handle pinned to its generation, or None if it does not exist."""
    bucket, name = _bucket(uri), objects.split(uri)[1]
    blob = bucket.get_blob(name, retry=_retry())
    return None if blob is None else (blob, bucket.blob(name, generation=blob.generation))


def download(uri: str, path: Path) -> None:
    """Stream an object to `path` and verify its CRC32C."""
    with _explained("download", uri):
        received = _receive(
            uri, lambda object: object.download_to_filename(str(path), checksum="crc32c", retry=_retry())
        )
        if received is None:
            raise exceptions.NotFound("no such object")


def read(uri: str) -> tuple[bytes, str] | None:
    """Return an object's content and generation, or None if it does not exist."""
    with _explained("read", uri):
        return _receive(uri, lambda object: object.download_as_bytes(checksum="crc32c", retry=_retry()))


def _receive(uri: str, receive: Callable[[Any], Any]) -> tuple[Any, str] | None:
    """Return what `receive` returns for an object's current generation, and the generation; None if it does not exist."""
    failure: Exception
    for attempt in range(ATTEMPTS):
        try:
            found = _get(uri)
            return found and (receive(found[1]), str(found[0].generation))
        except exceptions.NotFound as error:
            # The object was replaced between the two requests, or a proxy does not pass downloads on.
            failure = error
        except Exception as error:
            if not _is_corrupt(error):
                raise
            failure = error
        time.sleep(0.05 * 2**attempt)
    if _is_corrupt(failure):
        raise failure
    raise StorageError(
        f"Could not read '{uri}'. Its generation was found, but not its content (404), in {ATTEMPTS} attempts. "
        "Try again, if other processes replace it all the time; otherwise check the proxy to Cloud Storage."
    )


def _is_corrupt(error: BaseException) -> bool:
    # A class of the library that moved between its releases, and a description that was cut off.
    return type(error).__name__ == "DataCorruption" or isinstance(error, requests.exceptions.JSONDecodeError)


def compare_and_swap(uri: str, content: bytes, expected: str | None) -> str:
    """Replace an object if its generation is still `expected` (None: it does not exist), and return the new one."""
    with _explained("write", uri):
        bucket, name = _bucket(uri), objects.split(uri)[1]
        before = bucket.get_blob(name, generation=int(expected), retry=_retry()) if expected else None
        if expected and before is None:
            raise files.changed(uri, expected)
        mine = uuid.uuid4().hex[:16]
        blob = bucket.blob(name)
        blob.metadata = {_TRAIL: trail.extend(mine, _trail(before), expected)}
        try:
            blob.upload_from_string(content, if_generation_match=int(expected or 0), checksum="crc32c", retry=_retry())
        except exceptions.PreconditionFailed:
            # The answer to the first attempt may have been lost: look for this write in the object's trail.
            current = bucket.get_blob(name, retry=_retry())
            found = current and trail.find(mine, _trail(current), str(current.generation))
            if not found:
                raise files.changed(uri, expected) from None
            return str(found)
        return str(blob.generation)


def _trail(blob: Any) -> str | None:
    return blob and (blob.metadata or {}).get(_TRAIL)


def compare_and_delete(uri: str, expected: str) -> None:
    """Delete an object if its generation is still `expected`."""
    with _explained("delete", uri):
        try:
            # An object that is gone was deleted by the attempt whose answer was lost, or by another process.
            with contextlib.suppress(exceptions.NotFound):
                _bucket(uri).blob(objects.split(uri)[1]).delete(if_generation_match=int(expected), retry=_retry())
        except exceptions.PreconditionFailed:
            if _get(uri) is not None:
                raise files.changed(uri, expected) from None


def publish_folder(local: Path, uri: str) -> None:
    """Upload the folder `local` to `uri`, files at its top last, without replacing an object that differs."""
    with _explained("publish", uri):
        prefix = objects.split(uri)[1].rstrip("/") + "/"
        present = {blob.name[len(prefix) :]: blob.crc32c for blob in _list(uri, prefix) if blob.name != prefix}
        names = files.relative_files(local)
        if any(name not in names or crc != _crc32c(local / name) for name, crc in present.items()):
            raise files.taken(uri)
        for name in sorted(names, key=lambda name: (-name.count("/"), name)):
            if name not in present:
                _upload_new(local / name, f"{uri.rstrip('/')}/{name}")


def _upload_new(path: Path, uri: str) -> None:
    blob = _bucket(uri).blob(objects.split(uri)[1])
    try:
        blob.upload_from_filename(str(path), if_generation_match=0, checksum="crc32c", retry=_retry())
    except exceptions.PreconditionFailed:
        # Either another publisher was first, or the response to the first attempt was lost: compare the content.
        current = _get(uri)
        if current is None or current[0].crc32c != _crc32c(path):
            raise files.taken(uri) from None


def _crc32c(path: Path) -> str:
    """Return a file's CRC32C as base64 of the big-endian bytes, as Cloud Storage does."""
    checksum = google_crc32c.Checksum()
    with open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            checksum.update(chunk)
    return base64.b64encode(checksum.digest()).decode()


def exists(uri: str) -> bool:
    """Return whether an object of this name, or one below it, exists."""
    name = objects.split(uri)[1].rstrip("/")
    with _explained("read", uri):
        if not name:
            return bool(_bucket(uri).exists(retry=_retry()))
        blob = _bucket(uri).get_blob(name, retry=_retry())
        return blob is not None or any(True for _ in _list(uri, name + "/"))


def delete(uri: str) -> None:
    """Delete an object and all objects below it, those at the top first; do nothing if there are none."""
    name = objects.split(uri)[1].rstrip("/")
    with _explained("delete", uri):
        bucket = _bucket(uri)
        for found in objects.from_the_top([name, *(blob.name for blob in _list(uri, name + "/"))]):
            with contextlib.suppress(exceptions.NotFound):
                bucket.blob(found).delete(retry=_retry())


def find(root_uri: str, names: set[str]) -> list[str]:
    """Return the sorted URIs of the objects under `root_uri` with one of these base names."""
    name = objects.split(root_uri)[1].rstrip("/")
    with _explained("search", root_uri):
        return [
            _uri(blob) for blob in _list(root_uri, name + "/" if name else "") if blob.name.rpartition("/")[2] in names
        ]
