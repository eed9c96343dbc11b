"""Rows in memory and on disk: which rows are in which block, their order, and what is held out."""

import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tiffin.errors import StorageError, explain
from tiffin.stages.train import rows
from tiffin.stages.train.columns import Scale
from tiffin.stages.train.rows import Encoder, InMemory, OnDisk, fit_in_memory

KIND = np.dtype([("numbers", np.float64, (2,)), ("indices", np.int16, (1,)), ("target", np.float64)])


def records(count, classes=2):
    """Return rows whose first number is the row number, sorted by the label."""
    found = np.zeros(count, KIND)
    found["numbers"][:, 0] = np.arange(count)
    found["indices"][:, 0] = np.arange(count) % 3
    found["target"] = np.arange(count) * classes // count
    return found


def encoder():
    def encode(numbers, indices):
        return tf.cast(tf.concat([numbers, tf.cast(indices, tf.float64)], axis=1), tf.float32)

    return Encoder(encode, KIND, 3)


def in_memory(count, classes=2):
    return InMemory(records(count, classes), encoder(), classes)


OPENED = []


@pytest.fixture(autouse=True)
def closed():
    """Close the files of a test."""
    yield
    while OPENED:
        OPENED.pop().close()


def on_disk(count, classes=2, seed=1, hold_out=False, size=64, coder=None):
    source = records(count, classes or 2)
    batches = (source[start : start + size] for start in range(0, count, size))
    OPENED.append(OnDisk(batches, count, KIND, coder or encoder(), classes, seed, hold_out))
    return OPENED[-1]


def seen(data, subset=None, batch=16, chance=None):
    """Return the row numbers in the order of training, and their targets."""
    blocks = list(data.blocks(data.all if subset is None else subset, batch, chance))
    numbers = [encoded.numpy()[order, 0] for encoded, _, order in blocks]
    targets = [target.numpy()[order] for _, target, order in blocks]
    assert all(len(part) % batch == 0 for part in numbers[:-1])
    return np.concatenate(numbers).astype(int), np.concatenate(targets)


@pytest.fixture
def small(monkeypatch):
    """Parts of 128 records, blocks of 50 rows, and nothing in memory."""
    monkeypatch.setattr(rows, "_PART_BYTES", 128 * KIND.itemsize)
    monkeypatch.setattr(rows, "_BLOCK_ROWS", 50)
    monkeypatch.setattr(rows, "_ENCODED_BYTES", 0)
    monkeypatch.setattr(rows, "_RECORD_BYTES", 0)


def kept_encoded(monkeypatch):
    monkeypatch.setattr(rows, "_ENCODED_BYTES", 1 << 20)


def test_what_fits_in_memory(monkeypatch):
    monkeypatch.setattr(rows, "_ENCODED_BYTES", 4 * 3 * 2000)
    monkeypatch.setattr(rows, "_RECORD_BYTES", KIND.itemsize * 3000)

    assert fit_in_memory(3000, KIND, width=1000)
    assert fit_in_memory(3001, KIND, width=1)
    assert not fit_in_memory(3001, KIND, width=3)
    # Few rows, however wide they are.
    assert fit_in_memory(999, KIND, width=10**9)


@pytest.mark.parametrize("count", [1, 2, 127, 128, 129, 1000])
@pytest.mark.parametrize("hold", [in_memory, on_disk])
def test_an_epoch_has_every_row_once_in_another_order(small, hold, count):
    data = hold(count)
    chance = np.random.default_rng(5)
    (one, targets), (two, _) = (seen(data, chance=chance) for _ in range(2))

    assert sorted(one) == sorted(two) == list(range(count))
    assert count < 3 or list(one) != list(two)
    np.testing.assert_array_equal(targets, records(count)["target"][one])


@pytest.mark.parametrize("hold", [in_memory, on_disk])
def test_counts_sizes_and_the_mean_row(small, hold):
    data = hold(300, 3)

    assert (data.rows, data.size(data.all)) == (300, 300)
    assert data.counts.tolist() == [100, 100, 100]
    np.testing.assert_allclose(data.mean_row, [149.5, 0, 1])


def test_encoded_rows_and_records_in_memory_give_the_same_order(small, monkeypatch):
    one = seen(in_memory(300), chance=np.random.default_rng(5))[0]
    kept_encoded(monkeypatch)
    data = in_memory(300)

    assert len(list(data.blocks(data.all, 16))) == 1
    assert seen(data, chance=np.random.default_rng(5))[0].tolist() == one.tolist()


