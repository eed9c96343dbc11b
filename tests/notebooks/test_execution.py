"""Execute each notebook in a folder of its own, with real local runs and servers."""

import base64
import os
import re
import shutil
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from support import kfp_backend
from support.debian import program
from tiffin.artifacts.model import read_training
from tiffin.local.gateway import read_status, stop_gateway
from tiffin.local.records import list_runs, read_record
from tiffin.local.serving import find_server, serving_root, stop_server
from tiffin.serving.production import find_production
from tiffin.serving.root import ServedModel

RUNS_IN = ("notebooks",)

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    stop_server(tmp_path / ".tiffin")


def execute(name: str, folder: Path, **variables: str) -> Any:
    """Execute a notebook as `make notebooks` does, with the environment's commands on the PATH, and return it."""
    notebook = nbformat.read(shutil.copy(NOTEBOOKS / f"{name}.ipynb", folder), as_version=4)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    client = NotebookClient(notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": str(folder)}})
    try:
        client.execute(env={**os.environ, "PATH": path, **variables})
    finally:
        # Keep the executed notebook, with its plots, in pytest's temporary folder.
        nbformat.write(notebook, folder / f"{name}.ipynb")
    return notebook


def outputs(notebook: Any) -> list[Any]:
    return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]


def text_of(notebook: Any) -> str:
    """Return everything that a notebook printed or displayed as text; printed output comes in several parts."""
    return "".join(
        output.text if output.output_type == "stream" else output.data.get("text/plain", "") + "\n"
        for output in outputs(notebook)
    )


def check_plots(notebook: Any) -> None:
    """Check that each cell that draws a plot displays one of a readable size, and that there are no warnings."""
    for cell in notebook.cells:
        drawn = [
            output.data["image/png"] for output in cell.get("outputs", []) if "image/png" in output.get("data", {})
        ]
        assert len(drawn) == cell.source.count("plt.show()")
        for picture in drawn:
            width, height = struct.unpack(">II", base64.b64decode(picture)[16:24])
            assert 350 <= width <= 1200
            assert 150 <= height <= 900
    warnings = [o.text for o in outputs(notebook) if o.output_type == "stream" and o.name == "stderr"]
    assert warnings == []


def test_quickstart(folder: Path) -> None:
    notebook = execute("quickstart", folder)

    check_plots(notebook)
    assert "('SUCCEEDED', '')" in text_of(notebook)
    assert "passed - log_loss" in text_of(notebook)
    assert "probability" in text_of(notebook)
    assert find_server(folder / ".tiffin") is None


def test_query_serving(folder: Path) -> None:
    notebook = execute("query_serving", folder)
    text = text_of(notebook)

    check_plots(notebook)
    assert "AVAILABLE" in text
    errors = re.findall(r"^(InputError|ServingError) (\w*) ?- ", text, re.MULTILINE)
    assert errors == [
        ("ServingError", "NOT_FOUND"),
        ("ServingError", "NOT_FOUND"),
        ("ServingError", "FAILED_PRECONDITION"),
        ("InputError", ""),
        ("InputError", ""),
        ("ServingError", "UNAVAILABLE"),
    ]
    assert find_server(folder / ".tiffin") is None


def test_reuse_components_and_submit(folder: Path) -> None:
    with kfp_backend.serve() as backend:
        # Images in a registry: otherwise `submit` warns that the cluster cannot pull them.
        variables = {"KF_PIPELINES_ENDPOINT": backend.address, "TIFFIN_IMAGE_PREFIX": "registry.example/team"}
        notebook = execute("reuse_components", folder, **variables)
        (run,) = backend.state()["runs"].values()

    check_plots(notebook)
    assert "('SUCCEEDED', '')" in text_of(notebook)
    assert "'label'?" in text_of(notebook)
    records = [read_training(path) for path in folder.glob(".tiffin/runs/*/artifacts/*/train-model*/model")]
    assert [record.own.inputs for record in records if record.own] == ["raw"]
    assert "compare-networks" in run["display_name"]
    assert run["runtime_config"]["parameters"]["model_code"] == "gs://team/model.py"
    assert run["runtime_config"]["parameters"]["data"] == "sample:deliveries"
    page = next(
        output.data["text/markdown"] for output in outputs(notebook) if "text/markdown" in output.get("data", {})
    )
    assert page.startswith("# infer_schema\n")


def test_model_life(folder: Path) -> None:
    state = folder / ".tiffin" / "life" / "state"
    path = os.pathsep.join([str(Path(sys.executable).parent), str(program("prometheus").parent), os.environ["PATH"]])
    try:
        notebook = execute("model_life", folder, PATH=path)
    finally:
        running = [find_server(state), read_status(state)]
        stop_server(state)
        stop_gateway(str(state))
    text = text_of(notebook)

    check_plots(notebook)
    _, *days = [read_record(run) or {} for _, run in list_runs(state)]
    assert [one["verdict"] for day in days for one in day["monitorings"].values()] == [
        "healthy", "drifted", "degraded", "degraded",
    ]  # fmt: skip
    decisions = [[one["code"] for one in day["retrainings"].values()] for day in days]
    assert decisions == [[], ["ASK"], ["START"], ["COOL_DOWN"]]
    assert re.findall(r"^rolled back: from version (\d) to version (\d)", text, re.MULTILINE) == [("2", "1")]
    assert find_production(ServedModel(str(serving_root(state)), "deliveries"))[0] == 1
    assert "- TiffinDrift (" in text
    assert "- TiffinDecay (" in text
    (page,) = (html for o in outputs(notebook) if "<iframe" in (html := o.get("data", {}).get("text/html", "")))
    assert "CONCEPT_DRIFT" in page
    assert running == [None, None]
