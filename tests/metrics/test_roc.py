"""The ROC curve and its area against scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle

from jaxloc import metrics

pairs = st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40)


@settings(max_examples=50)
@given(pairs)
def test_roc_auc_equals_scikit_learn_with_ties(pairs):
    scores, positive = map(np.array, zip(*pairs, strict=True))
    if positive.all() or not positive.any():
        assert np.isnan(metrics.roc_auc(scores, positive))
    else:
        assert metrics.roc_auc(scores, positive) == pytest.approx(oracle.roc_auc_score(positive, scores), abs=1e-12)


@settings(max_examples=50)
@given(pairs.filter(lambda pairs: len({positive for _, positive in pairs}) == 2))
def test_the_curve_is_scikit_learns_and_encloses_the_area(pairs):
    scores, positive = map(np.array, zip(*pairs, strict=True))
    found = metrics.roc_curve(scores, positive)
    for ours, theirs in zip(found, oracle.roc_curve(positive, scores, drop_intermediate=False), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-12)
    area = np.trapezoid(found.true_positive_rate, found.false_positive_rate)
    assert area == pytest.approx(metrics.roc_auc(scores, positive), abs=1e-12)


def test_rates_of_a_kind_that_is_absent_are_no_number():
    found = metrics.roc_curve([1, 2, 3], [True, True, True])
    assert np.isnan(found.false_positive_rate).all()
    np.testing.assert_allclose(found.true_positive_rate, [0, 1 / 3, 2 / 3, 1])


def test_wrong_scores_are_refused():
    for measure in (metrics.roc_auc, metrics.roc_curve):
        with pytest.raises(ValueError, match="one length"):
            measure([1, 2], [True])
        with pytest.raises(ValueError, match="NaN"):
            measure([1, np.nan], [True, False])
