"""The commands of docs/rollout-rehearsal.md, as they stand there, except for the port of the gateway."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest

from support.code_blocks import ROOT, command_lines, read_blocks
from support.shells import Shell, expected_status
from support.waiting import free_port
from tiffin.local import gateway, serving

pytestmark = [pytest.mark.runs, pytest.mark.timeout(900)]

BLOCKS = list(read_blocks(ROOT / "docs" / "rollout-rehearsal.md"))
LINES = [line for block in BLOCKS if block.language == "sh" for line in command_lines(block.code)]
[REQUEST] = [block.code for block in BLOCKS if block.language == "json"]


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "request.json").write_text(REQUEST)
    shell = Shell.at(folder)
    yield shell
    shell.run("kill $(cat load.pid)")
    gateway.stop_gateway(folder / ".tiffin")
    serving.stop_server(folder / ".tiffin")


def test_the_page_is_played(shell: Shell) -> None:
    port = free_port()
    said: dict[str, str] = {}
    champions = []
    statuses: list[Counter[str]] = []
    for line in LINES:
        here = line.replace("tiffin gateway >", f"tiffin gateway --port {port} >").replace(":8600", f":{port}")
        status, output = shell.run(here)
        assert status == expected_status(line), f"{line}\n{output}"
        said[line] = said.get(line, "") + output
        if line.startswith("tiffin models list"):
            [model] = shell.read("tiffin models list --json")
            assert model["rollout"] is None
            champions.append((model["champion"]["version"], model["candidate"]))  # type: ignore[index]
            statuses.append(Counter((shell.folder / "odd-codes.txt").read_text().split()))
            ordinary = Counter((shell.folder / "codes.txt").read_text().split())
            assert set(ordinary) == {"200"}, ordinary

    assert champions == [(2, None), (2, None), (1, None)]
    # The bad version refused some requests; none failed before and after it.
    assert [set(found) for found in statuses] == [{"200"}, {"200", "400"}, {"200", "400"}]
    assert statuses[1]["400"] == statuses[2]["400"]
    assert "version 2" in said["tiffin models history model --at $before"]
    records = [json.loads(text) for text in shell.run("tiffin models history model --json")[1].splitlines()]
    assert [(one["action"], one["version"]) for one in records] == [
        *(("candidate", 1), ("promote", 1), ("confirm", 1)),
        *(("candidate", 2), ("approve", 2), ("rollout", 2), ("promote", 2), ("confirm", 2)),
        *(("candidate", 3), ("approve", 3), ("rollout", 3), ("abort", 3), ("rollback", 1)),
    ]
    log = shell.folder / ".tiffin" / "predictions" / "model" / "**" / "*.parquet"
    routes = duckdb.sql(f"SELECT DISTINCT route, version FROM read_parquet('{log}', union_by_name = true)").fetchall()
    assert {("stable", 1), ("stable", 2), ("candidate", 2), ("candidate", 3), ("mirror", 2)} <= set(routes)
