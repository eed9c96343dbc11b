"""Rankings in bounded memory, compared with scikit-learn and with values calculated by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from tiffin.quality import ranking
from tiffin.quality.ranking import Ranking


def rank(scores, positive, limit=1000, batch=7):
    found = Ranking(limit)
    for start in range(0, len(scores), batch):
        found.add(np.array(scores[start : start + batch]), np.array(positive[start : start + batch]))
    return found


def auc(found):
    truth, score, weight = found.weighted()
    return metrics.roc_auc_score(truth, score, sample_weight=weight)


def average_precision(found):
    truth, score, weight = found.weighted()
    return metrics.average_precision_score(truth, score, sample_weight=weight)


def curve(found):
    truth, score, weight = found.weighted()
    return metrics.roc_curve(truth, score, sample_weight=weight)


def drawn(rows, seed=0):
    chance = np.random.default_rng(seed)
    positive = chance.random(rows) < 0.3
    return 1 / (1 + np.exp(-chance.normal(size=rows) - positive)), positive


def test_by_hand():
    # Ranked from the top: yes, no and yes as a tie, no.
    found = rank([0.9, 0.6, 0.6, 0.1], [True, False, True, False])

    assert (found.groups, found.grouped) == (3, False)
    assert auc(found) == 3.5 / 4
    assert average_precision(found) == pytest.approx((1 + 2 / 3) / 2)
    assert (found.auc_error(), found.average_precision_error()) == (0, 0)
    assert [values.tolist() for values in curve(found)] == [
        [0, 0, 0.5, 1],
        [0, 0.5, 1, 1],
        [np.inf, 0.9, 0.6, 0.1],
    ]


SCORES = st.one_of(st.sampled_from([0.0, -0.0, 0.5, 1.0, -1.0, 1e-300, -1e-300]), st.floats(-1e300, 1e300))


@given(st.lists(st.tuples(SCORES, st.booleans()), min_size=2, max_size=60))
def test_is_that_of_scikit_learn(rows):
    scores, positive = (np.array(values) for values in zip((0.5, True), (0.25, False), *rows, strict=True))
    found = rank(scores, positive)

    assert auc(found) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    assert average_precision(found) == pytest.approx(metrics.average_precision_score(positive, scores), abs=1e-12)
    for ours, theirs in zip(curve(found), metrics.roc_curve(positive, scores), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("limit", [2, 10, 300, 4999])
def test_grouped_scores_are_within_the_stated_error(limit, dtype):
    scores, positive = drawn(5000)
    scores = scores.astype(dtype)
    found = rank(scores, positive, limit, batch=512)

    assert found.grouped
    assert found.groups <= limit
    assert abs(auc(found) - metrics.roc_auc_score(positive, scores)) <= found.auc_error() + 1e-12
    exact = metrics.average_precision_score(positive, scores)
    assert abs(average_precision(found) - exact) <= found.average_precision_error() + 1e-12


def test_the_error_is_small():
    found = rank(*drawn(200_000), 1 << 14, batch=4096)

    assert 0 < found.auc_error() < 1e-4
    assert 0 < found.average_precision_error() < 1e-3


def test_the_order_of_grouped_rows_makes_no_difference(monkeypatch):
    monkeypatch.setattr(ranking, "_GATHERED", 64)
    scores, positive = drawn(2000)
    ordered = np.argsort(scores)
    one, other = rank(scores, positive, 50, batch=30), rank(scores[ordered], positive[ordered], 50, batch=999)

    assert one.groups == other.groups
    assert auc(one) == auc(other)
    assert average_precision(one) == average_precision(other)
    assert all(np.array_equal(a, b) for a, b in zip(curve(one), curve(other), strict=True))


def test_thresholds_of_groups_select_whole_groups():
    scores, positive = drawn(3000)
    fpr, tpr, thresholds = curve(rank(scores, positive, 40))

    for index in range(len(thresholds)):
        chosen = scores >= thresholds[index]
        assert fpr[index] == pytest.approx((chosen & ~positive).sum() / (~positive).sum())
        assert tpr[index] == pytest.approx((chosen & positive).sum() / positive.sum())


def test_as_many_rows_as_the_limit_are_exact():
    scores, positive = drawn(1000)
    found = rank(scores, positive, 1000)

    assert (found.groups, found.grouped) == (1000, False)
    assert auc(found) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
