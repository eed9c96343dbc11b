"""Start-up, version policies, loading and unloading, retries, and the configuration file."""

import concurrent.futures
import os
import shutil
import threading
import time

import pytest

AVAILABLE, END = 30, 50
WARMUP = "assets.extra/tf_serving_warmup_requests"


@pytest.fixture
def start(launch):
    def run(path, *flags):
        return launch("--model_name=score", f"--model_base_path={path}", "--max_num_load_retries=0", *flags)

    return run


def failed_text(server, count, noun="servable(s)"):
    assert server.exit() == 255
    line = server.log[server.log.index("Failed to start server. Error: ") :]
    assert line.startswith(
        f"Failed to start server. Error: UNKNOWN: {count} {noun} did not become available: {{{{{{name: "
    )
    return line


def test_the_port_waits_for_a_version(start, tmp_path, models, predict, eventually):
    """It waits indefinitely for a version; a missing base path is only logged."""
    server = start(tmp_path / "score")
    eventually(lambda: "Could not find base path" in server.log)
    text = f"Could not find base path {tmp_path / 'score'} for servable score with error NOT_FOUND: "
    assert f"FileSystemStoragePathSource encountered a filesystem access error: {text}" in server.log
    (tmp_path / "score").mkdir()
    eventually(lambda: "Did you forget to name your leaf directory as a number" in server.log)
    assert not server.is_open()
    models(1)
    server.wait()
    assert predict(server)["y"].tolist() == [[7.0]]


def test_an_unsupported_file_system(start, models, reload, states, predict, eventually):
    """It is logged and ends the poll, as a missing folder does; the next configuration is applied."""
    path = models(1)
    server = start(path).wait()
    reload(server, ("score", "s3://bucket/score", ""))
    text = "Could not find base path s3://bucket/score for servable score with error UNIMPLEMENTED: "
    eventually(lambda: f"encountered a filesystem access error: {text}" in server.log)
    assert predict(server)["y"].tolist() == [[7.0]]
    reload(server, ("score", path, ""))
    models(2)
    eventually(lambda: states(server) == {2: AVAILABLE, 1: END})
    assert "bug" not in server.log


def test_a_start_on_an_unsupported_file_system(start, eventually):
    server = start("s3://bucket/score")
    eventually(lambda: "with error UNIMPLEMENTED: " in server.log)
    assert server.stop() == 0


def test_a_failed_load_ends_the_start(start, saved_models):
    line = failed_text(start(saved_models / "broken"), 1)
    assert f"{{name: score version: 1}} due to error: DATA_LOSS: Can't parse {saved_models}" in line


def test_every_model_must_load(launch, saved_models, write_config, tmp_path):
    config = tmp_path / "config"
    config.write_text(write_config(("a", saved_models / "score", ""), ("b", saved_models / "broken", "")))
    line = failed_text(launch(f"--model_config_file={config}", "--max_num_load_retries=0"), 1)
    assert "{name: b version: 1}" in line


def test_sigterm_while_waiting(start, tmp_path, eventually):
    server = start(tmp_path)
    eventually(lambda: "Adding/updating models" in server.log)
    assert server.stop() == 0


def test_sigterm_waits_for_the_requests_in_flight(launch, saved_models, predict):
    server = launch("--model_name=tools", f"--model_base_path={saved_models / 'tools'}").wait()
    predict(server, "tools", {"n": [1]}, signature="slow")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(predict, server, "tools", {"n": [400]}, signature="slow")
        time.sleep(0.2)
        os.kill(server.pid, 15)
        assert running.result()["done"].tolist() == [400.0]
    assert server.exit() == 0


def test_versions_follow_the_folder(start, models, saved_models, states, predict, eventually):
    """The newest version is served; it loads before the old one unloads; no request fails."""
    server = start(models(1)).wait()
    failures, seen, stopped = [], set(), threading.Event()

    def ask():
        while not stopped.is_set():
            try:
                seen.add(predict(server)["y"].item())
            except Exception as error:  # noqa: BLE001 - any failure fails the test
                failures.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    models(2)
    eventually(lambda: states(server) == {2: AVAILABLE, 1: END})
    eventually(lambda: 7.0 in seen or failures)
    models(3)
    eventually(lambda: states(server) == {3: AVAILABLE, 2: END, 1: END})
    eventually(lambda: 9.0 in seen or failures)
    stopped.set()
    thread.join()
    assert failures == []
    log = server.log
    assert log.index("Successfully loaded servable version {name: score version: 2}") < log.index(
        "Done unloading servable version {name: score version: 1}"
    )


def test_a_failed_load_keeps_the_old_version(start, models, saved_models, states, predict, eventually):
    path = models(1)
    server = start(path).wait()
    shutil.copytree(saved_models / "broken" / "1", path / "2")
    eventually(lambda: states(server).get(2) == END)
    assert "Servable {name: score version: 2} cannot be loaded: DATA_LOSS: Can't parse" in server.log
    assert states(server) == {2: END, 1: AVAILABLE}
    assert predict(server)["y"].tolist() == [[7.0]]


