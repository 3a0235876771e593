"""Jaccard similarity and precision against scikit-learn and by hand."""

import numpy as np
import pytest
from sklearn import metrics as oracle

from jaxloc import metrics


@pytest.mark.parametrize("seed", range(5))
def test_masks_equal_scikit_learn_with_and_without_unknown_pixels(seed):
    rng = np.random.default_rng(seed)
    mask, truth, known = rng.random((3, 9, 7)) < [[[0.5]], [[0.3]], [[0.8]]]
    assert metrics.jaccard(mask, truth) == pytest.approx(oracle.jaccard_score(truth.ravel(), mask.ravel()))
    assert metrics.pixel_precision(mask, truth) == pytest.approx(oracle.accuracy_score(truth.ravel(), mask.ravel()))
    expected = oracle.jaccard_score(truth[known], mask[known])
    assert metrics.jaccard(mask, truth, known=known) == pytest.approx(expected)
    expected = oracle.accuracy_score(truth[known], mask[known])
    assert metrics.pixel_precision(mask, truth, known=known) == pytest.approx(expected)


def test_without_the_object_there_is_no_jaccard_but_precision():
    nothing, corner = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    corner[0, 0] = True
    assert np.isnan(metrics.jaccard(corner, nothing))
    assert np.isnan(metrics.jaccard(corner, corner, known=~corner))
    assert metrics.jaccard(nothing, corner) == 0
    assert metrics.pixel_precision(corner, nothing) == 15 / 16
    assert np.isnan(metrics.pixel_precision(corner, corner, known=nothing))


def test_wrong_masks_are_refused():
    mask = np.zeros((3, 4), bool)
    for measure in (metrics.jaccard, metrics.pixel_precision):
        with pytest.raises(ValueError, match=r"bool \[h, w\]"):
            measure(mask.astype(int), mask)
        with pytest.raises(ValueError, match="of one size"):
            measure(mask, mask.T)
        with pytest.raises(ValueError, match="of one size"):
            measure(mask, mask, known=mask.T)
