"""Classify, Regress and MultiInference: from serialized tf.Examples to classes or values.

The order of the checks and the messages are those of tensorflow/serving's
servables/tensorflow/{classifier,regressor,multi_inference,util}.cc.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from tensorflow.core.framework import types_pb2

from tiffin.errors import ServingError
from tiffin.model_server import codes, conversion, declarations
from tiffin.model_server.codes import invalid
from tiffin.model_server.models import Model
from tiffin.model_server.predict import run
from tiffin.model_server.runners import CLASSIFY_METHOD, DEFAULT_SIGNATURE, REGRESS_METHOD, Signature


def classify(model: Model, request: Any, check_method: bool = False, growth: float = math.inf, **running: Any) -> Any:
    """Return a ClassificationResponse.

    Args:
        model: Model selected by the request's ModelSpec.
        request: InferenceRequest of `declarations`.
        check_method: Require the signature's method_name to be that of classification.
        growth: Bytes by which the request may grow. Defaults to no limit.
        running: See `predict.run`.

    Raises:
        ServingError: The request is invalid or the run failed, with TF Serving's message.
    """
    check_time = codes.time_limit(running.get("timeout_ms", 0))
    signature = _find(model, request.model_spec, CLASSIFY_METHOD, check_method)
    aliases = _classify_aliases(signature)
    arrays, count = _run(model, signature, aliases, _examples(request.input, growth), "Classify", running)
    response = declarations.message_class("ClassificationResponse")()
    _fill_spec(response.model_spec, model, request.model_spec)
    _fill_classes(response.result, dict(zip(aliases, arrays, strict=True)), count, check_time)
    return response


def regress(model: Model, request: Any, check_method: bool = False, growth: float = math.inf, **running: Any) -> Any:
    """Return a RegressionResponse; the arguments are those of `classify`."""
    check_time = codes.time_limit(running.get("timeout_ms", 0))
    signature = _find(model, request.model_spec, REGRESS_METHOD, check_method)
    aliases = _regress_aliases(signature)
    arrays, count = _run(model, signature, aliases, _examples(request.input, growth), "Regress", running)
    response = declarations.message_class("RegressionResponse")()
    _fill_spec(response.model_spec, model, request.model_spec)
    _fill_values(response.result, arrays[0], count, check_time)
    return response


def infer(model: Model, request: Any, check_method: bool = False, growth: float = math.inf, **running: Any) -> Any:
    """Return a MultiInferenceResponse.

    Args:
        model: Model selected by the first task's ModelSpec.
        request: MultiInferenceRequest of `declarations`.
        check_method: Require each signature's method_name to match its task.
        growth: Bytes by which the request may grow. Defaults to no limit.
        running: See `predict.run`.
    """
    check_time = codes.time_limit(running.get("timeout_ms", 0))
    tasks = _checked_tasks(model, request, check_method)
    # The same input feeds all tasks, and one run of the session returns all outputs.
    infos = [info for signature, _ in tasks for info in signature.inputs.values()]
    feeds = {info.name: info.dtype for info in sorted(infos, key=lambda info: str(info.name))}
    fetches = sorted({signature.outputs[alias].name for signature, aliases in tasks for alias in aliases})
    examples = _examples(request.input, growth)
    metrics = running.pop("metrics", None)  # MultiInference has no runtime_latency
    outputs = run(
        lambda names: model.joint_runner(feeds, names),
        fetches,
        [examples] * len(feeds),
        model=model.name,
        api="MultiInference",
        **running,
    )
    if metrics is not None:
        metrics.count_examples(model.name, len(examples))
    fetched = dict(zip(fetches, map(np.asarray, outputs), strict=True))
    response = declarations.message_class("MultiInferenceResponse")()
    for task, (signature, aliases) in zip(request.tasks, tasks, strict=True):
        result = response.results.add()
        found = {alias: fetched[signature.outputs[alias].name] for alias in aliases}
        if task.method_name == CLASSIFY_METHOD:
            _fill_classes(result.classification_result, found, len(examples), check_time)
        else:
            _fill_values(result.regression_result, found["outputs"], len(examples), check_time)
        _fill_spec(result.model_spec, model, task.model_spec)
    return response


def _checked_tasks(model: Model, request: Any, check_method: bool) -> list[tuple[Signature, list[str]]]:
    tasks: dict[str, tuple[Signature, list[str]]] = {}
    for task in request.tasks:
        if not task.model_spec.name:
            raise invalid("Found ModelSpec with an empty model name.")
        if task.model_spec.name != request.tasks[0].model_spec.name:
            raise invalid("All ModelSpecs in a MultiInferenceRequest must access the same model name.")
        name = task.model_spec.signature_name or DEFAULT_SIGNATURE
        if name in tasks:
            raise invalid(f"Duplicate evaluation of signature: {name}")
        signature = model.signatures.get(name)
        if signature is None:
            raise invalid(f"Requested signature not found in model graph: {name}")
        if task.method_name not in _NOUNS:
            raise ServingError(f"Unsupported signature method_name: {task.method_name}", "UNIMPLEMENTED")
        if check_method:
            _check_method(signature, task.method_name)
        tasks[name] = (signature, _CHECKS[task.method_name](signature))
    return list(tasks.values())


def _find(model: Model, spec: Any, method: str, check_method: bool) -> Signature:
    name = spec.signature_name or DEFAULT_SIGNATURE
    signature = model.signatures.get(name)
    if signature is None:
        raise invalid(f"No signature was found with the name: {name}")
    if check_method:
        _check_method(signature, method)
    return signature


def _check_method(signature: Signature, method: str) -> None:
    if signature.definition.method_name != method:
        raise invalid(
            f"Expected {_NOUNS[method]} signature method_name to be {method}. Was: {signature.definition.method_name}"
        )


def _classify_aliases(signature: Signature) -> list[str]:
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) not in (1, 2):
        raise invalid(f"Expected one or two output Tensors, found {len(signature.outputs)}")
    if "inputs" not in signature.inputs:
        raise invalid(f"No classification inputs found in SignatureDef: {signature.definition}")
    aliases = [alias for alias in ("classes", "scores") if alias in signature.outputs]
    if not aliases:
        raise invalid(
            'Expected classification signature outputs to contain at least one of "classes" or "scores". '
            f"Signature was: {signature.definition}"
        )
    return aliases


def _regress_aliases(signature: Signature) -> list[str]:
    if len(signature.inputs) != 1:
        raise invalid("Expected one input Tensor.")
    if len(signature.outputs) != 1:
        raise invalid("Expected one output Tensor.")
    for alias, having, noun in (("inputs", signature.inputs, "inputs"), ("outputs", signature.outputs, "outputs")):
        if alias not in having:
            raise invalid(f"No regression {noun} found in SignatureDef: {signature.definition}")
    return ["outputs"]


_NOUNS = {CLASSIFY_METHOD: "classification", REGRESS_METHOD: "regression"}
_CHECKS = {CLASSIFY_METHOD: _classify_aliases, REGRESS_METHOD: _regress_aliases}


def _examples(message: Any, growth: float) -> Any:
    """Return the serialized examples as a tensor; a context's bytes are put before each example's."""
    kind = message.WhichOneof("kind")
    examples = list(getattr(message, kind).examples) if kind else []
    if not examples:
        raise invalid("Input is empty.")
    if kind == "example_list_with_context":
        context = message.example_list_with_context.context
        growing = f"{len(examples)} examples with a context of {len(context)} bytes"
        conversion.Allowance(growth).spend(len(context) * (len(examples) - 1), growing)
        examples = [context + example for example in examples]
    array = np.empty(len(examples), object)
    array[:] = examples
    return array


def _run(
    model: Model, signature: Signature, aliases: Sequence[str], examples: Any, api: str, running: dict[str, Any]
) -> tuple[list[Any], int]:
    outputs = run(signature.runner, aliases, [examples], model=model.name, api=api, **running)
    return [np.asarray(output) for output in outputs], len(examples)


def _fill_spec(spec: Any, model: Model, asked: Any) -> None:
    spec.name = asked.name
    spec.version.value = model.version
    spec.signature_name = asked.signature_name or DEFAULT_SIGNATURE


def _fill_classes(result: Any, outputs: dict[str, Any], count: int, check_time: Callable[[], None]) -> None:
    expected = {"classes": types_pb2.DT_STRING, "scores": types_pb2.DT_FLOAT}
    for alias in ("classes", "scores"):
        if alias not in outputs:
            continue
        array = outputs[alias]
        if array.ndim != 2:
            raise invalid(f"Expected Tensor shape: [batch_size num_classes] but got {_shape(array)}")
        if conversion.type_enum(array) != expected[alias]:
            raise invalid(
                f"Expected {alias} Tensor of {types_pb2.DataType.Name(expected[alias])}. "
                f"Got: {types_pb2.DataType.Name(conversion.type_enum(array))}"
            )
        if len(array) != count:
            raise invalid(f"Expected {alias} output batch size of {count}. Got: {len(array)}")
    classes, scores = outputs.get("classes"), outputs.get("scores")
    if classes is not None and scores is not None and classes.shape[1] != scores.shape[1]:
        raise invalid(
            f"Tensors class and score should match in dim_size(1). Got {classes.shape[1]} vs. {scores.shape[1]}"
        )
    labels = None if classes is None else classes.tolist()
    values = None if scores is None else scores.tolist()
    width: int = next(iter(outputs.values())).shape[1]
    for row in range(count):
        check_time()
        classification = result.classifications.add()
        for column in range(width):
            one = classification.classes.add()
            if labels is not None:
                one.label = labels[row][column]
            if values is not None:
                one.score = values[row][column]


def _fill_values(result: Any, array: Any, count: int, check_time: Callable[[], None]) -> None:
    if not (array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)):
        raise invalid(
            f"Expected output Tensor shape to be either [batch_size] or [batch_size, 1] but got {_shape(array)}"
        )
    if len(array) != count:
        raise invalid(f"Input batch size did not match output batch size: {count} vs. {len(array)}")
    if conversion.type_enum(array) != types_pb2.DT_FLOAT:
        raise invalid(
            f"Expected output Tensor of DT_FLOAT.  Got: {types_pb2.DataType.Name(conversion.type_enum(array))}"
        )
    check_time()
    for value in array.ravel().tolist():
        result.regressions.add().value = value


def _shape(array: Any) -> str:
    return "[" + ",".join(map(str, array.shape)) + "]"
