"""Answers without labels, as arrays: they are those that joining finds."""

from datetime import timedelta

import numpy as np
import pyarrow as pa
import pytest

from support import logged
from support.labelled_log import NOON, answer, minute
from tiffin.errors import InputError
from tiffin.performance import unlabelled
from tiffin.performance.answers import load_answers
from tiffin.performance.joining import join
from tiffin.performance.rows import read_rows
from tiffin.performance.unlabelled import find_repeated, hash_ids, read_unlabelled
from tiffin.performance.workspace import open_workspace
from tiffin.serving.log_reading import open_log


def read(folder, task="binary", **options):
    return read_unlabelled(open_log(str(folder), "taxi", NOON, NOON + timedelta(hours=2)), 3, task, **options)


def test_empty_log(tmp_path):
    rows = read(tmp_path)

    assert (len(rows.seconds), rows.answer.shape, rows.labelled.sum()) == (0, (0,), 0)


def test_as_joined(tmp_path):
    """Two files have answers of other versions, failed ones, copies, values that are none, and answers logged again."""
    first = [
        answer("a", 0, 0.25),
        answer("other", 1, version=2),
        {**answer("failed", 2), "code": "UNAVAILABLE"},
        answer("b", 3, 0.75),
        answer("copy", 4, route="mirror"),
        answer("nan", 5, float("nan")),
        answer("a", 6, 0.5),
        {**answer("a", 7, 0.125), "row": 1},
    ]
    second = [answer("b", 60, 0.5), answer("ab", 61, 0.5), answer(None, 62, 0.5), answer(None, 63, 0.5)]
    for rows in (first, second):
        logged.write(tmp_path, rows)

    found = read(tmp_path)

    with open_workspace() as workspace:
        log = open_log(str(tmp_path), "taxi", NOON, NOON + timedelta(hours=2))
        answers = load_answers(workspace, log, 3, "binary")
        expected = read_rows(answers, join(workspace, answers, None))
    assert found.seconds.tolist() == expected.seconds.tolist() == [0, 180, 420, 3660, 3720, 3780]
    assert found.answer.tolist() == expected.answer.tolist() == [0.25, 0.75, 0.125, 0.5, 0.5, 0.5]
    assert (found.answer.dtype, found.seconds.dtype) == (expected.answer.dtype, expected.seconds.dtype)
    assert (found.start, found.classes, found.labelled.any()) == (expected.start, 2, False)


def test_several_classes(tmp_path):
    logged.write(tmp_path, [logged.row("stable", 3, "r", minute(0), output_probabilities=[0.25, 0.5, 0.25])])

    assert read(tmp_path, "multiclass", classes=3).answer.tolist() == [[0.25, 0.5, 0.25]]


def test_numbers(tmp_path):
    logged.write(tmp_path, [logged.row("stable", 3, "r", minute(0), output_prediction=-1e9)])
    rows = read(tmp_path, "regression")

    assert (rows.answer.tolist(), rows.answer.dtype, rows.labelled.any()) == ([-1e9], np.float64, False)


def test_unknown_output(tmp_path):
    logged.write(tmp_path, [answer("r")])

    with pytest.raises(InputError, match="output"):
        read(tmp_path, output="risk")


class TestHashes:
    def test_nothing(self):
        assert hash_ids(pa.array([], pa.string()), np.zeros(0, np.int32)).shape == (0, 2)

    def test_pairs_that_differ(self):
        """Lengths around a word of 8 bytes, ends of zeros, other rows, and parts of a longer array."""
        ids = ["", "\0", "a", "a\0", "a" * 7, "a" * 8, "a" * 9, "a" * 8 + "b", "b" + "a" * 8, "é", "a" * 36]
        texts = pa.array(["x", *ids, "y"]).slice(1, len(ids))
        hashes = np.concatenate([hash_ids(texts, np.full(len(ids), row)) for row in (-1, 0, 1)])

        assert len({*map(tuple, hashes.tolist())}) == 3 * len(ids)
        for place in (0, 1):
            assert len({*hashes[:, place].tolist()}) == 3 * len(ids)

    def test_they_do_not_depend_on_the_others(self):
        ids, rows = ["one", "a longer one", None, "one"], np.arange(4)
        alone = [hash_ids(pa.array([text], pa.string()), rows[place : place + 1])[0] for place, text in enumerate(ids)]

        assert hash_ids(pa.array(ids), rows).tolist() == np.array(alone).tolist()

    def test_many_ids(self):
        """Of a million numbers of rows and short IDs, no two share a hash."""
        ids = pa.array([f"{hour}-{number}" for hour in range(10) for number in range(10_000)])
        hashes = np.concatenate([hash_ids(ids, np.full(len(ids), row)) for row in range(10)])

        assert len(np.unique(hashes[:, 0])) == len(np.unique(hashes[:, 1])) == 1_000_000


def test_one_hash_is_not_enough():
    hashes = np.array([[1, 1], [1, 2], [2, 3], [1, 1], [1, 1], [2, 3]], np.uint64)

    assert find_repeated(hashes, np.ones(6, bool)).tolist() == [3, 4, 5]
    assert find_repeated(hashes, np.array([True, True, True, True, True, False])).tolist() == [3, 4]


def test_a_file_that_is_cut_short(tmp_path, monkeypatch):
    monkeypatch.setattr(unlabelled, "BATCH_ROWS", 2)
    logged.write(tmp_path, [answer(f"r{number}", number) for number in range(5)])
    [path] = tmp_path.rglob("*.parquet")
    (path.parent / "z.parquet").write_bytes(path.read_bytes()[:-20])

    assert len(read(tmp_path).seconds) == 5
