"""Runners of the signatures of a loaded SavedModel.

A signature runs through a session's callable. With `inter_op_thread_pool=-1` the graph runs in the caller's thread, which
is many times faster for narrow graphs, the usual case, but slower for wide ones, which lose the parallelism between ops.
The first calls are therefore timed in both modes, and the faster mode is kept. If a model has warm-up requests, they are
the first calls.

A run in the caller's thread cannot be cancelled. A run with a time limit therefore uses a slower, cancellable mode, unless
the recent runs were much faster than the limit: most clients set deadlines of seconds for models that take microseconds.
A request with more values than those runs is expected to take longer in proportion. If a run of the same size suddenly takes
a hundred times longer than those before it, it may exceed its limit; the next one does not.
"""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from tensorflow.core.protobuf import config_pb2
from tensorflow.python.client import pywrap_tf_session

from tiffin.errors import ServingError
from tiffin.model_server import conversion

DEFAULT_SIGNATURE = "serving_default"
PREDICT_METHOD = "tensorflow/serving/predict"
CLASSIFY_METHOD = "tensorflow/serving/classify"
REGRESS_METHOD = "tensorflow/serving/regress"

_SETTLING_CALLS = 3  # untimed calls per mode: the first builds the executor
_TIMED_CALLS = 5
_MARGIN = 100  # a limit is ignored if it is this many times the slowest recent run
_FORGETTING = 0.95  # decay per run of the slowest and of the largest recent run
_UNKNOWN_MS = 60_000.0  # initial value of the slowest recent run
_MAX_RUNNERS = 128  # output filters with a cached callable


class Runner:
    """Runs a session with one set of feeds and fetches."""

    def __init__(self, session: Any, feeds: Sequence[str], types: Sequence[int], fetches: Sequence[str]) -> None:
        """Create the callables of both modes.

        Args:
            session: The session.
            feeds: Names of the tensors to feed, sorted, as TensorFlow numbers the arguments in its errors.
            types: Type of each feed.
            fetches: Names of the tensors to fetch.

        Raises:
            ServingError: A tensor to fetch has a type that replies cannot contain.
        """
        self.feeds = list(feeds)
        self._session, self._fetches = session, list(fetches)
        self._types = [(type_, conversion.numpy_type(type_)) for type_ in types]
        self._ways = [self._callable(-1), self._callable(0)]
        self._times: list[list[float]] = [[], []]
        self._chosen: Any = None
        self._slowest_ms, self._largest = _UNKNOWN_MS, 1.0
        self._feed_outputs, self._fetch_outputs = (
            [session.graph.get_tensor_by_name(name)._as_tf_output() for name in names]
            for names in (self.feeds, self._fetches)
        )
        # Check before the first run, not after it: a run may have side effects.
        for name in self._fetches:
            type_ = session.graph.get_tensor_by_name(name).dtype.as_datatype_enum
            if conversion.numpy_type(type_) is None:
                raise ServingError(
                    f"Outputs of type {conversion.type_name(type_)} are not supported by this server; got {name}. Request other "
                    "outputs by output_filter.",
                    "UNIMPLEMENTED",
                )

    def __call__(self, arrays: Sequence[Any], timeout_ms: int = 0) -> list[Any]:
        """Return the fetched arrays.

        Args:
            arrays: One array per feed.
            timeout_ms: Time limit in milliseconds. Defaults to 0: none.

        Raises:
            ServingError: An array has the wrong type.
        """
        self.check(arrays)
        return self.run(arrays, timeout_ms)

    @property
    def is_settled(self) -> bool:
        """Whether the faster mode has been chosen."""
        return self._chosen is not None

    def run(self, arrays: Sequence[Any], timeout_ms: int = 0) -> list[Any]:
        """Return the fetched arrays, without checking the types of `arrays`."""
        start = time.perf_counter()
        size = sum(array.size for array in arrays)
        try:
            expected_ms = self._slowest_ms * max(1.0, size / self._largest)
            if timeout_ms and timeout_ms < expected_ms * _MARGIN:
                return self._limited(arrays, timeout_ms)
            if self._chosen is not None:
                return self._chosen(*arrays)  # type: ignore[no-any-return]
            return self._timed(arrays)
        finally:
            self._slowest_ms = max((time.perf_counter() - start) * 1000, self._slowest_ms * _FORGETTING)
            self._largest = max(size, self._largest * _FORGETTING, 1.0)

    def check(self, arrays: Sequence[Any]) -> None:
        """Check the types of the arrays.

        Raises:
            ServingError: An array does not have its feed's type.
        """
        for index, (array, (type_, dtype)) in enumerate(zip(arrays, self._types, strict=True)):
            if array.dtype != dtype:
                raise ServingError(
                    f"Expects arg[{index}] to be {conversion.type_name(type_)} but "
                    f"{conversion.type_name(conversion.type_enum(array))} is provided",
                    "INVALID_ARGUMENT",
                )

    def _timed(self, arrays: Sequence[Any]) -> list[Any]:
        way = min((0, 1), key=lambda index: len(self._times[index]))
        start = time.perf_counter()
        outputs = self._ways[way](*arrays)
        self._times[way].append(time.perf_counter() - start)
        if min(map(len, self._times)) >= _SETTLING_CALLS + _TIMED_CALLS:
            timed = [times[_SETTLING_CALLS:] for times in self._times]
            self._chosen = self._ways[0 if min(timed[0]) <= min(timed[1]) else 1]
            # From here on the duration is known: after a warm-up, time limits do not slow down requests.
            self._slowest_ms = max(map(max, timed)) * 1000
        return list(outputs)

    def _limited(self, arrays: Sequence[Any], timeout_ms: int) -> list[Any]:
        # A callable's time limit is fixed when it is made. This is the core of `Session.run`, without its slow handling of
        # feeds and fetches.
        options = config_pb2.RunOptions(timeout_in_ms=timeout_ms).SerializeToString()
        buffer = pywrap_tf_session.TF_NewBufferFromString(options)
        try:
            feeds = dict(zip(self._feed_outputs, arrays, strict=True))
            return pywrap_tf_session.TF_SessionRun_wrapper(  # type: ignore[no-any-return]
                self._session._session, buffer, feeds, self._fetch_outputs, [], None
            )
        finally:
            pywrap_tf_session.TF_DeleteBuffer(buffer)

    def _callable(self, pool: int) -> Any:
        options = config_pb2.CallableOptions(feed=self.feeds, fetch=self._fetches)
        options.run_options.inter_op_thread_pool = pool
        return self._session._make_callable_from_options(options)


