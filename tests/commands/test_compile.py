from pathlib import Path

import pytest
from click.testing import CliRunner

from tiffin import __version__
from tiffin.commands.main import main


def test_what_was_written_is_printed(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["compile", "training", "stop_run", "--output", str(tmp_path / "new")])

    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{tmp_path}/new/training-{__version__}.yaml",
        f"{tmp_path}/new/components/stop_run/component.yaml",
        f"{tmp_path}/new/components/stop_run/README.md",
    ]


@pytest.mark.parametrize("name", ["", "traning", "../training"])
def test_a_wrong_name_is_a_bad_argument(tmp_path: Path, name: str) -> None:
    result = CliRunner().invoke(main, ["compile", name, "--output", str(tmp_path / "new")])

    assert result.exit_code == 2
    assert result.output.startswith("error: A name should be a pipeline")
    assert not (tmp_path / "new").exists()
