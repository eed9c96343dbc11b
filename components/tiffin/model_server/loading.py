"""Loading a version: the SavedModel, then its warm-up requests."""

import dataclasses
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from tiffin.errors import ServingError
from tiffin.model_server import batches, batching, configs, messages, sessions, warmup
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Model

_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the files say that the flags name.

    Attributes:
        session: A ConfigProto.
        batching: A BatchingParameters, None where there is no batching.
    """

    session: Any
    batching: Any


@functools.cache
def settings(options: Any) -> Settings:
    """Read the files that the flags name, once: a load finds them as they were at the start.

    Raises:
        ServingError: One of them cannot be read, or asks for no threads.
    """
    parameters = None
    if options.enable_batching:
        parameters = messages.message_class("BatchingParameters")()
        if options.batching_parameters_file:
            configs.read_text(options.batching_parameters_file, parameters)
        else:
            parameters.thread_pool_name.value = "model_server_batch_threads"
        batches.check_threads(parameters)
    return Settings(sessions.config(options), parameters)


def loader(options: Any, metrics: Metrics) -> Callable[[str, int, str], Model]:
    """Return what loads a version (model, version, directory) under these flags.

    Raises:
        ServingError: As `settings` does.
    """
    given = settings(options)
    scheduler = None if given.batching is None else batching.Scheduler(given.batching, metrics)

    def load(name: str, version: int, path: str) -> Model:
        start = time.perf_counter()
        try:
            model = Model(name, version, path, options, given.session, scheduler)
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
            except BaseException:
                model.closer()()
                raise
        return model

    return load
