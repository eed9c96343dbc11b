"""The thread that drives the manager, and those that load and unload for it.

Events reach the manager through a queue, so that it stays single-threaded.
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
_AFTER_BUG_SECONDS = 1.0  # a bug that comes again with each turn must not fill the log at full speed


class Owner:
    """The model state, and the thread that drives it."""

    def __init__(self, options: Any, catalog: models.Catalog, load: Callable[[str, int, str], models.Model]) -> None:
        """Prepare; `start` begins.

        Args:
            options: The flags.
            catalog: Where loaded models go.
            load: Loads a model and warms it up.
        """
        self._options, self._catalog, self._load_model = options, catalog, load
        self._inbox: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._workers = futures.ThreadPoolExecutor(max(4 * configs.CPUS, options.num_load_threads, 1), "models")
        self._manager = Manager(options, self._begin_load, self._begin_unload, catalog.update)
        self._thread = threading.Thread(target=self._run, name="manager", daemon=True)
        self._stopping = False

    def start(self, config: Any) -> None:
        """Apply the first configuration and wait until its models are available.

        Raises:
            ServingError: They are not going to be.
        """
        self._thread.start()
        self.reload(config)
        wait = self._options.model_config_file_poll_wait_seconds
        if self._options.model_config_file and wait > 0:
            threading.Thread(target=self._follow_file, args=(wait,), name="config", daemon=True).start()

    def reload(self, config: Any) -> None:
        """Put a configuration in force and return when its new models are available.

        Raises:
            ServingError: It breaks a rule, or a model does not become available.
        """
        result: queue.SimpleQueue[ServingError | None] = queue.SimpleQueue()
        self._inbox.put(lambda: self._manager.reload(config, result.put))
        error = result.get()
        if error is not None:
            raise error

    def stop(self) -> None:
        """Stop deciding; what is loaded stays until the process ends."""
        self._stopping = True
        self._inbox.put(lambda: None)

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._turn()
            except Exception:  # noqa: BLE001 - without this thread nothing would load, unload or be polled any more
                _log.exception("A bug of this server:")
                time.sleep(_AFTER_BUG_SECONDS)

    def _turn(self) -> None:
        wait = self._manager.step()
        with contextlib.suppress(queue.Empty):
            self._inbox.get(timeout=wait)()
            while True:
                self._inbox.get_nowait()()

    def _follow_file(self, wait: float) -> None:
        while not self._stopping:
            time.sleep(wait)
            self._look_at_file(self._options.model_config_file)

    def _look_at_file(self, path: str) -> None:
        """Put the configuration file in force where it has changed; where it is bad, what served goes on serving."""
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
        except Exception as caught:  # noqa: BLE001 - a model's fault must end in its state, not in this thread
            _log.exception("A bug of this server, or a model that breaks TensorFlow:")
            error = ServingError(f"{type(caught).__name__}: {caught}", "INTERNAL")
        self._inbox.put(lambda: self._manager.finished(model, version, error))

    def _begin_unload(self, model: str, version: int) -> None:
        self._workers.submit(self._unload, model, version)

    def _unload(self, model: str, version: int) -> None:
        """Close a model once no request runs on it any more."""
        gone = threading.Event()
        loaded = self._catalog.loaded.pop((model, version))
        close = loaded.closer()
        weakref.finalize(loaded, gone.set)
        del loaded
        while not gone.wait(1.0):
            gc.collect()  # an exception's traceback may hold it in a cycle
        close()
        del close
        gc.collect()  # Python keeps unloaded graphs in cycles
        self._inbox.put(lambda: self._manager.finished(model, version, None))
