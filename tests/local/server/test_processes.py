"""--processes: several processes on the same ports, one owner of the models."""

import concurrent.futures
import itertools
import os
import pathlib
import re
import signal
import threading
import time

import grpc
import pytest

AVAILABLE, END = 30, 50


def children(server):
    listed = pathlib.Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [int(pid) for pid in listed]


@pytest.fixture
def server(launch, saved_models, write_config, tmp_path):
    (tmp_path / "config").write_text(
        write_config(("score", saved_models / "score", "model_version_policy { specific { versions: 1 } }"))
    )
    (tmp_path / "monitoring").write_text("prometheus_config { enable: true }")
    return launch(
        "--processes=2",
        "--max_num_load_retries=0",
        f"--model_config_file={tmp_path / 'config'}",
        "--model_config_file_poll_wait_seconds=0.1",
        f"--monitoring_config_file={tmp_path / 'monitoring'}",
        rest=True,
    ).wait()


def asked(server, predict_request, count=40):
    """Ask over a connection of its own each time, so that every process gets some."""
    found = []
    for _ in range(count):
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            found.append(call(predict_request().SerializeToString(), timeout=20, wait_for_ready=True))
    return found


def test_both_serve_and_are_counted_together(server, predict_request):
    replies = asked(server, predict_request)
    assert len(set(replies)) == 1
    assert len(children(server)) == 2
    page = server.rest("/monitoring/prometheus/metrics")[1]
    assert re.search(r'request_count{model_name="score",status="OK"} (\d+)', page)[1] == "40"
    assert "load_attempt_count{model_path=" in page


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
    stopped = threading.Event()
    content = predict_request().SerializeToString()

    def ask(_):
        outcomes = []
        with grpc.insecure_channel(server.address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            call = channel.unary_unary("/tensorflow.serving.PredictionService/Predict")
            while not stopped.is_set():
                try:
                    call(content, timeout=20, wait_for_ready=True)
                    outcomes.append("")
                except grpc.RpcError as error:
                    assert error.code() == grpc.StatusCode.UNAVAILABLE  # noqa: PT017
                    outcomes.append(error.details())
        return outcomes

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        running = [pool.submit(ask, index) for index in range(6)]
        time.sleep(0.5)
        victim = children(server)[0]
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: len(children(server)) == 2 and victim not in children(server))
        time.sleep(1.0)
        stopped.set()
        clients = [one.result() for one in running]
    for outcomes in clients:
        bursts = [list(burst) for failed, burst in itertools.groupby(outcomes, key=bool) if failed]
        # The one in flight, and one that gRPC may put on the same connection before it notices; then never again.
        assert len(bursts) <= 1, bursts
        assert all(len(burst) <= 2 for burst in bursts), bursts
        assert outcomes.count("") > 10
    assert "is gone (status 9); another takes its place" in server.log
    eventually(lambda: states(server) == {1: AVAILABLE})
    # The new one serves as well, once it has the model.
    survivor = next(pid for pid in children(server) if pid != victim)
    eventually(lambda: server.log.count("Running gRPC ModelServer") == 3)
    os.kill(survivor, signal.SIGKILL)
    assert len(set(asked(server, predict_request, 5))) == 1


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
