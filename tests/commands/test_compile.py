from pathlib import Path

import pytest
from click.testing import CliRunner

from tiffin import __version__
from tiffin.commands.main import main


def test_prints_the_written_files(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["compile", "training", "stop_run", "--output", str(tmp_path / "new")])

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{tmp_path}/new/training-{__version__}.yaml",
        f"{tmp_path}/new/components/stop_run/component.yaml",
        f"{tmp_path}/new/components/stop_run/README.md",
    ]


@pytest.mark.parametrize("name", ["", "traning", "../training"])
def test_an_unknown_name_is_an_invalid_argument(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(main, ["compile", name, "--output", str(tmp_path / "new")])

    assert result.exit_code == 2
    assert result.output.startswith("error: ")
    assert f"'{name}'" in result.output
    assert all(known in result.output for known in ("training", "stop_run"))
    assert not (tmp_path / "new").exists()
