"""A process of --processes: serves what its owner tells it to load, and asks the owner for the rest."""

import logging
import queue
import signal
import threading
from collections.abc import Callable
from concurrent import futures
from typing import Any

from tiffin.errors import ServingError
from tiffin.model_server import configs, listening, loading, models, owner
from tiffin.model_server.channel import Channel
from tiffin.model_server.metrics import Metrics

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
        # The owner keeps to the flags' numbers; an unload that waits for a request is to hold up no load.
        threads = max(4 * configs.CPUS, options.num_load_threads) + max(1, options.num_unload_threads)
        self._pool = futures.ThreadPoolExecutor(threads, "models")
        self._work: dict[tuple[str, int], futures.Future[None]] = {}
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

    def _load(self, model: str, version: int, number: int, path: str) -> None:
        def load() -> None:
            if (model, version) not in self.catalog.loaded:
                self.catalog.loaded[model, version] = self._load_model(model, version, path)
            # A process that came late has the states already: let them find the model.
            self.catalog.update()

        self._carry_out(model, version, number, load)

    def _unload(self, model: str, version: int, number: int) -> None:
        def unload() -> None:
            if (model, version) in self.catalog.loaded:
                owner.unload(self.catalog, model, version)

        self._carry_out(model, version, number, unload)

    def _carry_out(self, model: str, version: int, number: int, order: Callable[[], None]) -> None:
        """Carry out an order in a thread, after the version's earlier ones, and report on it."""
        earlier = self._work.get((model, version))

        def work() -> None:
            if earlier is not None:
                futures.wait([earlier])
            error = _error_of(order)
            self._channel.send(did="reported", model=model, version=version, number=number, error=_plain(error))

        self._work[model, version] = self._pool.submit(work)

    def _states(self, number: int, states: dict[str, Any]) -> None:
        self.catalog.update(states)
        self._channel.send(did="stated", number=number)

    def _measure(self, number: int) -> None:
        self._channel.send(did="measured", number=number, metrics=self.metrics.exported())

    def _open(self) -> None:
        # In a thread of its own, as the states may change meanwhile.
        threading.Thread(target=self._open_ports, name="open", daemon=True).start()

    def _open_ports(self) -> None:
        def open_ports() -> None:
            self._close = listening.open_ports(self.catalog, self.options, self.metrics, self.reload, self.collect)

        error = _error_of(open_ports)
        if error is None:
            self._channel.send(did="opened")
        else:
            self._channel.send(did="failed", error=_plain(error))

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


def _error_of(work: Callable[[], None]) -> ServingError | None:
    """Do something; return what went wrong, as a model's or a file's fault must end in what the owner hears."""
    try:
        work()
    except ServingError as error:
        return error
    except Exception as error:  # noqa: BLE001 - see above
        _log.exception("A bug of this server, or a model that breaks TensorFlow:")
        return ServingError(f"{type(error).__name__}: {error}", "INTERNAL")
    return None
