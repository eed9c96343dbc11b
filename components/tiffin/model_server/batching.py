"""Batching (--enable_batching): requests of the same signature run together.

The rules and messages are those of tensorflow/serving's batching/batching_session.cc and batching_util.cc and of
tensorflow's core/kernels/batching_util/shared_batch_scheduler.h: one pool of threads for all models, and a
queue for each set of inputs and outputs.
"""

import collections
import dataclasses
import math
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tiffin.errors import ServingError
from tiffin.model_server import batches, codes, configs, conversion
from tiffin.model_server.codes import invalid
from tiffin.model_server.metrics import Metrics


@dataclasses.dataclass
class _Task:
    arrays: list[Any]
    size: int
    deadline: float | None
    start: float = dataclasses.field(default_factory=time.monotonic)
    done: threading.Event = dataclasses.field(default_factory=threading.Event)
    outputs: list[Any] = dataclasses.field(default_factory=list)
    error: Exception | None = None


@dataclasses.dataclass
class _Batch:
    tasks: list[_Task] = dataclasses.field(default_factory=list)
    size: int = 0
    start: float = 0.0


class Scheduler:
    """The threads that run the batches of all queues."""

    def __init__(self, message: Any, metrics: Metrics, growth: float = math.inf) -> None:
        """Start the threads.

        Args:
            message: BatchingParameters message.
            metrics: Metrics to record waiting times and runs in.
            growth: Bytes by which a batch may grow. Defaults to no limit.
        """
        self.pool = message.thread_pool_name.value or "batch_threads"
        self.parameters, self.metrics, self.growth = message, metrics, growth
        self.wake = threading.Condition()
        self._queues: collections.deque[Queue] = collections.deque()
        threads = message.num_batch_threads.value if message.HasField("num_batch_threads") else configs.CPUS
        for _ in range(threads):
            threading.Thread(target=self._run, name=self.pool, daemon=True).start()

    def add(self, queue: "Queue") -> None:
        """Start to serve a queue."""
        with self.wake:
            self._queues.append(queue)

    def remove(self, queue: "Queue") -> None:
        """Stop serving a queue, after its model was unloaded."""
        with self.wake:
            self._queues.remove(queue)

    def _run(self) -> None:
        while True:
            with self.wake:
                queue, batch = self._next()
                while batch is None:
                    self.wake.wait(queue)
                    queue, batch = self._next()
            queue.run(batch)

    def _next(self) -> tuple[Any, Any]:
        """Return the next queue and its batch; or the seconds to wait (None: until notified) and None."""
        soonest = None
        for _ in range(len(self._queues)):
            queue = self._queues[0]
            self._queues.rotate(-1)  # round robin
            batch, wait = queue.take()
            if batch is not None:
                return queue, batch
            if wait is not None:
                soonest = wait if soonest is None else min(soonest, wait)
        return soonest, None


