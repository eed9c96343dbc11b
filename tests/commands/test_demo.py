"""`tiffin demo`, and the permissions of all that it writes."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.command_line import TIFFIN
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


def test_the_demo_ends_with_a_prediction_and_leaves_no_server(tmp_path: Path) -> None:
    state = tmp_path / "state"
    # The umask of Argo's executor.
    done = run_demo(tmp_path, umask=0)

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
    assert list(tmp_path.iterdir()) == [state]


def test_a_private_umask_keeps_all_files_private(tmp_path: Path) -> None:
    run_demo(tmp_path, umask=0o077)

    assert list(unwanted(tmp_path / "state", 0o077)) == []
