"""Loaded models: SavedModels in v1 sessions, and the catalog of available ones.

TF Serving runs a SavedModel in a v1 session, too, so a SavedModel fails here if it fails there. The messages are those of
tensorflow's cc/saved_model/{reader,loader}.cc and of tensorflow/serving's
core/basic_manager.cc and model_servers/server_core.cc.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf
from tensorflow.python.saved_model import loader_impl

from tiffin.errors import ServingError
from tiffin.model_server import batches, batching, codes
from tiffin.model_server.runners import Runner, Signature
from tiffin.model_server.states import AVAILABLE


class Model:
    """A loaded version of a model.

    Attributes:
        name: Name of the model.
        version: Version number.
        signatures: Signatures by name.
    """

    def __init__(
        self, name: str, version: int, path: str, options: Any, config: Any = None, scheduler: Any = None
    ) -> None:
        """Load a SavedModel.

        Args:
            name: Name of the model.
            version: Version number.
            path: Directory of the version.
            options: The flags.
            config: ConfigProto of the session. Defaults to TensorFlow's.
            scheduler: Scheduler that runs batches. Defaults to none: no batching.

        Raises:
            ServingError: The SavedModel cannot be loaded.
        """
        self.name, self.version, self.path = name, version, path
        tags = [tag for tag in options.saved_model_tags.split(",") if tag]
        _check_directory(path, tags)
        graph = tf.Graph()
        with graph.as_default():
            self.session = tf.compat.v1.Session(graph=graph, config=config)
            try:
                meta_graph = loader_impl.SavedModelLoader(path).load(self.session, tags)
            except tf.errors.OpError as error:
                self.session.close()
                raise codes.from_tensorflow(error) from error
            except Exception as error:
                self.session.close()
                raise ServingError(str(error), "INVALID_ARGUMENT") from error
        self.definitions = dict(meta_graph.signature_def)
        self._queues: list[batching.Queue] = []
        self._wrap = _wrapper(self._queues, scheduler)
        self.signatures = {
            name: Signature(self.session, definition, self._wrap) for name, definition in self.definitions.items()
        }
        self._joint: dict[Any, Any] = {}
        self._lock = threading.Lock()

    def closer(self) -> Callable[[], None]:
        """Return a function that frees the model's resources, without a reference to the model itself."""
        session, queues = self.session, self._queues

        def close() -> None:
            for queue in queues:
                queue.close()
            session.close()

        return close

    def joint_runner(self, feeds: dict[str, int], fetches: Sequence[str]) -> Any:
        """Return the runner of several signatures at once (MultiInference).

        Args:
            feeds: Type of each tensor to feed, by name.
            fetches: Names of the tensors to fetch.
        """
        key = (tuple(feeds), tuple(fetches))
        with self._lock:
            if key not in self._joint:
                self._joint[key] = self._wrap(Runner(self.session, list(feeds), list(feeds.values()), fetches))
            return self._joint[key]


def _wrapper(queues: list[batching.Queue], scheduler: Any) -> Callable[[Runner], Any]:
    """Return a function that wraps a runner in a batching queue if batching is on, without a reference to the model."""
    parameters = scheduler and batches.read_parameters(scheduler.parameters)

    def wrap(runner: Runner) -> Any:
        if scheduler is None:
            return runner
        queue = batching.Queue(runner, parameters, scheduler)
        scheduler.add(queue)
        queues.append(queue)
        return queue

    return wrap


class Catalog:
    """The available models, and the states of all versions.

    Requests read it without a lock, since an update replaces whole tables.
    """

    def __init__(self) -> None:
        self.loaded: dict[tuple[str, int], Model] = {}
        self.states: dict[str, Any] = {"models": {}, "labels": {}}
        self.plans: dict[bytes, Any] = {}
        self._available: dict[tuple[str, int], Model] = {}
        self._latest: dict[str, Model] = {}

    def update(self, states: dict[str, Any]) -> None:
        """Replace the states; requests then reach exactly the AVAILABLE versions."""
        available = {
            (name, version): self.loaded[name, version]
            for name, versions in states["models"].items()
            for version, state, _, _ in versions
            if state == AVAILABLE
        }
        latest = {name: available[name, version] for name, version in sorted(available)}
        self.states, self._available, self._latest = states, available, latest
        self.plans = {}

    def find(self, spec: Any) -> Model:
        """Return the model selected by a ModelSpec.

        Raises:
            ServingError: No available version matches.
        """
        name = spec.name
        if not name:
            raise ServingError("ModelSpec has no name specified.", "INVALID_ARGUMENT")
        choice = spec.WhichOneof("version_choice")
        if choice is None:
            model = self._latest.get(name)
            if model is None:
                raise ServingError(f"Servable not found for request: Latest({name})", "NOT_FOUND")
            return model
        if choice == "version":
            version = spec.version.value
        else:
            version = self.states["labels"].get(name, {}).get(spec.version_label)
            if version is None:
                raise ServingError(f"Unrecognized servable version label: {spec.version_label}", "INVALID_ARGUMENT")
        model = self._available.get((name, version))
        if model is None:
            raise ServingError(f"Servable not found for request: Specific({name}, {version})", "NOT_FOUND")
        return model


def _check_directory(path: str, tags: list[str]) -> None:
    names = ("saved_model.pb", "saved_model.pbtxt")
    if not any(tf.io.gfile.exists(os.path.join(path, name)) for name in names):
        raise ServingError(
            f"Could not find SavedModel .pb or .pbtxt at supplied export directory path: {path}. Check that the "
            "directory exists and that you have the right permissions for accessing it.",
            "NOT_FOUND",
        )
    try:
        saved_model = loader_impl.parse_saved_model(path)
    except OSError as error:
        raise ServingError(f"Can't parse {os.path.join(path, names[0])} as binary proto", "DATA_LOSS") from error
    if not any(set(graph.meta_info_def.tags) == set(tags) for graph in saved_model.meta_graphs):
        raise ServingError(
            f"Could not find meta graph def matching supplied tags: {{ {' '.join(tags)} }}. To inspect available "
            "tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`",
            "NOT_FOUND",
        )
