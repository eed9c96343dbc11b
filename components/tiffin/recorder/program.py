"""The recorder: receives Envoy's access log and writes the prediction log.

    python -m tiffin.recorder --log-root gs://bucket/predictions --serving-root gs://bucket/serving --port 9901

Once it listens, it prints one line, `READY {"address": "127.0.0.1:9901", "metrics": "127.0.0.1:9902"}`. SIGTERM writes what it
has, and ends it.
"""

import argparse
import gc
import json
import logging
import os
import platform
import re
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import prometheus_client

from tiffin.errors import ServingError, StorageError
from tiffin.printing import printable
from tiffin.priority import lower_priority
from tiffin.recorder import receiver, retention
from tiffin.recorder.delivery import Delivery
from tiffin.recorder.inbox import Inbox
from tiffin.recorder.metrics import Metrics
from tiffin.recorder.settings import Settings
from tiffin.recorder.throttle import SECONDS, Throttle
from tiffin.recorder.writer import Limits, Writer
from tiffin.serving.prediction_log import resolve_log_root
from tiffin.serving.recording import KEY_VARIABLE
from tiffin.serving.root import resolve_root
from tiffin.signals import StopSignal

_NICENESS = 10
_QUEUE_BYTES = 128 << 20
_REFRESH_SECONDS, _CLEAN_SECONDS = 30.0, 3600.0
# After SIGTERM; Kubernetes kills after 30 seconds.
_END_SECONDS = 20.0
_UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Options:
    """Options of the program.

    Attributes:
        log_root: Root of the log.
        serving_root: Serving root; empty for none.
        host: Address to listen on.
        port: Port; 0 for a free one.
        metrics_host: Address of the metrics.
        metrics_port: Port of the metrics; 0 for a free one.
        limits: When a file is closed.
        queue: Most entries in the queue.
        throttle: File for Envoy, see `tiffin.recorder.throttle`; None for none.
    """

    log_root: str
    serving_root: str
    host: str
    port: int
    metrics_host: str
    metrics_port: int
    limits: Limits
    queue: int
    throttle: Path | None


def main(arguments: list[str] | None = None) -> int:
    """Run the recorder until SIGTERM or SIGINT."""
    options, keep_priority = _parse(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    if os.environ.get("TIFFIN_DEBUG") == "1":
        logging.getLogger("tiffin").setLevel(logging.DEBUG)
    if not keep_priority:
        lower_priority(_NICENESS)  # serving comes first
    # Values of requests have no cycles. The collector looks for them after every 700 new lists, which took a quarter of the time.
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)
    ended = StopSignal()
    stop = start(options)
    ended.wait()
    stop()
    return 0


def start(options: Options) -> Callable[[], None]:
    """Start the recorder, and print that it is ready.

    Returns:
        Function that writes what was received, and ends it.

    Raises:
        StorageError: The root of the log is on local disk and cannot be written, or the throttle's file.
        ServingError: A port cannot be opened.
    """
    if "://" not in options.log_root:
        _check_writable(Path(options.log_root))
    metrics = Metrics()
    host = re.sub(r"[^A-Za-z0-9.]", "_", platform.node()) or "host"
    inbox, delivery = Inbox(options.queue, _QUEUE_BYTES), Delivery(metrics)
    throttle = _open_throttle(options.throttle)
    settings = Settings(options.serving_root, os.environ.get(KEY_VARIABLE, "").encode(), metrics)
    name = f"{host}-{os.getpid()}-{time.time_ns() // 1_000_000}"
    writer = Writer(options.log_root, name, options.limits, inbox, delivery, settings, metrics)
    metrics.gauge("queue_entries", "Entries in the queue.", lambda: inbox.entries)
    metrics.gauge("sent_share", "Share of the sampled requests that Envoy sends.", lambda: throttle.share)
    metrics.gauge("waiting_files", "Complete files that are not stored yet.", lambda: delivery.waiting)
    server, port = receiver.start(_address(options.host, options.port), inbox, metrics)
    try:
        pages, pages_thread = prometheus_client.start_http_server(
            options.metrics_port, options.metrics_host, registry=metrics.registry
        )
    except OSError as error:
        address = _address(options.metrics_host, options.metrics_port)
        raise ServingError(f"Could not open {address}: {error.strerror}. Choose another port.", "UNAVAILABLE") from None
    ended = threading.Event()

    def keep_house() -> None:
        next_clean = time.monotonic()
        while True:
            try:
                if time.monotonic() >= next_clean:
                    next_clean += _CLEAN_SECONDS
                    retention.clean(options.log_root, host, settings.models, settings.keep_days, metrics)
                settings.refresh()
            except Exception as error:  # noqa: BLE001 - a fault of one store may not end it for all models
                metrics.report("housekeeping", f"{type(error).__name__}: {error}")
            if ended.wait(_REFRESH_SECONDS):
                return

    def keep_pace() -> None:
        while not ended.wait(SECONDS):
            throttle.adjust(inbox.received, inbox.read)

    threading.Thread(target=keep_house, name="housekeeping", daemon=True).start()
    threading.Thread(target=keep_pace, name="throttle", daemon=True).start()
    ready = {"address": _address(options.host, port), "metrics": _address(options.metrics_host, pages.server_port)}
    print(printable(f"READY {json.dumps(ready)}"), flush=True)  # noqa: T201 - for the supervisor

    def stop() -> None:
        ended.set()
        server.stop(0).wait()
        end = time.monotonic() + _END_SECONDS
        delivery.hurry(end)
        writer.close(_END_SECONDS)
        delivery.close()
        pages.shutdown()
        pages_thread.join()
        pages.server_close()

    return stop


