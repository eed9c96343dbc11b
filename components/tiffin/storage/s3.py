"""Objects in S3 and S3-compatible stores: reading, and publishing folders that never change.

`s3://` is AWS, or the store at `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL`. `minio://` is the scheme of Kubeflow Pipelines'
own store, whatever its server: `MINIO_ENDPOINT_URL`, `MINIO_ACCESS_KEY` and `MINIO_SECRET_KEY` take precedence there.
Otherwise credentials are found as by AWS's tools: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, `~/.aws`, or the role
of the pod's service account or of the machine.

Compare-and-swap is not supported: only the serving root needs it, and TensorFlow Serving cannot read S3.
"""

import contextlib
import functools
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import InputError, StorageError, explain
from tiffin.storage import files, objects

try:
    import pyarrow
    from pyarrow import fs
except ImportError as missing:
    raise StorageError(
        f"s3:// and minio:// locations require the package pyarrow ({missing}). "
        "Install it, or run in one of Tiffin's environments 'data' and 'model'."
    ) from missing

# Default address of the store in the launcher of Kubeflow Pipelines 2.16 and later.
STORE = "http://seaweedfs.kubeflow:9000"
# Attempts for a request that fails with a transient error; the waits add up to half a minute at most.
ATTEMPTS = 6
_CHUNK_BYTES = 16 << 20  # one request each


@functools.cache
def _connect(process: int, attempts: int, options: tuple[tuple[str, str], ...]) -> Any:
    """Return a file system, cached per process, because connections must not cross a fork, and per options."""
    return fs.S3FileSystem(
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=attempts),
        connect_timeout=5,
        request_timeout=30,
        **dict(options),
    )


def _store(uri: str) -> Any:
    options = _options(uri.startswith("minio:"))
    if "region" not in options:
        options["region"] = _region(objects.split(uri)[0])
    return _connect(os.getpid(), ATTEMPTS, tuple(options.items()))


def _options(is_kubeflows: bool) -> dict[str, str]:
    """Return pyarrow's options for the store from the environment variables."""
    name, endpoint = _endpoint(is_kubeflows)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options = {"region": region} if region else {}
    if endpoint:
        match = re.fullmatch(r"(https?)://([^/@?#\s]+)/?", endpoint)
        if not match:
            # The part before an @ may be a password.
            raise InputError(
                f"{name} should be http://host:port or https://host. "
                f"Received: {name}='{re.sub(r'.*@', '…@', endpoint)}'. Correct this step's environment variable."
            )
        # Stores other than AWS have no regions, but the signature of a request includes one.
        options = {"region": "us-east-1", **options, "scheme": match[1], "endpoint_override": match[2]}
    if is_kubeflows and os.environ.get("MINIO_ACCESS_KEY") and os.environ.get("MINIO_SECRET_KEY"):
        options |= {"access_key": os.environ["MINIO_ACCESS_KEY"], "secret_key": os.environ["MINIO_SECRET_KEY"]}
    return options


def _endpoint(is_kubeflows: bool) -> tuple[str, str]:
    """Return the variable with the store's address, and the address; empty for AWS."""
    names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
    if is_kubeflows:
        names.insert(0, "MINIO_ENDPOINT_URL")
    name = next((name for name in names if os.environ.get(name)), names[0])
    return name, os.environ.get(name) or (STORE if is_kubeflows else "")


@functools.cache
def _region(bucket: str) -> str:
    """Return the region of an AWS bucket; requests to other regions fail."""
    return str(fs.resolve_s3_region(bucket))


@contextlib.contextmanager
def _explained(doing: str, uri: str) -> Iterator[None]:
    """Convert pyarrow's errors to a StorageError with the failed action, the reason and the next step."""
    try:
        yield
    except StorageError:
        raise
    except (OSError, pyarrow.ArrowException) as error:
        raise StorageError(f"Could not {doing} '{uri}'. {_reason(error, uri)}") from error


