"""The serving root: the files that determine which versions are served.

    <serving root>/<model>/versions/<N>/     SavedModel of a version; written once, complete before a config refers to it
    <serving root>/<model>/stable.config     ModelServerConfig of the stable servers
    <serving root>/<model>/candidate.config  ModelServerConfig of the candidate servers
    <serving root>/<model>/rollout.json      the rollout under way, or the last one, see `tiffin.rollout.document`
    <serving root>/<model>/rollout-answers.json  answers that it has compared, see `tiffin.rollout.recorded`
    <serving root>/<model>/traffic.json      where requests go, see `tiffin.gateway.traffic_document`
    <serving root>/<model>/history/          one record per change, see `tiffin.serving.history`
    <serving root>/<model>/aliases.json      what MLflow was last told, see `tiffin.governance.aliases`
    <serving root>/<model>/recording.json    what the prediction log keeps, see `tiffin.serving.recording`

    <serving root>/stable.config             the stable configs of all models, which the stable servers read
    <serving root>/candidate.config          the same of the candidate servers
    <serving root>/gateway.json              where the requests for all models go, which the gateway reads

The files of all models follow from those of the models, see `tiffin.governance.merging`.
Configs are changed by compare-and-swap, so that concurrent changes cannot overwrite each other.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffin import storage
from tiffin.errors import InputError
from tiffin.serving import model_config

VERSIONS = "versions"
STABLE = "stable.config"
CANDIDATE = "candidate.config"
ROLLOUT = "rollout.json"
ROLLOUT_ANSWERS = "rollout-answers.json"
TRAFFIC = "traffic.json"
GATEWAY = "gateway.json"
HISTORY = "history"
RECORDING = "recording.json"
FIRST_RECORD = "00000001.json"

# What a folder of a serving root has if it is a model's.
_MARKS = (STABLE, f"{HISTORY}/{FIRST_RECORD}")

# The name on the server of a version that a rollback left loaded. Names of models have no @.
_ASIDE = re.compile(r"(?P<model>.+)@(?P<version>\d+)")

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


def find_configs(root: Path, name: str = STABLE) -> list[Path]:
    """Return the sorted paths of all models' configs of this name in a serving root on local disk."""
    return sorted(root.glob(f"*/{name}"))


def find_models(root: str) -> list[str]:
    """Return the sorted names of the models of a serving root: those with a history or a stable config.

    Raises:
        StorageError: The location cannot be read.
    """
    marks = {STABLE: -2, FIRST_RECORD: -3}
    parts = [uri.split("/") for uri in storage.find(root, set(marks))]
    found = sorted({names[marks[names[-1]]] for names in parts if len(names) > 3})
    # A SavedModel may have a file with one of these names.
    return [name for name in found if any(storage.exists(storage.join(root, name, mark)) for mark in _MARKS)]


def aside_name(model: str, version: int) -> str:
    """Return the name on the server of a version that a rollback left loaded."""
    return f"{model}@{version}"


def model_of(name: str) -> str:
    """Return the model of a name on the server: of `taxi@3` it is `taxi`."""
    match = _ASIDE.fullmatch(name)
    return match["model"] if match else name


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
        """Return the current state of a file such as `STABLE`."""
        return storage.read(self.locate(file))

    def make_config(self, version: int | None, kept: Iterable[int] = (), aside: Iterable[int] = ()) -> bytes | None:
        """Return the content of a config; None without a version.

        Args:
            version: Version that answers requests without a version.
            kept: Lower versions that stay loaded.
            aside: Versions that stay loaded under a name of their own, `<model>@<version>`.
        """
        if version is None:
            return None
        folder = self.locate(VERSIONS)
        entries = [model_config.make_model(self.name, folder, [version, *kept])]
        entries += [model_config.make_model(aside_name(self.name, one), folder, [one]) for one in sorted(set(aside))]
        return model_config.format_config(model_config.make_config(entries)).encode()

    def versions_in(self, state: State) -> list[int]:
        """Return the versions in a state of a config; none for an entry without a list of versions.

        Raises:
            InputError: The content is not a ModelServerConfig.
        """
        entry = self._entry(state)
        return model_config.specific_versions(entry) if entry else []

    def is_own(self, state: State) -> bool:
        """Return whether a state of a config loads the model from this serving root."""
        entry = self._entry(state)
        return entry is not None and entry.base_path == self.locate(VERSIONS)

    def _entry(self, state: State) -> Any | None:
        if not state:
            return None
        try:
            config = model_config.read_config(state[0].decode(errors="replace"))
        except InputError as error:
            raise InputError(f"A config in '{self.locate()}' cannot be read. {error}") from None
        return model_config.find_model(config, self.name)

    def publish(self, saved_model: Path, version: int) -> bool:
        """Copy the SavedModel of a version into the serving root, and return whether the version is new.

        Raises:
            Conflict: The version exists with another SavedModel.
        """
        folder = self.locate(VERSIONS, str(version))
        new = not storage.exists(folder)
        storage.publish_folder(saved_model, folder)
        return new

    def has_files(self, version: int) -> bool:
        """Return whether the files of a version are complete."""
        return storage.exists(self.locate(VERSIONS, str(version), "saved_model.pb"))

    def find_versions(self) -> list[int]:
        """Return the versions that have files, in ascending order."""
        found = storage.find(self.locate(VERSIONS), {"saved_model.pb"})
        names = {uri.rsplit("/", 2)[-2] for uri in found}
        return sorted(int(name) for name in names if name.isdecimal())
