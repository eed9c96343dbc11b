import errno
import os

import numpy as np
import pytest

from tiffin.errors import InputError
from tiffin.serving import tensors, warmup, wire

NUMBERS = {value.name: value.number for value in wire.DataType.values}


@pytest.fixture
def saved_model(tmp_path):
    """A SavedModel with signatures, but without a graph."""
    content = wire.SavedModel()
    graph = content.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    for signature in ("serving_default", "explain", "__saved_model_init_op"):
        for name, kind in {"miles": "DT_FLOAT", "company": "DT_STRING"}.items():
            info = graph.signature_def[signature].inputs[name]
            info.dtype = NUMBERS[kind]
            info.tensor_shape.dim.add(size=-1)
            info.tensor_shape.dim.add(size=1)
    # A model trained by Tiffin has this signature as well.
    graph.signature_def["examples"].inputs["inputs"].dtype = NUMBERS["DT_STRING"]
    (tmp_path / "saved_model.pb").write_bytes(content.SerializeToString())
    return tmp_path


@pytest.fixture
def with_examples(saved_model):
    """The same with signatures of serialized examples: `scored` for Classify, `valued` for Regress, `other` for neither."""
    content = wire.SavedModel.FromString((saved_model / "saved_model.pb").read_bytes())
    known = content.meta_graphs[0].signature_def
    for signature, outputs in {"scored": ("classes", "scores"), "valued": ("outputs",), "other": ("y",)}.items():
        known[signature].inputs["inputs"].dtype = NUMBERS["DT_STRING"]
        known[signature].inputs["inputs"].tensor_shape.dim.add(size=-1)
        for name in outputs:
            known[signature].outputs[name].dtype = NUMBERS["DT_FLOAT"]
    (saved_model / "saved_model.pb").write_bytes(content.SerializeToString())
    return saved_model


def logs(path):
    """Return the records of a file, without verifying the checksums."""
    content, found = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        found.append(wire.PredictionLog.FromString(content[12 : 12 + size]))
        content = content[16 + size :]
    return found


def read(path):
    return [log.predict_log.request for log in logs(path)]


def test_a_known_record():
    # from tf.io.TFRecordWriter
    assert warmup.frame_record(b"tiffin").hex() == "0600000000000000" + "7369d537" + "74696666696e" + "b4d1d6b8"


def test_requests_use_the_rows_in_turn(saved_model):
    rows = [{"miles": float(number), "company": "a"} for number in range(5)]
    path = warmup.write_warmup(saved_model, "taxi", rows, batch_sizes=(2, 3), requests_per_size=2)

    assert path == saved_model / "assets.extra" / "tf_serving_warmup_requests"
    requests = read(path)
    assert [request.model_spec.name for request in requests] == ["taxi"] * 4
    miles = [np.frombuffer(request.inputs["miles"].tensor_content, "f4").tolist() for request in requests]
    assert miles == [[0, 1], [2, 3], [4, 0, 1], [2, 3, 4]]
    assert [dim.size for dim in requests[0].inputs["company"].tensor_shape.dim] == [2, 1]


def test_existing_requests_are_replaced(saved_model):
    rows = {"miles": [None, 2], "company": [None, "a"]}
    warmup.write_warmup(saved_model, "taxi", rows)
    path = warmup.write_warmup(
        saved_model, "taxi", rows, batch_sizes=[1], signature_names=["", "explain"], requests_per_size=1
    )

    assert [request.model_spec.signature_name for request in read(path)] == ["", "explain"]
    assert list(path.parent.iterdir()) == [path]


def test_the_default_number_of_requests(saved_model):
    """Sixteen per size, ordered by size, so that the server measures one size at a time."""
    path = warmup.write_warmup(saved_model, "taxi", {"miles": [1.0], "company": ["a"]})

    assert [request.inputs["miles"].tensor_shape.dim[0].size for request in read(path)] == [1] * 16 + [64] * 16


