"""--processes: several processes on the same ports, one owner of the models."""

import concurrent.futures
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import signal
import threading
import time

import grpc
import pytest

AVAILABLE, END = 30, 50
PREDICT = "/tensorflow.serving.PredictionService/Predict"


def children(server):
    listed = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [int(pid) for pid in listed]


def opened(server):
    """Return how many processes have opened the ports so far."""
    return server.log.count("Running gRPC ModelServer")


@pytest.fixture
def start(launch, eventually):
    """Start two processes, and wait until both serve."""

    def run(*flags, rest=False):
        server = launch("--processes=2", "--max_num_load_retries=0", *flags, rest=rest).wait()
        eventually(lambda: opened(server) == 2)
        return server

    return run


@pytest.fixture
def server(start, saved_models, write_config, tmp_path):
    (tmp_path / "config").write_text(
        write_config(("score", saved_models / "score", "model_version_policy { specific { versions: 1 } }"))
    )
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
    return start(
        f"--model_config_file={tmp_path / 'config'}",
        "--model_config_file_poll_wait_seconds=1",
        f"--monitoring_config_file={tmp_path / 'monitoring'}",
        rest=True,
    )


@pytest.fixture
def folder_server(start, models):
    """Serve version 1 from a base path of the test's own."""
    return start("--model_name=score", f"--model_base_path={models(1)}")


def asked(server, predict_request, count=40):
    """Ask over a connection of its own each time, so that every process gets some."""
    found = []
    for _ in range(count):
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(PREDICT)
            found.append(call(predict_request().SerializeToString(), timeout=60, wait_for_ready=True))
    return found


@contextlib.contextmanager
def clients(server, predict_request):
    """Ask from several clients all the while; none may lose more than what was in flight."""
    stopped = threading.Event()
    content = predict_request().SerializeToString()

    def ask(_):
        outcomes = []
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary(PREDICT)
            while not stopped.is_set():
                try:
                    call(content, timeout=90, wait_for_ready=True)
                    outcomes.append("")
                except grpc.RpcError as error:
                    outcomes.append(f"{error.code().name}: {error.details()}")
        return outcomes

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(ask, index) for index in range(6)]
        time.sleep(0.5)
        try:
            yield
            time.sleep(1.0)
        finally:
            stopped.set()
        found = [one.result() for one in running]
    for outcomes in found:
        bursts = [list(burst) for failed, burst in itertools.groupby(outcomes, key=bool) if failed]
        # The one in flight, and one that gRPC may put on the same connection before it notices; then never again.
        assert len(bursts) <= 1, bursts
        assert all(len(burst) <= 2 for burst in bursts), bursts
        assert all(text.startswith("UNAVAILABLE") for burst in bursts for text in burst), bursts
        assert "" in outcomes


def test_both_serve_and_are_counted_together(server, predict_request):
    replies = asked(server, predict_request)
    assert len(set(replies)) == 1
    assert len(children(server)) == 2
    page = server.rest("/monitoring/prometheus/metrics")[1]
    assert re.search(r'request_count{model_name="score",status="OK"} (\d+)', page)[1] == "40"
    assert "load_attempt_count{model_path=" in page


def test_the_counts_of_a_lost_process_stay(server, predict_request, eventually):
    def count():
        page = server.rest("/monitoring/prometheus/metrics")[1]
        return int(re.search(r'request_count{model_name="score",status="OK"} (\d+)', page)[1])

    asked(server, predict_request)
    assert count() == 40
    os.kill(children(server)[0], signal.SIGKILL)
    eventually(lambda: opened(server) == 3)
    assert count() == 40


def test_a_reload_is_known_to_all_when_it_ends(
    server, saved_models, reload, predict_request, states, tmp_path, write_config, eventually
):
    (tmp_path / "config").write_text(text := (tmp_path / "config").read_text().replace("versions: 1", "versions: 2"))
    eventually(lambda: states(server) == {2: AVAILABLE, 1: END})
    assert len(set(asked(server, predict_request, 20))) == 1
    assert "versions: 2" in text
    (tmp_path / "config").unlink()  # else the next poll brings it back
    label = 'model_version_policy { specific { versions: 2 } } version_labels { key: "stable" value: 2 }'
    reload(server, ("score", saved_models / "score", label), metrics=("/tensorflow/serving/request_count",))
    request = predict_request(label="stable")
    assert len(set(asked(server, lambda: request, 20))) == 1
    with pytest.raises(grpc.RpcError, match=r"1 model\(s\) did not become available"):
        reload(server, ("score", saved_models / "score", label), ("bad", saved_models / "broken", ""))
    assert len(set(asked(server, lambda: request, 10))) == 1


