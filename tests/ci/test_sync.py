"""locks/sync.py: which lock and which Python a machine gets."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.checkout import sync

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("machine", "lock"),
    [
        (("Linux", "x86_64", "2.36"), "compatibility"),
        (("Linux", "x86_64", "2.39"), ""),
        (("Linux", "x86_64", "2.41"), ""),
        (("Linux", "x86_64", "3.0"), ""),
        (("Darwin", "arm64", ""), ""),
    ],
)
def test_the_lock_follows_from_glibc(machine: tuple[str, str, str], lock: str) -> None:
    chosen, reason = sync.choose_lock(*machine)

    assert chosen == lock
    assert machine[2] in reason
    assert ("1.16.1" in reason) is (lock == "compatibility")


@pytest.mark.parametrize(
    "machine",
    [("Linux", "x86_64", ""), ("Linux", "aarch64", "2.41"), ("Darwin", "x86_64", ""), ("Windows", "AMD64", "")],
)
def test_a_machine_without_wheels_of_tfdv_is_refused(machine: tuple[str, str, str]) -> None:
    with pytest.raises(RuntimeError, match=f"{machine[0]} {machine[1]}"):
        sync.choose_lock(*machine)


def test_only_data_has_a_lock_for_older_machines() -> None:
    assert sync.find_lock("data", "compatibility") == ROOT / "locks/compatibility/data.txt"
    assert sync.find_lock("model", "compatibility") == ROOT / "locks/model.txt"
    assert sync.find_lock("data", "") == ROOT / "locks/data.txt"


def test_a_chosen_python_is_taken_if_it_fits() -> None:
    assert sync.find_python(sys.executable, ">=3.11,<3.14") == sys.executable


def test_a_chosen_python_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)

    with pytest.raises(RuntimeError, match=f"PYTHON.*3.11.*'{old}'"):
        sync.find_python(str(old), "==3.11.*")


def test_a_chosen_python_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=f"PYTHON.*'{tmp_path}/none'"):
        sync.find_python(str(tmp_path / "none"), ">=3.11,<3.14")


@pytest.mark.parametrize("arguments", [[], ["sdks"], ["sdk", "--list"], ["--test-lock"]])
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, ROOT / "locks/sync.py", *arguments], capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


def test_without_a_python_and_a_download_the_mirror_is_named(tmp_path: Path) -> None:
    """uv searches the PATH and its own folder; the mirror is a port where nothing listens."""
    mirror = "http://127.0.0.1:9/mirror"
    settings = {
        "PATH": str(tmp_path),
        "HOME": str(tmp_path),
        "UV_PYTHON_INSTALL_DIR": str(tmp_path / "pythons"),
        "UV_PYTHON_INSTALL_MIRROR": mirror,
        "UV_HTTP_RETRIES": "0",
    }
    done = subprocess.run(
        [sys.executable, ROOT / "locks" / "sync.py", "--python"],
        env=settings,
        capture_output=True,
        text=True,
        timeout=120,
    )

    assert (done.returncode, done.stdout) == (1, "")
    first, *_, last = done.stderr.splitlines()
    assert mirror in first
    assert last.startswith("error: ")
    assert f"UV_PYTHON_INSTALL_MIRROR '{mirror}'" in last
    assert "PYTHON=/path/to/python" in last


def test_each_environment_has_a_line_with_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    for name, size in (("sdk", 250_000_000), ("model", 2_750_000_000)):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".synced").write_text(json.dumps({"python": "3.13.5", "packages": 46, "bytes": size}))
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / ".synced").touch()
    monkeypatch.setattr(sync, "VENVS", tmp_path)
    monkeypatch.setattr(sync, "ROOT", tmp_path.parent)
    sync.list_environments()
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]

    assert [row[0] for row in rows] == ["model", "old", "sdk", "total"]
    assert rows[0][-2:] == ["2.8", "GB"]
    assert rows[2] == ["sdk", "Python", "3.13.5", "46", "packages", "250", "MB"]
    assert rows[3][1:5] == ["at", "most", "3.0", "GB"]


def test_a_folder_is_measured_without_its_links(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    os.symlink(tmp_path / "a", tmp_path / "b")

    assert sync.measure(tmp_path) == 5
