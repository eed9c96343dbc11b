"""Warm-up requests of every kind, those written by `tiffin.serving.warmup`, and their metrics."""

import contextlib
import re
import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

from tiffin.errors import ServingError
from tiffin.model_server import flags, loading, metrics, models
from tiffin.serving import warmup

LOADING, AVAILABLE, END = 20, 30, 50
CLASSIFY, REGRESS = "tensorflow/serving/classify", "tensorflow/serving/regress"
PAGE = "/monitoring/prometheus/metrics"


@pytest.fixture
def tools(saved_models, tmp_path):
    """Base path with version 1 of `tools`."""
    shutil.copytree(saved_models / "tools" / "00000123", tmp_path / "tools" / "1")
    return tmp_path / "tools"


@pytest.fixture
def start(launch, tmp_path, tools):
    def run(*more):
        (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
        return launch(
            "--model_name=tools",
            f"--model_base_path={tools}",
            "--max_num_load_retries=0",
            f"--monitoring_config_file={tmp_path / 'monitoring'}",
            *more,
            rest=True,
        )

    return run


@pytest.fixture
def model(tools):
    """Load the model in this process."""
    opened = []

    def load():
        options, _, _ = flags.parse([])
        opened.append(models.Model("tools", 1, str(tools / "1"), options))
        return opened[-1]

    yield load
    for one in opened:
        one.closer()()


def example(value):
    feature = tf.train.Feature(float_list=tf.train.FloatList(value=[value]))
    return tf.train.Example(features=tf.train.Features(feature={"x": feature}))


def log(kind, *signatures, values=(0.25, 0.5)):
    record = prediction_log_pb2.PredictionLog()
    request = getattr(record, f"{kind}_log").request
    if kind == "multi_inference":
        for signature, method in signatures:
            task = request.tasks.add(method_name=method)
            task.model_spec.name, task.model_spec.signature_name = "tools", signature
    else:
        (request.model_spec.signature_name,) = signatures
    request.input.example_list.examples.extend(map(example, values))
    return record


def write(folder, *records):
    """Write a model's warm-up requests: PredictionLogs, PredictRequests or bytes."""
    file = folder / warmup.WARMUP_FILE
    file.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(file)) as writer:
        for record in records:
            is_request = isinstance(record, predict_pb2.PredictRequest)
            log = prediction_log_pb2.PredictionLog(predict_log={"request": record}) if is_request else record
            writer.write(log if isinstance(log, bytes) else log.SerializeToString())


def value(server, name, path, status="OK"):
    page = server.rest(PAGE)[1]
    shown = re.escape(f'{name}{{model_path="{path}",status="{status}"}} ')
    found = re.search(f"^:tensorflow:serving:{shown}(\\S+)$", page, re.MULTILINE)
    return found and float(found[1])


def test_no_records(start, tools):
    """An empty file is read and recorded in the metrics; a model without a file is not."""
    write(tools / "1")
    server = start().wait()
    assert "Number of warmup records read: 0." in server.log
    assert value(server, "model_warmup_latency_count", tools / "1") == 1
    assert value(server, "model_warmup_records_read", tools / "1") == 0
    shutil.rmtree(tools / "1" / "assets.extra")
    server = start().wait()
    assert f"No warmup data file found at {tools}/1/{warmup.WARMUP_FILE}" in server.log
    assert value(server, "model_warmup_latency_count", tools / "1") is None


def test_every_kind_of_request(start, tools):
    """Classify, Regress and MultiInference; the metrics have their number and their latency."""
    both = log("multi_inference", ("classify", CLASSIFY), ("", REGRESS))
    write(tools / "1", log("classify", "classify"), log("regress", ""), both)
    server = start("--num_request_iterations_for_warmup=3").wait()
    assert "Number of warmup records read: 3." in server.log
    assert value(server, "model_warmup_latency_count", tools / "1") == 1
    assert value(server, "model_warmup_latency_sum", tools / "1") > 0
    assert value(server, "model_warmup_records_read", tools / "1") == 3
    assert ':tensorflow:serving:request_count{model_name="tools"' not in server.rest(PAGE)[1]
    assert "deprecated" not in server.log


