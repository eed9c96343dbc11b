"""Predictions of examples, by hand: their files, their errors, and attempts that go on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.fares import RECIPE, read_json, rows, save
from support.written import table, write_examples
from tiffin.artifacts.documents import write
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.artifacts.model import saved_model
from tiffin.artifacts.predictions import COMPLETE, read_predictions
from tiffin.errors import DataError, InputError, StorageError
from tiffin.stages.predict import files, units
from tiffin.stages.predict.finishing import complete
from tiffin.stages.predict.prediction import predict


def read(found):
    return pa.concat_tables(pq.read_table(Path(found.location, file.name)) for file in found.files)


def content(found):
    return {path.name: path.read_bytes() for path in Path(found.location).rglob("*") if path.is_file()}


@pytest.fixture
def shards(tmp_path):
    """Examples with the splits a, of three shards, and b."""
    return write_examples(tmp_path / "examples", {"a": [rows(10), rows(5, 10), rows(20, 15)], "b": rows(4, 35)})


class TestRows:
    def test_of_no_rows_give_a_file_with_the_columns(self, model, examples, tmp_path):
        found = predict(examples(all=0), tmp_path / "out", model=model, key="trip")

        assert [(file.name, file.rows) for file in found.files] == [("all-00000-00000.parquet", 0)]
        assert read(found).num_rows == 0
        assert read(found).column_names == [column.name for column in found.columns]
        assert [note.code for note in found.notes] == ["NO_ROWS"]

    def test_have_their_place_the_outputs_and_the_model(self, model, examples, tmp_path):
        found = predict(
            examples(all=8), tmp_path / "out", model=model, name="taxi", version=7, key="trip", keep=["fare"]
        )

        assert read(found).slice(0, 2).to_pylist() == [
            {"split": "all", "shard": 0, "row": 0, "trip": "t0", "fare": None, "classes": "yes", "letters": [0, 0],
             "probability": 0.5, "unreadable_dates": 0, "model": "taxi", "model_version": 7},
            {"split": "all", "shard": 0, "row": 1, "trip": "t1", "fare": 1.0, "classes": "yes", "letters": [6, 6],
             "probability": pytest.approx(0.01), "unreadable_dates": 0, "model": "taxi", "model_version": 7},
        ]  # fmt: skip
        assert found.rows == 8
        assert found.versions == {"7": 8}
        assert found.classes == ("no", "yes")
        assert {column.name: column.source for column in found.columns}["trip"] == "example"

    def test_of_all_splits_or_of_one(self, model, shards, tmp_path):
        both = predict(shards, tmp_path / "all", model=model, key="trip")
        one = predict(shards, tmp_path / "b", model=model, key="trip", split="b")

        assert read(both)["trip"].to_pylist() == [f"t{number}" for number in range(39)]
        assert read(both)["row"].to_pylist() == [*range(10), *range(5), *range(20), *range(4)]
        assert read(both)["shard"].to_pylist() == [0] * 10 + [1] * 5 + [2] * 20 + [0] * 4
        assert read(one)["trip"].to_pylist() == ["t35", "t36", "t37", "t38"]
        assert both.location.rsplit("/", 1)[-1] != one.location.rsplit("/", 1)[-1]

    def test_have_attributions_and_kept_columns_of_the_same_name(self, model, examples, tmp_path):
        found = predict(
            examples(all=3), tmp_path / "out", model=model, signature="explain", keep=["fare", "trip"], outputs=["fare"]
        )

        assert read(found).column_names == [
            "split",
            "shard",
            "row",
            "input.fare",
            "trip",
            "fare",
            "model",
            "model_version",
        ]
        assert [note.code for note in found.notes] == ["KEPT_RENAMED"]

    def test_keep_what_dates_and_booleans_stand_for(self, model, tmp_path):
        columns = table(
            fare=[1.0, 2.0], city=["a", "b"], day=[86_400, -86_400], at=[3_600, None], is_paid=[1, 0], many=[3, 4]
        )
        folder = write_examples(tmp_path / "examples", {"all": columns})
        manifest = read_manifest(folder)
        logical = {"day": "date", "at": "timestamp", "is_paid": "boolean"}
        named = tuple(replace(one, logical=logical.get(one.name)) for one in manifest.columns)
        write(folder / MANIFEST, replace(manifest, columns=named))
        found = read(predict(folder, tmp_path / "out", model=model, keep=["day", "at", "is_paid", "many"]))

        assert [str(day) for day in found["day"].to_pylist()] == ["1970-01-02", "1969-12-31"]
        assert [str(at) for at in found["at"].to_pylist()] == ["1970-01-01 01:00:00+00:00", "None"]
        assert found["is_paid"].to_pylist() == [True, False]
        assert found["many"].to_pylist() == [3, 4]

    def test_with_dates_that_the_model_cannot_read_are_counted(self, model, tmp_path):
        folder = write_examples(tmp_path / "examples", {"all": table(fare=[1.0, 2.0, 3.0], city=["?", "b", "?"])})
        found = predict(folder, tmp_path / "out", model=model)

        assert [(note.code, note.count) for note in found.notes] == [("UNREADABLE_DATES", 2)]

    def test_of_a_column_without_values_are_missing_numbers(self, model, tmp_path):
        columns = pa.table({"fare": pa.nulls(2, pa.string()), "city": ["a", "bc"]})
        folder = write_examples(tmp_path / "examples", {"all": columns})

        assert read(predict(folder, tmp_path / "out", model=model))["probability"].to_pylist() == [0.5, 0.5]


class TestModel:
    def test_is_the_one_in_production(self, root, examples, tmp_path):
        found = predict(examples(all=2), tmp_path / "out", name="taxi", serving_root=root)

        assert found.version == 2
        assert read(found)["probability"].to_pylist() == pytest.approx([0.5, 0.21])

    def test_is_a_version(self, root, examples, tmp_path, monkeypatch):
        monkeypatch.setenv("TIFFIN_SERVING_ROOT", root)
        found = predict(examples(all=2), tmp_path / "out", name="taxi", version=3)

        assert read(found)["model_version"].to_pylist() == [3, 3]
        assert read(found)["probability"].to_pylist() == pytest.approx([0.5, 0.31])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"name": "taxy"}, r"'taxy'.*'taxi'"),
            ({"name": "taxi", "version": 9}, r"model_version.*1, 2, 3.*Received: 9"),
            ({"name": "taxi", "version": -1}, r"model_version.*Received: -1"),
            ({"name": "a/b"}, r"model_name.*Received: model_name='a/b'"),
            ({}, r"model_name.*Received: neither"),
            ({"name": "taxi", "signature": "explane"}, r"signature='explane'.*'explain'"),
            ({"name": "taxi", "signature": "examples"}, r"explain, serving_default.*'examples'"),
            ({"name": "taxi", "outputs": ["probabilty"]}, r"outputs.*'probabilty'.*'probability'"),
            ({"name": "taxi", "key": "tripp"}, r"key.*'tripp'.*'trip'"),
            ({"name": "taxi", "keep": ["nothing"]}, r"keep.*Received: 'nothing'"),
            ({"name": "taxi", "split": "al"}, r"split='al'.*'all'"),
            ({"name": "taxi", "part": 2, "parts": 2}, r"part .*from 0 to 1.*part=2"),
            ({"name": "taxi", "parts": 0}, r"parts .*Received: parts=0"),
            ({"name": "taxi", "log": True}, r"TIFFIN_LOG_ROOT"),
            ({"name": "taxi", "deadline_seconds": 0}, r"deadline_seconds"),
        ],
    )
    def test_that_is_not_there_or_another_mistake(self, root, examples, tmp_path, options, message):
        with pytest.raises(InputError, match=message):
            predict(examples(all=2), tmp_path / "out", serving_root=root, **options)

    def test_that_no_version_of_is_in_production(self, root, examples, tmp_path):
        (tmp_path / "empty").mkdir()
        with pytest.raises(InputError, match=f"'taxi'.*'{tmp_path}/empty'"):
            predict(examples(all=2), tmp_path / "out", serving_root=str(tmp_path / "empty"), name="taxi")
        with pytest.raises(InputError, match=r"serving_root.*absent"):
            predict(examples(all=2), tmp_path / "out", serving_root=str(tmp_path / "absent"), name="taxi")
        with pytest.raises(InputError, match="TIFFIN_SERVING_ROOT"):
            predict(examples(all=2), tmp_path / "out", name="taxi")

    def test_that_cannot_be_loaded(self, examples, tmp_path):
        folder = saved_model(tmp_path / "model")
        with pytest.raises(InputError, match=r"saved_model\.pb"):
            predict(examples(all=2), tmp_path / "out", model=tmp_path / "model")
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_bytes(b"nothing")
        with pytest.raises(InputError, match="SavedModel"):
            predict(examples(all=2), tmp_path / "out", model=tmp_path / "model")

    def test_of_other_tools_takes_columns_without_missing_values(self, tmp_path):
        save(saved_model(tmp_path / "model"), recipe=None)
        folder = write_examples(tmp_path / "one", {"all": table(fare=[10.0, 20.0], city=["a", "b"])})
        found = predict(folder, tmp_path / "out", model=tmp_path / "model")

        assert read(found)["probability"].to_pylist() == pytest.approx([0.1, 0.2])
        with pytest.raises(InputError, match="'city'"):
            predict(write_examples(tmp_path / "two", {"all": rows(2)}), tmp_path / "out", model=tmp_path / "model")


class TestColumns:
    def test_that_the_examples_lack(self, model, tmp_path):
        folder = write_examples(tmp_path / "examples", {"all": table(fares=[1.0, 2.0], city=["a", "b"])})

        with pytest.raises(InputError, match=r"'Fare'.*allow_missing=true"):
            predict(folder, tmp_path / "out", model=model)
        found = predict(folder, tmp_path / "out", model=model, allow_missing=True)
        assert read(found)["probability"].to_pylist() == [0.5, 0.5]
        assert [(note.code, note.example) for note in found.notes] == [("MISSING_COLUMNS", "fare")]

    def test_that_are_derived(self, tmp_path):
        inputs = (replace(RECIPE.inputs[0], name="fare"), replace(RECIPE.inputs[1], name="city"))
        derive = (replace(RECIPE.recipe.derive[0], name="fare", expression="day * 2"),)
        source = RECIPE.recipe.source[1:]
        recipe = replace(RECIPE, inputs=inputs, recipe=replace(RECIPE.recipe, derive=derive, source=source))
        save(saved_model(tmp_path / "model"), recipe=recipe)
        folder = write_examples(tmp_path / "examples", {"all": table(day=[1, 2], city=["a", "b"])})

        with pytest.raises(InputError, match=r'\'fare\'.*derive=\{"fare": "day \* 2"\}'):
            predict(folder, tmp_path / "out", model=tmp_path / "model")

    @pytest.mark.parametrize(
        ("columns", "message"),
        [
            ({"fare": [1.0], "city": [7]}, r'Received: INT.*types=\{"city": "text"\}'),
            ({"fare": ["x"], "city": ["a"]}, r"'fare'.*numbers.*'x'.*missing_values"),
        ],
    )
    def test_of_another_type(self, model, tmp_path, columns, message):
        folder = write_examples(tmp_path / "examples", {"all": table(**columns)})

        with pytest.raises(InputError, match=message):
            predict(folder, tmp_path / "out", model=model)


class TestAttempts:
    def test_after_a_complete_one_reuse_its_files(self, model, shards, tmp_path):
        first = predict(shards, tmp_path / "one", model=model, location=str(tmp_path / "out"))
        before = content(first)
        times = {path: path.stat().st_mtime_ns for path in Path(first.location).glob("*.parquet")}
        second = predict(shards, tmp_path / "two", model=model, location=str(tmp_path / "out"))

        assert (first.reused, second.reused) == (0, 4)
        assert content(second) == before
        assert {path: path.stat().st_mtime_ns for path in times} == times
        assert replace(second, reused=0) == first
        assert read_predictions(tmp_path / "two") == second

    def test_make_what_is_missing_or_damaged_anew(self, model, shards, tmp_path):
        first = predict(shards, tmp_path / "one", model=model, location=str(tmp_path / "out"))
        before = content(first)
        home = Path(first.location)
        (home / "a-00000-00000.parquet").write_bytes(before["a-00000-00000.parquet"][:-9])
        (home / "a-00001-00000.parquet").unlink()
        (home / "_units" / "a-00002-00000.parquet.json").write_text("{}")
        second = predict(shards, tmp_path / "two", model=model, location=str(tmp_path / "out"))

        assert second.reused == 1
        assert content(second) == before

    def test_in_another_folder_give_the_same_bytes(self, model, shards, tmp_path):
        one, other = (predict(shards, tmp_path / name, model=model) for name in ("one", "two"))

        assert {file.name: file.digest for file in one.files} == {file.name: file.digest for file in other.files}

    def test_with_the_rows_in_another_order_make_all_files_anew(self, model, tmp_path):
        one = write_examples(tmp_path / "a", {"all": [rows(3), rows(3, 3)]})
        other = write_examples(tmp_path / "b", {"all": [rows(6)]})
        predict(one, tmp_path / "one", model=model, location=str(tmp_path / "out"), key="trip")
        found = predict(other, tmp_path / "two", model=model, location=str(tmp_path / "out"), key="trip")

        assert found.reused == 0
        assert sorted(path.name for path in Path(found.location).glob("*.parquet")) == ["all-00000-00000.parquet"]
        assert read(found)["trip"].to_pylist() == [f"t{number}" for number in range(6)]

    def test_with_other_models_data_or_parameters_have_folders_of_their_own(self, root, shards, tmp_path):
        options = {"name": "taxi", "serving_root": root, "location": str(tmp_path / "out")}
        found = [
            predict(shards, tmp_path / "x", **options),
            predict(shards, tmp_path / "x", **options, version=1),
            predict(shards, tmp_path / "x", **options, keep=["fare"]),
            predict(shards, tmp_path / "x", **options, signature="explain"),
        ]

        assert len({one.location for one in found}) == 4
        assert all(one.reused == 0 for one in found)

    def test_that_do_not_finish_leave_no_mark(self, model, shards, tmp_path, monkeypatch):
        first = predict(shards, tmp_path / "one", model=model, location=str(tmp_path / "out"))
        (Path(first.location) / "a-00001-00000.parquet").unlink()

        def fail(*_):
            raise StorageError("The disk is full.")

        monkeypatch.setattr(files, "_publish", fail)
        with pytest.raises(StorageError, match="full"):
            predict(shards, tmp_path / "two", model=model, location=str(tmp_path / "out"))
        assert not Path(first.location, COMPLETE).exists()
        assert not list(Path(first.location).glob(".writing-*"))

    def test_where_a_file_is(self, model, shards, tmp_path):
        (tmp_path / "out").write_text("a file")
        with pytest.raises(StorageError, match=f"{tmp_path}/out"):
            predict(shards, tmp_path / "one", model=model, location=str(tmp_path / "out"))


class TestParts:
    @pytest.mark.parametrize("parts", [2, 3, 7])
    def test_give_the_files_of_the_whole(self, model, shards, tmp_path, parts):
        whole = predict(shards, tmp_path / "whole", model=model, location=str(tmp_path / "one"))
        found = [
            predict(shards, tmp_path / "part", model=model, location=str(tmp_path / "two"), part=part, parts=parts)
            for part in range(parts)
        ]
        done = complete(
            shards, tmp_path / "done", [one.location for one in found], [float(one.reused) for one in found]
        )

        assert not any(one.part is None for one in found)
        assert sum(one.rows for one in found) == done.rows == 39
        assert done.files == whole.files
        assert (done.part, done.parts) == (None, parts)
        assert read_json(Path(done.location, COMPLETE))["rows"] == 39
        assert {name: bytes_ for name, bytes_ in content(done).items() if name.endswith(".parquet")} == {
            name: bytes_ for name, bytes_ in content(whole).items() if name.endswith(".parquet")
        }

    def test_of_another_number_reuse_the_files(self, model, shards, tmp_path):
        predict(shards, tmp_path / "whole", model=model, location=str(tmp_path / "out"))
        found = predict(shards, tmp_path / "part", model=model, location=str(tmp_path / "out"), part=0, parts=2)

        assert found.reused == len(found.files) == 2

    def test_that_are_missing(self, model, shards, tmp_path):
        found = predict(shards, tmp_path / "one", model=model, part=1, parts=3)

        with pytest.raises(DataError, match="0, 2"):
            complete(shards, tmp_path / "done", [found.location] * 3)
        with pytest.raises(InputError, match="locations"):
            complete(shards, tmp_path / "done", [])
        with pytest.raises(InputError, match="'/other'"):
            complete(shards, tmp_path / "done", [found.location, "/other"])

    def test_whose_files_are_gone(self, model, shards, tmp_path):
        found = [
            predict(shards, tmp_path / "p", model=model, location=str(tmp_path / "out"), part=p, parts=2)
            for p in (0, 1)
        ]
        (Path(found[0].location) / found[0].files[0].name).unlink()

        with pytest.raises(DataError, match=r"a-00000-00000.parquet"):
            complete(shards, tmp_path / "done", [one.location for one in found])

    def test_of_other_examples(self, model, shards, tmp_path):
        found = predict(shards, tmp_path / "one", model=model)
        shutil.rmtree(shards)
        other = write_examples(tmp_path / "other", {"a": rows(2)}, version="d2")

        with pytest.raises(InputError, match=r"d2.*d1"):
            complete(other, tmp_path / "done", [found.location])


class TestUnits:
    def write(self, path, groups):
        with pq.ParquetWriter(path, pa.schema([("x", pa.int64())])) as writer:
            for count in groups:
                writer.write_table(pa.table({"x": pa.array(range(count), pa.int64())}))
        return pq.ParquetFile(path)

    def divide(self, tmp_path, groups):
        shard = units.Shard("all", 3, "x")
        return [
            (unit.name, unit.groups, unit.start, unit.rows)
            for unit in units.divide(shard, self.write(tmp_path / "x", groups))
        ]

    def test_of_no_row_groups(self, tmp_path):
        assert self.divide(tmp_path, []) == [("all-00003-00000.parquet", (), 0, 0)]

    def test_join_row_groups_up_to_a_number_of_rows(self, tmp_path, monkeypatch):
        monkeypatch.setattr(units, "UNIT_ROWS", 5)

        assert [unit[1:] for unit in self.divide(tmp_path, [2, 3, 4, 9, 1])] == [
            ((0, 1), 0, 5), ((2,), 5, 4), ((3,), 9, 9), ((4,), 18, 1),
        ]  # fmt: skip

    @given(st.lists(st.integers(0, 9), max_size=12), st.integers(1, 12))
    def test_have_each_row_once(self, groups, most):
        rows = [SimpleNamespace(num_rows=count) for count in groups]
        file = SimpleNamespace(num_row_groups=len(rows), metadata=SimpleNamespace(row_group=rows.__getitem__))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(units, "UNIT_ROWS", most)
            found = units.divide(units.Shard("all", 0, "x"), file)

        assert [group for unit in found for group in unit.groups] == list(range(len(groups)))
        assert [unit.number for unit in found] == list(range(max(len(found), 1)))
        assert [unit.start for unit in found] == [
            sum(unit.rows for unit in found[:place]) for place in range(len(found))
        ]
        assert sum(unit.rows for unit in found) == sum(groups)
        assert all(unit.rows <= most or sum(groups[one] > 0 for one in unit.groups) == 1 for unit in found)

    def test_of_one_shard_are_dealt_to_the_parts(self, tmp_path, monkeypatch):
        monkeypatch.setattr(units, "UNIT_ROWS", 2)
        self.write(tmp_path / "x.parquet", [2, 2, 2])
        shard = units.Shard("all", 0, str(tmp_path / "x.parquet"))
        found = [[unit.number for one in units.open_units([shard], part, 2) for unit in one.units] for part in (0, 1)]

        assert found == [[0, 2], [1]]


def test_the_document_has_all_that_a_reader_needs(model, examples, tmp_path):
    found = predict(examples(all=3), tmp_path / "out", model=model, name="taxi", version=4)
    document = json.loads(Path(found.location, COMPLETE).read_text())

    assert document["version"] == 4
    assert document["rows"] == 3
    assert document["files"][0]["versions"] == {"4": 3}
    assert found.sentence == f"3 rows predicted by taxi version 4; 1 file in {found.location}"
