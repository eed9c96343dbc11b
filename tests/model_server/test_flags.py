"""The command line, the ways to listen, health, and how the program starts and ends."""

import concurrent.futures
import socket
import subprocess
import sys

import grpc
import pytest
from grpc_health.v1 import health_pb2
from tensorflow_serving.apis import predict_pb2

from tiffin.model_server import flags, listening


def test_forms_of_a_flag():
    options, unknown, wrong = flags.parse(
        ["--port=1", "-rest_api_port=2", "--enable_batching", "-enable_model_warmup=false", "--host=::1"]
        + ["--model_config_file_poll_wait_seconds=5", "--model_name=a=b"]
    )
    assert (options.port, options.rest_api_port, options.enable_batching, options.enable_model_warmup) == (
        1,
        2,
        True,
        False,
    )
    assert (options.host, options.model_config_file_poll_wait_seconds, options.model_name) == ("::1", 5, "a=b")
    assert "port" in options.given
    assert "rest_api_timeout_in_ms" not in options.given
    assert (unknown, wrong) == ([], [])


def test_defaults():
    options, _, _ = flags.parse([])
    assert (options.port, options.rest_api_port, options.model_name, options.rest_api_timeout_in_ms) == (
        8500,
        0,
        "default",
        30000,
    )
    assert (options.max_num_load_retries, options.load_retry_interval_micros) == (5, 60_000_000)
    assert (options.file_system_poll_wait_seconds, options.model_config_file_poll_wait_seconds) == (1, 0)
    assert (options.saved_model_tags, options.enable_model_warmup, options.num_load_threads) == ("serve", True, 0)


def test_unknown_and_wrong():
    _, unknown, wrong = flags.parse(["--foo=1", "--port", "9", "--enable_batching=maybe", "--grpc_max_threads=x"])
    assert unknown == ["--foo=1", "--port", "9"]
    assert wrong == [
        "Couldn't interpret value maybe for flag enable_batching.",
        "Couldn't interpret value x for flag grpc_max_threads.",
    ]


@pytest.mark.parametrize(
    "argument",
    [
        "--file_system_poll_wait_seconds=0.5",
        "--model_config_file_poll_wait_seconds=1.0",
        "--port=1_0",
        "--port=",
        "--port=9 ",
        "--max_num_load_retries=2147483648",
        "--load_retry_interval_micros=9223372036854775808",
    ],
)
def test_numbers_that_do_not_fit(argument):
    """TF Serving's are int32, a few int64; the interval of a poll is whole seconds."""
    _, unknown, wrong = flags.parse([argument])
    name, _, value = argument.removeprefix("--").partition("=")
    assert (unknown, wrong) == ([], [f"Couldn't interpret value {value} for flag {name}."])


def test_polls_in_milliseconds():
    """A flag of our own; what is off stays off."""
    options, _, _ = flags.parse(["--poll_wait_millis=50"])
    assert (options.file_system_poll_wait_seconds, options.model_config_file_poll_wait_seconds) == (0.05, 0)
    options, _, _ = flags.parse(["--poll_wait_millis=50", "--file_system_poll_wait_seconds=-1"])
    assert options.file_system_poll_wait_seconds == -1


def test_every_flag_is_in_the_usage():
    usage = flags.usage("program")
    assert all(f"--{flag.name}=" in usage for flag in flags.FLAGS)


def failing(launch, *argv):
    server = launch(*argv)
    assert server.exit() == 255
    return server.log


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        ([], "Both server_options.model_base_path and server_options.model_config_file are empty!"),
        (
            ["--port=0", "--model_base_path=/m"],
            "At least one of server_options.grpc_port or server_options.grpc_socket_path must be set.",
        ),
        (
            ["--model_base_path=/m", "--tensorflow_session_parallelism=1", "--tensorflow_intra_op_parallelism=1"]
            + ["--tensorflow_inter_op_parallelism=1"],
            "Either configure server_options.tensorflow_session_parallelism or "
            "(server_options.tensorflow_intra_op_parallelism, server_options.tensorflow_inter_op_parallelism) "
            "separately. You cannot configure all.",
        ),
        (
            ["--model_base_path=p"],
            "Expected model default to have an absolute path or URI; got base_path()=p",
        ),
    ],
)
def test_flags_that_contradict(launch, argv, text):
    assert f"Failed to start server. Error: INVALID_ARGUMENT: {text}" in failing(launch, *argv)


