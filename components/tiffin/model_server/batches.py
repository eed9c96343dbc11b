"""Batching parameters, and the concatenation and padding of the tasks' arrays.

Follows tensorflow/serving's servables/tensorflow/bundle_factory_util.{h,cc} and batching/batching_util.cc.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tiffin.errors import ServingError
from tiffin.model_server import configs, conversion, declarations
from tiffin.model_server.codes import invalid


@dataclasses.dataclass(frozen=True)
class Parameters:
    """BatchingParameters, with the scheduler's defaults.

    Attributes:
        max_batch_size: Maximum rows of a task, and of a batch unless tasks are split.
        batch_timeout_micros: Microseconds a batch waits for more tasks.
        max_enqueued_batches: Maximum waiting batches; further tasks are rejected.
        allowed_batch_sizes: Sizes that batches are padded to, in ascending order. Empty: no padding.
        pad_variable_length_inputs: Pad tasks of different shapes, so that they can share a batch.
        max_execution_batch_size: Maximum rows of a batch if large tasks are split; 0 if they are not.
    """

    max_batch_size: int = 1000
    batch_timeout_micros: int = 0
    max_enqueued_batches: int = 10
    allowed_batch_sizes: tuple[int, ...] = ()
    pad_variable_length_inputs: bool = False
    max_execution_batch_size: int = 0


def read_parameters(message: Any) -> Parameters:
    """Return the parameters of a BatchingParameters message.

    Raises:
        ServingError: A size or a limit is invalid, or the last allowed size is not the maximum batch size.
    """
    defaults = Parameters()
    size = message.max_batch_size.value if message.HasField("max_batch_size") else defaults.max_batch_size
    execution = 0
    if message.enable_large_batch_splitting.value:
        has_limit = message.HasField("max_execution_batch_size")
        execution = message.max_execution_batch_size.value if has_limit else size
    allowed = tuple(message.allowed_batch_sizes)
    if allowed and allowed[-1] != size:
        raise invalid(
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
            f"{allowed[-1]}; expected {size}"
        )
    queued = message.HasField("max_enqueued_batches")
    batches = message.max_enqueued_batches.value if queued else defaults.max_enqueued_batches
    if batches == 0 and not execution:
        batches = 1  # shared_batch_scheduler.h: for models that depend on it
    _check_queue(size, message.batch_timeout_micros.value, batches, execution)
    return Parameters(
        size,
        message.batch_timeout_micros.value,
        batches,
        allowed,
        message.pad_variable_length_inputs,
        execution,
    )


def message(options: Any) -> Any:
    """Return the BatchingParameters message selected by the flags.

    Raises:
        ServingError: The file cannot be read, or num_batch_threads is not positive (shared_batch_scheduler.h).
    """
    parameters = declarations.message_class("BatchingParameters")()
    if options.batching_parameters_file:
        configs.read_text(options.batching_parameters_file, parameters)
    else:
        parameters.thread_pool_name.value = "model_server_batch_threads"
    if parameters.HasField("num_batch_threads") and parameters.num_batch_threads.value < 1:
        raise invalid(f"num_batch_threads must be positive; was {parameters.num_batch_threads.value}")
    return parameters


def _check_queue(size: int, timeout_micros: int, batches: int, execution: int) -> None:
    # shared_batch_scheduler.h, `AddQueueAfterRewritingOptions`
    if size <= 0:
        raise invalid(f"input_batch_size_limit must be positive; was {size}")
    if timeout_micros < 0:
        raise invalid(f"batch_timeout_micros must be non-negative; was {timeout_micros}")
    if batches <= 0:
        raise invalid(f"max_enqueued_batches must be positive; was {batches}")
    if execution > size:
        raise invalid(
            "When enable_large_batch_splitting is true, input_batch_size_limit must be greater than or equal to "
            f"max_execution_batch_size.1{size}{execution}"  # TensorFlow appends the values without spaces
        )


def common_size(arrays: Sequence[Any]) -> int:
    """Return the number of rows, which must be the same for all inputs of a task.

    Raises:
        ServingError: The numbers differ, or an input is a scalar.
    """
    if any(array.ndim == 0 for array in arrays):
        raise invalid("Batching Run() input tensors must have at least one dimension")
    sizes = {len(array) for array in arrays}
    if len(sizes) > 1:
        raise invalid("Batching Run() input tensors must have equal 0th-dimension size")
    return sizes.pop()


def padded_size(size: int, allowed: Sequence[int]) -> int:
    """Return the smallest allowed size of at least `size`, or `size` if there is none."""
    return next((one for one in allowed if one >= size), size)


def merged(arrays: list[Any], padding: int, name: str, parameters: Parameters, allowance: conversion.Allowance) -> Any:
    """Return the tasks' arrays of one input as a single array.

    Args:
        arrays: One array per task.
        padding: Rows to append: copies of the last task's first row.
        name: Name of the input's tensor, for the error message.
        parameters: Batching parameters; `pad_variable_length_inputs` allows different shapes.
        allowance: Bytes by which the batch may grow.

    Raises:
        ServingError: The shapes differ and are not padded, or cannot be padded, or the padding is too large.
    """
    if parameters.pad_variable_length_inputs:
        arrays = _same_shapes(arrays, name, allowance)
    elif any(array.shape[1:] != arrays[0].shape[1:] for array in arrays):
        raise ServingError(
            f"Tensors with name '{name}' from different tasks have different shapes and padding is turned off. Set "
            "pad_variable_length_inputs to true, or ensure that all tensors with the same name have equal "
            "dimensions starting with the first dim.",
            "FAILED_PRECONDITION",
        )
    if padding:
        allowance.spend(
            padding * conversion.held_bytes(arrays[-1][:1]), f"a batch with {padding} rows to fill in input '{name}'"
        )
        arrays = [*arrays, np.repeat(arrays[-1][:1], padding, axis=0)]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def _same_shapes(arrays: list[Any], name: str, allowance: conversion.Allowance) -> list[Any]:
    if not 1 <= arrays[0].ndim <= 6:
        raise invalid("Only tensors with rank from 1 to 6 can be padded.")
    largest = [max(sizes) for sizes in zip(*(array.shape[1:] for array in arrays), strict=True)]
    rows = sum(map(len, arrays))
    grown = rows * math.prod(largest) - sum(array.size for array in arrays)
    growing = f"a batch of {len(arrays)} requests, whose values of input '{name}' have different shapes"
    filling = max(conversion.held_bytes(array.reshape(-1)[:1]) for array in arrays)
    allowance.spend(grown * filling, growing)
    padded = []
    for array in arrays:
        grow = [(0, 0), *((0, most - size) for most, size in zip(largest, array.shape[1:], strict=True))]
        if any(after for _, after in grow) and array.size == 0:
            raise invalid("Got empty tensor in batch of non-empty tensors.")
        # Fill with the tensor's first value, as batching_util.cc does.
        needs = any(after for _, after in grow)
        padded.append(np.pad(array, grow, constant_values=array.flat[0]) if needs else array)
    return padded
