"""`tiffin demo`, the permissions of all that it writes, and MLflow's pages of its run."""

import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import TIFFIN, start
from support.waiting import free_port, until
from tiffin.local import serving

pytestmark = pytest.mark.runs


def run_demo(folder: Path, umask: int) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [TIFFIN, "demo", "--state", "state"],
        capture_output=True, text=True, check=False, cwd=folder, umask=umask,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert list((folder / "state").rglob("saved_model.pb"))
    return done


def unwanted(root: Path, bits: int) -> Iterator[str]:
    """Yield the files and folders under a root with one of these permissions, with their mode."""
    for path in (root, *root.rglob("*")):
        mode = path.lstat().st_mode
        if mode & bits and not path.is_symlink() and not path.is_socket():
            yield f"{path.relative_to(root)} {mode & 0o777:o}"


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The folder of a demo with the umask of Argo's executor, and its output."""
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_demo(folder, umask=0)


def test_the_demo_ends_with_a_prediction_and_leaves_no_server(
    demo: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    folder, done = demo
    state = folder / "state"

    assert list(unwanted(state, 0o022)) == []
    assert "training 0.1.0 SUCCEEDED in " in done.stdout
    asked, row, *answer, truth = done.stdout.rpartition("\n\n")[2].splitlines()
    assert " model at 127.0.0.1:" in asked
    assert "distance_km" in row
    assert any(line.startswith("  probability ") for line in answer)
    assert re.search(r" late = [01]$", truth)
    assert done.stderr == ""
    # The server is stopped at the end.
    assert not re.search("^  serving", done.stdout, re.MULTILINE)
    assert "  Ingest " in done.stdout
    assert serving.find_server(state) is None
    # The run writes nothing outside the state folder, such as MLflow's default artifact folder.
    assert list(folder.iterdir()) == [state]


def test_a_private_umask_keeps_all_files_private(tmp_path: Path) -> None:
    run_demo(tmp_path, umask=0o077)

    assert list(unwanted(tmp_path / "state", 0o077)) == []


def test_mlflow_shows_its_run_and_its_model_until_a_signal(demo: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    folder, _ = demo
    with start("ui", "--state", folder / "state", "--port", free_port(), TMPDIR=str(folder)) as process:
        assert process.stdout
        address = re.findall(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
        api = f"{address}/api/2.0/mlflow"
        with urllib.request.urlopen(f"{api}/registered-models/search", timeout=30) as answer:
            (model,) = json.load(answer)["registered_models"]
        run = model["latest_versions"][0]["run_id"]
        with urllib.request.urlopen(f"{address}/get-artifact?path=parameters.json&run_id={run}", timeout=30) as answer:
            parameters = json.load(answer)
        process.send_signal(signal.SIGHUP)
        process.wait(60)

    assert (model["name"], parameters["label"]) == ("model", "late")
    assert process.returncode == 0
    assert until(lambda: not serving.is_open(address.removeprefix("http://")))
    assert until(lambda: [path.name for path in folder.iterdir()] == ["state"])
