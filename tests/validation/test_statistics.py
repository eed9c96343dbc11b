"""TFDV statistics over record batches, compared with numbers computed by hand and by numpy."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.written import table, write_examples
from tiffin.artifacts import documents
from tiffin.artifacts.examples import MANIFEST, read_manifest
from tiffin.errors import InputError
from tiffin.validation import statistics

FOUR = table(a=[1, 2, 3, 6], b=[1.5, None, 2.5, 5.0], c=["x", "y", "x", None], d=["", "z", None, None])


def features(dataset):
    return {feature.path.step[0]: feature for feature in dataset.features}


def compute(folder, **splits):
    return statistics.compute(write_examples(folder, splits))


class TestNoRows:
    def test_give_a_dataset_without_features(self, tmp_path):
        [dataset] = compute(tmp_path, train=FOUR.slice(0, 0)).datasets

        assert (dataset.name, dataset.num_examples) == ("train", 0)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    [dataset] = compute(tmp_path_factory.mktemp("examples"), train=FOUR).datasets
    return dataset


class TestByHand:
    def test_the_columns_are_in_order(self, found):
        assert (found.name, found.num_examples) == ("train", 4)
        assert [feature.path.step[0] for feature in found.features] == ["a", "b", "c", "d"]

    def test_integers(self, found):
        numbers = features(found)["a"].num_stats

        assert (numbers.min, numbers.max, numbers.mean) == (1, 6, 3)
        assert numbers.std_dev == pytest.approx(3.5**0.5)  # mean square 50 / 4, less 9
        assert (numbers.common_stats.num_non_missing, numbers.common_stats.num_missing) == (4, 0)

    def test_floats_with_a_missing_value(self, found):
        numbers = features(found)["b"].num_stats

        assert (numbers.min, numbers.max, numbers.mean) == (1.5, 5.0, 3.0)
        assert numbers.std_dev == pytest.approx((33.5 / 3 - 9) ** 0.5)  # mean square, less 9
        assert (numbers.common_stats.num_non_missing, numbers.common_stats.num_missing) == (3, 1)

    def test_text(self, found):
        text = features(found)["c"].string_stats

        assert (text.unique, text.common_stats.num_missing) == (2, 1)
        assert [(bucket.label, bucket.sample_count) for bucket in text.rank_histogram.buckets] == [("x", 2), ("y", 1)]

    def test_empty_text_is_a_value(self, found):
        text = features(found)["d"].string_stats

        assert (text.unique, text.common_stats.num_non_missing) == (2, 2)


class TestSplits:
    def test_have_a_dataset_each(self, tmp_path):
        found = compute(tmp_path, train=FOUR, eval=FOUR.slice(0, 1))

        assert [(dataset.name, dataset.num_examples) for dataset in found.datasets] == [("eval", 1), ("train", 4)]

    def test_can_be_selected(self, tmp_path):
        examples = write_examples(tmp_path, {"train": FOUR, "eval": FOUR})

        assert [dataset.name for dataset in statistics.compute(examples, ["train"]).datasets] == ["train"]
        with pytest.raises(InputError, match=r"eval, train\..*split='test'"):
            statistics.compute(examples, ["test"])


class TestBatches:
    def test_merged_equal_one_batch(self, tmp_path, monkeypatch):
        generator = np.random.default_rng(1)
        values = generator.normal(size=500)
        rows = pa.table(
            {
                "n": pa.array(np.where(values > 1.5, np.nan, values), from_pandas=True),
                "w": pa.array(generator.integers(0, 50, 500)),
                "t": pa.array([f"v{number % 13}" for number in range(500)]),
            }
        )
        examples = write_examples(tmp_path, {"train": [rows.slice(0, 200), rows.slice(200)]})
        [one] = statistics.compute(examples).datasets
        monkeypatch.setattr(statistics, "_BATCH_ROWS", 7)
        [merged] = statistics.compute(examples).datasets

        assert (one.num_examples, merged.num_examples) == (500, 500)
        for name in ("n", "w"):
            a, b = features(one)[name].num_stats, features(merged)[name].num_stats
            assert (a.min, a.max, a.num_zeros) == (b.min, b.max, b.num_zeros)
            assert (a.mean, a.std_dev) == pytest.approx((b.mean, b.std_dev), rel=1e-9)
            assert a.common_stats.num_missing == b.common_stats.num_missing
            # Quantiles of 500 rows are exact.
            edges = [[bucket.high_value for bucket in stats.histograms[-1].buckets] for stats in (a, b)]
            assert edges[0] == pytest.approx(edges[1])
        assert features(one)["t"].string_stats == features(merged)["t"].string_stats

    @pytest.mark.parametrize("columns", [1, 2, 9])
    def test_do_not_depend_on_the_number_of_cores(self, tmp_path, monkeypatch, columns):
        names = [f"{kind}{number}" for number in range(3) for kind in "nwt"][:columns]
        kinds = {"n": [1.5, None, 2.5, -0.0], "w": [3, 1, 2, 3], "t": ["a", None, "b", "a"]}
        examples = write_examples(tmp_path, {"train": table(**{name: kinds[name[0]] for name in names})})
        monkeypatch.setattr(statistics, "_BATCH_ROWS", 3)
        found = set()
        monkeypatch.setattr(statistics, "_THREAD_ROWS", 0)
        for cores in (1, 2, 3, 8):
            monkeypatch.setattr(statistics, "_cores", lambda cores=cores: cores)
            found.add(statistics.compute(examples).SerializeToString(deterministic=True))

        assert len(found) == 1

    def test_of_wide_data_have_fewer_rows(self, tmp_path, monkeypatch):
        examples = write_examples(tmp_path, {"train": table(**{f"c{number}": list(range(50)) for number in range(8)})})
        monkeypatch.setattr(statistics, "_BATCH_CELLS", 80)
        monkeypatch.setattr(statistics, "_LEAST_ROWS", 4)

        names = [f"c{number}" for number in range(8)]
        assert [batch.num_rows for batch in statistics._record_batches(examples, "train", names)] == [10] * 5
        monkeypatch.setattr(statistics, "_BATCH_CELLS", 8)
        assert [batch.num_rows for batch in statistics._record_batches(examples, "train", names)] == [4] * 12 + [2]

    @pytest.mark.parametrize(("groups", "error"), [(1, 0), (5, 0), (16_000, 0), (40_000, 0.02)])
    @pytest.mark.parametrize("kind", [int, str, float])
    def test_count_the_groups_of_the_key(self, tmp_path, kind, groups, error):
        key = [kind(number) for number in range(groups)] * 2 + [None]
        examples = write_examples(tmp_path, {"train": table(key=key, x=[1] * len(key))})
        manifest = read_manifest(examples)
        documents.write(examples / MANIFEST, replace(manifest, key="key"))
        [dataset] = statistics.compute(examples).datasets

        assert statistics.read_groups(features(dataset)["key"]) == pytest.approx(groups + 1, rel=error)
        assert statistics.read_groups(features(dataset)["x"]) is None

    def test_are_deterministic(self, tmp_path):
        examples = write_examples(tmp_path / "examples", {"train": FOUR, "eval": FOUR})
        one, two = (statistics.compute(examples).SerializeToString(deterministic=True) for _ in range(2))

        assert one == two

    @given(
        numbers=st.lists(st.none() | st.floats(-1e6, 1e6), min_size=1, max_size=60),
        words=st.lists(st.none() | st.sampled_from(["a", "b", "c", "ü", "long " * 20]), min_size=1, max_size=60),
    )
    @settings(max_examples=25, deadline=None)
    def test_agree_with_numpy(self, tmp_path_factory, numbers, words):
        rows = min(len(numbers), len(words))
        numbers, words = numbers[:rows], words[:rows]
        given_table = pa.table({"n": pa.array(numbers, pa.float64()), "t": pa.array(words, pa.string())})
        [dataset] = compute(tmp_path_factory.mktemp("examples"), train=given_table).datasets
        found = features(dataset)
        present = np.array([value for value in numbers if value is not None])
        counts = {word: words.count(word) for word in words if word is not None}

        if len(present):
            stats = found["n"].num_stats
            assert (stats.min, stats.max) == (present.min(), present.max())
            assert stats.mean == pytest.approx(present.mean(), abs=1e-6)
            assert stats.std_dev == pytest.approx(present.std(), rel=1e-6, abs=1e-1)
            assert stats.common_stats.num_non_missing == len(present)
        if counts:
            buckets = found["t"].string_stats.rank_histogram.buckets
            assert {bucket.label: bucket.sample_count for bucket in buckets} == counts
            assert found["t"].string_stats.unique == len(counts)
