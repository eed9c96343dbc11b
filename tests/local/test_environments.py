import sys
from pathlib import Path

import pytest

from tiffin.errors import TiffinError
from tiffin.local.environments import find_environment, find_python


def test_the_error_for_a_missing_environment_names_the_searched_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIFFIN_VENVS", str(tmp_path))

    with pytest.raises(TiffinError, match=rf"'model'.* {tmp_path}\. .*`make setup`.*TIFFIN_VENVS"):
        find_environment("model")


def test_the_folder_of_the_variable_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model" / "bin").mkdir(parents=True)
    (tmp_path / "model" / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("TIFFIN_VENVS", str(tmp_path))

    assert find_environment("model") == tmp_path / "model"
    assert find_python("model") == str(tmp_path / "model" / "bin" / "python3")


def test_a_checkout_has_its_own_environments() -> None:
    assert find_environment("data").parts[-2:] == (".venvs", "data")
