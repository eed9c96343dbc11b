"""The fast path of Predict requests that repeat a ModelSpec.

If a plan exists for the request's ModelSpec, and the request feeds exactly the signature's inputs in a common encoding, no
look-ups are needed and the tensors are views of the request's bytes. All other requests, including invalid ones, take the
slow path in `predict`, which reports the errors. Here the packed fields of a tensor are parsed as bytes, which is the same
on the wire.
"""

import math
import time
from typing import Any

import numpy as np
import tensorflow as tf

from tiffin.errors import ServingError
from tiffin.model_server import codes, conversion, declarations, fields
from tiffin.model_server.metrics import Metrics
from tiffin.model_server.models import Catalog
from tiffin.model_server.predict import response_spec
from tiffin.model_server.runners import DEFAULT_SIGNATURE, Runner

_MAX_PLANS = 1024
_MAX_SHAPES = 4096
# Longer ones are rare and contain unknown fields; caching them would fill the memory.
_MAX_SHAPE_BYTES, _MAX_SPEC_BYTES = 256, 1024
_CONTENT_BYTES = {1: "float_val", 2: "double_val"}
_Shape = tuple[tuple[int, ...], int]


class Plans:
    """The plans of requests: created on the slow path, used on the fast path.

    The catalog stores the plans, and drops them whenever the models change.
    """

    def __init__(self, catalog: Catalog, metrics: Metrics, as_content: bool, growth: float = math.inf) -> None:
        self._catalog, self._metrics, self._as_content, self._growth = catalog, metrics, as_content, growth
        self._request = declarations.message_class("PredictBytes").FromString
        self._tensor = declarations.message_class("TensorBytes").FromString
        self._shapes: dict[bytes, _Shape] = {}

    def answer(self, content: bytes, timeout_ms: int = 0) -> bytes | None:
        """Return the reply to a request, or None if it must take the slow path.

        Args:
            content: Serialized PredictRequest.
            timeout_ms: Time limit in milliseconds; 0 for none.

        Raises:
            ServingError: The model's run failed.
        """
        start = time.perf_counter()
        check_time = codes.time_limit(timeout_ms)
        request = self._request(content)
        if request.ByteSize() != len(content):
            return None  # a field occurs twice, and its parts must be merged
        plan = self._catalog.plans.get(request.model_spec)
        if plan is None or request.output_filter:
            return None
        model, types, runner, heads, tail = plan
        given = {entry.key: entry.value for entry in request.inputs}
        if len(given) != len(types):
            return None
        arrays = []
        allowance = conversion.Allowance(self._growth)
        for alias, type_ in types:
            array = self._array(given.get(alias), type_, allowance)
            if array is None:
                return None
            arrays.append(array)
        began = time.perf_counter()
        try:
            outputs = runner.run(arrays, timeout_ms)
        except (tf.errors.OpError, UnicodeDecodeError) as caught:
            # Do not run the model again on the slow path: it may have side effects.
            error = codes.from_run(caught)
            self._metrics.count_request(model.name, error.code, "Predict", "GRPC", 0)
            raise error from None
        ended = time.perf_counter()
        parts = []
        for head, output in zip(heads, outputs, strict=True):
            check_time()
            tensor = conversion.encode(np.asarray(output), self._as_content)
            parts.append(fields.delimited(1, head + fields.delimited(2, tensor)))
        parts.append(tail)
        reply = b"".join(parts)
        now = time.perf_counter()
        self._metrics.count_prediction(model.name, (ended - began) * 1e6, (now - start) * 1e6)
        return reply

    def learn(self, content: bytes) -> None:
        """Store a plan for requests like this one, which succeeded on the slow path.

        A request with an output filter has no plan, and need not have one: the signature may have outputs that cannot be
        fetched, such as ragged ones.
        """
        request = self._request(content)
        if request.output_filter:
            return
        # Read the table before the model: if the models change in between, the plan is stored in the old table.
        plans = self._catalog.plans
        if request.ByteSize() != len(content) or request.model_spec in plans:
            return
        if len(request.model_spec) > _MAX_SPEC_BYTES or len(plans) >= _MAX_PLANS:
            return
        spec = declarations.message_class("ModelSpec").FromString(request.model_spec)
        try:
            model = self._catalog.find(spec)
        except ServingError:
            return  # unloaded in the meantime
        name = spec.signature_name or DEFAULT_SIGNATURE
        signature = model.signatures[name]
        aliases = list(signature.outputs)
        runner = signature.runner(aliases)
        if not isinstance(runner, Runner):
            return
        types = [(alias, info.dtype) for alias, info in signature.inputs.items()]
        heads = [fields.delimited(1, alias.encode()) for alias in aliases]
        tail = fields.delimited(2, response_spec(spec.name, model.version, name))
        plans[request.model_spec] = (model, types, runner, heads, tail)

    def _array(self, content: bytes | None, type_: int, allowance: conversion.Allowance) -> Any:
        if content is None:
            return None
        tensor = self._tensor(content)
        sizes = self._shapes.get(tensor.tensor_shape) or self._shape(tensor.tensor_shape)
        if sizes is None or tensor.dtype != type_ or tensor.ByteSize() != len(content):
            return None
        values = b"" if type_ == conversion.STRING else tensor.tensor_content
        if not values and type_ in _CONTENT_BYTES:
            values = getattr(tensor, _CONTENT_BYTES[type_])
        if not values:
            return self._decoded(content, allowance)
        dtype = conversion.numpy_type(type_)
        if len(values) != sizes[1] * dtype.itemsize:
            return None
        return np.frombuffer(values, dtype).reshape(sizes[0])

    def _decoded(self, content: bytes, allowance: conversion.Allowance) -> Any:
        try:
            return conversion.decode(declarations.tensor(content), allowance)
        except (ValueError, ServingError):
            return None

    def _shape(self, content: bytes) -> _Shape | None:
        try:
            shape = conversion.shape(declarations.tensor_shape(content))
        except (ValueError, ServingError):
            return None
        if len(content) <= _MAX_SHAPE_BYTES:
            if len(self._shapes) >= _MAX_SHAPES:
                self._shapes.clear()
            self._shapes[content] = shape
        return shape
