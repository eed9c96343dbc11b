"""Start and stop of the server: load the models, open the ports, wait for a signal."""

import contextlib
import gc
import logging
import os
import queue
import signal
import sys
import threading
import warnings
from typing import Any

from tiffin.errors import ServingError
from tiffin.model_server import flags

_log = logging.getLogger("tiffin.model_server")
_TICK_SECONDS = 0.2


def version() -> str:
    """Return the output of --version."""
    from importlib import metadata

    # TensorFlow takes seconds to import.
    return (
        f"TensorFlow ModelServer: {metadata.version('tensorflow-serving-api')} (Tiffin)\n"
        f"TensorFlow Library: {metadata.version('tensorflow')}\n"
    )


def serve(options: Any, changed: threading.Event | None = None) -> int:
    """Serve until SIGTERM or SIGINT; return the exit status.

    Args:
        options: The flags.
        changed: Event of `owner.Owner`. Defaults to none.
    """
    quiet()
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s: %(levelname).1s %(message)s", force=True)
    _log.setLevel(logging.INFO)
    try:
        flags.check(options)
        return _serve(options, changed)
    except ServingError as error:
        sys.stdout.write(f"Failed to start server. Error: {error.code}: {error}\n")
        sys.stdout.flush()
        return 255


def _serve(options: Any, changed: threading.Event | None) -> int:
    from tiffin.model_server import listening, loading, metrics, models, owner

    # Events: a signal's number, None when the start is complete, or its error. Not a threading.Event: the thread that a
    # signal handler interrupts may hold the event's lock.
    events: queue.SimpleQueue[int | ServingError | None] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: events.put(number))
    _spare_collector()
    switch_xla(options)
    config = _first_config(options)
    catalog, counts = models.Catalog(), metrics.Metrics()
    state = owner.Owner(options, catalog, loading.loader(options, counts), changed)

    def start() -> None:
        try:
            state.start(config)
            events.put(None)
        except ServingError as error:
            events.put(error)

    threading.Thread(target=start, name="start", daemon=True).start()
    event = _next(events)
    if isinstance(event, ServingError):
        raise event
    if event is not None:
        return 0
    close = listening.open_ports(catalog, options, counts, state.reload)
    _next(events)
    _log.info("Stopping")
    state.stop()
    close()
    return 0


def _next(events: queue.SimpleQueue[Any]) -> Any:
    # Wait with a timeout: a signal that arrives just before the wait would not end it.
    while True:
        with contextlib.suppress(queue.Empty):
            return events.get(timeout=_TICK_SECONDS)


def _spare_collector() -> None:
    # TensorFlow's modules are a million permanent objects; a full collection over them would block all requests. Models
    # are loaded later, so they are still collected after they unload.
    gc.collect()
    gc.freeze()


def switch_xla(options: Any) -> None:
    """Disable XLA unless a flag enables it, as main.cc does; jit-compiled functions then fail in their first run."""
    if options.xla_cpu_compilation_enabled or options.xla_gpu_compilation_enabled:
        return
    import ctypes

    import tensorflow as tf

    try:
        library = ctypes.CDLL(os.path.join(os.path.dirname(tf.__file__), "libtensorflow_cc.so.2"))
        library._ZN10tensorflow21DisableXlaCompilationEv()
    except (OSError, AttributeError):
        _log.warning(
            "XLA could not be disabled: jit-compiled functions run here, but in production only with "
            "--xla_cpu_compilation_enabled."
        )


def _first_config(options: Any) -> Any:
    from tiffin.model_server import configs

    if options.model_config_file:
        return configs.read_text(options.model_config_file, configs.new_config())
    return configs.single_model(options.model_name, options.model_base_path)


def quiet() -> None:
    """Silence TensorFlow's logging and warnings, unless TF_CPP_MIN_LOG_LEVEL is set."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    # TensorFlow imports matplotlib if installed, which fails with the backend set by a notebook's kernel.
    os.environ["MPLBACKEND"] = "agg"
    warnings.simplefilter("ignore")
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
