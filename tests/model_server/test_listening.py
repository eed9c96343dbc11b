"""Listening: addresses, threads, sockets, credentials and health."""

import concurrent.futures
import socket

import grpc
import pytest
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import predict_pb2

from tiffin.model_server import flags, listening


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a=--5", "--5"),
        ("a=-5", -5),
        ("a= +7 ", 7),
        ("a=2147483648", "2147483648"),
        ("a=1_0", "1_0"),
        ("a=", ""),
        ("a=b=c", "b"),
    ],
)
def test_channel_arguments_are_integers_or_strings(given, expected):
    options, _, _ = flags.parse([f"--grpc_channel_arguments={given}"])
    assert dict(listening.channel_arguments(options))["a"] == expected


def test_an_ipv6_host(launch, saved_models, predict_request):
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}", "--host=::1"]
    server = launch(*argv, rest=True)
    with grpc.insecure_channel(f"[::1]:{server.port}") as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        content = predict_request().SerializeToString()
        reply = predict_pb2.PredictResponse.FromString(call(content, timeout=60, wait_for_ready=True))
    assert list(reply.outputs["y"].float_val) == [9.0]
    with socket.create_connection(("::1", server.rest_port), 30) as connection:
        connection.sendall(b"GET /v1/models/score HTTP/1.0\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    assert f"Exporting HTTP/REST API at:[::1]:{server.rest_port} ..." in server.log


def test_grpc_max_threads(launch, saved_models, predict_request, predict):
    """With five threads, four slow runs do not block a fifth request."""
    argv = ["--model_name=tools", f"--model_base_path={saved_models / 'tools'}", "--grpc_max_threads=5"]
    server = launch(*argv).wait()
    predict(server, "tools", {"n": [1]}, signature="slow")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(predict, server, "tools", {"n": [1000]}, signature="slow") for _ in range(4)]
        assert predict(server, "tools", {"x": [1.0]}, signature="half")["y"].tolist() == [1.0]
        assert [one.result()["done"].tolist() for one in running] == [[1000.0]] * 4


def test_a_port_in_use(launch, saved_models):
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    first = launch(*argv).wait()
    second = launch(*argv, f"--port={first.port}")
    assert second.exit() == 255
    assert "Failed to start server. Error: INVALID_ARGUMENT: Failed to BuildAndStart gRPC server" in second.log


@pytest.mark.parametrize("port", ["taken", "99999"])
def test_an_unavailable_rest_port(launch, saved_models, predict, port):
    """It is logged, and gRPC works without it."""
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        rest_port = taken.getsockname()[1] if port == "taken" else port
        server = launch(*argv, f"--rest_api_port={rest_port}").wait()
        assert predict(server)["y"].tolist() == [[9.0]]
    assert f"Failed to start HTTP Server at 127.0.0.1:{rest_port}: " in server.log


def test_unix_socket_and_channel_arguments(launch, saved_models, tmp_path, predict_request, eventually):
    path = tmp_path / "socket"
    server = launch(
        "--port=0",
        f"--grpc_socket_path={path}",
        "--grpc_channel_arguments=grpc.max_connection_age_ms=60000,grpc.max_receive_message_length=1000",
        "--model_name=score",
        f"--model_base_path={saved_models / 'score'}",
    )
    eventually(path.exists)
    with grpc.insecure_channel(f"unix:{path}") as channel:
        call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
        reply = predict_pb2.PredictResponse.FromString(call(predict_request().SerializeToString(), timeout=60))
        assert list(reply.outputs["y"].float_val) == [9.0]
        with pytest.raises(grpc.RpcError) as caught:
            call(b"\x0a" * 2000, timeout=60)
        assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.stop() == 0


@pytest.mark.parametrize("verify", [False, True])
def test_ssl(launch, saved_models, tmp_path, predict_request, certificate, verify):
    key, file = certificate(tmp_path, "localhost")

    def quoted(path):
        return '"' + path.read_text().replace("\n", "\\n") + '"'

    text = f"server_key: {quoted(key)} server_cert: {quoted(file)} custom_ca: {quoted(file)} client_verify: {str(verify).lower()}"
    (tmp_path / "ssl").write_text(text)
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    server = launch(*argv, f"--ssl_config_file={tmp_path / 'ssl'}").wait()

    def ask(credentials):
        with grpc.secure_channel(f"localhost:{server.port}", credentials) as channel:
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            return call(predict_request().SerializeToString(), timeout=60)

    pem = file.read_bytes()
    if verify:
        with pytest.raises(grpc.RpcError) as caught:
            ask(grpc.ssl_channel_credentials(pem))
        assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
        assert ask(grpc.ssl_channel_credentials(pem, key.read_bytes(), pem))
    else:
        assert ask(grpc.ssl_channel_credentials(pem))


def test_health(launch, saved_models):
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]

    def check(server, service):
        with grpc.insecure_channel(server.address) as channel:
            call = channel.unary_unary("/grpc.health.v1.Health/Check")
            request = health_pb2.HealthCheckRequest(service=service).SerializeToString()
            return health_pb2.HealthCheckResponse.FromString(call(request, timeout=60)).status

    server = launch(*argv, "--enable_grpc_healthcheck_service").wait()
    assert [check(server, name) for name in ("", "ModelService", "PredictionService")] == [1, 1, 1]
    with pytest.raises(grpc.RpcError) as caught:
        check(server, "no such service")
    assert caught.value.code() == grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as caught:
        check(launch(*argv).wait(), "")
    assert caught.value.code() == grpc.StatusCode.UNIMPLEMENTED