@pytest.mark.parametrize(
    ("record", "text"),
    [
        (log("classify", "s"), "INVALID_ARGUMENT: No signature was found with the name: s"),
        (log("classify", "three"), "INVALID_ARGUMENT: Expected one or two output Tensors, found 3"),
        (log("regress", "classify"), "INVALID_ARGUMENT: Expected one output Tensor."),
        (log("regress", "", values=()), "INVALID_ARGUMENT: Input is empty."),
        (
            log("multi_inference", ("s", REGRESS)),
            "INVALID_ARGUMENT: Requested signature not found in model graph: s",
        ),
        (log("multi_inference", ("", "m")), "UNIMPLEMENTED: Unsupported signature method_name: m"),
    ],
)
def test_an_error_fails_the_load(start, tools, record, text):
    write(tools / "1", record)
    server = start()
    assert server.exit() == 255
    ended = server.log[server.log.index("Failed to start server. Error: ") :]
    start_of_text = "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
    assert ended.startswith(f"{start_of_text}{{{{{{name: tools version: 1}} due to error: {text}}}, }}")


def test_a_truncated_file_has_its_own_metric(start, tools, states, eventually):
    """The status is a label; the old version keeps serving."""
    server = start().wait()
    shutil.copytree(tools / "1", tools.with_name("partial"))
    write(tools.with_name("partial"), log("regress", ""))
    file = tools.with_name("partial") / warmup.WARMUP_FILE
    content = file.read_bytes() * 2
    file.write_bytes(content + b"torn" * 4)
    tools.with_name("partial").rename(tools / "2")
    eventually(lambda: states(server, "tools") == {2: END, 1: AVAILABLE})
    assert f"DATA_LOSS: corrupted record at {len(content)}" in server.log
    assert ". Please verify your warmup data is in TFRecord format." in server.log
    page = server.rest(PAGE)[1]
    status = re.search(f':model_warmup_records_read{{model_path="{tools}/2",status="(DATA_LOSS: [^"]*)"}} 2\n', page)
    assert status, page
    assert value(server, "model_warmup_latency_count", tools / "2", status[1]) == 1


def test_a_version_is_available_only_after_its_warm_up(
    start, tools, predict, predict_request, states, eventually, pause
):
    """During its warm-up, the new version is LOADING and the old one answers."""
    server = start().wait()
    shutil.copytree(tools / "1", tools.with_name("partial"))
    record = prediction_log_pb2.PredictionLog()
    record.predict_log.request.CopyFrom(predict_request("tools", pause.inputs, signature="wait"))
    write(tools.with_name("partial"), record)
    tools.with_name("partial").rename(tools / "2")
    warming = f"Starting to read warmup data for model at {tools}/2/"
    pause.wait()
    assert warming in server.log
    assert states(server, "tools") == {2: LOADING, 1: AVAILABLE}
    assert predict(server, "tools", {"n": [1]}, signature="slow")["done"].tolist() == [1.0]
    pause.end()
    eventually(lambda: states(server, "tools")[2] == AVAILABLE)
    events = [
        warming,
        "Finished reading warmup data for model at",
        "Successfully loaded servable version {name: tools version: 2}",
    ]
    places = [server.log.index(event) for event in events]
    assert places == sorted(places)


def test_the_server_runs_the_requests_written_by_tiffin(start, tools, model, monkeypatch):
    """After the warm-up, the mode of each signature is chosen, without cost for users."""
    rows = [{"x": 0.25}, {"x": None}, {"x": 0.5}]
    warmup.write_warmup(tools / "1", "tools", rows, signature_names=["classify", "", "classify_scores"])
    server = start().wait()
    # Three signatures, each with 16 requests of 1 row and 16 of 64 rows for Predict, and the same for the other call.
    assert "Number of warmup records read: 192." in server.log
    assert value(server, "model_warmup_records_read", tools / "1") == 192

    loaded = model()
    assert loading.warm_up(loaded, metrics.Metrics()) == 192
    for name, outputs in {"classify": ["classes", "scores"], "serving_default": ["outputs"]}.items():
        runner = loaded.signatures[name].runner(outputs)
        assert runner.is_settled
        # Long time limits have no cost either: the slower, cancellable mode is not used.
        monkeypatch.setattr(runner, "_limited", None)
        one = np.array([example(0.25).SerializeToString()], object)
        assert len(runner([one], timeout_ms=600_000)) == len(outputs)


