"""What `tiffin ui` refuses; tests/commands/test_demo.py runs the server itself."""

import socket
from pathlib import Path

import pytest

from tiffin.artifacts import documents
from tiffin.errors import InputError, TiffinError
from tiffin.local.mlflow_ui import serve_ui

RUN = "training-20260301-120000"


def files(state: Path) -> list[Path]:
    return sorted(path for path in state.rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("record", "named"),
    [
        (None, "'{state}'"),
        ({}, f"'{{state}}'.* 1 .*{RUN}.*tiffin report"),
        ({"tracking_uri": "http://mlflow:5000"}, f"{RUN}.*http://mlflow:5000"),
    ],
)
@pytest.mark.parametrize("is_empty", [False, True])
def test_without_a_database_none_is_created(tmp_path: Path, record: dict | None, named: str, is_empty: bool) -> None:
    if record is not None:
        documents.write(tmp_path / "runs" / RUN / "run.json", record)
    if is_empty:
        (tmp_path / "mlflow.db").touch()
    before = files(tmp_path)

    with pytest.raises(InputError, match=named.format(state=tmp_path)):
        serve_ui(tmp_path, None, lambda *_: None)
    assert files(tmp_path) == before


def test_a_taken_port_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("x")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(TiffinError, match=f"{port}.*--port"):
            serve_ui(tmp_path, port, lambda *_: None)
