import os
from pathlib import Path

import pytest

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
