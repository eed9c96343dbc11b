"""The serving root: the few files that decide which versions are served.

    <serving root>/<model>/versions/<N>/     SavedModel of a version; written once, complete before a config names it
    <serving root>/<model>/stable.config     ModelServerConfig of the stable servers
    <serving root>/<model>/candidate.config  ModelServerConfig of the candidate servers
    <serving root>/<model>/history/          one record per change

A config changes by compare-and-swap, so that two changes at once cannot overwrite each other. The record of a change is
written first, so that no change lacks one.
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
from tiffin.serving import model_config

VERSIONS = "versions"
STABLE = "stable.config"
CANDIDATE = "candidate.config"
HISTORY = "history"

# A file's bytes and the token of its version, as storage.read returns them; None where there is no file.
State = tuple[bytes, str] | None


def resolve_root(location: str) -> str:
    """Return the location of a serving root, with a relative path made absolute.

    Raises:
        InputError: TensorFlow Serving does not read from there.
    """
    if location.lower().startswith(("s3://", "minio://")):
        raise InputError(
            f"serving_root should be a path or start with gs://: TensorFlow Serving reads no S3. Received: '{location}'. "
            "Mount a volume that its servers share, and pass its path."
        )
    return location if "://" in location else str(Path(location).resolve())


def find_stable_configs(root: Path) -> list[Path]:
    """Return the stable configs of all models in a serving root on local disk, sorted."""
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
            InputError: The model's name is no name of a folder.
        """
        return storage.join(self.root, self.name, *parts)

    def read(self, file: str) -> State:
        """Return what a file such as `STABLE` holds now, to change it by."""
        return storage.read(self.locate(file))

    def make_config(self, version: int) -> bytes:
        """Return the content of a config that names this version alone."""
        entry = model_config.make_model(self.name, self.locate(VERSIONS), [version])
        return model_config.format_config(model_config.make_config([entry])).encode()

    def publish(self, saved_model: Path, version: int) -> bool:
        """Copy the SavedModel of a version to its place, and return whether nothing was there before.

        Raises:
            Conflict: Another SavedModel is there.
        """
        folder = self.locate(VERSIONS, str(version))
        new = not storage.exists(folder)
        storage.publish_folder(saved_model, folder)
        return new

    @contextlib.contextmanager
    def in_service(self, version: int, before: State, why: str, *, new: bool) -> Iterator[None]:
        """Name a version in the stable config. If the block fails, the config goes back to what it was.

        Args:
            version: A published version.
            before: The stable config as it was read.
            why: For the history.
            new: Whether the version was published for this change: its files are removed if the block fails.

        Raises:
            Conflict: The stable config is no longer as it was read.
        """
        content = self.make_config(version)
        try:
            # A retry after the change has nothing to change.
            after = before if before and before[0] == content else self.change(STABLE, version, before, content, why)
            try:
                yield
            except BaseException as error:
                if after != before:
                    self._restore(version, before, after, error)
                raise
        except BaseException:
            now = self.read(STABLE)
            # A config that could not be put back still names the version.
            if new and (now is None or now[0] != content):
                storage.delete(self.locate(VERSIONS, str(version)))
            raise

    def change(self, file: str, version: int, before: State, content: bytes | None, why: str) -> State:
        """Change a file such as `STABLE`, with a record in the history, and return its new state.

        Raises:
            Conflict: The file is no longer as it was `before`.
        """
        uri = self.locate(file)
        # Before the change, so that none is without its record. A record without its change could only come from a process
        # that was killed in between; the next one tells where the file was by then.
        record = self._record(version, before, content, why)
        try:
            if content is not None:
                return content, storage.compare_and_swap(uri, content, before[1] if before else None)
            if storage.read(uri) != before:
                raise Conflict(f"'{uri}' should be as it was when it was read. Received: another content.")
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
        except InputError:  # nothing has changed yet
            return []
        return [json.loads(storage.read_text(file.uri)) for file in files]

    def _restore(self, version: int, before: State, after: State, error: BaseException) -> None:
        """Put the stable config back, unless somebody has changed it since. A failure must not hide the first error."""
        try:
            self.change(STABLE, version, after, before[0] if before else None, f"taken back: {error}")
        except StorageError as hindered:
            print(f"the configuration stays as it is: {hindered}", flush=True)  # noqa: T201 - the step's log

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
