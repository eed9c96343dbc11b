"""The end of the program: SIGTERM ends it, even if its threads wait."""

import concurrent.futures
import os
import signal
import subprocess
import sys

import grpc
import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_serving.apis import model_management_pb2, predict_pb2


@pytest.fixture
def program(free_port, saved_models, write_config, tmp_path):
    """Run the program itself: the servers of the other tests are forked, and end in another way."""
    config = tmp_path / "config"
    config.write_text(write_config(("score", saved_models / "score", ""), ("tools", saved_models / "tools", "")))
    port = free_port()
    flags = [f"--port={port}", f"--model_config_file={config}", "--allow_reload_config"]
    command = [sys.executable, "-m", "tiffin.model_server", *flags]
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
        grpc.insecure_channel(f"127.0.0.1:{port}") as channel,
    ):
        grpc.channel_ready_future(channel).result(120)
        yield process, channel
        if process.poll() is None:
            process.kill()


def ended(process):
    os.kill(process.pid, signal.SIGTERM)
    return process.wait(60)


def test_neither_a_waiting_reload_nor_a_long_run_delays_the_end(
    program, predict_request, write_config, saved_models, tmp_path
):
    process, channel = program
    call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
    products = lambda count: predict_request("tools", {"n": np.array([count], np.int32)}, signature="slow")  # noqa: E731
    reply = predict_pb2.PredictResponse.FromString(call(products(1).SerializeToString(), timeout=60))
    assert list(reply.outputs["done"].float_val) == [1.0]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(call, products(10_000_000).SerializeToString())
        begin_reload(channel, write_config, saved_models, tmp_path)
        assert ended(process) == 0
        assert running.exception() is not None


def begin_reload(channel, write_config, saved_models, tmp_path):
    """Reload a configuration for which the server waits; give up after a second."""
    (tmp_path / "empty").mkdir()
    request = model_management_pb2.ReloadConfigRequest()
    # `tools` stays, so that its run goes on.
    models = [("empty", tmp_path / "empty", ""), ("tools", saved_models / "tools", "")]
    text_format.Parse(write_config(*models), request.config)
    call = channel.unary_unary("/tensorflow.serving.ModelService/HandleReloadConfigRequest")
    with pytest.raises(grpc.RpcError) as caught:
        call(request.SerializeToString(), timeout=1)
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_failed_start_is_reported(launch):
    server = launch("--model_base_path=p")
    assert server.exit() == 255
    assert "Failed to start server. Error: INVALID_ARGUMENT: Expected model default" in server.log


def test_the_exit_status_of_a_wrong_flag():
    command = [sys.executable, "-m", "tiffin.model_server", "--port=x"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, "port" in result.stderr) == (255, True)
