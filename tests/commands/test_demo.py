import re
import subprocess
from pathlib import Path

import pytest

from support.command_line import TIFFIN
from tiffin.local import serving

pytestmark = pytest.mark.runs


def test_the_demo_ends_with_a_prediction_and_leaves_no_server(tmp_path: Path) -> None:
    state = tmp_path / "state"
    done = subprocess.run(
        [TIFFIN, "demo", "--state", str(state)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stdout + done.stderr
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
