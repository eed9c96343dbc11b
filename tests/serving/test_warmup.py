import numpy as np
import pytest

from tiffin.errors import InputError
from tiffin.serving import warmup, wire

NUMBERS = {value.name: value.number for value in wire.DataType.values}


@pytest.fixture
def saved_model(tmp_path):
    """A SavedModel without a graph: what says how to ask it is all that matters here."""
    content = wire.SavedModel()
    graph = content.meta_graphs.add()
    graph.meta_info_def.tags.append("serve")
    for signature in ("serving_default", "explain", "__saved_model_init_op"):
        for name, kind in {"miles": "DT_FLOAT", "company": "DT_STRING"}.items():
            info = graph.signature_def[signature].inputs[name]
            info.dtype = NUMBERS[kind]
            info.tensor_shape.dim.add(size=-1)
            info.tensor_shape.dim.add(size=1)
    (tmp_path / "saved_model.pb").write_bytes(content.SerializeToString())
    return tmp_path


def read(path):
    """Return the requests of a file, trusting its checksums."""
    content, requests = path.read_bytes(), []
    while content:
        size = int.from_bytes(content[:8], "little")
        requests.append(wire.PredictionLog.FromString(content[12 : 12 + size]).predict_log.request)
        content = content[16 + size :]
    return requests


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


def test_signatures_and_again(saved_model):
    rows = {"miles": [None, 2], "company": [None, "a"]}
    warmup.write_warmup(saved_model, "taxi", rows)
    path = warmup.write_warmup(
        saved_model, "taxi", rows, batch_sizes=[1], signature_names=["", "explain"], requests_per_size=1
    )

    assert [request.model_spec.signature_name for request in read(path)] == ["", "explain"]
    assert list(path.parent.iterdir()) == [path]


def test_signatures_are_read_without_tensorflow(saved_model):
    found = warmup.read_signatures(saved_model)

    assert sorted(found) == ["explain", "serving_default"]
    assert found["explain"].inputs["company"].dtype == "string"


@pytest.mark.parametrize(
    ("inputs", "options", "reason"),
    [
        ({"miles": [], "company": []}, {}, "at least one row"),
        ({"miles": [1.0]}, {}, "without company"),
        ({"miles": [1.0, 2.0], "company": ["a"]}, {}, r"Received: \[1, 2\] rows"),
        ({"miles": ["x"], "company": ["a"]}, {}, "should be a number"),
        ({"miles": [1.0], "company": ["a"]}, {"signature_names": ["s"]}, "signature to warm up should be one of"),
        ({"miles": [1.0], "company": ["a"]}, {"requests_per_size": 501}, "1002 in all"),
        ({"miles": [1.0], "company": ["a"]}, {"batch_sizes": [0]}, "at least one row"),
        ({"miles": [1.0], "company": ["a"]}, {"batch_sizes": []}, "0 in all"),
    ],
)
def test_requests_that_cannot_be_made(saved_model, inputs, options, reason):
    with pytest.raises(InputError, match=reason):
        warmup.write_warmup(saved_model, "taxi", inputs, **options)

    assert not (saved_model / "assets.extra").exists()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "should hold saved_model.pb"), (b"\xff", "should be a SavedModel"), (b"", "with the tag 'serve'")],
)
def test_no_saved_model(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "saved_model.pb").write_bytes(content)
    with pytest.raises(InputError, match=reason):
        warmup.read_signatures(tmp_path)
