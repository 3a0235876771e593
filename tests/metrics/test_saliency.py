"""Saliency precision by hand."""

import numpy as np
import pytest

from jaxloc import metrics


def test_the_share_inside_is_counted_by_saliency():
    saliency = np.array([[1.0, 2], [3, 4]])
    assert metrics.saliency_precision(saliency, [[True, False], [True, False]]) == pytest.approx(0.4)
    assert metrics.saliency_precision(7 * saliency, [[0.5, 0], [0, 0]]) == pytest.approx(0.05)
    assert metrics.saliency_precision(saliency, np.ones((2, 2))) == 1


def test_no_saliency_is_no_number():
    assert np.isnan(metrics.saliency_precision(np.zeros((2, 2)), np.ones((2, 2))))


def test_the_area_is_the_chance_that_the_object_is_more_salient():
    saliency = np.array([[1.0, 2], [3, 3]])
    inside = [[0, 0.6], [1, 0.4]]
    assert metrics.saliency_auc(saliency, inside) == pytest.approx((1 + 0 + 1 + 0.5) / 4)
    assert metrics.saliency_auc(saliency**3 - 9, inside) == metrics.saliency_auc(saliency, inside)
    assert np.isnan(metrics.saliency_auc(saliency, np.ones((2, 2))))


def test_wrong_maps_are_refused():
    with pytest.raises(ValueError, match="of one size"):
        metrics.saliency_precision(np.ones((2, 3)), np.ones((3, 2)))
    for wrong in (-1, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite and 0 or more"):
            metrics.saliency_precision([[wrong]], [[1]])