def test_examples_are_classified_and_predicted(with_examples):
    rows = [{"miles": 1.5, "company": "a", "trips": 2}, {"miles": None, "company": None, "trips": None}]
    one = {"batch_sizes": [2], "requests_per_size": 1}
    predicted, classified = logs(warmup.write_warmup(with_examples, "taxi", rows, signature_names=["scored"], **one))

    assert (predicted.WhichOneof("log_type"), classified.WhichOneof("log_type")) == ("predict_log", "classify_log")
    first, second = classified.classify_log.request.input.example_list.examples
    assert first.features.feature["miles"].float_list.value == [1.5]
    assert first.features.feature["company"].bytes_list.value == [b"a"]
    assert first.features.feature["trips"].int64_list.value == [2]
    assert not second.features.feature, "missing values are omitted"
    serialized = tensors.from_proto(predicted.predict_log.request.inputs["inputs"])
    assert [wire.Example.FromString(content) for content in serialized] == [first, second]
    spec = classified.classify_log.request.model_spec
    assert (spec.name, spec.signature_name) == ("taxi", "scored")


@pytest.mark.parametrize(
    ("signature", "rows", "kinds"),
    [
        ("valued", [{"miles": 1.0}], ["predict_log", "regress_log"]),
        ("other", {"inputs": [b""]}, ["predict_log"]),
        ("scored", {"inputs": [b""]}, ["predict_log"]),  # already serialized
    ],
)
def test_the_names_of_the_outputs_determine_the_calls(with_examples, signature, rows, kinds):
    path = warmup.write_warmup(
        with_examples, "taxi", rows, signature_names=[signature], batch_sizes=[1], requests_per_size=1
    )

    assert [log.WhichOneof("log_type") for log in logs(path)] == kinds


def test_examples_count_for_both_calls(with_examples):
    with pytest.raises(InputError, match=r"Received: 1004 .*requests_per_size=251"):
        warmup.write_warmup(with_examples, "taxi", [{"miles": 1.0}], signature_names=["scored"], requests_per_size=251)


def test_signatures_are_read_without_tensorflow(saved_model):
    found = warmup.read_signatures(saved_model)

    assert sorted(found) == ["examples", "explain", "serving_default"]
    assert found["explain"].inputs["company"].dtype == "string"


@pytest.mark.parametrize(
    ("inputs", "options", "pattern"),
    [
        ({"miles": [], "company": []}, {}, r"Received: \[0\] rows"),
        ({"miles": [1.0]}, {}, r"Received: \[1\] rows, .*: company"),
        ({"miles": [1.0, 2.0], "company": ["a"]}, {}, r"Received: \[1, 2\] rows"),
        ({"miles": ["x"], "company": ["a"]}, {}, "'miles'.* number.*'x'"),
        ({"miles": [1.0], "company": ["a"]}, {"signature_names": ["s"]}, "signature_names.*'s'"),
        ({"miles": [1.0], "company": ["a"]}, {"requests_per_size": 501}, "Received: 1002 .*requests_per_size=501"),
        ({"miles": [1.0], "company": ["a"]}, {"batch_sizes": [0]}, r"batch_sizes=\[0\]"),
        ({"miles": [1.0], "company": ["a"]}, {"batch_sizes": []}, r"Received: 0 .*batch_sizes=\[\]"),
    ],
)
def test_requests_that_cannot_be_created(saved_model, inputs, options, pattern):
    with pytest.raises(InputError, match=pattern):
        warmup.write_warmup(saved_model, "taxi", inputs, **options)

    assert not (saved_model / "assets.extra").exists()


@pytest.mark.parametrize(
    ("content", "pattern"),
    [
        (None, rf"saved_model\.pb.*{os.strerror(errno.ENOENT)}"),
        (b"\xff", r"parse '.*/saved_model\.pb'"),
        (b"", "'serve'"),
    ],
)
def test_no_saved_model(tmp_path, content, pattern):
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(InputError, match=pattern):
        warmup.read_signatures(tmp_path)
