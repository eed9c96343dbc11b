"""A process of --processes: serves what its owner tells it to load, and asks the owner for the rest."""

import logging
import queue
import signal
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

from tiffin.errors import ServingError
from tiffin.local.server import listening, loading, models, owner
from tiffin.local.server.channel import Channel
from tiffin.local.server.metrics import Metrics

_log = logging.getLogger(__name__)


class Worker:
    """The models of one process, and its ends of the owner's conversations."""

    def __init__(self, channel: Channel, options: Any) -> None:
        self.catalog, self.metrics = models.Catalog(), Metrics()
        self.options = options
        # Not an Event: its lock may be held by the very thread that a signal's handler interrupts.
        self.stopped: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._channel = channel
        self._load_model = loading.loader(options, self.metrics)
        # One thread: loads and unloads of a version keep their order.
        self._loads = futures.ThreadPoolExecutor(1, "models")
        self._answers: dict[int, queue.SimpleQueue[dict[str, Any]]] = {}
        self._last = 0
        self._lock = threading.Lock()
        self._close: Callable[[], None] = lambda: None

    def follow(self) -> None:
        """Do what the owner says until it says stop, or is gone."""
        for message in self._channel.messages():
            getattr(self, f"_{message.pop('do')}")(**message)
        self.stopped.put(None)

    def reload(self, config: Any) -> None:
        """Put a configuration in force, through the owner."""
        answer = self._ask(did="reload", config=config.SerializeToString().hex())
        if answer["error"]:
            code, text = answer["error"]
            raise ServingError(text, code)

    def collect(self) -> Metrics:
        """Return the metrics of all processes."""
        merged = Metrics()
        merged.merge(self._ask(did="collect")["metrics"])
        return merged

    def opened(self, error: ServingError | None) -> None:
        """Tell the owner that the ports are open, or why not."""
        self._channel.send(did="opened", error=_plain(error))

    def close(self) -> None:
        """Close the ports, after the requests in flight."""
        self._close()

    def _ask(self, **message: Any) -> dict[str, Any]:
        answers: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        with self._lock:
            self._last += 1
            number = self._last
            self._answers[number] = answers
        self._channel.send(number=number, **message)
        return answers.get()

    def _answer(self, number: int, **answer: Any) -> None:
        self._answers.pop(number).put(answer)

    def _load(self, model: str, version: int, path: str) -> None:
        def load() -> None:
            error = None
            try:
                if (model, version) not in self.catalog.loaded:
                    self.catalog.loaded[model, version] = self._load_model(model, version, path)
            except ServingError as caught:
                error = caught
            except Exception as caught:  # noqa: BLE001 - a model's fault must end in its state
                _log.exception("A bug of this server, or a model that breaks TensorFlow:")
                error = ServingError(f"{type(caught).__name__}: {caught}", "INTERNAL")
            # A process that came late has the states already: let them find the model.
            self.catalog.update(self.catalog.states)
            self._channel.send(did="loaded", model=model, version=version, error=_plain(error))

        self._loads.submit(load)

    def _unload(self, model: str, version: int) -> None:
        def unload() -> None:
            if (model, version) in self.catalog.loaded:
                owner.unload(self.catalog, model, version)
            self._channel.send(did="unloaded", model=model, version=version)

        self._loads.submit(unload)

    def _states(self, number: int, states: dict[str, Any]) -> None:
        self.catalog.update(states)
        self._channel.send(did="stated", number=number)

    def _measure(self, number: int) -> None:
        self._channel.send(did="measured", number=number, metrics=self.metrics.exported())

    def _open(self) -> None:
        threading.Thread(target=self._open_when_ready, name="open", daemon=True).start()

    def _open_when_ready(self) -> None:
        # What was told to load so far comes first: no request is to find a process empty.
        self._loads.submit(lambda: None).result()
        try:
            self._close = listening.open_ports(self.catalog, self.options, self.metrics, self.reload, self.collect)
        except ServingError as error:
            self.opened(error)
            return
        self.opened(None)

    def _stop(self) -> None:
        self.stopped.put(None)


def serve(channel: Channel, options: Any) -> None:
    """Be a worker until the owner ends it; for a freshly forked process."""
    # The terminal's Ctrl-C reaches every process; the owner alone acts on it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    worker = Worker(channel, options)
    signal.signal(signal.SIGTERM, lambda *_: worker.stopped.put(None))
    threading.Thread(target=worker.follow, name="owner", daemon=True).start()
    worker.stopped.get()
    worker.close()


def _plain(error: ServingError | None) -> list[str] | None:
    return None if error is None else [error.code, str(error)]
