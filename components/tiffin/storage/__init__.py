"""The same functions for local disk, Google Cloud Storage and S3.

A location is a path, `file:///path`, `gs://bucket/path`, `s3://bucket/path` or, for Kubeflow Pipelines' own store,
`minio://bucket/path`. A store's library is imported on first use of a location in that store. Cloud Storage honours
`STORAGE_EMULATOR_HOST`; `tiffin.storage.s3_connection` lists the environment variables for S3.

State that several processes change is read with its version and written by compare-and-swap:

    found = storage.read(uri)
    content, version = found or (b"", None)
    storage.compare_and_swap(uri, changed(content), version)  # Conflict if another process was first
"""

import contextlib
import os
import re
import tempfile
import types
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tiffin.errors import InputError, StorageError
from tiffin.storage import files

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")


@dataclass(frozen=True)
class SourceFile:
    """A data file.

    Attributes:
        uri: Absolute path on local disk, or a URI such as `gs://bucket/name`.
        size_bytes: Size in bytes.
        generation: Generation of a Cloud Storage object; empty elsewhere.
    """

    uri: str
    size_bytes: int
    generation: str = ""


def list_files(location: str) -> list[SourceFile]:
    """Return the data files at `location`, sorted by name.

    Args:
        location: A file, a folder (searched recursively) or a glob (`*`, `?`, `[…]`, and `**` for any folders).
            Folders and wildcards skip names that start with `.` or `_`.

    Raises:
        InputError: No file matches.
        StorageError: The location cannot be read.
    """
    place, name = _resolve(location)
    if place is None:
        return [SourceFile(path, size) for path, size in files.list_files(name)]
    return [SourceFile(uri, size, generation) for uri, size, generation in place.list_files(name)]


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """Yield a path on local disk with the content of `uri`: the file itself, or a verified temporary download."""
    place, name = _resolve(uri)
    if place is None:
        if not os.path.isfile(name):
            raise StorageError(f"No such file: '{uri}'. Check the path.")
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="tiffin-") as folder:
        # Some readers choose the format by the suffix.
        path = Path(folder, os.path.basename(name))
        place.download(name, path)
        yield path


