"""The states of a version, and features that are not supported."""

import concurrent.futures
import shutil

import grpc
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

START, LOADING, AVAILABLE, UNLOADING, END = 10, 20, 30, 40, 50
WARMUP = "assets.extra/tf_serving_warmup_requests"


def versions(*numbers):
    return f"model_version_policy {{ specific {{ {' '.join(f'versions: {number}' for number in numbers)} }} }}"


@pytest.fixture
def tools(saved_models, tmp_path, predict_request, pause):
    """Base path with versions 1 to 3 of `tools`; version 3 pauses in its warm-up."""
    for number in (1, 2, 3):
        shutil.copytree(saved_models / "tools" / "00000123", tmp_path / "tools" / str(number))
    file = tmp_path / "tools" / "3" / WARMUP
    file.parent.mkdir(exist_ok=True)
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request("tools", pause.inputs, signature="wait"))
    with tf.io.TFRecordWriter(str(file)) as writer:
        writer.write(log.SerializeToString())
    return tmp_path / "tools"


@pytest.fixture
def start(launch, write_config, tmp_path, tools):
    def run(policy, *flags):
        (tmp_path / "config").write_text(write_config(("tools", tools, policy)))
        return launch(f"--model_config_file={tmp_path / 'config'}", *flags).wait()

    return run


@pytest.fixture
def busy(predict, pause):
    """Start a request that pauses, and return its future."""

    def ask(server, version):
        pool = concurrent.futures.ThreadPoolExecutor(1)
        running = pool.submit(predict, server, "tools", pause.inputs, signature="wait", version=version)
        pool.shutdown(wait=False)
        pause.wait()
        return running

    return ask


def test_no_version_no_state(launch, tmp_path, states):
    (tmp_path / "config").write_text("model_config_list {}")
    assert states(launch(f"--model_config_file={tmp_path / 'config'}").wait()) == {}


def test_start_and_loading(start, tools, reload, states, predict, fails, eventually, pause):
    """Versions load one after another, the newest first; none answers before it is AVAILABLE."""
    server = start(versions(1))
    reload(server, ("tools", tools, versions(1, 2, 3)))
    pause.wait()
    eventually(lambda: states(server, "tools") == {3: LOADING, 2: START, 1: AVAILABLE})
    for version in (2, 3):
        text = f"Servable not found for request: Specific(tools, {version})"
        fails("NOT_FOUND", text, lambda v=version: predict(server, "tools", {"n": [1]}, signature="slow", version=v))
    assert predict(server, "tools", {"n": [1]}, signature="slow")["done"].tolist() == [1.0]
    pause.end()
    eventually(lambda: states(server, "tools") == {3: AVAILABLE, 2: AVAILABLE, 1: AVAILABLE})


def test_unloading(start, tools, reload, states, predict, fails, eventually, busy, pause):
    """An unloading version rejects requests, and ends after those in flight."""
    server = start(versions(1, 2))
    eventually(lambda: states(server, "tools") == {2: AVAILABLE, 1: AVAILABLE})
    running = busy(server, 1)
    reload(server, ("tools", tools, versions(2)))
    eventually(lambda: states(server, "tools") == {2: AVAILABLE, 1: UNLOADING})
    text = "Servable not found for request: Specific(tools, 1)"
    fails("NOT_FOUND", text, lambda: predict(server, "tools", {"n": [1]}, signature="slow", version=1))
    pause.end()
    assert len(running.result()["done"]) == 2
    eventually(lambda: states(server, "tools") == {2: AVAILABLE, 1: END})


@pytest.mark.parametrize("threads", [0, 1])
def test_threads_that_unload(start, tools, reload, states, eventually, busy, pause, threads):
    """Without threads, the manager itself waits for the requests in flight, and loads nothing until then."""
    shutil.rmtree(tools / "3" / "assets.extra")
    server = start(versions(1, 2), f"--num_unload_threads={threads}")
    eventually(lambda: states(server, "tools") == {2: AVAILABLE, 1: AVAILABLE})
    running = busy(server, 1)
    reload(server, ("tools", tools, versions(2, 3)))
    eventually(lambda: states(server, "tools")[1] == UNLOADING)
    if threads:
        eventually(lambda: states(server, "tools") == {3: AVAILABLE, 2: AVAILABLE, 1: UNLOADING})
    else:
        assert not running.done()
        assert "Loading servable version {name: tools version: 3}" not in server.log
    pause.end()
    running.result()
    eventually(lambda: states(server, "tools") == {3: AVAILABLE, 2: AVAILABLE, 1: END})


def test_the_message_of_a_failed_reload(launch, saved_models, reload, fails, tmp_path):
    (tmp_path / "config").write_text("model_config_list {}")
    server = launch(f"--model_config_file={tmp_path / 'config'}", "--max_num_load_retries=0").wait()
    path = saved_models / "broken"
    reason = f"DATA_LOSS: Can't parse {path}/1/saved_model.pb as binary proto"
    text = f"1 model(s) did not become available: {{{{{{name: bad version: 1}} due to error: {reason}}}, }}"
    fails("UNKNOWN", text, lambda: reload(server, ("bad", path, "")))
    text = "2 model(s) did not become available: {"
    text += "".join(f"{{{{name: {name} version: 1}} due to error: {reason}}}, " for name in ("worse", "worst"))
    fails("UNKNOWN", f"{text}}}", lambda: reload(server, ("worse", path, ""), ("worst", path, "")))


def test_request_logging_at_the_start(launch, saved_models, write_config, tmp_path):
    """It is rejected after the models have loaded, as in TF Serving."""
    logging = "logging_config { sampling_config { sampling_rate: 0.5 } }"
    (tmp_path / "config").write_text(write_config(("score", saved_models / "score", logging)))
    server = launch(f"--model_config_file={tmp_path / 'config'}")
    assert server.exit() == 255
    text = "Failed to start server. Error: INVALID_ARGUMENT: No request-logger-creator provided."
    assert server.log.index("Successfully loaded servable version {name: score version: 3}") < server.log.index(text)


def test_no_reflection(launch, saved_models):
    server = launch("--model_name=score", f"--model_base_path={saved_models / 'score'}").wait()
    for version in ("v1alpha", "v1"):
        call = server.channel().stream_stream(f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo")
        with pytest.raises(grpc.RpcError) as caught:
            list(call(iter([b""]), timeout=60))
        assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
