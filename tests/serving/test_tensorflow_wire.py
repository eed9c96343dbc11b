"""Our messages compared with those of tensorflow-serving-api, both loaded in one process."""

import numpy as np
import pytest
import tensorflow as tf
from google.protobuf import descriptor, message_factory
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import model_service_pb2_grpc, predict_pb2, prediction_log_pb2, prediction_service_pb2_grpc

from tiffin.serving import tensors, wire

RUNS_IN = ("model",)

# Fields that our messages omit: the open-source server does not use them, or numpy does not support them.
LEFT_OUT = {
    "tensorflow.TensorInfo.composite_tensor",
    "tensorflow.serving.PredictRequest.predict_streamed_options",
    "tensorflow.serving.PredictRequest.client_id",
    "tensorflow.serving.PredictRequest.request_options",
    "tensorflow.serving.PredictionLog.predict_streamed_log",
    "tensorflow.serving.PredictionLog.session_run_log",
    "tensorflow.serving.PerTaskSamplingConfig.task_index",
}
ROOTS = [
    *(wire.METHODS[name].request for name in wire.METHODS),
    *(wire.METHODS[name].response for name in wire.METHODS),
    *(wire.SignatureDefMap, wire.PredictionLog, wire.ModelServerConfig, wire.Example),
]
# These modules and their imports register the messages in the default pool.
POOL = prediction_log_pb2.DESCRIPTOR.pool
Field = descriptor.FieldDescriptor