def digest(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a local file's content, in constant memory."""
    return files.digest(path)


def read(uri: str) -> tuple[bytes, str] | None:
    """Return the content and a version token, or None if the file does not exist.

    The token is the `expected` argument of `compare_and_swap`: the generation on Cloud Storage, the ETag on S3, a digest on
    local disk.
    """
    place, name = _resolve(uri)
    found: tuple[bytes, str] | None = (place or files).read(name)
    return found


def read_text(uri: str) -> str:
    """Return a file's content as text.

    Raises:
        StorageError: The file does not exist or is not UTF-8.
    """
    found = read(uri)
    if found is None:
        raise StorageError(f"No such file: '{uri}'. Check the path.")
    try:
        return found[0].decode()
    except UnicodeDecodeError as error:
        raise StorageError(f"'{uri}' is not UTF-8 text: {error}. Convert it to UTF-8.") from None


def compare_and_swap(uri: str, content: bytes, expected: str | None) -> str:
    """Write `content` if the version is still `expected`, and return the new version token.

    Args:
        uri: File to write.
        content: Complete new content.
        expected: Token that `read` returned; None if the file must not exist.

    Raises:
        Conflict: The file has another version.
        StorageError: The file cannot be written, or its store failed on every attempt; the write may have taken effect.
    """
    place, name = _resolve(uri)
    token: str = (place or files).compare_and_swap(name, content, expected)
    return token


def compare_and_delete(uri: str, expected: str) -> None:
    """Delete a file if its version is still `expected`, the token that `read` returned.

    Raises:
        Conflict: The file has another version.
    """
    place, name = _resolve(uri)
    (place or files).compare_and_delete(name, expected)


def write_new(uri: str, content: bytes) -> None:
    """Write a file that must not exist yet.

    Raises:
        Conflict: The file exists.
    """
    compare_and_swap(uri, content, None)


def publish_folder(local: Path, uri: str) -> None:
    """Copy the folder `local` to `uri`, where it never changes afterwards.

    On local disk the copy is atomic. Cloud Storage and S3 cannot rename folders: files at the top of the folder are
    uploaded last, and readers wait until a config refers to the folder. Publishing the same content again does nothing,
    or completes an interrupted publication.

    Raises:
        InputError: `local` is not a folder, or is empty.
        Conflict: `uri` has other content.
    """
    if not local.is_dir() or not files.relative_files(local):
        raise InputError(
            f"A folder to publish should contain files. Received: '{local}', which is "
            f"{'empty' if local.is_dir() else 'not a folder'}. Pass the folder of the model."
        )
    place, name = _resolve(uri)
    (place or files).publish_folder(local, name)


def exists(uri: str) -> bool:
    """Return whether a file or a folder exists at `uri`."""
    place, name = _resolve(uri)
    return os.path.exists(name) if place is None else bool(place.exists(name))


def delete(uri: str) -> None:
    """Delete a file, or a folder recursively; do nothing if it does not exist."""
    place, name = _resolve(uri)
    if name == "/" or re.fullmatch(r"\w+://[^/]+/?", name):
        raise InputError(f"A location to delete should be a file or a folder, not a root. Received: '{uri}'.")
    (place or files).delete(name)


def find(root_uri: str, names: set[str]) -> list[str]:
    """Return the sorted URIs of all files under `root_uri` whose base name is in `names`; none if it does not exist."""
    place, name = _resolve(root_uri)
    found: list[str] = (place or files).find(name, names)
    return found


def join(root: str, *parts: str) -> str:
    """Return the location of `parts` under `root`.

    Args:
        root: Path or URI.
        *parts: Names, or relative paths with `/` as separator.

    Raises:
        InputError: A part is empty, absolute, or contains `.`, `..` or a NUL.
    """
    for part in parts:
        if any(name in ("", ".", "..") or "\0" in name for name in part.split("/")):
            raise InputError(
                f"A path under '{root}' should consist of names, without '..', '.' or an empty part. "
                f"Received: {part!r}. Use a plain name."
            )
    return "/".join([root.rstrip("/") if root.strip("/") else "", *parts]) if parts else root


# Scheme to the name of its URIs, for error messages.
_STORES = {"gs": "A Cloud Storage", "s3": "An S3", "minio": "A MinIO"}
_KNOWN = "file://, gs://, s3:// or minio://"


def _resolve(uri: str) -> tuple[types.ModuleType | None, str]:
    """Return the module of a remote location, None for local disk, and the location in the form that the module takes."""
    if not uri or "\0" in uri:
        raise InputError(f"A location should be a path, or start with {_KNOWN}. Received: {uri!r}.")
    match = _SCHEME.match(uri)
    if not match:
        return None, os.path.abspath(uri)
    scheme, rest = match.group(1).lower(), uri[match.end() :]
    if scheme == "file":
        parsed = urllib.parse.urlsplit(uri)
        if parsed.netloc not in ("", "localhost") or not parsed.path.startswith("/"):
            raise InputError(f"A file URI should be file:///absolute/path. Received: '{uri}'. Add the third slash.")
        return None, os.path.abspath(urllib.parse.unquote(rest[len(parsed.netloc) :]))
    if scheme not in _STORES:
        raise InputError(
            f"A location should be a path, or start with {_KNOWN}. Received: '{uri}'. "
            "Copy the data to one of these, or mount it as a folder."
        )
    if not rest or rest.startswith("/"):
        raise InputError(f"{_STORES[scheme]} URI should be {scheme}://bucket/name. Received: '{uri}'. Add the bucket.")
    if "@" in rest and re.search("[:@]", rest.partition("/")[0]):
        raise InputError(
            "A location should not contain a login, since locations are shown with the run and in its logs. "
            f"Received: '{uri}'. Set the store's credentials in the step's environment."
        )
    if scheme == "gs":
        from tiffin.storage import gcs

        return gcs, f"{scheme}://{rest}"
    from tiffin.storage import s3

    return s3, f"{scheme}://{rest}"