def test_rows_sorted_by_the_label_are_mixed_on_disk(small):
    order, targets = seen(on_disk(20_000), chance=np.random.default_rng(5))
    shares = targets[: 20_000 // 500 * 500].reshape(-1, 500).mean(axis=1)

    # Each 500 rows are as a random sample: a standard deviation of 0.022 around one half.
    assert np.abs(shares - 0.5).max() < 0.1
    assert np.abs(np.corrcoef(order, np.arange(20_000))[0, 1]) < 0.03


def test_the_same_seed_gives_the_same_order(small):
    one, same, other = (
        seen(on_disk(1000, seed=seed), chance=np.random.default_rng(5))[0].tolist() for seed in (1, 1, 2)
    )

    assert one == same
    assert one != other


def test_a_large_batch_is_one_block(small):
    blocks = list(on_disk(1000).blocks("all", 400, np.random.default_rng(5)))

    assert [len(order) for _, _, order in blocks] == [400, 400, 200]


class TestHeldOut:
    def test_in_memory_a_fifth_is_held_out_of_some_rows_and_each_fifth_of_few(self, small):
        [(kept, held)] = in_memory(1000).folds(1)
        folds = in_memory(999).folds(1)

        assert (len(kept), len(held)) == (800, 200)
        assert len(folds) == 5
        assert sorted(np.concatenate([held for _, held in folds])) == list(range(999))
        assert all(not set(kept) & set(held) for kept, held in folds)

    def test_on_disk_a_fifth_of_each_class_is_held_out(self, small):
        data = on_disk(1000, hold_out=True)
        [(kept, held)] = data.folds(1)
        (kept_rows, _), (held_rows, held_targets) = seen(data, kept), seen(data, held)

        assert sorted([*kept_rows, *held_rows]) == list(range(1000))
        assert (data.size(kept), data.size(held)) == (len(kept_rows), len(held_rows))
        assert len(held_rows) == pytest.approx(200, abs=10)
        assert held_targets.mean() == pytest.approx(0.5, abs=0.03)

    def test_on_disk_all_rows_include_those_held_out(self, small):
        data = on_disk(1000, hold_out=True)

        assert sorted(seen(data, chance=np.random.default_rng(5))[0]) == list(range(1000))

    def test_short_batches_are_held_out_no_more_often(self, small, monkeypatch):
        monkeypatch.setattr(rows, "_MAX_HELD_OUT", 20)  # one of 50 rows
        held = [on_disk(1000, seed=seed, hold_out=True, size=3).size("held") for seed in range(4)]

        assert np.mean(held) == pytest.approx(20, abs=6)

    def test_of_many_rows_about_the_limit_is_held_out(self, small, monkeypatch):
        monkeypatch.setattr(rows, "_MAX_HELD_OUT", 100)
        data = on_disk(10_000, hold_out=True, size=1000)

        assert data.size("held") == 100
        assert len(in_memory(10_000).folds(1)[0][1]) == 100


def test_targets_are_scaled(small):
    coder = encoder()
    coder.scale = Scale(0.5, 2.0)
    for data in (InMemory(records(30), coder, 0), on_disk(30, 0, coder=coder)):
        order, targets = seen(data)
        np.testing.assert_allclose(targets, (records(30)["target"][order] - 0.5) / 2)


class TestSpace:
    def test_too_little(self, small, monkeypatch, tmp_path):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
        with pytest.raises(StorageError, match=rf"'{tmp_path}'.*TMPDIR"):
            on_disk(1000)

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is a feature of Linux")
    def test_that_fills_up_while_rows_are_written(self, small, monkeypatch):
        monkeypatch.setattr("tempfile.TemporaryFile", lambda **_: open("/dev/full", "r+b", buffering=0))  # noqa: SIM115
        with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as raised:
            on_disk(1000)

        assert rows.tempfile.gettempdir() in explain(raised.value)

    def test_nothing_is_left_behind(self, small, monkeypatch, tmp_path):
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
        data = on_disk(1000)

        assert list(tmp_path.iterdir()) == []
        assert len(seen(data)[0]) == 1000


def test_an_error_while_reading_is_raised(small):
    def broken():
        yield records(64)
        raise StorageError("gone")

    with pytest.raises(StorageError, match="gone"):
        OnDisk(broken(), 1000, KIND, encoder(), 2, 1, False)