@pytest.mark.parametrize("fails", [False, True])
def test_a_load_gives_way_to_requests(tools, monkeypatch, fails):
    usual, during = sys.getswitchinterval(), []

    def note(*_):
        during.append(sys.getswitchinterval())
        if fails:
            raise ServingError("no", "INTERNAL")
        return 0

    monkeypatch.setattr(loading, "warm_up", note)
    options, _, _ = flags.parse([])
    load = loading.loader(options, metrics.Metrics())
    with pytest.raises(ServingError) if fails else contextlib.nullcontext():
        load("tools", 1, str(tools / "1")).closer()()

    assert during == [pytest.approx(0.00005)]
    assert sys.getswitchinterval() == usual


def test_the_requests_have_the_rows(tools, model):
    warmup.write_warmup(tools / "1", "tools", [{"x": 0.25}], signature_names=[""], batch_sizes=[2], requests_per_size=1)
    (_, regress) = (
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(tools / "1" / warmup.WARMUP_FILE))
    )
    assert list(regress.regress_log.request.input.example_list.examples) == [example(0.25)] * 2
    assert loading.warm_up(model(), metrics.Metrics()) == 2


@pytest.fixture
def start_score(launch):
    def run(path, *more):
        return launch("--model_name=score", f"--model_base_path={path}", "--max_num_load_retries=0", *more)

    return run


def failure(server):
    """Return the message of a start that failed because of its only model."""
    assert server.exit() == 255
    text = "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: "
    return server.log[server.log.index(text) :]


def test_warm_up(start_score, models, predict_request):
    path = models(1)
    good = predict_request()
    good.ClearField("model_spec")
    write(path / "1", good, good, prediction_log_pb2.PredictionLog())
    server = start_score(path, "--num_request_iterations_for_warmup=20").wait()
    assert f"Starting to read warmup data for model at {path}/1/{warmup.WARMUP_FILE}" in server.log
    assert "Number of warmup records read: 3." in server.log


def test_warm_up_can_be_disabled(start_score, models):
    path = models(1)
    write(path / "1", b"\xff")
    assert "warmup" not in start_score(path, "--enable_model_warmup=false").wait().log


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("wrong", 'FAILED_PRECONDITION: Serving signature key "s" not found.'),
        ("no log", "INVALID_ARGUMENT: Failed to parse warmup record: "),
        ("session", "UNIMPLEMENTED: Unsupported log_type for warmup: 5"),
        ("many", "INVALID_ARGUMENT: Number of warmup records exceeds the maximum (1000) at "),
        ("no records", ". Please verify your warmup data is in TFRecord format."),
    ],
)
def test_a_failed_warm_up_fails_the_load(start_score, models, predict_request, kind, text):
    path = models(1)
    session = prediction_log_pb2.PredictionLog()
    session.session_run_log.SetInParent()
    records = {
        "wrong": [predict_request(signature="s")],
        "no log": [b"\xff"],
        "session": [session],
        "many": [predict_request()] * 1001,
        "no records": [],
    }
    write(path / "1", *records[kind])
    if kind == "no records":
        (path / "1" / warmup.WARMUP_FILE).write_bytes(b"nothing like a record at all")
    assert text in failure(start_score(path))


def test_a_model_without_its_variables(start_score, models):
    path = models(1)
    shutil.rmtree(path / "1" / "variables")
    failure(start_score(path))


def test_tags(start_score, saved_models):
    line = failure(start_score(saved_models / "score", "--saved_model_tags=serve,tpu"))
    assert "NOT_FOUND: Could not find meta graph def matching supplied tags: { serve tpu }." in line
