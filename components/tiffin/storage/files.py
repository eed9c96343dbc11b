"""Files on local disk: listing, locked compare-and-swap, and atomic publication of folders.

Permissions follow the umask everywhere: 0644 and 0755 with the usual 022, 0600 and 0700 with 077. `tiffin.errors.reported`
replaces a umask that lets all users write.
"""

import contextlib
import fcntl
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tiffin.errors import Conflict, InputError, StorageError, did_you_mean, explain

_CHUNK_BYTES = 1 << 20
# One lock per folder, held while a file in it changes. Never removed: removing a lock file races with its next holder.
_LOCK = ".lock"
# Marks the temporary folder of a running or interrupted publication or deletion.
_UNFINISHED = ".unfinished-"


@contextlib.contextmanager
def explained(doing: str, path: str | Path) -> Iterator[None]:
    """Convert the operating system's errors to a StorageError with the failed action, the reason and the next step."""
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        if error.filename is None:  # a failed write has no file name
            error.filename = str(path)
        reason = explain(error) or f"{error.strerror or error}. Check the path and that the disk is mounted."
        # The reason names the file too, which may be another one in a folder.
        _, named, rest = reason.partition(f"'{path}': ")
        raise StorageError(f"Could not {doing} '{path}'{': ' + rest if named else '. ' + reason}") from error


def list_files(location: str) -> list[tuple[str, int]]:
    """Return path and size in bytes of each data file at `location` (a file, a folder or a glob), sorted by path."""
    path = Path(location)
    with explained("list", location):
        if path.is_dir():
            found = sorted(_walk(path))
            if not found:
                raise InputError(
                    f"No data files in the folder '{location}'; names that start with '.' or '_' are skipped. "
                    "Check the path."
                )
        elif path.exists():
            if not path.is_file():
                raise InputError(
                    f"Data should be a file, a folder or a glob. Received: '{location}', a device or a pipe. "
                    "Write the data to a file first."
                )
            found = [path]
        else:
            found = [Path(name) for name in _match(location)]
        return [(os.path.abspath(name), name.stat().st_size) for name in found]


def _match(pattern: str) -> list[str]:
    hidden = os.path.basename(pattern).startswith((".", "_"))
    matched = sorted(
        name
        for name in glob.glob(pattern, recursive=True)
        if os.path.isfile(name) and (hidden or not os.path.basename(name).startswith("_"))
    )
    if matched:
        return matched
    if glob.has_magic(pattern):
        raise InputError(f"No file matches '{pattern}'. Check the pattern; '**' matches nested folders.")
    folder = os.path.dirname(pattern) or "."
    names = os.listdir(folder) if os.path.isdir(folder) else []
    where = "" if names else f" The folder '{folder}' is empty or does not exist."
    raise InputError(
        f"No such file or folder: '{pattern}'."
        f"{did_you_mean(os.path.basename(pattern), names) or where + ' Check the path.'}"
    )


def _walk(root: Path) -> Iterator[Path]:
    """Yield the data files under `root`, following links, each folder once."""
    entered = {os.path.realpath(root)}
    for folder, folders, files in os.walk(root, onerror=_fail, followlinks=True):
        for name in list(folders):
            real = os.path.realpath(os.path.join(folder, name))
            if name.startswith((".", "_")) or real in entered:
                folders.remove(name)
            entered.add(real)
        for name in files:
            file = Path(folder, name)
            if not name.startswith((".", "_")) and file.is_file():
                yield file


def _fail(error: OSError) -> None:
    # A missing folder has no files; an unreadable one may have some.
    if not isinstance(error, FileNotFoundError):
        raise error


def find(root: str, names: set[str]) -> list[str]:
    """Return the sorted paths of the files under `root` with one of these base names."""
    found = []
    with explained("search", root):
        for folder, folders, files in os.walk(root, onerror=_fail):
            # Unfinished publications do not count.
            folders[:] = [name for name in folders if _UNFINISHED not in name]
            found += [os.path.join(folder, name) for name in files if name in names]
    return sorted(found)


