"""The serving root: the files that determine which versions are served.

    <serving root>/<model>/versions/<N>/     SavedModel of a version; written once, complete before a config refers to it
    <serving root>/<model>/stable.config     ModelServerConfig of the stable servers
    <serving root>/<model>/candidate.config  ModelServerConfig of the candidate servers
    <serving root>/<model>/history/          one record per change

Configs are changed by compare-and-swap, so that concurrent changes cannot overwrite each other. The record of a change
is written before the change, so that every change has one.
"""

import contextlib
import itertools
import json
import os
import random
import time
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

# Attempts to change the stable config while other processes change it.
_ATTEMPTS = 20

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


def _pauses() -> Iterator[float]:
    """Yield the seconds to wait after each attempt; at random, so that processes do not wait for one another in step."""
    return (random.uniform(0, min(0.02 * 2**attempt, 1.0)) for attempt in range(_ATTEMPTS))  # noqa: S311


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
    def in_service(self, version: int, why: str, *, new: bool, replace_newer: bool = False) -> Iterator[None]:
        """Set the stable config to a version, and restore the previous config if the block fails.

        While other processes change the config too, the change is tried again as long as `version` is the newest.

        Args:
            version: A published version.
            why: Reason of the change, for the history.
            new: Whether the version was published for this change; its files are then deleted if the block fails.
            replace_newer: Allow replacing a newer version that was deployed before. Defaults to False.

        Raises:
            Conflict: A newer version is deployed, or was deployed meanwhile.
        """
        mine, before = False, self.read(STABLE)
        try:
            try:
                before, mine = self._take_over(version, before, why, replace_newer)
            except Conflict:
                raise
            except StorageError:
                mine = True  # the write may have taken effect without an answer
                raise
            yield
        except BaseException as error:
            self._undo(version, before, f"rolled back: {error}", mine=mine, new=new)
            raise

    def _take_over(self, version: int, before: State, why: str, replace_newer: bool) -> tuple[State, bool]:
        """Set the stable config to a version, and return the state that it had, and whether this process changed it."""
        content, first = self.make_config(version), before
        for pause in _pauses():
            if not (replace_newer and before == first):
                self.check_newest(version, before)
            if before and before[0] == content:  # by an earlier attempt
                return before, False
            try:
                self.change(STABLE, version, before, content, why)
            except Conflict:
                time.sleep(pause)
                before = self.read(STABLE)
            else:
                return before, True
        raise Conflict(
            f"'{self.locate(STABLE)}' was modified concurrently in {_ATTEMPTS} attempts. Try again when fewer deployments run."
        )

    def check_newest(self, version: int, state: State) -> None:
        """Raise a Conflict if a state of the stable config has a newer version than `version`.

        Of two pipeline runs, the one that trained first may deploy last, and would replace the newer model by accident.
        """
        newest = max(self._versions(state), default=version)
        if newest > version:
            raise Conflict(
                f"Version {version} of model '{self.name}' cannot replace the newer version {newest}{self._origin(state)} in "
                f"'{self.locate(STABLE)}'. Deploy a newer version, or set replace_newer=true to go back on purpose."
            )

    def check_in_service(self, version: int) -> None:
        """Raise a Conflict if the stable config does not have a version any more."""
        state = self.read(STABLE)
        found = self._versions(state)
        if version not in found:
            by = f"by version {max(found)}{self._origin(state)}" if found else "by no version: its entry was removed"
            raise Conflict(
                f"Version {version} of model '{self.name}' was replaced {by} in '{self.locate(STABLE)}', before the server "
                "had answered. The other deployment was kept. To serve this version, deploy it again."
            )

    def _versions(self, state: State) -> list[int]:
        """Return the versions in a state of the stable config."""
        entry = self._entry(state)
        return model_config.specific_versions(entry) if entry else []

    def _entry(self, state: State) -> Any | None:
        return model_config.find_model(model_config.read_config(state[0].decode()), self.name) if state else None

    def _origin(self, state: State) -> str:
        """Return why, by whom and when a state of the stable config was made; empty if the history does not have it."""
        for record in self._newest_records():
            if state and record["to"] == state[0].decode():
                return f" ({', '.join(filter(None, (record['why'], record['who'], record['at'])))})"
        return ""

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
            if before:
                storage.compare_and_delete(uri, before[1])
            return None
        except Conflict:
            storage.delete(record)
            raise

    def history(self) -> list[dict[str, Any]]:
        """Return the records of all changes, oldest first."""
        return list(self._newest_records())[::-1]

    def _newest_records(self) -> Iterator[dict[str, Any]]:
        """Yield the records of all changes, newest first."""
        try:
            files = storage.list_files(self.locate(HISTORY))
        except InputError:  # no changes yet
            return
        for file in reversed(files):
            # The record of a change that failed is removed, which another process may do at this moment.
            if (found := storage.read(file.uri)) is not None:
                yield json.loads(found[0])

    def _undo(self, version: int, before: State, why: str, *, mine: bool, new: bool) -> None:
        """Restore the previous config if this process changed it, and remove the files of a new version.

        Another deployment that fails at this moment may go back to this version, so the config is read again each time. A
        failure is logged, since it must not hide the error that led here.
        """
        try:
            for pause in _pauses():
                if mine:
                    self._restore(version, before, why)
                if version not in self._versions(self.read(STABLE)):
                    if not new:
                        return
                    storage.delete(self.locate(VERSIONS, str(version)))
                    if version not in self._versions(self.read(STABLE)):
                        return
                    mine = True  # without its files, no deployment can want this version
                elif not mine:
                    return
                time.sleep(pause)
        except StorageError as failure:
            print(printable(f"Could not restore {STABLE}: {failure}"), flush=True)  # noqa: T201 - the step's log

    def _restore(self, version: int, before: State, why: str) -> None:
        """Put the last complete config in place of one with `version`, unless another process did already."""
        restored: bytes | None = None
        for pause in _pauses():
            now = self.read(STABLE)
            if now is None or (version not in self._versions(now) and now[0] != restored):
                return
            target = self._last_complete(version, before)
            with contextlib.suppress(Conflict):
                if now[0] != target:
                    self.change(STABLE, version, now, target, why)
                # Another failed deployment may remove the files of its version at this moment.
                if target == self._last_complete(version, before):
                    return
                restored = target
            time.sleep(pause)

    def _last_complete(self, version: int, before: State) -> bytes | None:
        """Return the last config before that of `version` whose versions all have their files; None if there is none."""
        earlier = (record["from"] for record in self._newest_records())
        for text in itertools.chain([before[0].decode() if before else None], earlier):
            content = text.encode() if text else b""
            state = (content, "")
            if content and version not in self._versions(state) and self._is_complete(state):
                return content
        return None

    def _is_complete(self, state: State) -> bool:
        """Return whether the versions in a state of the stable config have their files."""
        entry = self._entry(state)
        # An entry that a person wrote may have its versions elsewhere.
        if entry is None or entry.base_path != self.locate(VERSIONS):
            return True
        return all(storage.exists(self.locate(VERSIONS, str(version))) for version in self._versions(state))

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