def test_an_empty_base_path_unloads_all_and_a_missing_one_nothing(start, models, states, predict, eventually, fails):
    path = models(1)
    server = start(path).wait()
    path.rename(path.with_name("away"))
    eventually(lambda: "Could not find base path" in server.log)
    assert predict(server)["y"].tolist() == [[7.0]]
    path.mkdir()
    eventually(lambda: states(server) == {1: END})
    fails("NOT_FOUND", "Servable not found for request: Latest(score)", lambda: predict(server))
    path.rmdir()
    path.with_name("away").rename(path)
    eventually(lambda: states(server) == {1: AVAILABLE})
    assert predict(server)["y"].tolist() == [[7.0]]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("", {3: AVAILABLE}),
        ("latest { num_versions: 2 }", {3: AVAILABLE, 2: AVAILABLE}),
        ("all {}", {3: AVAILABLE, 2: AVAILABLE, 1: AVAILABLE}),
        ("specific { versions: 1 versions: 2 }", {2: AVAILABLE, 1: AVAILABLE}),
    ],
)
def test_policies(launch, saved_models, write_config, tmp_path, states, eventually, policy, expected):
    config = tmp_path / "config"
    config.write_text(write_config(("score", saved_models / "score", f"model_version_policy {{ {policy} }}")))
    server = launch(f"--model_config_file={config}").wait()
    eventually(lambda: states(server) == expected)


def test_folder_names_are_numbers(start, models, states):
    path = models(1)
    (path / "1").rename(path / "00000123")
    (path / "notes").mkdir()
    (path / "2.partial").mkdir()
    assert states(start(path).wait()) == {123: AVAILABLE}


def test_retries(launch, models, saved_models, states, predict, eventually):
    path = models(1)
    shutil.copytree(saved_models / "broken" / "1", path / "2")
    flags = ["--max_num_load_retries=50", "--load_retry_interval_micros=200000", "--num_load_threads=2"]
    server = launch("--model_name=score", f"--model_base_path={path}", *flags)
    eventually(lambda: "Retrying of Loading servable: {name: score version: 2}" in server.log)
    shutil.copy(saved_models / "score" / "2" / "saved_model.pb", path / "2" / "saved_model.pb")
    shutil.copytree(saved_models / "score" / "2" / "variables", path / "2" / "variables")
    server.wait()
    assert predict(server)["y"].tolist() == [[8.0]]


def test_retries_are_limited(launch, saved_models):
    flags = ["--max_num_load_retries=2", "--load_retry_interval_micros=-1"]
    server = launch("--model_name=score", f"--model_base_path={saved_models / 'broken'}", *flags)
    failed_text(server, 1)
    assert server.log.count("Loading servable: {name: score version: 1} failed: ") == 3


def test_retries_of_an_unwanted_version(launch, models, saved_models, states, eventually):
    path = models(1)
    flags = ["--max_num_load_retries=9", "--num_load_threads=2"]
    server = launch("--model_name=score", f"--model_base_path={path}", *flags).wait()
    shutil.copytree(saved_models / "broken" / "1", path / "2")
    eventually(lambda: "{name: score version: 2} failed" in server.log)
    models(3)
    eventually(lambda: states(server) == {3: AVAILABLE, 2: END, 1: END})


def test_the_configuration_file_is_followed(launch, saved_models, write_config, tmp_path, states, eventually, predict):
    """An incomplete, invalid or missing file is logged, and the current models keep serving."""
    config = tmp_path / "config"
    config.write_text("model_config_list {}")
    flags = [f"--model_config_file={config}", "--model_config_file_poll_wait_seconds=1"]
    server = launch(*flags, "--max_num_load_retries=0").wait()
    assert states(server) == {}
    text = write_config(("score", saved_models / "score", "model_version_policy { specific { versions: 1 } }"))
    config.write_text(text)
    eventually(lambda: states(server) == {1: AVAILABLE})
    config.write_text(text[: len(text) // 2])
    eventually(lambda: "Failed to read ModelServerConfig file: Invalid protobuf file: '" in server.log)
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in server.log
    config.write_text("")
    text = "PollFilesystemAndReloadConfig failed to ReloadConfig: Cannot transition to requested config."
    eventually(lambda: text in server.log)
    config.unlink()
    eventually(lambda: f"Failed to read ModelServerConfig file: {config}; No such file or directory" in server.log)
    assert predict(server)["y"].tolist() == [[7.0]]
    config.write_text(write_config(("other", saved_models / "score", "")))
    eventually(lambda: states(server, "other") == {3: AVAILABLE} and states(server) == {1: END})


def test_an_invalid_configuration_at_the_start(launch, tmp_path):
    config = tmp_path / "config"
    config.write_text("model_config_list { nonsense }")
    server = launch(f"--model_config_file={config}")
    assert server.exit() == 255
    assert "Error parsing text-format tensorflow.serving.ModelServerConfig" in server.log
    assert f"Failed to start server. Error: INVALID_ARGUMENT: Invalid protobuf file: '{config}'" in server.log


def test_a_label_at_the_start_requires_its_flag(launch, saved_models, write_config, tmp_path):
    config = tmp_path / "config"
    config.write_text(write_config(("score", saved_models / "score", 'version_labels { key: "a" value: 3 }')))
    server = launch(f"--model_config_file={config}")
    assert server.exit() == 255
    assert "Failed to start server. Error: FAILED_PRECONDITION: Request to assign label to version 3" in server.log


def test_unloading_frees_memory(start, models, saved_models, states, eventually):
    path = models(1)
    server = start(path).wait()

    def turn(there, gone):
        (path / str(gone)).rename(path / f"{gone}.away")
        if (path / f"{there}.away").exists():
            (path / f"{there}.away").rename(path / str(there))
        else:
            models(there)
        eventually(lambda: states(server).get(there) == AVAILABLE and states(server)[gone] == END)

    turn(2, 1)
    turn(1, 2)
    before = server.resident_mib()
    for _ in range(4):
        turn(2, 1)
        turn(1, 2)
    assert server.resident_mib() < before + 60
