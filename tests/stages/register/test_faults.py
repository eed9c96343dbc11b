"""Registrations that are killed or fail on a full disk; the next registration succeeds."""

import contextlib
import errno
import itertools
import os
import shutil
import sqlite3
import time

import pytest

from support.documents import make_evaluation
from support.forks import Fork
from support.registering import register_here, write_model
from support.small_disks import needs_small_disks, resize, small_disk
from tiffin.artifacts.model import saved_model
from tiffin.artifacts.registration import read_registration
from tiffin.artifacts.verdict import write_evaluation

MODEL_BYTES = 3_000_000


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = write_model(tmp_path_factory.mktemp("trained") / "model")
    (saved_model(folder) / "assets.extra" / "large").write_bytes(os.urandom(MODEL_BYTES))
    return folder


@pytest.fixture
def step(model, tmp_path):
    """Return a function that starts a registration in a separate process."""
    write_evaluation(tmp_path / "evaluation", make_evaluation())
    places = (str(model), str(tmp_path / "evaluation"), str(tmp_path / "out"))
    numbers = itertools.count()

    def start(folder, run="run-1", limit=0):
        output = tmp_path / f"output-{next(numbers)}"
        return Fork(output, register_here, None, places, "taxi", f"sqlite:///{folder}/mlflow.db", run, limit)

    return start


def database_bytes(folder):
    """Return the size of the database so far, under its temporary or final name."""
    size = 0
    for path in folder.glob("*mlflow.db*"):
        with contextlib.suppress(FileNotFoundError):
            size = max(size, path.stat().st_size)
    return size


def left(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def read(folder, query):
    """Query the database directly: MLflow's client would keep it open, and the disk could not be unmounted."""
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as connection:
        return connection.execute(query).fetchall()


def test_a_registration_killed_while_it_creates_the_tables(step, tmp_path):
    folder = tmp_path / "state"
    folder.mkdir()
    # Between the first table and the last.
    for size in (1, 100_000, 250_000):
        fork = step(folder)
        while database_bytes(folder) < size:
            assert fork.process.exitcode is None, "it ended before it could be killed"
            time.sleep(0.001)
        fork.process.kill()

        assert fork.wait().returncode < 0
    ended = step(folder).wait()

    assert (ended.returncode, ended.stderr) == (0, "")
    assert read_registration(tmp_path / "out").version == 1
    assert [name for name in left(folder) if "/" not in name] == [".mlflow.db.lock", "mlflow.db"]


@needs_small_disks
class TestFullDisk:
    def check(self, ended, tmp_path):
        """Check that a registration printed a single error: the disk is full."""
        assert (ended.returncode, len(ended.stderr.splitlines())) == (65, 1), ended.stderr
        assert f"'{tmp_path}/disk/" in ended.stderr
        assert os.strerror(errno.ENOSPC) in ended.stderr
        assert not (tmp_path / "out").exists()

    def test_while_the_tables_are_created(self, step, tmp_path):
        with small_disk(tmp_path / "disk", 300) as disk:
            self.check(step(disk).wait(), tmp_path)

            assert left(disk) == [".mlflow.db.lock"]
            resize(disk, 10_000)
            ended = step(disk).wait()

        assert (ended.returncode, ended.stderr) == (0, "")

    def test_while_the_model_is_stored(self, step, tmp_path):
        with small_disk(tmp_path / "disk", 10_000) as disk:
            assert step(disk).wait().returncode == 0
            shutil.rmtree(tmp_path / "out")
            stored = left(disk)
            resize(disk, 5_000)
            ended = step(disk, "run-2").wait()
            self.check(ended, tmp_path)

            assert left(disk) == stored
            assert sorted(read(disk, "select status from runs")) == [("FAILED",), ("FINISHED",)]
            assert read(disk, "select version from model_versions") == [(1,)]
            resize(disk, 12_000)
            assert step(disk, "run-2").wait().returncode == 0


def test_a_limit_on_files_while_the_model_is_stored(step, tmp_path):
    """A file size limit fails the copy of the model, not the database, which is smaller."""
    folder = tmp_path / "state"
    ended = step(folder, limit=MODEL_BYTES - 1).wait()

    assert (ended.returncode, len(ended.stderr.splitlines())) == (65, 1), ended.stderr
    assert f"'{folder}/mlflow/" in ended.stderr
    assert os.strerror(errno.EFBIG) in ended.stderr
    assert left(folder) == [".mlflow.db.lock", "mlflow.db"]
    assert not (tmp_path / "out").exists()
    assert read(folder, "select version from model_versions") == []
