"""The distributions of predictions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from support.documents import make_evaluation
from tiffin.artifacts import documents
from tiffin.artifacts.measures import Distribution
from tiffin.artifacts.verdict import Evaluation
from tiffin.quality.outcomes import Outcomes
from tiffin.stages.evaluate import distributions
from tiffin.stages.evaluate.distributions import find_distributions, measure

BEYOND = (np.nan, np.inf, -np.inf)


def test_no_rows():
    assert measure("probability", np.array([], np.float32)) == Distribution("probability", 0, (), (0,), None, None, 0)


def test_no_row_is_finite():
    found = measure("prediction", np.array(BEYOND))

    assert found == Distribution("prediction", 3, (), (0,), None, None, 3)


def test_few_rows_have_a_bin_each():
    found = measure("prediction", np.array([3.0, 1.0, 2.0, np.nan]))

    # Nothing is above the largest prediction.
    assert found == Distribution("prediction", 4, (1.0, 2.0, 3.0), (1, 1, 1, 0), 2.0, 0.81649658, 1)


def test_equal_predictions_share_a_bin():
    found = measure("probability", np.array([0.25] * 5 + [0.5], np.float32))

    assert (found.edges, found.counts) == ((0.25, 0.5), (5, 1, 0))


def test_a_hundred_rows_have_32_edges():
    found = measure("prediction", np.arange(1.0, 101.0))

    # The quantile of 1/33 of 1 to 100 is the 4th number, that of 32/33 the 97th.
    assert (len(found.edges), found.edges[:2], found.edges[-1]) == (32, (4.0, 7.0), 97.0)
    assert (found.counts[:2], found.counts[-1], sum(found.counts)) == ((4, 3), 3, 100)
    assert (found.mean, found.deviation) == (50.5, 28.86607)


def test_a_mean_beyond_float64():
    found = measure("prediction", np.array([1.7e308, 1.7e308]))

    assert (found.mean, found.deviation, found.counts) == (None, None, (2, 0))


numbers = st.floats(width=32) | st.sampled_from([0.0, -0.0, 0.5, *BEYOND])


@given(arrays.arrays(np.float32, st.integers(0, 200), elements=numbers))
def test_each_finite_prediction_is_in_one_bin(predictions):
    found = measure("prediction", predictions)
    finite = predictions[np.isfinite(predictions)].astype(np.float64)
    above = [(finite > edge).sum() for edge in (-np.inf, *found.edges)]

    assert list(found.edges) == sorted(set(found.edges))
    assert len(found.edges) <= 32
    assert len(found.counts) == len(found.edges) + 1
    # Above an edge are those of the bins behind it.
    assert above == [sum(found.counts[number:]) for number in range(len(found.counts))]
    assert (found.rows, found.not_finite) == (len(predictions), len(predictions) - len(finite))
    assert found == measure("prediction", predictions)


class TestManyRows:
    """The edges are from a part of the rows, the counts from all."""

    @pytest.fixture(autouse=True)
    def thin(self, monkeypatch):
        monkeypatch.setattr(distributions, "_SAMPLED_ROWS", 4)
        monkeypatch.setattr(distributions, "CHUNK_ROWS", 3)

    def test_every_third_row_gives_an_edge(self):
        found = measure("prediction", np.arange(10.0))

        assert (found.edges, found.counts) == ((0.0, 3.0, 6.0, 9.0), (1, 3, 3, 3, 0))
        assert found.mean == 4.5

    def test_the_part_has_no_finite_prediction(self):
        predictions = np.arange(10.0)
        predictions[::3] = np.nan
        found = measure("prediction", predictions)

        assert (found.edges, found.counts, found.not_finite) == ((1.0, 4.0, 7.0), (1, 2, 2, 1), 4)


class TestOutputs:
    def test_a_binary_model(self):
        [found], notes = find_distributions(Outcomes("binary", 2, np.zeros(2, np.int8), np.ones(2)), ("no", "yes"))

        assert (found.name, found.edges, found.counts, notes) == ("probability", (1.0,), (2, 0), ())

    def test_a_regression(self):
        [found], notes = find_distributions(Outcomes("regression", 0, np.zeros(1), np.ones(1)), ())

        assert (found.name, notes) == ("prediction", ())

    def test_several_classes(self):
        answers = np.array([[0.5, 0.25, 0.25]])
        found, notes = find_distributions(Outcomes("multiclass", 3, np.zeros(1, np.int8), answers), ("a", "b", "c"))

        assert [one.name for one in found] == ["probabilities[a]", "probabilities[b]", "probabilities[c]"]
        assert [one.edges for one in found] == [(0.5,), (0.25,), (0.25,)]
        assert notes == ()

    def test_more_classes_than_are_listed(self, monkeypatch):
        monkeypatch.setattr(distributions, "MOST_CLASSES", 2)
        # "b" and "c" are predicted, "a" comes before "d".
        answers = np.array([[0.1, 0.2, 0.6, 0.1], [0.1, 0.6, 0.2, 0.1]])
        found, [note] = find_distributions(
            Outcomes("multiclass", 4, np.zeros(2, np.int8), answers), ("a", "b", "c", "d")
        )

        assert [one.name for one in found] == ["probabilities[b]", "probabilities[c]"]
        assert (note.code, note.count) == ("PREDICTIONS_NOT_LISTED", 2)


class TestDocument:
    def test_of_an_earlier_version(self):
        document = documents.to_json(make_evaluation())
        found = documents.parse(documents.format_document(make_evaluation()), Evaluation, "verdict.json")

        assert "predictions" not in document
        assert found.predictions is None

    def test_counts_of_the_predicted_classes(self):
        evaluation = make_evaluation(classes=("no", "yes"), confusion=((3, 1), (2, 4)))

        assert evaluation.predicted_classes == {"no": 5, "yes": 5}
        assert make_evaluation().predicted_classes == {}