def digest(path: str | Path) -> str:
    """Return the hexadecimal SHA-256 of a file's content."""
    with explained("read", path), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read(path: str) -> tuple[bytes, str] | None:
    """Return a file's content and its SHA-256, or None if it does not exist."""
    with explained("read", path):
        try:
            content = Path(path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return content, hashlib.sha256(content).hexdigest()


def write_json(path: str | Path, value: Any) -> None:
    """Write `value` as UTF-8 JSON with sorted keys; equal values give equal bytes."""
    write_bytes(path, (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode())


def write_bytes(path: str | Path, content: bytes, *, durable: bool = False) -> None:
    """Write `content` under a temporary name in the same folder, then rename it to `path`.

    Args:
        path: File to write; its folder is created if missing.
        content: Complete new content.
        durable: Sync to disk, so that the file survives a crash of the machine. Defaults to False.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            # The error has the temporary name, or none.
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    if durable:
        _sync_folder(str(path.parent))


def compare_and_swap(path: str, content: bytes, expected: str | None) -> str:
    """Replace a file if its SHA-256 is still `expected` (None: it does not exist), and return the new SHA-256."""
    with explained("write", path), _locked(os.path.dirname(path)):
        current = read(path)
        if (current[1] if current else None) != expected:
            raise changed(path, expected)
        write_bytes(path, content, durable=True)
    return hashlib.sha256(content).hexdigest()


def compare_and_delete(path: str, expected: str) -> None:
    """Delete a file if its SHA-256 is still `expected`; do nothing if it does not exist."""
    with explained("delete", path), _locked(os.path.dirname(path)):
        current = read(path)
        if current and current[1] != expected:
            raise changed(path, expected)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


def changed(uri: str, expected: str | None) -> Conflict:
    """Return the error of a failed compare-and-swap."""
    if expected is None:
        return Conflict(f"'{uri}' already exists. Read it, then retry.")
    return Conflict(f"'{uri}' was modified concurrently; the other change was kept. Read it again, then retry.")


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, _LOCK), "ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _sync_folder(folder: str) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def publish_folder(local: Path, path: str) -> None:
    """Copy the folder `local` beside `path`, make it durable, then rename it to `path`."""
    parent, name = os.path.split(path)
    with explained("publish", path), _locked(parent):
        for sibling in os.listdir(parent):
            # This process holds the lock, so an unfinished publication was interrupted. A deletion may go on meanwhile.
            if sibling.startswith(".") and _UNFINISHED in sibling:
                shutil.rmtree(os.path.join(parent, sibling), ignore_errors=True)
        if os.path.lexists(path):
            if _same_content(local, Path(path)):
                return
            raise taken(path)
        temporary = os.path.join(parent, f".{name}{_UNFINISHED}{uuid.uuid4().hex}")
        try:
            for name in relative_files(local):
                _copy_durably(local / name, Path(temporary, name))
            os.rename(temporary, path)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        _sync_folder(parent)


def taken(uri: str) -> Conflict:
    """Return the error of a publication to a location with other content."""
    return Conflict(
        f"'{uri}' already exists with other content, and published folders never change. "
        "Publish under a new name, such as the next version."
    )


def _copy_durably(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with explained("write", target), open(target, "xb") as writer:
        writer.writelines(_chunks(source))
        writer.flush()
        os.fsync(writer.fileno())
    _sync_folder(str(target.parent))


def _chunks(path: Path) -> Iterator[bytes]:
    # Errors of the writer are not raised here, so each error names its own file.
    with explained("read", path), open(path, "rb") as reader:
        while chunk := reader.read(_CHUNK_BYTES):
            yield chunk


def relative_files(root: Path) -> list[str]:
    """Return the sorted paths of all files under `root`, relative to it, with `/` as separator."""
    return sorted(file.relative_to(root).as_posix() for file in root.rglob("*") if not file.is_dir())


def _same_content(one: Path, other: Path) -> bool:
    names = relative_files(one)
    return (
        other.is_dir()
        and names == relative_files(other)
        and all((one / name).stat().st_size == (other / name).stat().st_size for name in names)
        and all(digest(one / name) == digest(other / name) for name in names)
    )


def delete(path: str) -> None:
    """Delete a file, or a folder recursively; do nothing if it does not exist.

    A folder is renamed first: an interrupted deletion leaves no part of it at `path`.
    """
    with explained("delete", path):
        if os.path.isdir(path) and not os.path.islink(path):
            parent, name = os.path.split(os.path.abspath(path))
            temporary = os.path.join(parent, f".{name}{_UNFINISHED}{uuid.uuid4().hex}")
            # A publication in the same folder may remove it meanwhile.
            with contextlib.suppress(FileNotFoundError):
                os.rename(path, temporary)
                shutil.rmtree(temporary)
        else:
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                os.unlink(path)
