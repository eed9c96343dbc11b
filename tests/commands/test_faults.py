"""Commands on streams that cannot be written, paths that cannot be used, and limits of the system."""

import json
import os
import re
import shlex
import socket
import subprocess
from pathlib import Path

import pytest

from support import toy_pipelines as toys
from support.command_line import TIFFIN, tiffin_in
from support.forks import Ended
from support.small_disks import needs_small_disks, small_disk

# Output of these commands is a few lines; `compile` and `sample` write files as well.
COMMANDS = ["--help", "--version", "pipelines", "components", "compile stop_run", "sample s.csv --rows 5", "run --help"]
COMMANDS += ["clean --dry-run --state state", "serve --help"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    toys.write_spec(toys.toy, folder)
    (folder / "state" / "runs").mkdir(parents=True)
    return folder


def shell(line: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `tiffin` is the command; fail on a bug."""
    done = subprocess.run(
        ["bash", "-c", f"tiffin() {{ {shlex.quote(TIFFIN)} \"$@\"; }}; {line}"],
        capture_output=True, text=True, check=False, cwd=folder, timeout=240, env={**os.environ, **variables},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done


RUN = "tiffin run toy.yaml --cold --state state"


CLOSED = [(command, ">&-") for command in COMMANDS]
# Files that a command opens get the numbers of closed streams.
CLOSED += [(command, streams) for command in COMMANDS[2:6] for streams in (">&- <&-", ">&- 2>&- <&-")]


@pytest.mark.parametrize(("command", "streams"), CLOSED)
def test_a_closed_output_is_not_an_error(place: Path, command: str, streams: str) -> None:
    done = shell(f"tiffin {command} {streams}", place)

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_output_is_an_error(place: Path, command: str) -> None:
    done = shell(f"tiffin {command} > /dev/full", place)

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert os.strerror(28) in done.stderr


def test_an_error_on_full_streams_has_its_status(place: Path) -> None:
    assert shell("tiffin --version > /dev/full 2> /dev/full", place).returncode == 1


def test_an_error_on_closed_streams_has_its_status(place: Path) -> None:
    assert shell("tiffin run nothing >&- 2>&- <&-", place).returncode == 2


@pytest.mark.parametrize("streams", [">&-", ">&- 2>&- <&-", "> /dev/full", "> /dev/full 2>&1", "2> /dev/full --json"])
def test_a_run_does_not_depend_on_its_output(place: Path, streams: str) -> None:
    before = set((place / "state" / "runs").iterdir())
    done = shell(f"{RUN} {streams}", place)
    (folder,) = set((place / "state" / "runs").iterdir()) - before

    assert done.returncode == 0
    assert json.loads((folder / "run.json").read_text())["state"] == "SUCCEEDED"
    assert (os.strerror(28) in done.stderr) == (streams == "> /dev/full")


def test_a_run_whose_reader_ends_goes_on(place: Path) -> None:
    done = shell(f"{RUN} | head -1; echo ${{PIPESTATUS[0]}}", place)

    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "0"


def test_a_result_that_cannot_be_written_is_an_error(place: Path) -> None:
    done = shell(f"{RUN} --json > /dev/full", place)

    assert done.returncode == 1
    assert re.search(r"SUCCEEDED.*\nerror: .*" + os.strerror(28), done.stderr)


def refused(line: str, place: Path, *values: str) -> None:
    check_refused(shell(line, place), *values)


def check_refused(done: subprocess.CompletedProcess[str] | Ended, *values: str) -> None:
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert len(re.findall(r"^error: ", done.stderr, re.MULTILINE)) == 1
    for value in values:
        assert value in done.stderr


@pytest.mark.parametrize(
    ("state", "value"),
    [
        ("/proc/x", "'/proc/x'"),
        ("/sys/x", "'/sys/x'"),
        ("/dev/null/x", "'/dev/null/x'"),
        ("toy.yaml", "toy.yaml'"),
        ("loop/x", "/loop/x'"),
        ("x" * 300, f"{'x' * 300}'"),
        ("dir/" * 1100, "dir/dir"),
    ],
)
def test_a_state_folder_that_cannot_be_used(place: Path, state: str, value: str) -> None:
    (place / "loop").unlink(missing_ok=True)
    (place / "loop").symlink_to("loop")
    check_refused(tiffin_in(place, "run", "toy.yaml", "--state", state), value)


@pytest.mark.parametrize("name", ["/proc/x.yaml", "loop.yaml", f"{'x' * 300}.yaml", "folder.yaml", "socket.yaml"])
@pytest.mark.parametrize("option", ["", "toy.yaml --params "])
def test_a_file_that_cannot_be_read(place: Path, name: str, option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    if not (place / "folder.yaml").exists():
        (place / "folder.yaml").mkdir()
        Path("loop.yaml").symlink_to("loop.yaml")
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket.yaml")
    check_refused(tiffin_in(place, "run", *option.split(), name), f"'{name}'")


def test_a_removed_working_folder(place: Path) -> None:
    refused(f"mkdir gone; cd gone; rmdir ../gone; tiffin run {place}/toy.yaml", place, " folder ")


@needs_small_disks
class TestDisks:
    def test_a_read_only_state_folder(self, place: Path) -> None:
        with small_disk(place / "disk", 64) as disk:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            refused("tiffin run toy.yaml --state disk/state", place, f"'{disk}/state'", os.strerror(30))

    def test_a_read_only_temporary_folder(self, place: Path) -> None:
        with small_disk(place / "disk", 64) as disk:
            subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
            # Python then uses /tmp.
            assert shell(RUN, place, TMPDIR=str(disk)).returncode == 0

    def test_a_full_state_folder(self, place: Path) -> None:
        with small_disk(place / "disk", 8) as disk:
            done = shell("tiffin run toy.yaml --cold --state disk/state", place)

            assert done.returncode == 1
            assert os.strerror(28) in done.stdout + done.stderr
            assert str(disk) in done.stdout + done.stderr

    def test_a_full_temporary_folder(self, place: Path) -> None:
        with small_disk(place / "disk", 4) as disk:
            done = shell(RUN, place, TMPDIR=str(disk))

            assert done.returncode == 1
            assert os.strerror(28) in done.stdout + done.stderr


@pytest.mark.parametrize(
    "setting",
    [
        "HOME=",
        "TMPDIR=/nonexistent",
        "LC_ALL=C",
        "LC_ALL=POSIX PYTHONUTF8=0 PYTHONCOERCECLOCALE=0",
        "PYTHONIOENCODING=ascii",
    ],
)
def test_an_unusual_environment(place: Path, setting: str) -> None:
    done = shell(f"unset HOME; env {setting} {shlex.quote(TIFFIN)} {RUN.removeprefix('tiffin')}", place)

    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("limit", ["-n 6", "-n 40", "-v 60000", "-v 120000", "-f 0"])
def test_a_limit_of_the_system(place: Path, limit: str) -> None:
    """A limit either suffices, or is named in the error."""
    done = shell(f"ulimit {limit}; {RUN}", place)

    assert done.returncode == 0 or re.search(f"ulimit|TMPDIR|{os.strerror(27)}", done.stdout + done.stderr), done.stderr


def test_no_process_can_be_started(place: Path) -> None:
    """The limit of processes does not hold for root."""
    code = (
        "import subprocess\n"
        "def fail(*_, **__): raise BlockingIOError(11, 'Resource temporarily unavailable')\n"
        "subprocess.Popen.__init__ = fail\n"
        "from tiffin.commands.main import main\n"
        "main(['run', 'toy.yaml', '--state', 'state'])\n"
    )
    python = Path(TIFFIN).with_name("python")
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, cwd=place)

    assert done.returncode == 1
    assert re.search("^error: .*ulimit -u", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stderr