def test_a_missing_configuration(launch):
    text = "Failed to start server. Error: NOT_FOUND: /nowhere; No such file or directory"
    assert text in failing(launch, "--model_config_file=/nowhere")


def test_wrong_values_print_the_usage(launch):
    log = failing(launch, "--grpc_max_threads=x")
    assert "Couldn't interpret value x for flag grpc_max_threads." in log
    assert "--model_base_path=" in log


def test_help_is_the_first_argument_that_no_flag_takes(launch):
    log = failing(launch, "--port=1", "--help", "--model_base_path=/m")
    assert "usage: tiffin-model-server" in log
    assert "Failed to start" not in log


@pytest.mark.parametrize("file", ["model_config_file", "ssl_config_file"])
def test_files_on_a_file_system_that_is_not_known(launch, saved_models, file):
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}", f"--{file}=nope://bucket/file"]
    assert "Failed to start server. Error: UNIMPLEMENTED: File system scheme 'nope'" in failing(launch, *argv)


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
def test_channel_arguments_are_numbers_or_texts(given, expected):
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


def test_xla_is_off_unless_a_flag_turns_it_on(launch, saved_models, predict):
    argv = ["--model_name=compiled", f"--model_base_path={saved_models / 'compiled'}"]
    with pytest.raises(grpc.RpcError, match="XLA compilation disabled"):
        predict(launch(*argv).wait(), "compiled", {"x": [1.0, 2.0]})
    server = launch(*argv, "--xla_cpu_compilation_enabled").wait()
    assert predict(server, "compiled", {"x": [1.0, 2.0]})["y"].tolist() == [2.0, 4.0]


def test_threads_that_are_asked_for(launch, saved_models, predict_request, predict):
    """Four slow runs do not hold the fifth request, where there are five threads."""
    argv = ["--model_name=tools", f"--model_base_path={saved_models / 'tools'}", "--grpc_max_threads=5"]
    server = launch(*argv).wait()
    predict(server, "tools", {"n": [1]}, signature="slow")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        running = [pool.submit(predict, server, "tools", {"n": [3000]}, signature="slow") for _ in range(4)]
        assert predict(server, "tools", {"x": [1.0]}, signature="half")["y"].tolist() == [1.0]
        assert [one.result()["done"].tolist() for one in running] == [[3000.0]] * 4


def test_unknown_flags_are_printed_only(launch, saved_models, predict):
    server = launch("--foo=1", "--model_name=score", f"--model_base_path={saved_models / 'score'}")
    assert predict(server.wait())["y"].tolist() == [[9.0]]
    assert server.log.startswith("unknown argument: --foo=1\nusage: ")


def test_a_port_that_is_taken(launch, saved_models):
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    first = launch(*argv).wait()
    log = failing(launch, *argv, f"--port={first.port}")
    assert "Failed to start server. Error: INVALID_ARGUMENT: Failed to BuildAndStart gRPC server" in log


@pytest.mark.parametrize("port", ["taken", "99999"])
def test_a_rest_port_that_cannot_be_had(launch, saved_models, predict, port):
    """It is logged, and gRPC goes on without it."""
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        rest_port = taken.getsockname()[1] if port == "taken" else port
        server = launch(*argv, f"--rest_api_port={rest_port}").wait()
        assert predict(server)["y"].tolist() == [[9.0]]
    assert f"Failed to start HTTP Server at 127.0.0.1:{rest_port}: " in server.log


def test_version_from_the_command_line():
    command = [sys.executable, "-m", "tiffin.model_server", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("TensorFlow ModelServer: 2.21")
    assert "TensorFlow Library: 2.21" in result.stdout


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
