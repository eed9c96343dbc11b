"""The serving root: the files that determine which versions are served.

    <serving root>/<model>/versions/<N>/     SavedModel of a version; written once, complete before a config refers to it
    <serving root>/<model>/stable.config     ModelServerConfig of the stable servers
    <serving root>/<model>/candidate.config  ModelServerConfig of the candidate servers
    <serving root>/<model>/history/          one record per change

Configs are changed by compare-and-swap, so that concurrent changes cannot overwrite each other. The record of a change
is written before the change, so that every change has one.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.errors import Conflict, InputError, StorageError
from tiffin.printing import printable
from tiffin.serving import model_config

VERSIONS = "versions"
STABLE = "stable.config"
CANDIDATE = "candidate.config"
HISTORY = "history"

# A file's content and version token, as storage.read returns them; None if the file does not exist.
State = tuple[bytes, str] | None


def resolve_root(location: str) -> str:
    """Return the location of a serving root, as an absolute path or a URI.

    Raises:
        InputError: TensorFlow Serving cannot read from the location.
    """
    if location.lower().startswith(("s3://", "minio://")):
        raise InputError(
            f"serving_root should be a path or start with gs://: TensorFlow Serving cannot read S3. Received: '{location}'. "
            "Mount a volume that the servers share, and pass its path."
        )
    return location if "://" in location else str(Path(location).resolve())


def find_stable_configs(root: Path) -> list[Path]:
    """Return the sorted paths of all models' stable configs in a serving root on local disk."""
    return sorted(root.glob(f"*/{STABLE}"))


@dataclass(frozen=True)
class ServedModel:
    """A model in a serving root.

    Attributes:
        root: Path or URI of the serving root, as `resolve_root` returns it.
        name: Name of the model.
    """

    root: str
    name: str

    def locate(self, *parts: str) -> str:
        """Return the location of one of the model's files or folders.

        Raises:
            InputError: The model's name is not a valid folder name.
        """
        return storage.join(self.root, self.name, *parts)

    def read(self, file: str) -> State:
        """Return the current state of a file such as `STABLE`, as required by `change`."""
        return storage.read(self.locate(file))

    def make_config(self, version: int) -> bytes:
        """Return the content of a config with this version only."""
        entry = model_config.make_model(self.name, self.locate(VERSIONS), [version])
        return model_config.format_config(model_config.make_config([entry])).encode()

    def publish(self, saved_model: Path, version: int) -> bool:
        """Copy the SavedModel of a version into the serving root, and return whether the version is new.

        Raises:
            Conflict: The version exists with another SavedModel.
        """
        folder = self.locate(VERSIONS, str(version))
        new = not storage.exists(folder)
        storage.publish_folder(saved_model, folder)
        return new

    @contextlib.contextmanager
    def in_service(self, version: int, before: State, why: str, *, new: bool) -> Iterator[None]:
        """Set the stable config to a version, and restore the previous config if the block fails.

        Args:
            version: A published version.
            before: State of the stable config, as `read` returned it.
            why: Reason of the change, for the history.
            new: Whether the version was published for this change; its files are then deleted if the block fails.

        Raises:
            Conflict: The stable config was modified since it was read.
        """
        content = self.make_config(version)
        try:
            # A retry finds the config already changed.
            after = before if before and before[0] == content else self.change(STABLE, version, before, content, why)
            try:
                yield
            except BaseException as error:
                if after != before:
                    self._restore(version, before, after, error)
                raise
        except BaseException:
            now = self.read(STABLE)
            # A config that could not be restored still refers to the version.
            if new and (now is None or now[0] != content):
                storage.delete(self.locate(VERSIONS, str(version)))
            raise

    def change(self, file: str, version: int, before: State, content: bytes | None, why: str) -> State:
        """Change a file such as `STABLE`, with a record in the history, and return its new state.

        Args:
            file: Name of the file.
            version: Version that the change is for.
            before: State of the file, as `read` returned it.
            content: New content; None to delete the file.
            why: Reason of the change, for the history.

        Raises:
            Conflict: The file was modified since it was read.
        """
        uri = self.locate(file)
        # Written before the change, so that every change has a record. If the process is killed in between, the record has
        # no change; the next record then has the actual previous content.
        record = self._record(version, before, content, why)
        try:
            if content is not None:
                return content, storage.compare_and_swap(uri, content, before[1] if before else None)
            if storage.read(uri) != before:
                raise Conflict(
                    f"'{uri}' was modified concurrently; the other change was kept. Read it again, then retry."
                )
            storage.delete(uri)
            return None
        except BaseException:
            storage.delete(record)
            raise

    def history(self) -> list[dict[str, Any]]:
        """Return the records of all changes, oldest first."""
        folder = self.locate(HISTORY)
        try:
            files = storage.list_files(folder)
        except InputError:  # no changes yet
            return []
        return [json.loads(storage.read_text(file.uri)) for file in files]

    def _restore(self, version: int, before: State, after: State, error: BaseException) -> None:
        """Restore the stable config, unless it was modified since. A failure is logged and must not hide `error`."""
        try:
            self.change(STABLE, version, after, before[0] if before else None, f"rolled back: {error}")
        except StorageError as failure:
            print(printable(f"Could not restore {STABLE}: {failure}"), flush=True)  # noqa: T201 - the step's log

    def _record(self, version: int, before: State, content: bytes | None, why: str) -> str:
        """Add a change to the history, and return the location of its record."""
        now = datetime.now(UTC)
        record = {
            "at": now.isoformat(timespec="microseconds"),
            "who": os.environ.get("TIFFIN_USER") or os.environ.get("USER") or "unknown",
            "why": why,
            "from": before[0].decode() if before else None,
            "to": content.decode() if content is not None else None,
        }
        uri = self.locate(HISTORY, f"{now:%Y%m%dT%H%M%S.%fZ}-{version}.json")
        storage.write_new(uri, (json.dumps(record, indent=2, sort_keys=True) + "\n").encode())
        return uri
