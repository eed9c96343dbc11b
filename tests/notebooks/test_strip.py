"""What git holds of the notebooks: no outputs, and nothing of the machine that they were written on."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def strip(path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "notebooks" / "strip.py", path], check=True)


def test_there_are_four() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["model_life", "query_serving", "quickstart", "reuse_components"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_has_no_outputs_and_no_absolute_paths(tmp_path: Path, path: Path) -> None:
    notebook: dict[str, Any] = json.loads(path.read_text())
    for cell in notebook["cells"]:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None
        assert cell["metadata"] == {}
        assert not re.search(
            r"(?<![\w.:/<])/(home|root|tmp|work|Users|usr|opt|var)\b|[A-Z]:\\", "".join(cell["source"])
        )

    copy = Path(shutil.copy(path, tmp_path))
    strip(copy)
    assert copy.read_bytes() == path.read_bytes(), "run `make format`"


def test_outputs_counts_and_metadata_are_stripped(tmp_path: Path) -> None:
    path = Path(shutil.copy(NOTEBOOKS[0], tmp_path))
    notebook: dict[str, Any] = json.loads(path.read_text())
    code = next(cell for cell in notebook["cells"] if cell["cell_type"] == "code")
    code["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["in /home/someone\n"]}]
    code["execution_count"] = 7
    code["metadata"] = {"execution": {"iopub.execute_input": "2026-01-01T00:00:00Z"}}
    notebook["metadata"]["kernelspec"]["name"] = "someones-kernel"
    path.write_text(json.dumps(notebook))

    strip(path)

    assert path.read_bytes() == NOTEBOOKS[0].read_bytes()
