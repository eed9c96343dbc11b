"""The command line and its effects."""

import subprocess
import sys

import grpc
import pytest

from tiffin.model_server import flags


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


def test_unknown_flags_and_invalid_values():
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
def test_numbers_out_of_range(argument):
    """TF Serving's integers are int32, some int64; polling intervals are whole seconds."""
    _, unknown, wrong = flags.parse([argument])
    name, _, value = argument.removeprefix("--").partition("=")
    assert (unknown, wrong) == ([], [f"Couldn't interpret value {value} for flag {name}."])


def test_polls_in_milliseconds():
    """Tiffin's flag changes intervals, but does not turn polling on."""
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
def test_contradicting_flags(launch, argv, text):
    assert f"Failed to start server. Error: INVALID_ARGUMENT: {text}" in failing(launch, *argv)


def test_a_missing_configuration_file(launch):
    text = "Failed to start server. Error: NOT_FOUND: /nowhere; No such file or directory"
    assert text in failing(launch, "--model_config_file=/nowhere")


def test_invalid_values_print_the_usage(launch):
    log = failing(launch, "--grpc_max_threads=x")
    assert "Couldn't interpret value x for flag grpc_max_threads." in log
    assert "--model_base_path=" in log


def test_help_as_the_first_unknown_argument(launch):
    log = failing(launch, "--port=1", "--help", "--model_base_path=/m")
    assert "usage: tiffin-model-server" in log
    assert "Failed to start" not in log


@pytest.mark.parametrize("file", ["model_config_file", "ssl_config_file"])
def test_files_on_an_unsupported_file_system(launch, saved_models, file):
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}", f"--{file}=nope://bucket/file"]
    assert "Failed to start server. Error: UNIMPLEMENTED: File system scheme 'nope'" in failing(launch, *argv)


def test_xla_is_off_unless_a_flag_turns_it_on(launch, saved_models, predict):
    argv = ["--model_name=compiled", f"--model_base_path={saved_models / 'compiled'}"]
    with pytest.raises(grpc.RpcError) as caught:
        predict(launch(*argv).wait(), "compiled", {"x": [1.0, 2.0]})
    assert "XLA compilation disabled" in caught.value.details()
    server = launch(*argv, "--xla_cpu_compilation_enabled").wait()
    assert predict(server, "compiled", {"x": [1.0, 2.0]})["y"].tolist() == [2.0, 4.0]


def test_unknown_flags_are_printed_and_ignored(launch, saved_models, predict):
    server = launch("--foo=1", "--model_name=score", f"--model_base_path={saved_models / 'score'}")
    assert predict(server.wait())["y"].tolist() == [[9.0]]
    assert server.log.startswith("unknown argument: --foo=1\nusage: ")


def test_version_from_the_command_line():
    command = [sys.executable, "-m", "tiffin.model_server", "--version"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.startswith("TensorFlow ModelServer: 2.21")
    assert "TensorFlow Library: 2.21" in result.stdout
