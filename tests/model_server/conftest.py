"""Fixtures: servers on real sockets, and the small SavedModels they serve."""

import os
import pathlib
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import pytest

from support import tiny_models
from support.server_process import Pause, Server

RUNS_IN = ("model",)

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")

CONFIG = "model_config_list {{ {} }}"
MODEL = 'config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" {more} }}'


@pytest.fixture
def pause(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pause]:
    pause = Pause(tmp_path_factory.mktemp("pause"))
    yield pause
    # End a run that a failed test left behind.
    for path in (pause.begun, pause.over):
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return int(probe.getsockname()[1])

    return find


@pytest.fixture(scope="session")
def started() -> list[Server]:
    """The servers that run."""
    return []


def end(servers: list[Server], kept: int) -> None:
    for server in servers[kept:]:
        server.stop()
    del servers[kept:]


@pytest.fixture(scope="module", autouse=True)
def servers_of_the_module(started: list[Server]) -> Iterator[None]:
    """End the servers that fixtures of the module started."""
    kept = len(started)
    yield
    end(started, kept)


@pytest.fixture(autouse=True)
def servers_of_the_test(started: list[Server]) -> Iterator[None]:
    """End the servers that the test started."""
    kept = len(started)
    yield
    end(started, kept)


@pytest.fixture(scope="session")
def launch(
    nursery: Any, free_port: Callable[[], int], started: list[Server], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Server]:
    """Start a server with the given flags, without waiting for its port; it ends with the test or the module."""

    def start(*flags: str, rest: bool = False) -> Server:
        folder = tmp_path_factory.mktemp("server")
        port, rest_port = free_port(), free_port() if rest else 0
        argv = [
            f"--port={port}",
            f"--rest_api_port={rest_port}",
            "--poll_wait_millis=100",
            "--allow_reload_config",
            *flags,
        ]
        server = Server(nursery, port, rest_port, folder / "log", argv)
        started.append(server)
        return server

    return start


@pytest.fixture(scope="session")
def write_config() -> Callable[..., str]:
    """Return the text of a model configuration file, for models as (name, path, more text)."""

    def write(*models: tuple[str, Any, str]) -> str:
        return CONFIG.format("".join(MODEL.format(name=name, path=path, more=more) for name, path, more in models))

    return write


@pytest.fixture(scope="session")
def saved_models(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder with the models `score` (versions 1 to 3), `tools`, `compiled` and `broken` of `tiny_models`."""
    root = tmp_path_factory.mktemp("models")
    tiny_models.save_compiled(root / "compiled" / "1")
    for version in (1, 2, 3):
        tiny_models.save_score(root / "score" / str(version), float(version))
    tiny_models.save_tools(root / "tools" / "00000123")
    (root / "broken" / "1").mkdir(parents=True)
    (root / "broken" / "1" / "saved_model.pb").write_bytes(b"\xff\xff not a model")
    return root


@pytest.fixture(scope="session")
def certificate() -> Callable[..., tuple[pathlib.Path, pathlib.Path]]:
    """Write a key and a certificate for localhost; return their paths."""

    def make(folder: pathlib.Path, name: str) -> tuple[pathlib.Path, pathlib.Path]:
        key, file = folder / f"{name}.key", folder / f"{name}.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", str(key), "-out", str(file)]
        command += ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=DNS:localhost"]
        subprocess.run(command, check=True, capture_output=True)
        return key, file

    return make


@pytest.fixture
def models(saved_models: pathlib.Path, tmp_path: pathlib.Path) -> Callable[..., pathlib.Path]:
    """Copy versions of `score` to a base path in the test's folder."""

    def copy(*versions: int, name: str = "score") -> pathlib.Path:
        (tmp_path / name).mkdir(exist_ok=True)
        for version in versions:
            # Rename after the copy, so that a version is complete when it appears, as in a deployment.
            shutil.copytree(saved_models / "score" / str(version), tmp_path / f"{name}-{version}.partial")
            (tmp_path / f"{name}-{version}.partial").rename(tmp_path / name / str(version))
        return tmp_path / name

    return copy


@pytest.fixture(scope="session")
def predict_request() -> Callable[..., Any]:
    """Return a PredictRequest from arrays or lists by alias."""
    import numpy as np
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    def make(
        model: str | None = "score",
        inputs: dict[str, Any] | None = None,
        *,
        signature: str = "",
        version: int | None = None,
        label: str = "",
        outputs: tuple[str, ...] = (),
    ) -> Any:
        request = predict_pb2.PredictRequest(output_filter=outputs)
        if model is not None:
            request.model_spec.name = model
            request.model_spec.signature_name = signature
        if version is not None:
            request.model_spec.version.value = version
        if label:
            request.model_spec.version_label = label
        for alias, value in (inputs if inputs is not None else {"x": [[1.0, 1.0, 1.0]]}).items():
            is_floats = isinstance(value, list) and isinstance(np.array(value).flat[0], float)
            array = np.array(value, np.float32) if is_floats else value
            proto = value if hasattr(value, "tensor_shape") else tf.make_tensor_proto(array)
            request.inputs[alias].CopyFrom(proto)
        return request

    return make


@pytest.fixture(scope="session")
def predict(predict_request: Callable[..., Any]) -> Callable[..., Any]:
    """Return the outputs of Predict as arrays; the arguments are those of `predict_request`."""
    import tensorflow as tf
    from tensorflow_serving.apis import predict_pb2

    def call(server: Server, *arguments: Any, **named: Any) -> dict[str, Any]:
        response = server.call("Predict", predict_request(*arguments, **named), predict_pb2.PredictResponse)
        return {alias: tf.make_ndarray(tensor) for alias, tensor in response.outputs.items()}

    return call


@pytest.fixture(scope="session")
def fails() -> Callable[..., None]:
    """Check that a call fails with this code and exactly this message."""

    def check(code: str, text: str, call: Callable[[], Any]) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            call()
        assert (caught.value.code().name, caught.value.details()) == (code, text)

    return check


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """Wait until a condition holds."""

    def wait(holds: Callable[[], Any], seconds: float = 90) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < deadline, f"not true within {seconds} s"
            time.sleep(0.02)

    return wait


@pytest.fixture(scope="session")
def states() -> Callable[..., dict[int, int]]:
    """Return the states of a model's versions, newest first; empty for an unknown model."""
    from tensorflow_serving.apis import get_model_status_pb2

    def ask(server: Server, model: str = "score", **spec: Any) -> dict[int, int]:
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = model
        try:
            response = server.call("GetModelStatus", request, get_model_status_pb2.GetModelStatusResponse)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return {}
        return {status.version: status.state for status in response.model_version_status}

    return ask


@pytest.fixture(scope="session")
def reload(write_config: Callable[..., str]) -> Callable[..., Any]:
    """Call HandleReloadConfigRequest with models as for `write_config`, or with a configuration's text."""
    from google.protobuf import text_format
    from tensorflow_serving.apis import model_management_pb2

    def call(server: Server, *models: Any, metrics: tuple[str, ...] = (), timeout: float = 30) -> Any:
        request = model_management_pb2.ReloadConfigRequest(metric_names=metrics)
        text = models[0] if models and isinstance(models[0], str) else write_config(*models)
        text_format.Parse(text, request.config)
        response = model_management_pb2.ReloadConfigResponse
        return server.call("HandleReloadConfigRequest", request, response, timeout)

    return call
