"""Attributions of the columns, as means over rows of a split."""

from dataclasses import replace

import pyarrow as pa
import pytest
import tensorflow as tf

from support.documents import make_manifest
from tiffin.artifacts.columns import Column
from tiffin.artifacts.measures import Attribution, Attributions, Effect
from tiffin.stages.evaluate.attributions import MOST_ROWS, Sample, measure

MANIFEST = replace(
    make_manifest(), columns=(Column("x", "FLOAT"), Column("city_", "STRING")), renamed={"city!": "city_"}
)


class Signature(tf.Module):
    """Explains `x` by its value and `city_` by half of the length of its text."""

    @tf.function(
        input_signature=[tf.TensorSpec([None], tf.float32, "x"), tf.TensorSpec([None], tf.string, "city_")],
    )
    def explain(self, x, city_):
        return {"x": x, "city_": tf.cast(tf.strings.length(city_), tf.float32) / 2, "tiffin_score": x}


class Explain:
    """A signature as a loaded SavedModel has it."""

    def __init__(self, function):
        self.function, self.structured_input_signature = function, ((), {
            "x": tf.TensorSpec([None], tf.float32), "city_": tf.TensorSpec([None], tf.string)})  # fmt: skip

    def __call__(self, x, city_):
        return self.function(x, city_)


def sample(*batches, rows=None):
    found = Sample(rows or sum(batch.num_rows for batch in batches))
    for batch in batches:
        found.add(batch)
    return found


def batch(x, city):
    return pa.record_batch({"x": pa.array(x, pa.float64()), "city_": pa.array(city, pa.string())})


@pytest.fixture(scope="module")
def signature():
    return Explain(Signature().explain)


def test_a_model_without_explanations():
    assert measure(None, sample(batch([1.0], ["a"])), MANIFEST) == (None, [])


def test_the_means_of_each_column_and_of_its_groups(signature):
    found, notes = measure(signature, sample(batch([1.0, -4.0], ["ab", "ab"]), batch([1.0], [None])), MANIFEST)

    # |1|, |-4| and |1| are 2 on average; the texts have 2, 2 and 0 letters.
    assert found == Attributions(
        3,
        (
            Attribution("x", 2.0, (Effect("x = -4", 1, -4.0), Effect("x = 1", 2, 1.0))),
            Attribution("city_", 0.66666667, (Effect("city! = ab", 2, 1.0), Effect("city! = missing", 1, 0.0))),
        ),
    )
    assert notes == []


def test_rows_without_a_finite_attribution_are_left_out_and_counted(signature):
    found, [note] = measure(signature, sample(batch([1.0, None], ["a", "b"])), MANIFEST)
    nothing, [other] = measure(signature, sample(batch([None], ["a"])), MANIFEST)

    assert (found.rows, found.columns[0].mean_absolute) == (1, 1.0)
    assert (note.code, note.count, nothing, other.count) == ("NOT_EXPLAINED", 1, None, 1)


def test_the_sample_is_spread_over_the_split_however_it_is_divided():
    rows = 2 * MOST_ROWS + 1
    values = pa.array([float(number) for number in range(rows)])
    whole, parted = Sample(rows), Sample(rows)
    whole.add(pa.record_batch({"x": values}))
    for start in range(0, rows, 7):
        parted.add(pa.record_batch({"x": values.slice(start, 7)}))

    assert whole.table().column("x").to_pylist() == parted.table().column("x").to_pylist()
    assert whole.table().column("x").to_pylist()[:3] == [0.0, 3.0, 6.0]
    assert len(whole.table()) <= MOST_ROWS
