"""Predictions by a model server: as in this process, with the version of each answer."""

import contextlib
import itertools
import socket
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from support.fares import RECIPE, rows
from support.written import write_examples
from tiffin.errors import InputError, ServingError
from tiffin.serving.client import Client
from tiffin.stages.predict import runners, served
from tiffin.stages.predict.planning import plan
from tiffin.stages.predict.prediction import predict


@pytest.fixture(scope="module")
def address(root, tmp_path_factory):
    """Return the address of a server with the versions 1 and 2 of taxi."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    flags = [f"--port={port}", f"--model_config_file={root}/taxi/stable.config"]
    log = tmp_path_factory.mktemp("log") / "log"
    with log.open("w") as file:
        process = subprocess.Popen([sys.executable, "-m", "tiffin.model_server", *flags], stdout=file, stderr=file)
    try:
        with contextlib.closing(Client(f"127.0.0.1:{port}")) as client:
            client.wait_until_available("taxi", 2, 60)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def read(found):
    return pa.concat_tables(pq.read_table(Path(found.location, file.name)) for file in found.files)


def test_no_rows_give_a_file_with_the_same_columns(address, root, examples, tmp_path):
    asked = predict(examples(all=0), tmp_path / "one", name="taxi", address=address)
    loaded = predict(examples(all=0), tmp_path / "two", name="taxi", serving_root=root)

    assert read(asked).num_rows == 0
    assert asked.columns == loaded.columns


def test_are_those_of_this_process(address, root, tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "_REQUEST_ROWS", 16)
    folder = write_examples(tmp_path / "examples", {"a": [rows(100), rows(31, 100)], "b": rows(0)})
    asked = predict(folder, tmp_path / "one", name="taxi", address=address, key="trip")
    loaded = predict(folder, tmp_path / "two", name="taxi", serving_root=root, key="trip")

    assert read(asked).equals(read(loaded))
    assert asked.version == 2
    assert asked.versions == {"2": 131}
    assert asked.notes == ()


def test_are_those_of_a_version(address, examples, tmp_path):
    found = predict(examples(all=2), tmp_path / "one", name="taxi", address=address, version=1)

    assert read(found)["probability"].to_pylist() == pytest.approx([0.5, 0.11])


def test_each_row_has_the_version_that_answered(address, examples, tmp_path, monkeypatch):
    monkeypatch.setattr(runners, "_REQUEST_ROWS", 3)
    original, number = served.predict, itertools.count()

    def answer(*given):
        return original(*given)[0], 2 if next(number) == 0 else 3

    monkeypatch.setattr(served, "predict", answer)
    monkeypatch.setattr(runners, "_REQUESTS", 1)
    found = predict(examples(all=8), tmp_path / "one", name="taxi", address=address)

    assert read(found)["model_version"].to_pylist() == [2] * 3 + [3] * 5
    assert found.versions == {"2": 3, "3": 5}
    assert [(note.code, note.count) for note in found.notes] == [("SEVERAL_VERSIONS", 2)]


def test_the_plan_has_the_version_that_the_server_has_loaded(address):
    found = plan(name="taxi", address=address)

    assert found.version == 2
    assert found.derive == {"weekend": "day > 5"}
    assert served.find_version(address, "taxi", 1) == (1, RECIPE)


@pytest.mark.parametrize(
    ("options", "code"),
    [({"name": "taxy"}, "NOT_FOUND"), ({"name": "taxi", "version": 9}, "NOT_FOUND")],
)
def test_a_model_that_is_not_served(address, examples, tmp_path, options, code):
    with pytest.raises(ServingError) as caught:
        predict(examples(all=2), tmp_path / "one", address=address, **options)
    assert caught.value.code == code


def test_no_server(examples, tmp_path):
    with pytest.raises(ServingError) as caught:
        predict(examples(all=2), tmp_path / "one", name="taxi", address="127.0.0.1:9", deadline_seconds=2)
    assert caught.value.code in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    with pytest.raises(InputError, match="http://localhost:8501"):
        predict(examples(all=2), tmp_path / "one", name="taxi", address="http://localhost:8501")


def test_a_server_and_an_artifact(model, examples, tmp_path):
    with pytest.raises(InputError, match="Received: both"):
        predict(examples(all=2), tmp_path / "one", model=model, name="taxi", address="127.0.0.1:9")