class Queue:
    """Wraps a runner: has the same call signature, and collects tasks into batches."""

    def __init__(self, runner: Any, parameters: batches.Parameters, scheduler: Scheduler) -> None:
        self._runner, self._parameters, self._scheduler = runner, parameters, scheduler
        self._batches: collections.deque[_Batch] = collections.deque([_Batch()])
        self._limit = parameters.max_execution_batch_size or parameters.max_batch_size

    def __call__(self, arrays: Sequence[Any], timeout_ms: int = 0) -> list[Any]:
        """Return the outputs of a task after its batch has run."""
        self._runner.check(arrays)
        if not arrays:
            return list(self._runner(arrays, timeout_ms))
        size = batches.common_size(arrays)
        for array in arrays:
            self._scheduler.metrics.observe("input_batch_size", (), len(array))
        deadline = time.monotonic() + timeout_ms / 1000 if timeout_ms else None
        task = _Task(list(arrays), size, deadline)
        with self._scheduler.wake:
            pieces = self._schedule(task)
            self._scheduler.wake.notify()
        for piece in pieces:
            piece.done.wait()
        for piece in pieces:
            if piece.error is not None:
                raise piece.error
        if len(pieces) == 1:
            return pieces[0].outputs
        return [np.concatenate(outputs) for outputs in zip(*(piece.outputs for piece in pieces), strict=True)]

    def close(self) -> None:
        """Remove the queue from the scheduler."""
        self._scheduler.remove(self)

    def take(self) -> tuple[_Batch | None, float | None]:
        """Return a batch to run now, or None and the seconds until one is due (None: no tasks)."""
        first = self._batches[0]
        if not first.tasks:
            return None, None
        wait = first.start + self._parameters.batch_timeout_micros / 1e6 - time.monotonic()
        if len(self._batches) > 1 or first.size >= self._limit or wait <= 0:
            self._batches.popleft()
            if not self._batches:
                self._batches.append(_Batch())
            return first, None
        return None, wait

    def run(self, batch: _Batch) -> None:
        """Run a batch, and store each task's outputs or the error."""
        now = time.monotonic()
        for task in batch.tasks:
            waited = (now - task.start) * 1e6
            self._scheduler.metrics.observe("queuing_latency", (self._scheduler.pool,), waited)
        error: Exception | None = None
        try:
            self._run(batch, now)
        except (tf.errors.OpError, UnicodeDecodeError) as caught:
            error = codes.from_run(caught)
        except Exception as caught:  # noqa: BLE001 - re-raised in the threads of the tasks
            error = caught
        for task in batch.tasks:
            task.error = error
            task.done.set()

    def _schedule(self, task: _Task) -> list[_Task]:
        parameters = self._parameters
        if task.size > parameters.max_batch_size:
            raise invalid(f"Task size {task.size} is larger than maximum input batch size {parameters.max_batch_size}")
        full = "The batch scheduling queue to which this task was submitted is full; "
        enqueued = len(self._batches)
        if parameters.max_execution_batch_size:
            opened = self._batches[-1].size
            capacity = (parameters.max_enqueued_batches - enqueued) * self._limit + self._limit - opened
            if task.size > capacity:
                raise ServingError(
                    f"{full}task size is {task.size} but scheduling capacity is only {capacity} "
                    f"(num_enqueued_batches={enqueued}, max_enqueued_batches={parameters.max_enqueued_batches}, "
                    f"open_batch_size={opened}, max_execution_batch_size={self._limit})",
                    "UNAVAILABLE",
                )
        elif self._batches[-1].size + task.size > self._limit and enqueued >= parameters.max_enqueued_batches:
            raise ServingError(
                f"{full}currently {enqueued} batches enqueued and max_enqueued_batches is "
                f"{parameters.max_enqueued_batches}",
                "UNAVAILABLE",
            )
        pieces = self._split(task) if parameters.max_execution_batch_size else [task]
        for piece in pieces:
            self._put(piece)
        return pieces

    def _split(self, task: _Task) -> list[_Task]:
        room = self._limit - self._batches[-1].size or self._limit
        cuts = list(range(min(room, task.size), task.size, self._limit))
        parts = zip(*(np.split(array, cuts) for array in task.arrays), strict=True)
        return [_Task(list(part), len(part[0]), task.deadline, task.start) for part in parts]

    def _put(self, task: _Task) -> None:
        if self._batches[-1].size + task.size > self._limit and self._batches[-1].tasks:
            self._batches.append(_Batch())
        batch = self._batches[-1]
        if not batch.tasks:
            batch.start = time.monotonic()
        batch.tasks.append(task)
        batch.size += task.size

    def _run(self, batch: _Batch, now: float) -> None:
        deadlines = [task.deadline for task in batch.tasks]
        if all(deadline is not None and deadline <= now for deadline in deadlines):
            raise ServingError("Run() timeout exceeded while waiting in batching queue", "RESOURCE_EXHAUSTED")
        # The batch's time limit is the latest deadline of its tasks.
        timeout_ms = 0 if None in deadlines else max(1, int((max(filter(None, deadlines)) - now) * 1000))
        size = batches.padded_size(batch.size, self._parameters.allowed_batch_sizes)
        padding = size - batch.size
        self._scheduler.metrics.observe("padding_size", (str(size),), padding)
        self._scheduler.metrics.observe("processed_batch_size", (), size)
        allowance = conversion.Allowance(self._scheduler.growth)
        merged = [
            batches.merged([task.arrays[index] for task in batch.tasks], padding, name, self._parameters, allowance)
            for index, name in enumerate(self._runner.feeds)
        ]
        outputs = [np.asarray(output) for output in self._runner(merged, timeout_ms)]
        self._scheduler.metrics.count("wrapped_run_count", ())
        cuts = np.cumsum([task.size for task in batch.tasks])
        for output in outputs:
            if output.ndim == 0:
                raise ServingError("Batched output tensor has 0 dimensions", "FAILED_PRECONDITION")
            if len(output) != size:
                raise ServingError(
                    "Batched output tensor's 0th dimension does not equal the sum of the 0th dimension sizes of "
                    "the input tensors",
                    "FAILED_PRECONDITION",
                )
            for task, part in zip(batch.tasks, np.split(output, cuts), strict=False):
                task.outputs.append(part)
