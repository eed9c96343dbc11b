import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.niceness import session_niceness, thread_niceness
from support.waiting import until
from tiffin.local.environments import find_python
from tiffin.local.ports import find_port
from tiffin.local.programs import is_open
from tiffin.local.server_process import merge_configs
from tiffin.serving import model_config


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "serving").mkdir()
    (tmp_path / "server").mkdir()
    return tmp_path


def write_config(state: Path, name: str, version: int) -> Path:
    path = state / "serving" / name / "stable.config"
    path.parent.mkdir(exist_ok=True)
    entry = model_config.make_model(name, f"/models/{name}/versions", [version])
    path.write_text(model_config.format_config(model_config.make_config([entry])))
    # Set explicitly: two changes within the clock's resolution would have the same time.
    os.utime(path, ns=(version, version))
    return path


def merged(state: Path) -> dict[str, list[int]]:
    config = model_config.read_config((state / "server" / "models.config").read_text())
    return {entry.name: list(entry.model_version_policy.specific.versions) for entry in config.model_config_list.config}


def test_without_models_the_config_is_empty(state: Path) -> None:
    assert merge_configs(state, state / "server" / "models.config", {})
    assert merged(state) == {}


def test_models_are_merged_and_written_only_after_a_change(state: Path) -> None:
    config = state / "server" / "models.config"
    sources: dict[Path, tuple[int, bytes]] = {}
    write_config(state, "b", 1)
    merge_configs(state, config, sources)
    write_config(state, "a", 2)

    assert merge_configs(state, config, sources)
    assert merged(state) == {"a": [2], "b": [1]}
    before = config.stat().st_mtime_ns
    assert not merge_configs(state, config, sources)
    assert config.stat().st_mtime_ns == before


def test_changes_and_removals_are_merged(state: Path) -> None:
    config = state / "server" / "models.config"
    sources: dict[Path, tuple[int, bytes]] = {}
    write_config(state, "a", 1)
    gone = write_config(state, "b", 1)
    merge_configs(state, config, sources)
    write_config(state, "a", 2)
    gone.unlink()

    assert merge_configs(state, config, sources)
    assert merged(state) == {"a": [2]}


def test_an_incomplete_config_keeps_the_previous_one(state: Path, capfd: pytest.CaptureFixture[str]) -> None:
    config = state / "server" / "models.config"
    sources: dict[Path, tuple[int, bytes]] = {}
    path = write_config(state, "a", 1)
    merge_configs(state, config, sources)
    whole = path.read_text()
    path.write_text(whole[: len(whole) // 2])
    os.utime(path, ns=(5, 5))

    assert not merge_configs(state, config, sources)
    assert not merge_configs(state, config, sources)
    assert merged(state) == {"a": [1]}
    # Logged once, not at every merge.
    assert capfd.readouterr().err.count("stable.config") == 1
    write_config(state, "a", 7)
    assert merge_configs(state, config, sources)
    assert merged(state) == {"a": [7]}


def test_an_invalid_config_does_not_affect_other_models(state: Path) -> None:
    sources: dict[Path, tuple[int, bytes]] = {}
    write_config(state, "a", 1)
    bad = write_config(state, "b", 1)
    bad.write_bytes(b"\xff\xfe")
    merge_configs(state, state / "server" / "models.config", sources)

    assert merged(state) == {"a": [1]}


@pytest.fixture
def candidate_server(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A candidate server that starts, and its address."""
    (tmp_path / "gateway").mkdir()
    port = find_port("127.0.0.1", 0)
    module = [find_python("model"), "-m", "tiffin.local.server_process", "--track=candidate"]
    command = [*module, f"--state={tmp_path}", "--host=127.0.0.1", f"--port={port}"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, start_new_session=True) as process:
        yield process, f"127.0.0.1:{port}"
        process.kill()


@pytest.mark.runs
def test_a_candidate_server_leaves_the_processor_to_others_until_it_answers(
    candidate_server: tuple[subprocess.Popen[bytes], str],
) -> None:
    process, address = candidate_server
    usual, has_sessions = os.getpriority(os.PRIO_PROCESS, 0), session_niceness(process.pid) is not None
    threads, sessions = set[int](), set[int | None]()

    def is_ready() -> bool:
        threads.update(thread_niceness(process.pid))
        sessions.add(session_niceness(process.pid))
        return is_open(address)

    assert until(is_ready, 240)

    assert {usual, usual + 5} <= threads
    assert os.getpriority(os.PRIO_PROCESS, process.pid) == usual
    # That of a new session is 0.
    assert sessions == ({0, 5} if has_sessions else {None})
    assert session_niceness(process.pid) in (0, None)
