"""Metrics against hand-worked cases and scikit-learn."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from jaxloc import metrics


def test_iou_must_exceed_the_threshold():
    truth = [[0, 0, 10, 10]]
    assert not metrics.correct_localization([0, 0, 10, 5], truth)
    assert metrics.correct_localization([0, 0, 10, 5.01], truth)
    assert metrics.correct_localization([0, 0, 10, 5], truth, threshold=0.49)


def test_any_box_of_the_class_will_do_and_no_box_never_does():
    truth = [[0, 0, 10, 10], [50, 50, 60, 60]]
    assert metrics.correct_localization([51, 50, 60, 60], truth)
    assert not metrics.correct_localization([20, 20, 30, 30], truth)
    assert not metrics.correct_localization([np.nan] * 4, truth)
    with pytest.raises(ValueError, match="no ground-truth box"):
        metrics.correct_localization([0, 0, 1, 1], [])


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=40))
def test_roc_auc_equals_scikit_learn_with_ties(pairs):
    scores, positive = map(np.array, zip(*pairs, strict=True))
    if positive.all() or not positive.any():
        assert np.isnan(metrics.roc_auc(scores, positive))
    else:
        assert metrics.roc_auc(scores, positive) == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)


def test_wrong_scores_are_refused():
    with pytest.raises(ValueError, match="one length"):
        metrics.roc_auc([1, 2], [True])
    with pytest.raises(ValueError, match="NaN"):
        metrics.roc_auc([1, np.nan], [True, False])