# Start of pyarrow's message for a missing object.
_ABSENT = "Path does not exist"
# The first row whose pattern matches pyarrow's message gives the reason.
_REASONS = (
    (
        r"NETWORK_CONNECTION|REQUEST_TIMEOUT",
        "No response from the store at {address} ({wire}). Check the network, and {variable} in this step's environment.",
    ),
    (
        r"ACCESS_DENIED|HTTP status 40[13]",
        "Access denied (403). Give this step credentials that may list and read the bucket '{bucket}' ({keys}), "
        "or choose another bucket.",
    ),
    (
        r"INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN_ID|ExpiredToken|InvalidToken",
        "Authentication failed. Check or renew the credentials ({keys}).",
    ),
    (
        r"HTTP status 301|AuthorizationHeaderMalformed",
        "The bucket '{bucket}' is in another region. Set AWS_REGION to the bucket's region.",
    ),
    (r"REQUEST_TIME_TOO_SKEWED", "This machine's clock differs from the store's clock. Correct it."),
    (
        r"NO_SUCH_BUCKET|Bucket '.*' not found",
        "No such bucket: '{bucket}' (404) at {address}. Check its name and {variable}.",
    ),
    (
        r"Empty path component|maximum nesting depth",
        "An object's name must not contain '//'. Correct it.",
    ),
    (
        _ABSENT,
        "No such object, or no such bucket: '{bucket}' (404) at {address}. Check the names and {variable}.",
    ),
    (r"HTTP status 400", "The store rejected the request (400). Check the credentials ({keys}) and AWS_REGION."),
)


def _reason(error: BaseException, uri: str) -> str:
    is_kubeflows = uri.startswith("minio:")
    keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the role of the pod's service account"
    if is_kubeflows:
        keys = "MINIO_ACCESS_KEY and MINIO_SECRET_KEY, from Kubeflow's secret mlpipeline-minio-artifact"
    variable, address = _endpoint(is_kubeflows)
    # The part before contains the object's name, which could match a pattern.
    answer = str(error).rpartition("AWS Error ")[2]
    reason = next((reason for pattern, reason in _REASONS if re.search(pattern, answer)), None)
    if reason is None:
        # A download may fail on this machine, such as on a full disk; other errors are the store's.
        return explain(error) or f"Error from the store: {answer.rstrip('.')}. Try again later."
    wire = answer.rpartition("curlCode: ")[2]
    bucket = objects.split(uri)[0]
    return reason.format(bucket=bucket, keys=keys, variable=variable, address=address or "AWS", wire=wire)


def _path(uri: str) -> str:
    """Return a location in pyarrow's form, `bucket/name`."""
    return "/".join(objects.split(uri)).rstrip("/")


def _list(uri: str, prefix: str, *, flat: bool = False) -> list[objects.Entry]:
    """Return the objects whose name starts with `prefix`, sorted; with `flat`, none below the next `/`."""
    bucket = objects.split(uri)[0]
    found = [
        objects.Entry(info.path[len(bucket) + 1 :], info.size)
        for info in _infos(uri, f"{bucket}/{prefix}".rpartition("/")[0], recursive=not flat)
        if info.type == fs.FileType.File
    ]
    return sorted((entry for entry in found if entry.name.startswith(prefix)), key=lambda entry: entry.name)


def _infos(uri: str, folder: str, *, recursive: bool = False) -> list[Any]:
    """Return pyarrow's file infos of the folder `bucket/prefix`; none if it does not exist."""
    selector = fs.FileSelector(folder, recursive=recursive, allow_not_found=True)
    return list(_store(uri).get_file_info(selector))


def _check_bucket(uri: str) -> None:
    """Raise if the bucket does not exist: pyarrow lists it as empty."""
    if _store(uri).get_file_info(objects.split(uri)[0]).type == fs.FileType.NotFound:
        raise FileNotFoundError(_ABSENT)


