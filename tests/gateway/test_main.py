"""The program that a cluster runs beside Envoy."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from support.waiting import until
from tiffin.gateway.envoy import BOOTSTRAP, CLIENTS, CLUSTERS, MIRROR
from tiffin.gateway.table import Served, Table
from tiffin.gateway.traffic import Traffic
from tiffin.serving.root import GATEWAY


@contextmanager
def following(root: str | Path, folder: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    command = [
        sys.executable, "-m", "tiffin.gateway", f"--serving-root={root}", f"--folder={folder}",
        "--stable=stable-servers:8500", "--stable-rest=stable-servers:8501", "--candidate=candidate-servers:8500",
        "--candidate-rest=candidate-servers:8501", "--poll-seconds=0.05", *options,
    ]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def clusters(folder: Path) -> set[str]:
    return {one["name"] for one in json.loads((folder / CLUSTERS).read_text())["resources"]}


def test_a_serving_root_without_models(tmp_path: Path) -> None:
    folder = tmp_path / "envoy"
    with following(tmp_path / "none", folder) as process:
        assert until((folder / "followed").exists)
        assert {path.name for path in folder.iterdir()} >= {BOOTSTRAP, CLUSTERS, f"{CLIENTS}.json", f"{MIRROR}.json"}
        assert clusters(folder) == {"copies", "copies/rest", "*/stable/grpc", "*/stable/rest"}
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0


def test_the_files_follow_the_table(tmp_path: Path) -> None:
    folder, table = tmp_path / "envoy", tmp_path / "root" / GATEWAY
    table.parent.mkdir()
    with following(table.parent, folder) as process:
        assert until((folder / "followed").exists)
        table.write_bytes(Table({"taxi": Served(1, Traffic(2, 5))}).content)
        # The routes come after the clusters.
        assert until(lambda: "taxi/candidate/grpc" in (folder / f"{CLIENTS}.json").read_text())
        assert "taxi/candidate/grpc" in clusters(folder)
        routes = (folder / f"{CLIENTS}.json").read_text()

        # An invalid table changes nothing, and is told once.
        table.write_bytes(b"{")
        table.write_bytes(Table({"taxi": Served(1, Traffic(2, 500))}).content)
        assert until(lambda: "500" in process.stderr.readline())
        assert (folder / f"{CLIENTS}.json").read_text() == routes

        table.unlink()
        assert until(lambda: "taxi/candidate/grpc" not in clusters(folder))


@pytest.mark.parametrize("root", ["s3://bucket/root"])
def test_a_root_that_cannot_be_served_is_an_error(tmp_path: Path, root: str) -> None:
    with following(root, tmp_path) as process:
        _, error = process.communicate(timeout=20)

    assert process.returncode
    assert error.startswith("error: serving_root ")