def _open_throttle(path: Path | None) -> Throttle:
    try:
        return Throttle(path)
    except OSError as error:
        raise StorageError(
            f"--throttle should be a file that this user can write. Received: '{path}': {error.strerror}."
        ) from error


def _check_writable(root: Path) -> None:
    try:
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"--log-root should be a folder that this user can write. Received: '{root}': {error.strerror}."
        ) from error
    if not os.access(root, os.W_OK | os.X_OK):
        raise StorageError(f"--log-root should be a folder that this user can write. Received: '{root}'.")


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _parse(arguments: list[str] | None) -> tuple[Options, bool]:
    parser = argparse.ArgumentParser(
        prog="python -m tiffin.recorder", description="Receive Envoy's access log and write the prediction log."
    )
    parser.add_argument("--log-root", required=True, help="path, gs:// or s3:// of the prediction log")
    parser.add_argument("--serving-root", default="", help="path or gs:// with recording.json of the models")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=0, help="port of the access log service (default: a free one)")
    parser.add_argument("--metrics-host", default="127.0.0.1", help="address of the metrics (default: %(default)s)")
    parser.add_argument("--metrics-port", type=_port, default=0, help="port of the metrics (default: a free one)")
    parser.add_argument(
        "--max-file-bytes", type=_bytes, default="64MiB", help="size to close a file at (default: 64MiB)"
    )
    parser.add_argument("--max-file-age", type=_seconds, default="60s", help="age to close a file at (default: 60s)")
    parser.add_argument("--queue", type=_positive, default=10_000, help="requests to queue (default: %(default)s)")
    parser.add_argument("--throttle", type=Path, help="file that Envoy reads, to send fewer requests (default: none)")
    parser.add_argument("--keep-priority", action="store_true", help="do not lower the priority of the process")
    found = parser.parse_args(arguments)
    options = Options(
        resolve_log_root(found.log_root),
        resolve_root(found.serving_root) if found.serving_root else "",
        found.host,
        found.port,
        found.metrics_host,
        found.metrics_port,
        Limits(found.max_file_bytes, found.max_file_age),
        found.queue,
        found.throttle,
    )
    return options, found.keep_priority


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65_535:
        raise argparse.ArgumentTypeError(f"should be from 0 to 65535. Received: {text!r}.")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"should be a number above 0. Received: {text!r}.")
    return int(text)


def _bytes(text: str) -> int:
    found = re.fullmatch(r"(\d{1,12})(|KiB|MiB|GiB)", text)
    if not found or not int(found[1]):
        raise argparse.ArgumentTypeError(f"should be a number of bytes, or such as 64MiB. Received: {text!r}.")
    return int(found[1]) * _UNITS[found[2]]


def _seconds(text: str) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,3})?)s?", text)
    if not found or not float(found[1]):
        raise argparse.ArgumentTypeError(f"should be a number of seconds, such as 60s. Received: {text!r}.")
    return float(found[1])
