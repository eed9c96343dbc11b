"""The median magnitude of numbers, and the range that an inferred schema allows."""

import numpy as np
import pyarrow as pa
import pytest
from tensorflow_metadata.proto.v0 import schema_pb2

from support.written import write_examples
from tiffin.errors import InputError
from tiffin.validation import magnitudes, statistics

COUNT = 3000
GENERATOR = np.random.default_rng(1)
VALUES = {
    "normal": GENERATOR.normal(size=COUNT),
    "lognormal": GENERATOR.lognormal(sigma=2.0, size=COUNT),
    "pareto": GENERATOR.pareto(1.0, COUNT) + 1,
    "mostly_zero": np.where(GENERATOR.random(COUNT) < 0.9, 0, GENERATOR.exponential(size=COUNT)),
    "negative": -GENERATOR.exponential(size=COUNT),
    "code": GENERATOR.integers(60_001, 60_700, COUNT).astype(float),
    "flag": GENERATOR.integers(0, 2, COUNT).astype(float),
}


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    examples = write_examples(tmp_path_factory.mktemp("examples"), {"train": pa.table(VALUES)})
    [dataset] = statistics.compute(examples).datasets
    return {feature.path.step[0]: feature.num_stats for feature in dataset.features}


@pytest.mark.parametrize("name", VALUES)
class TestOfDistributions:
    def test_the_median_is_that_of_the_values(self, numbers, name):
        values = np.abs(VALUES[name][VALUES[name] != 0])

        assert magnitudes.find_magnitude(numbers[name]) == pytest.approx(np.median(values), rel=0.15)
        assert magnitudes.count_magnitudes(numbers[name]) == len(values)

    @pytest.mark.parametrize("factor", [10, 0.1])
    def test_a_factor_of_10_is_outside_the_range(self, numbers, name, factor):
        found = magnitudes.find_magnitude(numbers[name])
        low, high = magnitudes.expected_range(numbers[name], magnitudes.count_magnitudes(numbers[name]), 1000, 1e-4)

        assert low < found < high
        assert not low <= factor * found <= high


@pytest.mark.parametrize("others", [[5], [5, 5], [5] * 40, [1] * 130 + [9] * 95])
def test_values_rarer_than_a_quantile_have_no_median(tmp_path, others):
    values = [0] * (5000 - len(others)) + others
    examples = write_examples(tmp_path, {"train": pa.table({"n": pa.array(values, pa.float64())})})
    [dataset] = statistics.compute(examples).datasets

    assert magnitudes.find_magnitude(dataset.features[0].num_stats) is None
    assert magnitudes.expected_range(dataset.features[0].num_stats, len(others), 1000, 1e-4) is None


def test_values_of_more_than_half_apart_from_0_have_a_median(tmp_path):
    # Of 201 values that are not 0, the quantile that begins with the zeros has at most 100.
    values = [0] * 2999 + [1] + [10] * 49 + [20] * 151
    examples = write_examples(tmp_path, {"train": pa.table({"n": pa.array(values, pa.float64())})})
    [dataset] = statistics.compute(examples).datasets

    assert magnitudes.find_magnitude(dataset.features[0].num_stats) == pytest.approx(20, rel=0.2)


def test_few_rows_give_no_range(numbers):
    assert magnitudes.expected_range(numbers["normal"], 20, 5, 1e-4) is None
    assert magnitudes.expected_range(numbers["normal"], 3000, 0, 1e-4) is None


class TestTag:
    def test_is_read_as_written(self):
        feature = schema_pb2.Feature()
        feature.annotation.tag.append("median")
        magnitudes.write_range(feature, 0.25, 1234567.0)

        assert magnitudes.read_range(feature) == (0.25, 1234570.0)
        assert magnitudes.read_range(schema_pb2.Feature()) is None

    @pytest.mark.parametrize("tag", ["median_magnitude", "median_magnitude 1", "median_magnitude a to b"])
    def test_that_is_broken_is_an_error(self, tag):
        feature = schema_pb2.Feature(name="fare")
        feature.annotation.tag.append(tag)

        with pytest.raises(InputError, match=rf"'{tag}'.*'fare'"):
            magnitudes.read_range(feature)
