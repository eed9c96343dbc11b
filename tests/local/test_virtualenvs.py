"""The environment variables of steps."""

import shlex
import subprocess
from pathlib import Path

import pytest

from tiffin.local.interpreters import Interpreter
from tiffin.local.virtualenvs import Machine, step_environment


def variables(tmp_path: Path, warm: bool) -> dict[str, str]:
    folder = tmp_path / "with blanks"
    process = subprocess.Popen(["true"])
    process.wait()
    interpreter = Interpreter("model", process, tmp_path / "socket", folder, tmp_path / "log")
    return step_environment(
        "model", "evaluate_model", Machine(tmp_path, tmp_path, {"model": interpreter} if warm else {}, {})
    )


def test_a_cold_step_chooses_its_own_model_server(tmp_path: Path) -> None:
    assert "TIFFIN_MODEL_SERVER" not in variables(tmp_path, warm=False)


def test_a_warm_step_starts_its_model_server_warm(tmp_path: Path) -> None:
    found = variables(tmp_path, warm=True)
    command = shlex.split(found["TIFFIN_MODEL_SERVER"])

    assert command[:3] == [f"{tmp_path}/with blanks/python3", "-m", "tiffin.model_server"]
    assert found["PATH"].startswith(f"{tmp_path}/with blanks:")


def test_the_users_model_server_has_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIFFIN_MODEL_SERVER", "tensorflow_model_server")

    assert variables(tmp_path, warm=True)["TIFFIN_MODEL_SERVER"] == "tensorflow_model_server"
