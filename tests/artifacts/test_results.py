"""Results of steps in a store: found by what went into them, verified, and never half reused."""

import json
import os
from pathlib import Path

import pytest

from support import gcs_emulator
from tiffin import storage
from tiffin.artifacts.results import RESULT, VARIABLE, digest_code, find_about, key_of, obtain, read_result
from tiffin.errors import InputError

INPUTS = {"data_version": "d1", "code": "c1"}


@pytest.fixture(params=["disk", "gcs"])
def store(request, tmp_path):
    if request.param == "disk":
        yield str(tmp_path / "store")
    else:
        with gcs_emulator.serve() as served:
            yield f"gs://{served.name}/store"


class Step:
    """A step that counts how often it makes its result."""

    def __init__(self, folder: Path) -> None:
        self.output = folder / "run" / "output"
        self.made = 0

    def __call__(self, store, inputs=INPUTS, **options):
        def make():
            self.made += 1
            self.output.joinpath("deep").mkdir(parents=True, exist_ok=True)
            self.output.joinpath("top.json").write_text(f"{self.made}")
            self.output.joinpath("deep", "weights").write_bytes(bytes([self.made]) * 5)

        return [note.code for note in obtain("train_model", inputs, self.output, make, store=store, **options)]

    @property
    def files(self):
        found = [path for path in self.output.rglob("*") if path.is_file()]
        return {path.relative_to(self.output).as_posix(): path.read_bytes() for path in found}


@pytest.fixture
def step(tmp_path):
    return Step(tmp_path)


def uris(store):
    return storage.find(store, {RESULT})


def test_without_a_store_every_run_makes_its_result(step):
    assert step("") == step("") == []
    assert step.made == 2


def test_a_result_is_reused(store, step):
    assert step(store, run="first-1") == []
    first = step.files
    notes = obtain("train_model", INPUTS, step.output, pytest.fail, store=store)

    assert step.files == first == {"top.json": b"1", "deep/weights": b"\1" * 5}
    assert [note.code for note in notes] == ["REUSED"]
    assert (notes[0].example, "first-1" in notes[0].text) == ("first-1", True)


def test_a_result_is_reused_in_place_of_what_a_killed_attempt_left(store, step):
    step(store)
    step.output.joinpath("half").write_text("x")

    assert step(store) == ["REUSED"]
    assert set(step.files) == {"top.json", "deep/weights"}
    assert os.listdir(step.output.parent) == ["output"]


@pytest.mark.parametrize("name", ["data_version", "code"])
def test_another_input_makes_another_result(store, step, name):
    step(store)

    assert step(store, INPUTS | {name: "other"}) == []
    assert step.made == 2
    assert step(store) == ["REUSED"]
    assert step.files["top.json"] == b"1"


def test_the_newest_result_is_reused(store, step):
    step(store)
    assert step(store, reuse=False) == []
    step.output.joinpath("top.json").unlink()

    assert step(store) == ["REUSED"]
    assert step.files["top.json"] == b"2"
    assert len(uris(store)) == 2


class TestAbout:
    """A result is found by what it is about, whatever code made it."""

    def test_nothing_is_found_without_a_store_or_a_result(self, store, step, tmp_path):
        assert find_about("train_model", "d1", tmp_path / "found") == (False, ())
        assert find_about("train_model", "d1", tmp_path / "found", store=store) == (False, ())
        assert not (tmp_path / "found").exists()

    def test_the_newest_of_all_code_is_found(self, store, step, tmp_path):
        step(store, about="d1")
        step(store, {"data_version": "d1", "code": "c2"}, about="d1")
        step(store, {"data_version": "d2", "code": "c2"}, about="d2")

        assert find_about("train_model", "d1", tmp_path / "found", store=store) == (True, ())
        assert (tmp_path / "found" / "top.json").read_bytes() == b"2"
        assert not find_about("train_model", "d", tmp_path / "found", store=store)[0]
        assert step(store, about="d1") == ["REUSED"]

    def test_one_that_is_damaged_is_told(self, step, tmp_path):
        store = str(tmp_path / "store")
        step(store, about="d1")
        [uri] = uris(store)
        Path(uri).with_name("top.json").write_text("?")
        is_there, notes = find_about("train_model", "d1", tmp_path / "found", store=store)

        assert (is_there, [note.code for note in notes]) == (False, ["RESULT_NOT_READ"])


def test_the_variable_names_the_store(store, step, monkeypatch):
    monkeypatch.setenv(VARIABLE, store)

    assert step("") == []
    assert step("") == ["REUSED"]


@pytest.mark.parametrize("name", ["top.json", "deep/weights"])
def test_a_damaged_file_is_noticed(tmp_path, step, name):
    store = str(tmp_path / "store")
    step(store, run="first")
    [uri] = uris(store)
    damaged = Path(uri).parent / name
    damaged.write_bytes(b"?" * damaged.stat().st_size)

    assert step(store) == ["RESULT_NOT_READ"]
    assert step.made == 2
    # The new result is found first from now on.
    assert step(store) == ["REUSED"]
    assert step.files["top.json"] == b"2"


def test_a_file_that_is_missing_is_noticed(tmp_path, step):
    store = str(tmp_path / "store")
    step(store)
    [uri] = uris(store)
    Path(uri).with_name("top.json").unlink()

    assert step(store) == ["RESULT_NOT_READ"]


@pytest.mark.parametrize("name", ["../outside", "/etc/outside", "deep/../../../outside"])
def test_a_file_outside_the_result_is_refused(tmp_path, step, name):
    store = str(tmp_path / "store")
    step(store)
    [uri] = uris(store)
    document = json.loads(Path(uri).read_text())
    document["files"][name] = document["files"].pop("top.json")
    Path(uri).write_text(json.dumps(document))

    assert step(store) == ["RESULT_NOT_READ"]
    assert not list(tmp_path.rglob("outside"))


def test_a_document_of_another_kind_is_not_a_result(tmp_path, step):
    store = str(tmp_path / "store")
    step(store)
    [uri] = uris(store)
    Path(uri).write_text("{}")

    assert step(store) == ["RESULT_NOT_READ"]


def test_a_store_that_cannot_be_written_is_told(tmp_path, step):
    (tmp_path / "file").write_text("x")

    assert step(str(tmp_path / "file")) == ["RESULT_NOT_READ", "RESULT_NOT_KEPT"]
    assert step.files["top.json"] == b"1"


def test_a_location_that_is_none_is_refused_before_the_work(step):
    with pytest.raises(InputError, match="ftp://x"):
        step("ftp://x")
    assert step.made == 0


def test_the_record_says_what_went_in(store, step):
    step(store, run="first")
    [uri] = uris(store)
    found = read_result(uri)

    assert (found.step, found.inputs, found.run, found.key) == ("train_model", INPUTS, "first", key_of(INPUTS))
    assert set(found.files) == {"top.json", "deep/weights"}


def test_the_key_does_not_depend_on_the_order():
    assert key_of({"a": "1", "b": "2"}) == key_of({"b": "2", "a": "1"}) != key_of({"a": "2", "b": "1"})


def test_the_code_is_part_of_the_key(tmp_path, monkeypatch):
    package = tmp_path / "stage_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "noun.py").write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = digest_code(["stage_of_a_test"], ["numpy"])
    assert before == digest_code(["stage_of_a_test"], ["numpy"]) != digest_code(["stage_of_a_test"], [])

    (package / "noun.py").write_text("x = 2\n")

    assert digest_code(["stage_of_a_test"], ["numpy"]) != before
