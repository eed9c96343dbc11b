import sys
from pathlib import Path

import pytest

from tiffin.errors import TiffinError
from tiffin.local.environments import find_environment, find_python


def test_a_missing_environment_says_where_it_was_sought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIFFIN_VENVS", str(tmp_path))

    with pytest.raises(TiffinError, match=rf"'model'.*Not found in: {tmp_path}\. Run `make setup`"):
        find_environment("model")


def test_the_chosen_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model" / "bin").mkdir(parents=True)
    (tmp_path / "model" / "bin" / "python3").symlink_to(sys.executable)
    monkeypatch.setenv("TIFFIN_VENVS", str(tmp_path))

    assert find_environment("model") == tmp_path / "model"
    assert find_python("model") == str(tmp_path / "model" / "bin" / "python3")


def test_a_checkout_holds_its_own() -> None:
    assert find_environment("data").parts[-2:] == (".venvs", "data")
