"""Calls of the gRPC API as columns."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from tiffin.errors import ServingError
from tiffin.recorder.bodies import Unreadable
from tiffin.recorder.tensors import METHODS, Tensor, check_size, read_tensor
from tiffin.recorder.values import Column, Texts, make_column, read_row, split_tensors
from tiffin.serving import wire
from tiffin.serving.messages import DEFAULT_SIGNATURE
from tiffin.serving.prediction_log import INPUT, OUTPUT

# Input of the signature `examples` of Tiffin's models.
_SERIALIZED = "examples"


class Rows(NamedTuple):
    """The rows of a call.

    Attributes:
        length: Number of rows.
        columns: Inputs and outputs by the name of their column.
        signature: Name of the signature.
        version: Version that the answer names; None if it names none.
    """

    length: int
    columns: dict[str, Column]
    signature: str
    version: int | None


def read_messages(method: str, request: bytes, response: bytes | None, texts: Texts) -> Rows:
    """Return the rows of a gRPC call.

    Args:
        method: Name of the method.
        request: Serialized request.
        response: Serialized response; None of a failed call.
        texts: Converts bytes.

    Raises:
        Unreadable: A message cannot be parsed, or has too many values.
    """
    found = METHODS[method]
    try:
        asked = found.request.FromString(request)
        answer = None if response is None else found.response.FromString(response)
        return _READERS[method](asked, answer, texts)
    except (DecodeError, ServingError):
        raise Unreadable("message") from None


def _predict(request: Any, response: Any, texts: Texts) -> Rows:
    # Before they are read, which takes most of the time.
    check_size(len(request.inputs), 0)
    if _SERIALIZED not in request.inputs and (columns := _read_row(request, response, texts)) is not None:
        return Rows(1, columns, *_spec(request, response))
    found = [read_tensor(INPUT + name, proto) for name, proto in request.inputs.items()]
    if response is not None:
        found += [read_tensor(OUTPUT + name, proto) for name, proto in response.outputs.items()]
    encoded = _parse_examples(found) if _SERIALIZED in request.inputs else None
    if encoded is None:
        rows, columns = split_tensors(found, texts)
        return Rows(rows, columns, *_spec(request, response))
    rows, columns = split_tensors(found, Texts())
    columns.pop(INPUT + _SERIALIZED, None)
    features = read_examples(encoded, (), texts)
    columns |= features if rows == len(encoded) else {name: _whole(column) for name, column in features.items()}
    return Rows(rows, columns, *_spec(request, response))


def _read_row(request: Any, response: Any, texts: Texts) -> dict[str, Column] | None:
    """Return the columns of a request of one row; None if it has another form."""
    replaced = texts.replaced
    columns = read_row(request.inputs, INPUT, texts)
    answered = read_row(response.outputs, OUTPUT, texts) if response is not None else {}
    if columns and answered is not None:
        return columns | answered
    texts.replaced = replaced  # they are read again
    return None


def _whole(column: Column) -> Column:
    return make_column([[item for value in column.values for item in (value if isinstance(value, list) else [value])]])


def _parse_examples(found: Iterable[Tensor]) -> list[Any] | None:
    """Return the tf.Examples of the input `examples`; None if its values are something else."""
    [tensor] = [tensor for tensor in found if tensor.column == INPUT + _SERIALIZED]
    if tensor.dtype != "string" or len(tensor.shape) != 1:
        return None
    try:
        examples = [wire.Example.FromString(value) for value in tensor.values]
    except DecodeError:
        return None
    return examples if all(example.HasField("features") for example in examples) else None


def read_examples(examples: Iterable[Any], context: Iterable[Any], texts: Texts) -> dict[str, Column]:
    """Return the features of tf.Examples as input columns.

    Args:
        examples: The Examples, one for each row.
        context: Examples whose features every row has, unless it has its own.
        texts: Converts bytes.
    """
    rows = [_features([*context, example], texts) for example in examples]
    names = dict.fromkeys(name for row in rows for name in row)
    check_size(len(names), len(rows) * len(names))
    return {INPUT + name: make_column([row.get(name) for row in rows], "float32") for name in names}


def _features(examples: Iterable[Any], texts: Texts) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for example in examples:
        for name, feature in example.features.feature.items():
            kind = feature.WhichOneof("kind")
            if kind == "bytes_list":
                found[name] = list(texts.decode(feature.bytes_list.value))
            elif kind:
                found[name] = list(getattr(feature, kind).value)
    return found


def _spec(request: Any, response: Any) -> tuple[str, int | None]:
    """Return the names of the signature and the version of a call."""
    return request.model_spec.signature_name or DEFAULT_SIGNATURE, _version(response)


def _version(response: Any) -> int | None:
    if response is None or not response.model_spec.HasField("version"):
        return None
    version: int = response.model_spec.version.value
    return version


def _inputs(request: Any, texts: Texts) -> tuple[int, dict[str, Column]]:
    """Return the rows and the columns of the Input of a request."""
    found, context = request.input.example_list.examples, []
    if request.input.WhichOneof("kind") == "example_list_with_context":
        found = request.input.example_list_with_context.examples
        context = [request.input.example_list_with_context.context]
    return len(found), read_examples(found, context, texts)


def _classify(request: Any, response: Any, texts: Texts) -> Rows:
    rows, columns = _inputs(request, texts)
    if response is not None:
        columns |= _classes(response.result, OUTPUT, rows)
    return Rows(rows, columns, *_spec(request, response))


def _regress(request: Any, response: Any, texts: Texts) -> Rows:
    rows, columns = _inputs(request, texts)
    if response is not None:
        columns |= _regressions(response.result, OUTPUT, rows)
    return Rows(rows, columns, *_spec(request, response))


def _classes(result: Any, prefix: str, rows: int) -> dict[str, Column]:
    """Return the columns `classes` and `scores`, as TensorFlow Serving names them."""
    found = [row.classes for row in result.classifications]
    columns = {
        f"{prefix}scores": [[one.score for one in row] for row in found],
        f"{prefix}classes": [[one.label for one in row] for row in found],
    }
    return {name: make_column(values, "float32") for name, values in columns.items() if len(values) == rows}


def _regressions(result: Any, prefix: str, rows: int) -> dict[str, Column]:
    values = [row.value for row in result.regressions]
    return {f"{prefix}outputs": Column("float32", values)} if len(values) == rows else {}


def _multi_inference(request: Any, response: Any, texts: Texts) -> Rows:
    rows, columns = _inputs(request, texts)
    signatures = [task.model_spec.signature_name or DEFAULT_SIGNATURE for task in request.tasks]
    version = None
    for signature, result in zip(signatures, response.results if response is not None else (), strict=False):
        version = version if version is not None else _version(result)
        prefix = f"{OUTPUT}{signature}."
        if result.HasField("classification_result"):
            columns |= _classes(result.classification_result, prefix, rows)
        elif result.HasField("regression_result"):
            columns |= _regressions(result.regression_result, prefix, rows)
    return Rows(rows, columns, ",".join(signatures), version)


_READERS: Mapping[str, Callable[[Any, Any, Texts], Rows]] = {
    "Predict": _predict,
    "Classify": _classify,
    "Regress": _regress,
    "MultiInference": _multi_inference,
}