def test_killing_a_process_loses_only_its_requests_in_flight(server, predict_request, eventually, states):
    victim, survivor = children(server)
    with clients(server, predict_request):
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(children(server)) == 2 and victim not in children(server))
    assert f"Process {victim} is gone (status 9); another takes its place" in server.log
    eventually(lambda: states(server) == {1: AVAILABLE})
    # The new one serves as well, once it has the model.
    eventually(lambda: opened(server) == 3)
    os.kill(survivor, signal.SIGKILL)
    assert len(set(asked(server, predict_request, 5))) == 1


def test_killing_a_process_in_mid_load_loses_only_its_requests_in_flight(
    folder_server, models, predict_request, eventually, states
):
    server = folder_server
    victim, survivor = children(server)
    with clients(server, predict_request):
        os.kill(victim, signal.SIGSTOP)
        models(2)
        eventually(lambda: "Loading servable version {name: score version: 2}" in server.log)
        time.sleep(2.0)  # the other one has it by now, most likely
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: "Done unloading servable version {name: score version: 1}" in server.log)
    assert len(set(asked(server, predict_request))) == 1
    assert states(server) == {2: AVAILABLE, 1: END}
    eventually(lambda: opened(server) == 3)
    os.kill(survivor, signal.SIGKILL)
    assert len(set(asked(server, predict_request, 5))) == 1


def test_losing_all_processes_in_mid_load(folder_server, models, predict_request, eventually, states):
    server = folder_server
    old = children(server)
    os.kill(old[0], signal.SIGSTOP)
    models(2)
    eventually(lambda: "Loading servable version {name: score version: 2}" in server.log)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: opened(server) == 4)
    eventually(lambda: states(server) == {2: AVAILABLE, 1: END})
    assert len(set(asked(server, predict_request))) == 1


def test_a_process_opens_only_with_all_that_is_available(folder_server, models, predict_request, eventually):
    """Where the model's folder is gone it waits for its return, and the others go on serving."""
    server = folder_server
    path = models()
    victim, survivor = children(server)
    path.rename(path.with_name("away"))
    eventually(lambda: "Could not find base path" in server.log)
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: server.log.count("cannot load {name: score version: 1}: NOT_FOUND: ") == 2)
    assert len(set(asked(server, predict_request))) == 1
    path.with_name("away").rename(path)
    eventually(lambda: opened(server) == 3)
    os.kill(survivor, signal.SIGKILL)
    assert len(set(asked(server, predict_request, 5))) == 1


def test_a_version_that_replaces_one_that_cannot_be_loaded_any_more(
    folder_server, models, predict_request, eventually, states
):
    server = folder_server
    path = models()
    path.rename(path.with_name("away"))
    eventually(lambda: "Could not find base path" in server.log)
    for pid in children(server):
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: server.log.count("cannot load {name: score version: 1}: NOT_FOUND: ") > 2)
    assert opened(server) == 2
    models(2)
    eventually(lambda: opened(server) == 4)
    assert len(set(asked(server, predict_request))) == 1
    assert states(server) == {2: AVAILABLE, 1: END}


def test_a_process_that_cannot_read_its_settings_opens_no_port(server, predict_request, tmp_path, eventually):
    text = (tmp_path / "monitoring").read_text()
    (tmp_path / "monitoring").write_text(text[:-1])
    victim, survivor = children(server)
    with clients(server, predict_request):
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: server.log.count("cannot serve: INVALID_ARGUMENT: Invalid protobuf file: ") == 2)
    assert opened(server) == 2
    (tmp_path / "monitoring").write_text(text)
    eventually(lambda: opened(server) == 3)
    os.kill(survivor, signal.SIGKILL)
    assert len(set(asked(server, predict_request, 5))) == 1


def test_a_process_that_cannot_open_its_ports_is_replaced(
    start, saved_models, tmp_path, certificate, predict_request, eventually
):
    def quoted(path):
        return '"' + path.read_text().replace("\n", "\\n") + '"'

    key, file = certificate(tmp_path, "localhost")
    settings = tmp_path / "ssl"
    settings.write_text(text := f"server_key: {quoted(key)} server_cert: {quoted(file)}")
    argv = ["--model_name=score", f"--model_base_path={saved_models / 'score'}", f"--ssl_config_file={settings}"]
    server = start(*argv)
    victim, survivor = children(server)

    def ask():
        credentials = grpc.ssl_channel_credentials(file.read_bytes())
        local = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"localhost:{server.port}", credentials, local) as channel:
            return channel.unary_unary(PREDICT)(predict_request().SerializeToString(), timeout=60, wait_for_ready=True)

    settings.write_text(text[:100])
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: f"Invalid protobuf file: '{settings}'" in server.log)
    assert len({ask() for _ in range(10)}) == 1
    settings.write_text(text)
    eventually(lambda: opened(server) == 3)
    os.kill(survivor, signal.SIGKILL)
    assert ask()


