"""The commands of docs/on-call.md, as they stand there, with MLflow on a server with SQLite and one with PostgreSQL."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.code_blocks import ROOT, command_lines, read_blocks
from support.shells import Shell, expected_status

pytestmark = [pytest.mark.runs, pytest.mark.timeout(600)]

PAGE = ROOT / "docs" / "on-call.md"
LINES = [line for block in read_blocks(PAGE) if block.language == "sh" for line in command_lines(block.code)]


@pytest.fixture(params=["sqlite", "postgresql"])
def tracking_uri(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The address of an MLflow server, in the environment that has MLflow."""
    command = [str(ROOT / ".venvs/model/bin/python"), "-m", "support.mlflow_server", str(tmp_path), request.param]
    with subprocess.Popen(
        command, cwd=ROOT / "tests", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def test_the_page_is_played(tracking_uri: str, tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    shell = Shell.at(folder, MLFLOW_TRACKING_URI=tracking_uri)
    said: dict[str, str] = {}
    champions = []
    for line in LINES:
        status, output = shell.run(line)
        assert status == expected_status(line), f"{line}\n{output}"
        said[line] = said.get(line, "") + output
        if line.startswith("tiffin models list"):
            [model] = shell.read("tiffin models list --json")
            champions.append((model["champion"]["version"], model["candidate"] and model["candidate"]["version"]))  # type: ignore[index]

    assert champions == [(1, 2), (2, None), (3, None)]
    assert "version 1" in said["tiffin models history model --at $before"]
    records = [json.loads(text) for text in said["tiffin models history model --json"].splitlines()]
    assert [(one["action"], one["version"]) for one in records] == [
        ("candidate", 1), ("promote", 1), ("confirm", 1), ("candidate", 2), ("approve", 2), ("promote", 2), ("confirm", 2)
    ]  # fmt: skip
    assert [one["author"]["who"] for one in records] == ["ada"] * 4 + ["bob"] * 3
    runs = {one["author"]["run"] for one in records} - {""}
    assert runs <= {path.name for path in (folder / ".tiffin" / "runs").iterdir()}
    assert "CHANGED" in said["tiffin models verify  # exit status 1"]
    retried = said["tiffin runs retry $run"]
    assert re.findall(r"(\w+) +kept", retried) == ["Ingest", "Validate", "Train", "Evaluate", "Register"]
    [result] = shell.read("tiffin models verify --json")
    assert result["findings"] == []
