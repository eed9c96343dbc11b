"""Local disk, Google Cloud Storage and S3 behind the same functions.

A location is a path, `file:///path`, `gs://bucket/path`, `s3://bucket/path` or, for Kubeflow Pipelines' own store,
`minio://bucket/path`. A store's library is imported when its first location is used. Google's honours
`STORAGE_EMULATOR_HOST`; what S3's takes from the environment is in `tiffin.storage.s3`. S3 is read, and takes published folders,
but holds no state that changes.

State that several processes change is read with its version and written by compare-and-swap:

    found = storage.read(uri)
    content, version = found or (b"", None)
    storage.compare_and_swap(uri, changed(content), version)  # Conflict: somebody else was first
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
    """A file of data.

    Attributes:
        uri: Absolute path on local disk, or a URI such as `gs://bucket/name`.
        size_bytes: Its size.
        generation: The generation of a Cloud Storage object; empty elsewhere.
    """

    uri: str
    size_bytes: int
    generation: str = ""


def list_files(location: str) -> list[SourceFile]:
    """Return the data files at `location`, sorted by name.

    Args:
        location: A file, a folder (with the folders in it) or a glob (`*`, `?`, `[…]`, and `**` for any folders).
            Names that start with `.` or `_` are skipped in folders and by wildcards.

    Raises:
        InputError: There is no such file.
        StorageError: The place cannot be read.
    """
    place, name = _resolve(location)
    if place is None:
        return [SourceFile(path, size) for path, size in files.list_files(name)]
    return [SourceFile(uri, size, generation) for uri, size, generation in place.list_files(name)]


@contextlib.contextmanager
def local_copy(uri: str) -> Iterator[Path]:
    """Yield a path on local disk with the content of `uri`: the file itself, or a checked temporary download."""
    place, name = _resolve(uri)
    if place is None:
        if not os.path.isfile(name):
            raise StorageError(f"There should be a file at '{uri}'. Received: a path without one. Check the path.")
        yield Path(name)
        return
    with tempfile.TemporaryDirectory(prefix="tiffin-") as folder:
        # The suffix stays, for readers that go by it.
        path = Path(folder, os.path.basename(name))
        place.download(name, path)
        yield path


def digest(path: str | Path) -> str:
    """Return the SHA-256 of a local file's content in hexadecimal, in constant memory."""
    return files.digest(path)


def read(uri: str) -> tuple[bytes, str] | None:
    """Return the content and a token of its version, or None if there is no such file.

    The token is what `compare_and_swap` expects: the generation on Cloud Storage, a digest on local disk.
    S3's tag is for telling contents apart alone.
    """
    place, name = _resolve(uri)
    found: tuple[bytes, str] | None = (place or files).read(name)
    return found


def read_text(uri: str) -> str:
    """Return a file's content as text.

    Raises:
        StorageError: There is no such file, or it is not UTF-8.
    """
    found = read(uri)
    if found is None:
        raise StorageError(f"There should be a file at '{uri}'. Received: nothing there. Check the path.")
    try:
        return found[0].decode()
    except UnicodeDecodeError as error:
        raise StorageError(f"'{uri}' should be UTF-8 text. Received: {error}. Write it again as UTF-8.") from None


def compare_and_swap(uri: str, content: bytes, expected: str | None) -> str:
    """Write `content` if the version is still `expected`, and return the token of the new version.

    Args:
        uri: A file.
        content: Its new content, whole.
        expected: The token that `read` returned; None if there should be no such file.

    Raises:
        Conflict: The version is another one.
        InputError: The place is S3.
    """
    place, name = _resolve(uri)
    token: str = (place or files).compare_and_swap(name, content, expected)
    return token


def write_new(uri: str, content: bytes) -> None:
    """Write a file that should not exist yet.

    Raises:
        Conflict: It exists.
    """
    compare_and_swap(uri, content, None)


def publish_folder(local: Path, uri: str) -> None:
    """Put the content of the folder `local` at `uri`, once and for all.

    On local disk it appears under its name complete or not at all. Cloud Storage and S3 have no folders to rename: there
    the files at the top of the folder come last, and its readers wait until a config names it. Publishing the same
    content again does nothing, and completes a publication that was interrupted.

    Raises:
        InputError: `local` is no folder, or is empty.
        Conflict: Something else is at `uri`.
    """
    if not local.is_dir() or not files.relative_files(local):
        raise InputError(
            f"A folder to publish should hold files. Received: '{local}', which is "
            f"{'empty' if local.is_dir() else 'no folder'}. Pass the folder that holds the model."
        )
    place, name = _resolve(uri)
    (place or files).publish_folder(local, name)


def exists(uri: str) -> bool:
    """Return whether there is a file or a folder at `uri`."""
    place, name = _resolve(uri)
    return os.path.exists(name) if place is None else bool(place.exists(name))


def delete(uri: str) -> None:
    """Remove a file, or a folder with all it holds; do nothing if it is not there."""
    place, name = _resolve(uri)
    if name == "/" or re.fullmatch(r"gs://[^/]+/?", name):
        raise InputError(f"Only what is inside a root can be deleted. Received: '{uri}'. Name a file or a folder.")
    (place or files).delete(name)


def find(root_uri: str, names: set[str]) -> list[str]:
    """Return the URIs of all files under `root_uri` whose base name is in `names`, sorted; none if it is not there."""
    place, name = _resolve(root_uri)
    found: list[str] = (place or files).find(name, names)
    return found


def join(root: str, *parts: str) -> str:
    """Return the location of `parts` under `root`, which they cannot leave.

    Args:
        root: A path or a URI.
        *parts: Names, or paths of names with `/` between them.

    Raises:
        InputError: A part is empty, absolute, or holds `.`, `..` or a NUL.
    """
    for part in parts:
        if any(name in ("", ".", "..") or "\0" in name for name in part.split("/")):
            raise InputError(
                f"A path under '{root}' should be made of names, without '..', '.' or an empty part. "
                f"Received: {part!r}. Give a plain name."
            )
    return "/".join([root.rstrip("/") if root.strip("/") else "", *parts]) if parts else root


# Scheme -> what its URIs are called.
_STORES = {"gs": "A Cloud Storage", "s3": "An S3", "minio": "A MinIO"}
_KNOWN = "file://, gs://, s3:// or minio://"


def _resolve(uri: str) -> tuple[types.ModuleType | None, str]:
    """Return the module for a remote place, or None for local disk, and the location as that module takes it."""
    if not uri or "\0" in uri:
        raise InputError(f"A location should be a path, or start with {_KNOWN}. Received: {uri!r}. Give one.")
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
            "Copy it to one of these first, or mount it as a folder."
        )
    if not rest or rest.startswith("/"):
        raise InputError(f"{_STORES[scheme]} URI should be {scheme}://bucket/name. Received: '{uri}'. Name the bucket.")
    if scheme == "gs":
        from tiffin.storage import gcs

        return gcs, f"{scheme}://{rest}"
    from tiffin.storage import s3

    return s3, f"{scheme}://{rest}"
