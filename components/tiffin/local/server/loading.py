"""Loading a version: the SavedModel, then its warm-up requests."""

import logging
import time
from collections.abc import Callable
from typing import Any

from tiffin.errors import ServingError
from tiffin.local.server import batching, configs, messages, warmup
from tiffin.local.server.metrics import Metrics
from tiffin.local.server.models import Model

_log = logging.getLogger(__name__)


def loader(options: Any, metrics: Metrics) -> Callable[[str, int, str], Model]:
    """Return what loads a version (model, version, directory) under these flags.

    Raises:
        ServingError: The batching parameters cannot be read.
    """
    scheduler = None
    if options.enable_batching:
        message = messages.message_class("BatchingParameters")()
        if options.batching_parameters_file:
            configs.read_text(options.batching_parameters_file, message)
        else:
            message.thread_pool_name.value = "model_server_batch_threads"
        scheduler = batching.Scheduler(message, metrics)

    def load(name: str, version: int, path: str) -> Model:
        start = time.perf_counter()
        try:
            model = Model(name, version, path, options, scheduler)
        except ServingError:
            metrics.count("load_attempt_count", (path, "fail"))
            raise
        metrics.count("load_attempt_count", (path, "success"))
        metrics.count("load_latency", (path,), round((time.perf_counter() - start) * 1e6))
        if options.enable_model_warmup:
            try:
                warmup.warm_up(
                    model,
                    metrics,
                    options.num_request_iterations_for_warmup,
                    options.enable_signature_method_name_check,
                )
            except ServingError:
                model.closer()()
                raise
        return model

    return load
