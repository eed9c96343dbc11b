"""Objects in S3, and in stores that speak its language: read, and published as folders that never change.

`s3://` is AWS, or the store that `AWS_ENDPOINT_URL_S3` or `AWS_ENDPOINT_URL` names. `minio://` is how Kubeflow Pipelines
names its own store, whatever serves it: there `MINIO_ENDPOINT_URL`, `MINIO_ACCESS_KEY` and `MINIO_SECRET_KEY` come first.
Else the credentials are those that AWS's tools would find: `AWS_ACCESS_KEY_ID` and its kin, `~/.aws`, a role of the pod's
service account or of the machine.

Nothing here replaces an object by compare-and-swap: what serves is shared state, and TensorFlow Serving reads no S3.
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
        f"s3:// and minio:// locations need the package pyarrow ({missing}). "
        "Install it, or run in one of Tiffin's environments 'data' and 'model'."
    ) from missing

# Where the launcher of Kubeflow Pipelines looks for its store, from 2.16 on, unless its own settings say otherwise.
STORE = "http://seaweedfs.kubeflow:9000"
# How often a request that fails for a passing reason is made; the waits between add up to half a minute at most.
ATTEMPTS = 6
_CHUNK_BYTES = 16 << 20  # each is a request


@functools.cache
def _connect(process: int, attempts: int, options: tuple[tuple[str, str], ...]) -> Any:
    """Return a file system. Its connections must not cross a fork, and tests change the rest: all are in the key."""
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
    """Return what the environment says of the store, as pyarrow's options."""
    name, endpoint = _endpoint(is_kubeflows)
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    options = {"region": region} if region else {}
    if endpoint:
        match = re.fullmatch(r"(https?)://([^/@?#\s]+)/?", endpoint)
        if not match:
            # What stands before an @ may be a password.
            raise InputError(
                f"{name} should be http://host:port or https://host. "
                f"Received: {name}='{re.sub(r'.*@', '…@', endpoint)}'. Correct it where the step gets it from."
            )
        # Other stores than AWS have no regions, but a request is signed for one.
        options = {"region": "us-east-1", **options, "scheme": match[1], "endpoint_override": match[2]}
    if is_kubeflows and os.environ.get("MINIO_ACCESS_KEY") and os.environ.get("MINIO_SECRET_KEY"):
        options |= {"access_key": os.environ["MINIO_ACCESS_KEY"], "secret_key": os.environ["MINIO_SECRET_KEY"]}
    return options


def _endpoint(is_kubeflows: bool) -> tuple[str, str]:
    """Return the variable that names the store's address, and the address; it is empty for AWS."""
    names = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]
    if is_kubeflows:
        names.insert(0, "MINIO_ENDPOINT_URL")
    name = next((name for name in names if os.environ.get(name)), names[0])
    return name, os.environ.get(name) or (STORE if is_kubeflows else "")


@functools.cache
def _region(bucket: str) -> str:
    """Ask AWS for the region of a bucket: a request to another one is refused."""
    return str(fs.resolve_s3_region(bucket))


@contextlib.contextmanager
def _explained(doing: str, uri: str) -> Iterator[None]:
    """Turn pyarrow's errors into a StorageError that says what could not be done, why, and what to do."""
    try:
        yield
    except StorageError:
        raise
    except (OSError, pyarrow.ArrowException) as error:
        raise StorageError(f"Could not {doing} '{uri}'. {_reason(error, uri)}") from error


# How pyarrow begins to say that an object is not there.
_ABSENT = "Path does not exist"
# The first row whose pattern is in what pyarrow says gives the reason.
_REASONS = (
    (
        r"NETWORK_CONNECTION|REQUEST_TIMEOUT",
        "The store cannot be reached at {address} ({wire}). Check the network, and {variable} in this step's environment.",
    ),
    (
        r"ACCESS_DENIED|HTTP status 40[13]",
        "Access is denied (403). Give this step credentials that may list and read the bucket '{bucket}' ({keys}), "
        "or name another bucket.",
    ),
    (
        r"INVALID_ACCESS_KEY_ID|SIGNATURE_DOES_NOT_MATCH|INVALID_CLIENT_TOKEN_ID|ExpiredToken|InvalidToken",
        "The store refuses the credentials. Check or renew them ({keys}).",
    ),
    (
        r"HTTP status 301|AuthorizationHeaderMalformed",
        "The bucket '{bucket}' is in another region. Set AWS_REGION to the bucket's.",
    ),
    (r"REQUEST_TIME_TOO_SKEWED", "This machine's clock differs from the store's. Set it."),
    (
        r"NO_SUCH_BUCKET|Bucket '.*' not found",
        "There is no bucket '{bucket}' (404) at {address}. Check its name and {variable}.",
    ),
    (
        r"Empty path component|maximum nesting depth",
        "A name there should have no empty part, as between '//'. Correct it.",
    ),
    (
        _ABSENT,
        "There is no such object, or no bucket '{bucket}' (404), at {address}. Check the names and {variable}.",
    ),
    (r"HTTP status 400", "The store refuses the request (400). Check the credentials ({keys}) and AWS_REGION."),
)


