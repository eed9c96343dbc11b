"""The documents of predictions."""

from dataclasses import replace

import pytest

from support.documents import make_predictions
from tiffin.artifacts.notes import Note
from tiffin.artifacts.predictions import (
    PredictionFile,
    join_parts,
    part_location,
    read_part,
    read_predictions,
    store,
    unit_location,
    write_predictions,
)
from tiffin.errors import InputError, StorageError


def test_of_no_rows():
    found = make_predictions(rows=0, files=())

    assert found.versions == {}
    assert found.sentence == "0 rows predicted by taxi version 3; 0 files in /out"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({}, "5 rows predicted by taxi version 3; 1 file in /out"),
        ({"rows": 1, "reused": 1}, "1 row predicted by taxi version 3; 1 file, 1 complete before, in /out"),
        ({"part": 1, "parts": 2}, "part 2 of 2: 5 rows predicted by taxi version 3; 1 file in /out"),
        ({"model": "", "version": 0, "files": ()}, "5 rows predicted by the model artifact; 0 files in /out"),
        (
            {"files": (PredictionFile("a", "all", 3, "", {"10": 1, "9": 2}),)},
            "5 rows predicted by taxi version 9, 10; 1 file in /out",
        ),
    ],
)
def test_in_a_sentence(changed, sentence):
    assert make_predictions(**changed).sentence == sentence


def test_are_read_as_they_were_written(tmp_path):
    found = make_predictions(notes=(Note("NO_ROWS", "none"),))
    write_predictions(tmp_path, found)

    assert read_predictions(tmp_path) == found
    with pytest.raises(InputError, match=r"No 'predictions.json'"):
        read_predictions(tmp_path / "other")


def test_parts_are_joined_in_the_order_of_the_rows():
    parts = [
        make_predictions(part=part, parts=2, reused=part, files=(PredictionFile(name, "all", 2, "", {"3": 2}),))
        for part, name in enumerate(("all-00000-00001.parquet", "all-00000-00000.parquet"))
    ]
    joined = join_parts(parts)

    assert [file.name for file in joined.files] == ["all-00000-00000.parquet", "all-00000-00001.parquet"]
    assert (joined.part, joined.rows, joined.reused, joined.versions) == (None, 10, 1, {"3": 4})


def test_of_a_part_are_found_by_its_number(tmp_path):
    assert read_part(str(tmp_path), 0, 2) is None
    assert part_location("gs://b/x", 1, 20) == "gs://b/x/_parts/00001-of-00020.json"
    assert unit_location("/x", "a.parquet") == "/x/_units/a.parquet.json"


def test_files_are_replaced_as_a_whole(tmp_path):
    for content in (b"one", b"one", b"two"):
        store(str(tmp_path / "x" / "file"), content)
    assert [path.name for path in (tmp_path / "x").iterdir()] == ["file"]
    assert (tmp_path / "x" / "file").read_bytes() == b"two"
    (tmp_path / "y").write_text("")
    with pytest.raises(StorageError, match=f"{tmp_path}/y/file"):
        store(str(tmp_path / "y" / "file"), b"")


def test_the_model_text_has_the_version_that_was_asked_for_without_files():
    assert make_predictions(files=(), version=0).model_text == "taxi"
    assert replace(make_predictions(), version=9).model_text == "taxi version 3"
