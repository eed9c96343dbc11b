"""The thread of the manager, and the threads that load and unload.

Events reach the manager through a queue, so that only one thread calls it.
"""

import contextlib
import gc
import logging
import queue
import threading
import time
import weakref
from collections.abc import Callable
from concurrent import futures
from typing import Any

from tiffin.errors import ServingError
from tiffin.model_server import configs, models
from tiffin.model_server.manager import Manager

_log = logging.getLogger(__name__)
_AFTER_BUG_SECONDS = 1.0  # limits the log's growth if a bug recurs in each turn


class Owner:
    """Runs the manager in a thread of its own."""

    def __init__(
        self,
        options: Any,
        catalog: models.Catalog,
        load: Callable[[str, int, str], models.Model],
        changed: threading.Event | None = None,
    ) -> None:
        """Create the manager; `start` runs it.

        Args:
            options: The flags.
            catalog: Catalog to add loaded models to.
            load: Function that loads a model and runs its warm-up requests.
            changed: Set after the configuration file changed, to apply it before the next poll. Defaults to polls only.
        """
        self._options, self._catalog, self._load_model = options, catalog, load
        self._changed = changed or threading.Event()
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._workers = futures.ThreadPoolExecutor(max(4 * configs.CPUS, options.num_load_threads, 1), "models")
        self._manager = Manager(options, self._begin_load, self._begin_unload, catalog.update)
        self._thread = threading.Thread(target=self._run, name="manager", daemon=True)
        self._stopping = False

    def start(self, config: Any) -> None:
        """Apply the first configuration and wait until its models are available.

        Raises:
            ServingError: The configuration is invalid, or a model failed to load.
        """
        self._thread.start()
        self.reload(config)
        wait = self._options.model_config_file_poll_wait_seconds
        if self._options.model_config_file and wait > 0:
            threading.Thread(target=self._follow_file, args=(wait,), name="config", daemon=True).start()

    def reload(self, config: Any) -> None:
        """Apply a configuration and return when its new models are available.

        Raises:
            ServingError: The configuration is invalid, or a model did not become available.
        """
        result: queue.SimpleQueue[ServingError | None] = queue.SimpleQueue()
        self._inbox.put(lambda: self._manager.reload(config, result.put))
        error = result.get()
        if error is not None:
            raise error

    def stop(self) -> None:
        """Stop the manager; loaded models stay loaded until the process exits."""
        self._stopping = True
        self._inbox.put(lambda: None)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - this thread must continue to load, unload and poll
                _log.exception("Internal error in the manager:")
                time.sleep(_AFTER_BUG_SECONDS)

    def _turn(self) -> None:
        wait = self._manager.step()
        with contextlib.suppress(queue.Empty):
            self._inbox.get(timeout=wait)()
            while True:
                self._inbox.get_nowait()()

    def _follow_file(self, wait: float) -> None:
        while not self._stopping:
            self._changed.wait(wait)
            self._changed.clear()
            self._look_at_file(self._options.model_config_file)

    def _look_at_file(self, path: str) -> None:
        """Apply the configuration file if it changed; if it is invalid, keep the current configuration."""
        try:
            config = configs.read_text(path, configs.new_config())
        except ServingError as error:
            _log.error("Failed to read ModelServerConfig file: %s", error)
            return
        if self._manager.is_in_force(config):
            return
        try:
            self.reload(config)
        except ServingError as error:
            _log.error("PollFilesystemAndReloadConfig failed to ReloadConfig: %s", error)

    def _begin_load(self, model: str, version: int, path: str) -> None:
        self._workers.submit(self._load, model, version, path)

    def _load(self, model: str, version: int, path: str) -> None:
        error = None
        try:
            self._catalog.loaded[model, version] = self._load_model(model, version, path)
        except ServingError as caught:
            error = caught
        except Exception as caught:  # noqa: BLE001 - recorded in the version's state
            _log.exception("Internal error while loading a model:")
            error = ServingError(f"{type(caught).__name__}: {caught}", "INTERNAL")
        self._inbox.put(lambda: self._manager.finished(model, version, error))

    def _begin_unload(self, model: str, version: int) -> None:
        self._workers.submit(self._unload, model, version)

    def _unload(self, model: str, version: int) -> None:
        """Close a model after its last request has ended."""
        gone = threading.Event()
        loaded = self._catalog.loaded.pop((model, version))
        close = loaded.closer()
        weakref.finalize(loaded, gone.set)
        del loaded
        while not gone.wait(1.0):
            gc.collect()  # an exception's traceback may keep the model in a cycle
        close()
        del close
        gc.collect()  # unloaded graphs are in reference cycles
        self._inbox.put(lambda: self._manager.finished(model, version, None))