def _reason(error: BaseException, uri: str) -> str:
    is_kubeflows = uri.startswith("minio:")
    keys = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a role of the pod's service account"
    if is_kubeflows:
        keys = "MINIO_ACCESS_KEY and MINIO_SECRET_KEY, from Kubeflow's secret mlpipeline-minio-artifact"
    variable, address = _endpoint(is_kubeflows)
    # Before it stands the object's name, which may be any words.
    answer = str(error).rpartition("AWS Error ")[2]
    reason = next((reason for pattern, reason in _REASONS if re.search(pattern, answer)), None)
    if reason is None:
        # A failed write of a download is this machine's; what is left, the store's.
        return explain(error) or f"The store answered: {answer}. Try again later."
    wire = answer.rpartition("curlCode: ")[2]
    bucket = objects.split(uri)[0]
    return reason.format(bucket=bucket, keys=keys, variable=variable, address=address or "AWS", wire=wire)


def _path(uri: str) -> str:
    """Return a location as pyarrow takes it: `bucket/name`."""
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
    """Return pyarrow's descriptions of what is in `bucket/prefix`; none if it is not there."""
    selector = fs.FileSelector(folder, recursive=recursive, allow_not_found=True)
    return list(_store(uri).get_file_info(selector))


def _check_bucket(uri: str) -> None:
    """Raise if there is no bucket, which pyarrow takes for an empty one."""
    if _store(uri).get_file_info(objects.split(uri)[0]).type == fs.FileType.NotFound:
        raise FileNotFoundError(_ABSENT)


def list_files(location: str) -> list[tuple[str, int, str]]:
    """Return URI and size in bytes of each data object at `location`, an object, a prefix or a glob; no generations."""
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
        StorageError: It cannot be read, or was replaced meanwhile: parts of both would be in the file.
    """
    with _explained("download", uri):
        store = _store(uri)
        with store.open_input_stream(_path(uri)) as source, open(path, "wb") as target:
            before = _tag(source)
            shutil.copyfileobj(source, target, _CHUNK_BYTES)
        with store.open_input_stream(_path(uri)) as source:
            if _tag(source) != before:
                raise StorageError(
                    f"'{uri}' should stay as it is while it is read. Received: another object meanwhile. Try again."
                )


def read(uri: str) -> tuple[bytes, str] | None:
    """Return an object's content and its ETag, or None if it is not there."""
    with _explained("read", uri):
        try:
            with _store(uri).open_input_stream(_path(uri)) as stream:
                return stream.read(), _tag(stream)
        except FileNotFoundError:
            return None


def _tag(stream: Any) -> str:
    """Return what changes with an object's content."""
    return str(stream.metadata().get("ETag", b"").decode())


def compare_and_swap(uri: str, content: bytes, expected: str | None) -> str:
    """Refuse."""
    raise _unchanging(uri)


def delete(uri: str) -> None:
    """Refuse: what was published never changes."""
    raise _unchanging(uri)


def _unchanging(uri: str) -> InputError:
    """Return the error of a location on S3 where shared state, such as the serving root, should be."""
    return InputError(
        f"What changes, such as a serving root, should be on a volume or in gs://. Received: '{uri}'. "
        "TensorFlow Serving reads no S3: mount a volume, and pass its path."
    )


def publish_folder(local: Path, uri: str) -> None:
    """Upload the folder `local` to `uri`, files at its top last; never replace an object that differs.

    Two publications at once are told apart by no precondition, so that the name should say the content, as a data version.
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
                # Not by a stream of ours: one that is closed after an error would complete an object cut short.
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
    """Return whether there is an object, or one below it as in a folder."""
    with _explained("look at", uri):
        return bool(_store(uri).get_file_info(_path(uri)).type != fs.FileType.NotFound)


def find(root_uri: str, names: set[str]) -> list[str]:
    """Return the URIs of the objects under `root_uri` with one of these base names, sorted."""
    bucket, name = objects.split(root_uri.rstrip("/"))
    scheme = root_uri.partition("://")[0]
    with _explained("search", root_uri):
        entries = _list(root_uri, name + "/" if name else "")
        if not entries:
            _check_bucket(root_uri)
    return [f"{scheme}://{bucket}/{entry.name}" for entry in entries if entry.name.rpartition("/")[2] in names]