def list_files(location: str) -> list[tuple[str, int, str]]:
    """Return URI, size in bytes and an empty generation of each data object at `location` (object, prefix or glob)."""
    scheme, bucket = location.partition("://")[0], objects.split(location)[0]

    def get(name: str) -> objects.Entry | None:
        info = _store(location).get_file_info(f"{bucket}/{name}")
        return objects.Entry(name, info.size) if info.type == fs.FileType.File else None

    def siblings(prefix: str) -> list[str]:
        _check_bucket(location)
        return [info.base_name for info in _infos(location, f"{bucket}/{prefix}".rstrip("/"))]

    with _explained("list", location):
        found = objects.select(objects.split(location)[1], get, lambda prefix, flat: _list(location, prefix, flat=flat))
        if not found:
            raise objects.nothing(location, siblings)
        return [(f"{scheme}://{bucket}/{entry.name}", entry.size_bytes, "") for entry in found]


def download(uri: str, path: Path) -> None:
    """Stream an object to `path`.

    Raises:
        StorageError: The object cannot be read, or was replaced during the download, which would mix both contents.
    """
    with _explained("download", uri):
        store = _store(uri)
        with store.open_input_stream(_path(uri)) as source, open(path, "wb") as target:
            before = _tag(source)
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
        with store.open_input_stream(_path(uri)) as source:
            if _tag(source) != before:
                raise StorageError(f"'{uri}' was replaced during the download. Try again.")


def read(uri: str) -> tuple[bytes, str] | None:
    """Return an object's content and its ETag, or None if it does not exist."""
    with _explained("read", uri):
        try:
            with _store(uri).open_input_stream(_path(uri)) as stream:
                return stream.read(), _tag(stream)
        except FileNotFoundError:
            return None


def _tag(stream: Any) -> str:
    """Return the ETag, which changes with an object's content."""
    return str(stream.metadata().get("ETag", b"").decode())


def compare_and_swap(uri: str, content: bytes, expected: str | None) -> str:
    """Raise InputError: S3 does not support compare-and-swap."""
    raise _unchanging(uri)


def delete(uri: str) -> None:
    """Raise InputError: published folders never change."""
    raise _unchanging(uri)


def _unchanging(uri: str) -> InputError:
    """Return the error of shared state, such as the serving root, on S3."""
    return InputError(
        f"Shared state, such as a serving root, should be on a volume or in gs://. Received: '{uri}'. "
        "TensorFlow Serving cannot read S3. Mount a volume, and pass its path."
    )


def publish_folder(local: Path, uri: str) -> None:
    """Upload the folder `local` to `uri`, files at its top last, without replacing an object that differs.

    Concurrent publications are not detected, so derive the name from the content, such as from the data version.
    """
    uri = uri.rstrip("/")
    with _explained("publish", uri):
        prefix = objects.split(uri)[1] + "/"
        present = {entry.name[len(prefix) :]: entry.size_bytes for entry in _list(uri, prefix)}
        names = files.relative_files(local)
        if any(name not in names or not _is_copy(local / name, f"{uri}/{name}", present[name]) for name in present):
            raise files.taken(uri)
        for name in sorted(names, key=lambda name: (-name.count("/"), name)):
            if name not in present:
                # Closing an output stream after an error would complete a truncated object; copy_files does not.
                target = f"{_path(uri)}/{name}"
                fs.copy_files(str(local / name), target, fs.LocalFileSystem(), _store(uri), chunk_size=_CHUNK_BYTES)


def _is_copy(path: Path, uri: str, size: int) -> bool:
    if path.stat().st_size != size:
        return False
    with _store(uri).open_input_stream(_path(uri)) as stored, open(path, "rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            if stored.read(len(chunk)) != chunk:
                return False
    return True


def exists(uri: str) -> bool:
    """Return whether an object of this name, or one below it, exists."""
    with _explained("read", uri):
        return bool(_store(uri).get_file_info(_path(uri)).type != fs.FileType.NotFound)


def find(root_uri: str, names: set[str]) -> list[str]:
    """Return the sorted URIs of the objects under `root_uri` with one of these base names."""
    bucket, name = objects.split(root_uri.rstrip("/"))
    scheme = root_uri.partition("://")[0]
    with _explained("search", root_uri):
        entries = _list(root_uri, name + "/" if name else "")
        if not entries:
            _check_bucket(root_uri)
    return [f"{scheme}://{bucket}/{entry.name}" for entry in entries if entry.name.rpartition("/")[2] in names]
