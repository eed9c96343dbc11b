"""Predict: from a PredictRequest to the bytes of a PredictResponse.

The order of the checks and the messages are those of tensorflow/serving's servables/tensorflow/predict_util.cc and
of tensorflow's cc/saved_model/util.cc, `GetInputValues`.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tiffin.errors import ServingError
from tiffin.model_server import codes, conversion, fields
from tiffin.model_server.codes import invalid
from tiffin.model_server.models import Model
from tiffin.model_server.runners import (
    CLASSIFY_METHOD,
    DEFAULT_SIGNATURE,
    PREDICT_METHOD,
    REGRESS_METHOD,
    Runner,
    Signature,
)


def predict(model: Model, request: Any, as_content: bool = False, **running: Any) -> bytes:
    """Run a model on a request.

    Args:
        model: Model selected by the request's ModelSpec.
        request: PredictRequest.
        as_content: Write `tensor_content` instead of typed fields.
        running: See `run`, and `check_method` and `growth` of `evaluate`.

    Returns:
        Serialized PredictResponse.

    Raises:
        ServingError: The request is invalid or the run failed, with TF Serving's message.
    """
    check_time = codes.time_limit(running.get("timeout_ms", 0))
    signature_name, aliases, arrays = evaluate(model, request, **running)
    parts = []
    for alias, array in zip(aliases, arrays, strict=True):
        check_time()
        tensor = conversion.encode(np.asarray(array), as_content)
        parts.append(fields.delimited(1, fields.delimited(1, alias.encode()) + fields.delimited(2, tensor)))
    parts.append(fields.delimited(2, response_spec(request.model_spec.name, model.version, signature_name)))
    return b"".join(parts)


def evaluate(
    model: Model, request: Any, check_method: bool = False, growth: float = math.inf, **running: Any
) -> tuple[str, Sequence[str], list[Any]]:
    """Run a model on a request.

    Args:
        model: Model selected by the request's ModelSpec.
        request: PredictRequest.
        check_method: Require the signature's method_name to be one that Predict accepts.
        growth: Bytes by which the request may grow. Defaults to no limit.
        running: See `run`.

    Returns:
        The signature's name, the aliases of the outputs, and the outputs.

    Raises:
        ServingError: The request is invalid or the run failed, with TF Serving's message.
    """
    name = request.model_spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise ServingError(f'Serving signature key "{name}" not found.', "FAILED_PRECONDITION")
    if check_method:
        check_method_name(signature)
    arrays = _inputs(signature, request.inputs, conversion.Allowance(growth))
    aliases = list(request.output_filter)
    if aliases:
        _check_outputs(signature, aliases)
    else:
        aliases = list(signature.outputs)
    return name, aliases, run(signature.runner, aliases, arrays, model=model.name, api="Predict", **running)


def run(
    prepare: Callable[[Sequence[str]], Runner],
    aliases: Sequence[str],
    arrays: Sequence[Any],
    *,
    model: str,
    api: str,
    timeout_ms: int = 0,
    metrics: Any = None,
) -> list[Any]:
    """Run the session.

    Args:
        prepare: Function that returns a runner of outputs, such as `Signature.runner`.
        aliases: Aliases of the outputs.
        arrays: One array per feed.
        model: Name of the model, for the metrics.
        api: Name of the method, for the metrics.
        timeout_ms: Time limit in milliseconds. Defaults to 0: none.
        metrics: Metrics to record the latency in. Defaults to none.

    Returns:
        One array per output.

    Raises:
        ServingError: The run failed.
    """
    start = time.perf_counter()
    try:
        outputs = prepare(aliases)(arrays, timeout_ms)
    except (tf.errors.OpError, UnicodeDecodeError) as error:
        raise codes.from_run(error) from None
    if metrics is not None:
        metrics.observe("runtime_latency", (model, api, "TF1"), (time.perf_counter() - start) * 1e6)
    return outputs


def check_method_name(signature: Signature) -> None:
    """Check that Predict accepts a signature's method_name.

    Raises:
        ServingError: It does not.
    """
    known = (PREDICT_METHOD, CLASSIFY_METHOD, REGRESS_METHOD)
    if signature.definition.method_name not in known:
        raise ServingError(
            f"Expected prediction signature method_name to be one of {{{', '.join(known)}}}. "
            f"Was: {signature.definition.method_name}",
            "INTERNAL",
        )


def _inputs(signature: Signature, inputs: Any, allowance: conversion.Allowance) -> list[Any]:
    if len(inputs) > len(signature.inputs) or (len(inputs) < len(signature.inputs) and not signature.defaults):
        sent, known = set(inputs), set(signature.inputs)
        raise invalid(
            f"input size does not match signature: {len(inputs)}!={len(signature.inputs)} "
            f"len({{{_listed(sent)}}}) != len({{{_listed(known)}}}). Sent extra: {{{_listed(sent - known)}}}. "
            f"Missing but required: {{{_listed(known - sent)}}}."
        )
    arrays, used = [], []
    for alias, info in signature.inputs.items():
        bound = None
        if alias in inputs:
            proto, bound = inputs[alias], allowance
            used.append(alias)
        elif alias in signature.defaults:
            proto = signature.defaults[alias]
        else:
            raise invalid(
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and no default value "
                f"provided. Inputs expected to be in the request {{{_listed(inputs)}}}, or default input alias set: "
                f"{_listed(signature.defaults)}"
            )
        try:
            arrays.append(conversion.decode(proto, bound))
        except ValueError:
            raise invalid(f"tensor parsing error: {alias}") from None
    if len(used) != len(inputs):
        raise invalid(
            f"Inputs contains invalid name. Used request inputs: {_listed(used)}, request input: {_listed(inputs)}"
        )
    return arrays


def _check_outputs(signature: Signature, aliases: Sequence[str]) -> None:
    seen = set()
    for alias in aliases:
        if alias not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the set "
                f"{{{_listed(signature.outputs)}}}."
            )
        if alias in seen:
            raise invalid(f"duplicate output tensor alias: {alias}")
        seen.add(alias)


def _listed(names: Iterable[str]) -> str:
    return ",".join(sorted(names))


def response_spec(name: str, version: int, signature: str) -> bytes:
    """Return the wire bytes of a reply's ModelSpec."""
    numbered = fields.tagged(1, version) if version else b""
    return fields.delimited(1, name.encode()) + fields.delimited(2, numbered) + fields.delimited(3, signature.encode())
