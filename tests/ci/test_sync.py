"""locks/sync.py: which lock and which Python a machine gets."""

import json
import os
import platform
import subprocess
import sys
import tomllib
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


def write_program(path: Path, text: str) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return str(path)


@pytest.mark.parametrize(
    ("folder", "version", "fits"),
    [("", 10, False), ("", 11, True), ("", 13, True), ("", 14, False), ("compatibility", 11, True), ("compatibility", 12, False)],
)  # fmt: skip
def test_a_chosen_python_is_taken_only_if_it_fits(folder: str, version: int, fits: bool, tmp_path: Path) -> None:
    source = f"import sys; sys.version_info = (3, {version}, 0, 'final', 0); exec(sys.argv[2])"
    chosen = write_program(tmp_path / "python", f'#!/bin/sh\nexec {sys.executable} -c "{source}" "$@"\n')
    newest = sync.newest_python(folder)

    if fits:
        assert sync.find_python(chosen, newest) == chosen
    else:
        with pytest.raises(RuntimeError, match=rf"PYTHON.*3\.11.*'{chosen}'"):
            sync.find_python(chosen, newest)


def test_the_newest_python_is_that_of_the_package() -> None:
    allowed = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]

    assert allowed == f">=3.11,<3.{sync.newest_python('') + 1}"


def test_a_chosen_python_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=f"PYTHON.*'{tmp_path}/none'"):
        sync.find_python(str(tmp_path / "none"), 13)


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


UV = """#!/bin/sh
echo "$*" >>{log}
case "$1 $2" in
  "python find") cat {found} ;;
  "python install") echo /downloaded/python >{found} ;;
  "venv "*) for folder; do :; done; mkdir -p $folder/bin $folder/lib/python3.11/site-packages/a-1.dist-info
    ln -s {python} $folder/bin/python ;;
  "pip sync") exit {status} ;;
esac
"""


class Uv:
    """A stand-in for uv that records its command lines.

    Attributes:
        found: File with the path of the Python that this machine has; missing if it has none.
    """

    def __init__(self, folder: Path, status: int) -> None:
        self.found, self._log = folder / "found", folder / "log"
        names = {"log": self._log, "found": self.found, "python": sys.executable, "status": status}
        self.program = Path(write_program(folder / "uv", UV.format(**names)))

    def calls(self) -> list[list[str]]:
        return [line.split() for line in self._log.read_text().splitlines()]


@pytest.fixture
def uv(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Uv:
    """uv, whose `pip sync` ends with the status of the parameter; virtualenvs are made in tmp_path."""
    stand_in = Uv(tmp_path, getattr(request, "param", 0))
    monkeypatch.setattr(sync, "UV", stand_in.program)
    monkeypatch.setattr(sync, "VENVS", tmp_path / "venvs")
    monkeypatch.delenv("PYTHON", raising=False)
    return stand_in


def run_main(monkeypatch: pytest.MonkeyPatch, glibc: str, *arguments: str) -> int:
    monkeypatch.setattr(sync, "this_machine", lambda: ("Linux", "x86_64", glibc))
    monkeypatch.setattr(sys, "argv", ["sync.py", *arguments])
    return sync.main()


@pytest.mark.parametrize(("glibc", "newest"), [("2.36", 11), ("2.41", 13)])
def test_a_downloaded_python_is_used(uv: Uv, glibc: str, newest: int, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    assert run_main(monkeypatch, glibc, "--python") == 0

    assert capsys.readouterr().out == "/downloaded/python\n"
    find, install, again = uv.calls()
    assert install == ["python", "install", f"3.{newest}"]
    assert find == again
    assert find[-1] == f">=3.11,<3.{newest + 1}"


def test_a_python_of_the_machine_is_used_without_a_download(uv: Uv, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    uv.found.write_text("/usr/bin/python3.12\n")

    assert run_main(monkeypatch, "2.41", "--python") == 0
    assert capsys.readouterr().out == "/usr/bin/python3.12\n"
    assert [call[1] for call in uv.calls()] == ["find"]


@pytest.mark.parametrize(
    ("glibc", "name", "lock"),
    [("2.36", "data", "locks/compatibility/data.txt"), ("2.41", "data", "locks/data.txt"), ("2.36", "sdk", "locks/sdk.txt")],
)  # fmt: skip
def test_an_environment_is_made_from_its_lock_once(
    uv: Uv, glibc: str, name: str, lock: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)
    assert run_main(monkeypatch, glibc, name) == 0
    first, last = capsys.readouterr().out.splitlines()
    assert run_main(monkeypatch, glibc, name) == 0

    folder = sync.VENVS / name
    made, synced, again = uv.calls()
    assert made == ["venv", "--quiet", "--python", sys.executable, str(folder)]
    assert synced == again
    assert "--require-hashes" in synced
    assert synced[-2:] == [str(folder / "bin" / "python"), str(ROOT / lock)]
    assert lock in first
    assert (f"glibc {glibc}" in first) is (name == "data")
    assert last.split()[:4] == [name, "Python", platform.python_version(), "1"]
    assert json.loads((folder / ".synced").read_text())["packages"] == 1


@pytest.mark.parametrize("uv", [1], indirect=True)
def test_an_environment_whose_packages_fail_to_install_is_not_recorded(
    uv: Uv, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)

    assert run_main(monkeypatch, "2.41", "sdk") == 1
    assert "locks/sdk.txt" in capsys.readouterr().err
    assert not (sync.VENVS / "sdk" / ".synced").exists()


def test_the_compatibility_lock_is_taken_on_request(uv: Uv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHON", sys.executable)

    assert run_main(monkeypatch, "2.41", "--compatibility", str(tmp_path / "old")) == 0
    assert uv.calls()[-1][-2:] == [str(tmp_path / "old/bin/python"), str(ROOT / "locks/compatibility/data.txt")]


@pytest.mark.parametrize(
    ("glibc", "name", "lock"),
    [
        ("2.36", "data", "compatibility/test-data.txt"),
        ("2.36", "model", "test-model.txt"),
        ("2.41", "data", "test-data.txt"),
    ],
)
def test_the_lock_of_the_tests_follows_from_that_of_the_environment(
    glibc: str, name: str, lock: str, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    assert run_main(monkeypatch, glibc, "--test-lock", name) == 0
    assert capsys.readouterr().out == f"{ROOT}/locks/{lock}\n"


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