class Signature:
    """One signature of a SavedModel.

    Attributes:
        definition: The SignatureDef.
        inputs: alias -> TensorInfo, sorted by the name of the tensor.
        outputs: alias -> TensorInfo, sorted by alias.
        defaults: alias -> TensorProto of the optional inputs.
    """

    def __init__(self, session: Any, definition: Any, wrap: Callable[[Runner], Any]) -> None:
        """Read a signature.

        Args:
            session: The session with its tensors.
            definition: The SignatureDef.
            wrap: Function that wraps each runner, for example in a batching queue.
        """
        self.definition = definition
        self.inputs = dict(sorted(definition.inputs.items(), key=lambda item: str(item[1].name)))
        self.outputs = dict(sorted(definition.outputs.items()))
        self.defaults = dict(definition.defaults)
        self._session, self._wrap = session, wrap
        self._runners: dict[tuple[str, ...], Any] = {}
        self._lock = threading.Lock()

    def runner(self, aliases: Sequence[str]) -> Any:
        """Return the runner of distinct outputs, in this order."""
        key = tuple(aliases)
        runner = self._runners.get(key)
        return self._prepare(key) if runner is None else runner

    def _prepare(self, key: tuple[str, ...]) -> Any:
        feeds = [info.name for info in self.inputs.values()]
        types = [info.dtype for info in self.inputs.values()]
        with self._lock:
            if key not in self._runners:  # another thread may have added it
                if len(self._runners) >= _MAX_RUNNERS:
                    self._runners.pop(next(iter(self._runners)))
                fetches = [self.outputs[alias].name for alias in key]
                self._runners[key] = self._wrap(Runner(self._session, feeds, types, fetches))
            return self._runners[key]
