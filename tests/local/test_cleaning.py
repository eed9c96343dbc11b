import contextlib
import datetime
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.documents import make_manifest
from tiffin import storage
from tiffin.artifacts import documents
from tiffin.artifacts.examples import COMPLETE, MANIFEST, Split
from tiffin.artifacts.results import RESULT, RESULTS, REUSED, Result
from tiffin.errors import InputError, StorageError
from tiffin.local.cleaning import Item, idle, in_progress, plan, remove, size_of
from tiffin.local.records import taken
from tiffin.serving.root import CANDIDATE, STABLE, ServedModel

NOW = datetime.datetime(2026, 3, 31, 12).astimezone()


def make_run(state: Path, day: int, *, model: int | None = None, ended: bool = True, attempt: str = "") -> Path:
    """Write a run that started on a day of March, with a file of 1000 bytes, and return its folder."""
    folder = state / "runs" / f"training-202603{day:02d}-120000{attempt}"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "kfp.log").write_bytes(b"x" * 1000)
    registered = {"name": "taxi", "version": model} if model else None
    if ended:
        models = {"register-model": registered} if registered else {}
        documents.write(folder / "run.json", {"model": registered, "models": models})
    return folder


def make_data(state: Path, version: str, *users: Path, root: str = "data") -> Path:
    """Write a data version that runs use, and return its folder."""
    folder = state / root / version
    documents.write(folder / COMPLETE, {"version": version})
    splits = {"train": Split(1, (f"{folder}/data/train-00000.parquet",))}
    for run in users:
        documents.write(run / "artifacts" / version / "ingest" / "examples" / MANIFEST, make_manifest(version, splits))
    return folder


def planned(state: Path, keep: int = 0, days: float = 0, *, is_idle: bool = True) -> dict[str, str]:
    return {item.path: item.kept for item in plan(state, keep, days, is_idle=is_idle, now=NOW)}


def removed(state: Path, keep: int = 0, days: float = 0, *, is_idle: bool = True) -> list[str]:
    return [
        path.removeprefix("runs/") for path, kept in planned(state, keep, days, is_idle=is_idle).items() if not kept
    ]


def test_a_folder_without_runs_has_nothing_to_remove(tmp_path: Path) -> None:
    assert planned(tmp_path) == {}


@pytest.mark.parametrize(
    ("keep", "days", "days_removed"),
    [(0, 0, [1, 10, 20, 30]), (1, 0, [1, 10, 20]), (4, 0, []), (9, 0, []), (0, 15, [1, 10]), (3, 15, [1]), (0, 90, [])],
)
def test_runs_are_removed_by_number_and_age(tmp_path: Path, keep: int, days: float, days_removed: list[int]) -> None:
    for day in (30, 1, 20, 10):
        make_run(tmp_path, day)

    assert removed(tmp_path, keep, days) == [f"training-202603{day:02d}-120000" for day in days_removed]


def test_a_run_in_progress_is_kept_and_not_removed(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 1)
    before = plan(tmp_path, 0, 0, is_idle=False, now=NOW)
    with taken(folder) as is_taken:
        assert is_taken
        assert removed(tmp_path, is_idle=False) == []
        assert remove(tmp_path, before) == []
        assert (folder / "run.json").exists()

    assert [item.path for item in before] == [item.path for item in remove(tmp_path, before)] == ["runs/" + folder.name]
    assert not folder.exists()


def test_the_size_is_that_of_the_files(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 1, ended=False)
    (tmp_path / "big").write_bytes(b"x" * 10_000)
    (folder / "link").symlink_to(tmp_path / "big")
    found = plan(tmp_path, 0, 0, is_idle=True, now=NOW)

    assert found == [Item("runs/training-20260301-120000", "run", size_of(folder), 30.0)]
    assert 1000 <= found[0].size_bytes < 2000


def test_runs_of_one_second_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    for attempt in ("", "-2", "-10"):
        make_run(tmp_path, 1, attempt=attempt)

    assert removed(tmp_path, keep=1) == ["training-20260301-120000", "training-20260301-120000-2"]


@pytest.mark.parametrize("file", [STABLE, CANDIDATE])
def test_the_run_of_the_served_model_is_kept(tmp_path: Path, file: str) -> None:
    for version in (1, 2):
        make_run(tmp_path, version, model=version)
    served = ServedModel(str(tmp_path / "serving"), "taxi")
    storage.write_new(served.locate(file), served.make_config(1, aside=[7]) or b"")

    assert removed(tmp_path) == ["training-20260302-120000"]
    assert "taxi" in planned(tmp_path)["runs/training-20260301-120000"]


def test_a_configuration_that_cannot_be_read_stops_everything(tmp_path: Path) -> None:
    make_run(tmp_path, 1, model=1)
    config = tmp_path / "serving" / "taxi" / STABLE
    config.parent.mkdir(parents=True)
    config.write_text("not a config")

    with pytest.raises(InputError, match=str(config)):
        planned(tmp_path)


def test_a_run_in_progress_is_kept_and_a_killed_one_is_removed(tmp_path: Path) -> None:
    make_run(tmp_path, 1, ended=False)

    with in_progress(tmp_path), idle(tmp_path) as is_idle:
        assert not is_idle
        assert removed(tmp_path, is_idle=is_idle) == []
    with idle(tmp_path) as is_idle:
        assert is_idle
        assert removed(tmp_path, is_idle=is_idle) == ["training-20260301-120000"]