def test_a_configuration_file_that_is_wrong_or_gone(server, predict_request, tmp_path, eventually, write_config):
    config = tmp_path / "config"
    text = config.read_text()
    config.write_text(text[: len(text) // 2])
    eventually(lambda: f"Failed to read ModelServerConfig file: Invalid protobuf file: '{config}'" in server.log)
    config.write_text(write_config(("score", "relative", "")))
    text = "PollFilesystemAndReloadConfig failed to ReloadConfig: Expected model score to have an absolute path or URI"
    eventually(lambda: text in server.log)
    config.unlink()
    eventually(lambda: f"Failed to read ModelServerConfig file: {config}; No such file or directory" in server.log)
    assert len(set(asked(server, predict_request))) == 1


def test_a_version_that_fails_leaves_the_old_one(
    folder_server, models, saved_models, predict_request, eventually, states
):
    server = folder_server
    shutil.copytree(saved_models / "broken" / "1", models() / "2")
    eventually(lambda: states(server) == {2: END, 1: AVAILABLE})
    assert "Servable {name: score version: 2} cannot be loaded: DATA_LOSS: Can't parse" in server.log
    assert len(set(asked(server, predict_request))) == 1


def test_a_version_that_fails_again_and_again_is_never_available(launch, saved_models):
    retries = ["--max_num_load_retries=3", "--load_retry_interval_micros=0"]
    server = launch("--processes=2", *retries, "--model_name=b", f"--model_base_path={saved_models / 'broken'}")
    assert server.exit() == 255
    assert server.log.count("Loading servable: {name: b version: 1} failed: DATA_LOSS: ") == 4
    assert "Successfully loaded" not in server.log


def test_a_version_that_is_complete_at_a_retry(launch, models, saved_models, predict_request, states, eventually):
    path = models(1)
    flags = ["--processes=2", "--max_num_load_retries=1000", "--load_retry_interval_micros=100000"]
    server = launch(*flags, "--model_name=score", f"--model_base_path={path}").wait()
    shutil.copytree(saved_models / "broken" / "1", path / "2")
    eventually(lambda: server.log.count("Loading servable: {name: score version: 2} failed: ") > 1)
    shutil.copytree(saved_models / "score" / "2" / "variables", path / "2" / "variables")
    shutil.copy(saved_models / "score" / "2" / "saved_model.pb", path / "2" / "saved_model.pb")
    eventually(lambda: states(server) == {2: AVAILABLE, 1: END})
    assert len(set(asked(server, predict_request))) == 1


def test_a_load_does_not_wait_for_an_unload(
    start, saved_models, write_config, tmp_path, predict_request, states, eventually
):
    """Loads and unloads have their threads, in every process."""
    config = tmp_path / "config"
    one = ("score", saved_models / "score", "model_version_policy { specific { versions: 1 } }")
    config.write_text(write_config(one, ("tools", saved_models / "tools", "")))
    flags = [f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"]
    server = start(*flags, "--num_load_threads=1", "--num_unload_threads=1")
    with grpc.insecure_channel(server.address) as channel:
        call = channel.unary_unary(PREDICT)
        call(predict_request("tools", {"n": [1]}, signature="slow").SerializeToString(), timeout=60)
        endless = predict_request("tools", {"n": [2**31 - 1]}, signature="slow").SerializeToString()
        running = call.future(endless)
        time.sleep(1.0)
        config.write_text(write_config(("score", saved_models / "score", "")))
        eventually(lambda: states(server).get(3) == AVAILABLE)
        assert "Unloading just-loaded servable version {name: tools version: 123}" in server.log
        assert "Done unloading servable version {name: tools version: 123}" not in server.log
        assert server.stop() == 0
        assert running.exception() is not None


def test_an_ipv6_host(launch, saved_models, predict_request, eventually):
    argv = ["--processes=2", "--host=::1", "--model_name=score", f"--model_base_path={saved_models / 'score'}"]
    server = launch(*argv)
    eventually(lambda: opened(server) == 2)
    server.address = f"[::1]:{server.port}"
    assert len(set(asked(server, predict_request))) == 1


def test_it_ends_with_all_its_processes(server):
    pids = children(server)
    assert server.stop() == 0
    for pid in pids:
        assert not pathlib.Path(f"/proc/{pid}").exists()


def test_processes_end_with_their_owner(server, eventually):
    pids = children(server)
    os.kill(server.pid, signal.SIGKILL)
    eventually(lambda: not any(pathlib.Path(f"/proc/{pid}/exe").exists() for pid in pids))


def test_a_failing_start(launch, saved_models):
    server = launch(
        "--processes=2", "--max_num_load_retries=0", "--model_name=b", f"--model_base_path={saved_models / 'broken'}"
    )
    assert server.exit() == 255
    assert "Failed to start server. Error: UNKNOWN: 1 servable(s) did not become available: {{{name: b" in server.log