def theirs(ours):
    """Return TensorFlow's class with the same name."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(ours.DESCRIPTOR.full_name))


def all_messages():
    """Return every message that the roots use, ours and theirs."""
    found, open_ = {}, [(root.DESCRIPTOR, theirs(root).DESCRIPTOR) for root in ROOTS]
    while open_:
        one, other = open_.pop()
        if one.full_name in found:
            continue
        found[one.full_name] = (one, other)
        for field in one.fields:
            if field.message_type:
                open_.append((field.message_type, other.fields_by_number[field.number].message_type))
    return [found[name] for name in sorted(found)]


def is_repeated(field):
    return field.is_repeated if hasattr(field, "is_repeated") else field.label == Field.LABEL_REPEATED


def describe(field):
    oneof = field.containing_oneof and field.containing_oneof.name
    kind = field.message_type.full_name if field.message_type else ""
    return field.name, field.type, is_repeated(field), is_repeated(field) and field.is_packed, oneof, kind


@pytest.mark.parametrize(("one", "other"), all_messages(), ids=lambda found: found.full_name)
def test_fields_have_the_same_numbers_names_and_types(one, other):
    assert one.full_name == other.full_name
    assert one.GetOptions().map_entry == other.GetOptions().map_entry
    left_out = {field.number for field in other.fields if field.full_name in LEFT_OUT}
    expected = {number: describe(field) for number, field in other.fields_by_number.items() if number not in left_out}

    assert {number: describe(field) for number, field in one.fields_by_number.items()} == expected
    for number in expected:
        enum, their_enum = one.fields_by_number[number].enum_type, other.fields_by_number[number].enum_type
        if enum:
            numbers = {value.name: value.number for value in their_enum.values}
            assert {value.name: value.number for value in enum.values}.items() <= numbers.items()


def test_the_omitted_fields_exist():
    fields = {field.full_name for _, other in all_messages() for field in other.fields}

    assert fields >= LEFT_OUT


def test_paths_of_the_calls():
    seen = []

    class Channel:
        def unary_unary(self, path, **_):
            seen.append(path)

        unary_stream = stream_stream = stream_unary = unary_unary

    prediction_service_pb2_grpc.PredictionServiceStub(Channel())
    model_service_pb2_grpc.ModelServiceStub(Channel())

    assert {method.path for method in wire.METHODS.values()} <= set(seen)


SCALARS = {
    Field.TYPE_DOUBLE: st.floats(),
    Field.TYPE_FLOAT: st.floats(width=32),
    Field.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    Field.TYPE_UINT64: st.integers(0, 2**64 - 1),
    Field.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    Field.TYPE_UINT32: st.integers(0, 2**32 - 1),
    Field.TYPE_BOOL: st.booleans(),
    Field.TYPE_STRING: st.text(max_size=6),
    Field.TYPE_BYTES: st.binary(max_size=6),
}


@st.composite
def filled(draw, kind, other, depth=0):
    """Draw a message of class `kind` with random values in fields that both classes have."""
    message = kind()
    fields = [field for field in other.DESCRIPTOR.fields if field.full_name not in LEFT_OUT]
    for theirs_field in fields:
        if not draw(st.booleans()):
            continue
        field = kind.DESCRIPTOR.fields_by_number[theirs_field.number]
        _fill(draw, message, field, theirs_field, depth)
    return message


def _fill(draw, message, field, their_field, depth):
    times = draw(st.integers(1, 3)) if is_repeated(field) else 1
    if field.message_type and field.message_type.GetOptions().map_entry:
        entry = field.message_type.fields_by_name
        for _ in range(times):
            key = draw(SCALARS[entry["key"].type])
            if entry["value"].message_type:
                getattr(message, field.name)[key].CopyFrom(_child(draw, entry["value"], their_field, depth, True))
            else:
                getattr(message, field.name)[key] = draw(SCALARS[entry["value"].type])
    elif field.message_type:
        for _ in range(times):
            child = _child(draw, field, their_field, depth, False)
            if child is None:
                return
            if is_repeated(field):
                getattr(message, field.name).append(child)
            else:
                getattr(message, field.name).CopyFrom(child)
    else:
        values = SCALARS.get(field.type)
        if values is None:  # an enum, which keeps unknown numbers
            values = st.sampled_from([*(value.number for value in field.enum_type.values), 77])
        if is_repeated(field):
            getattr(message, field.name).extend(draw(values) for _ in range(times))
        else:
            setattr(message, field.name, draw(values))


def _child(draw, field, their_field, depth, in_map):
    kind = message_factory.GetMessageClass(field.message_type)
    if depth >= 5:
        return kind()
    their_type = their_field.message_type
    if in_map:
        their_type = their_type.fields_by_name["value"].message_type
    return draw(filled(kind, message_factory.GetMessageClass(their_type), depth + 1))


@pytest.mark.parametrize("root", ROOTS, ids=lambda root: root.DESCRIPTOR.full_name)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_the_same_bytes_in_both_directions(root, data):
    other = theirs(root)
    ours_to_theirs = data.draw(filled(root, other))
    content = ours_to_theirs.SerializeToString(deterministic=True)
    read_by_them = other.FromString(content)

    assert read_by_them.SerializeToString(deterministic=True) == content
    assert root.FromString(content).SerializeToString(deterministic=True) == content

    theirs_to_ours = data.draw(filled(other, other))
    content = theirs_to_ours.SerializeToString(deterministic=True)
    read_by_us = root.FromString(content)

    assert read_by_us.SerializeToString(deterministic=True) == content
    assert {field.name for field, _ in read_by_us.ListFields()} == {
        field.name for field, _ in theirs_to_ours.ListFields()
    }


def test_omitted_fields_are_kept():
    request = predict_pb2.PredictRequest(client_id=b"me")
    request.model_spec.name = "m"
    content = request.SerializeToString()

    assert predict_pb2.PredictRequest.FromString(wire.PredictRequest.FromString(content).SerializeToString()) == request


NUMERIC = [
    *("float16", "float32", "float64", "complex64", "complex128", "bool"),
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
]


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_tensors_equal_those_of_tensorflow(data):
    dtype = data.draw(st.sampled_from(NUMERIC))
    array = data.draw(hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_dims=3)))
    read = tf.make_ndarray(tensor_pb2.TensorProto.FromString(tensors.to_proto(array).SerializeToString()))

    assert (read.dtype, read.shape, read.tobytes()) == (array.dtype, array.shape, array.tobytes())

    back = tensors.from_proto(wire.TensorProto.FromString(tf.make_tensor_proto(array).SerializeToString()))

    assert (back.dtype, back.shape, back.tobytes()) == (array.dtype, array.shape, array.tobytes())


FIELDS = {
    "DT_FLOAT": ("float_val", st.floats(width=32)),
    "DT_DOUBLE": ("double_val", st.floats()),
    "DT_INT32": ("int_val", SCALARS[Field.TYPE_INT32]),
    "DT_UINT8": ("int_val", st.integers(0, 255)),
    "DT_INT16": ("int_val", st.integers(-(2**15), 2**15 - 1)),
    "DT_INT64": ("int64_val", SCALARS[Field.TYPE_INT64]),
    "DT_UINT32": ("uint32_val", SCALARS[Field.TYPE_UINT32]),
    "DT_UINT64": ("uint64_val", SCALARS[Field.TYPE_UINT64]),
    "DT_BOOL": ("bool_val", st.booleans()),
    "DT_HALF": ("half_val", st.integers(0, 2**16 - 1)),
    "DT_BFLOAT16": ("half_val", st.integers(0, 2**16 - 1)),
    "DT_STRING": ("string_val", st.binary(max_size=4)),
}


@pytest.mark.parametrize("dtype", FIELDS)
@settings(max_examples=50, deadline=None)
@given(data=st.data())
def test_values_in_repeated_fields_are_read_like_tensorflow(dtype, data):
    field, values = FIELDS[dtype]
    given_values = data.draw(st.lists(values, min_size=1, max_size=300))
    filled_up = data.draw(st.integers(0, 3))
    proto = tensor_pb2.TensorProto(dtype=dtype, **{field: given_values})
    proto.tensor_shape.dim.add(size=len(given_values) + filled_up)
    theirs_read = tf.make_ndarray(proto)
    ours_read = tensors.from_proto(wire.TensorProto.FromString(proto.SerializeToString()))

    assert ours_read.dtype == theirs_read.dtype
    assert ours_read.tolist() == theirs_read.tolist() or ours_read.tobytes() == theirs_read.tobytes()


def test_an_array_of_bfloat16():
    array = np.array([1.5, -2.0], tf.bfloat16.as_numpy_dtype)
    back = tensors.from_proto(tensors.to_proto(array))

    assert back.dtype == array.dtype
    assert back.tolist() == [1.5, -2.0]