def test_a_run_waits_until_files_are_removed(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tiffin.local.cleaning import in_progress\n"
        "with in_progress(Path(sys.argv[1])): print('started')"
    )
    with idle(tmp_path) as is_idle:
        assert is_idle
        process = subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(2)

    assert process.communicate(timeout=30)[0] == b"started\n"


def test_other_files_and_folders_are_not_runs(tmp_path: Path) -> None:
    for name in ("notes", "training-2026", "training-20260301-250000", "20260301-120000"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "training-20260301-120000").write_text("a file")

    assert planned(tmp_path) == {}


def test_links_are_neither_followed_nor_removed(tmp_path: Path) -> None:
    state, outside = tmp_path / "state", tmp_path / "outside"
    kept = make_run(outside, 1)
    data = make_data(outside, "d1")
    folder = make_run(state, 2)
    (state / "runs" / kept.name).symlink_to(kept)
    (state / "data").symlink_to(outside / "data")
    (folder / "artifacts").symlink_to(outside)
    found = plan(state, 0, 0, is_idle=True, now=NOW)
    remove(state, found)

    assert [item.path for item in found] == [f"runs/{folder.name}"]
    assert not folder.exists()
    assert (kept / "run.json").exists()
    assert (data / COMPLETE).exists()

    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "runs").symlink_to(outside / "runs")
    with pytest.raises(InputError, match=f"'{linked}/runs'.*'{outside}/runs'"), idle(linked):
        pass


def test_a_data_version_is_removed_with_the_last_run_that_uses_it(tmp_path: Path) -> None:
    old, new = make_run(tmp_path, 1), make_run(tmp_path, 2)
    make_data(tmp_path, "d1", old)
    make_data(tmp_path, "d2", old, new)
    make_data(tmp_path, "d22", root="more/data")

    assert removed(tmp_path, keep=1) == [old.name, "data/d1", "more/data/d22"]
    assert removed(tmp_path, keep=2) == ["more/data/d22"]
    assert removed(tmp_path, keep=2, is_idle=False) == []


@pytest.mark.parametrize("path", ["serving/d1", "mlflow/d1", "data/other"])
def test_only_complete_data_versions_count(tmp_path: Path, path: str) -> None:
    documents.write(tmp_path / path / COMPLETE, {"version": "d1"})
    (tmp_path / "data" / "d2").mkdir(parents=True)
    (tmp_path / "data" / "d2" / COMPLETE).write_text("[")

    assert planned(tmp_path) == {}


@pytest.mark.parametrize("record", ["", "[]", "{", '{"model": null, "models": null}'])
def test_a_record_that_cannot_be_read_is_that_of_a_killed_run(tmp_path: Path, record: str) -> None:
    folder = make_run(tmp_path, 1)
    (folder / "run.json").write_text(record)

    assert removed(tmp_path) == [folder.name]


def test_a_file_that_cannot_be_removed_is_named(tmp_path: Path) -> None:
    folder = make_run(tmp_path, 1)
    items = plan(tmp_path, 0, 0, is_idle=True, now=NOW)
    with contextlib.ExitStack() as stack:
        (folder / "logs").chmod(0o500)
        stack.callback((folder / "logs").chmod, 0o700)
        if os.getuid() == 0:  # root may remove any file, another user may not
            os.seteuid(65534)
            stack.callback(os.seteuid, 0)
        with pytest.raises(StorageError, match=str(folder)):
            remove(tmp_path, items)

    assert (folder / "logs" / "kfp.log").exists()


def test_the_lock_may_not_be_a_link(tmp_path: Path) -> None:
    make_run(tmp_path, 1)
    (tmp_path / ".runs.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(StorageError, match=r"\.runs\.lock'"), idle(tmp_path):
        pass
    assert not (tmp_path / "elsewhere").exists()
    assert json.loads((tmp_path / "runs" / "training-20260301-120000" / "run.json").read_text())


class TestResults:
    def keep(self, state: Path, run: str, number: int = 1) -> str:
        folder = state / RESULTS / "train_model" / "k" / f"c{number}"
        documents.write(folder / RESULT, Result("train_model", "k", {}, run, "2026-03-01T12:00:00Z", {}))
        return str(folder.relative_to(state))

    def test_that_of_a_run_that_is_kept_is_kept(self, tmp_path: Path) -> None:
        make_run(tmp_path, 1)
        made = [self.keep(tmp_path, f"training-202603{day:02d}-120000", day) for day in (1, 2)]
        found = planned(tmp_path, keep=1)

        assert [bool(found[path]) for path in made] == [True, False]

    def test_one_that_a_kept_run_reused_is_kept(self, tmp_path: Path) -> None:
        origin = "training-20260301-120000-0a1b"
        folder = make_run(tmp_path, 20)
        note = {"step": "train-model", "code": REUSED, "column": "", "count": None, "example": origin, "text": ""}
        documents.write(folder / "run.json", {"notes": [note]})
        made = self.keep(tmp_path, origin)

        assert planned(tmp_path, keep=1)[made]
        assert not planned(tmp_path)[made]

    def test_one_that_cannot_be_read_is_removed_when_no_run_is_in_progress(self, tmp_path: Path) -> None:
        made = self.keep(tmp_path, "")
        (tmp_path / made / RESULT).write_text("{")

        assert planned(tmp_path, is_idle=False)[made]
        assert not planned(tmp_path)[made]
        remove(tmp_path, plan(tmp_path, 0, 0, is_idle=True, now=NOW))
        assert not (tmp_path / made).exists()
