"""Classes that occur together, and scores that know it, against sums written out."""

import numpy as np
import pytest

from jaxloc import metrics

LABELS = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [0, 1, 1, 0], [1, 1, 0, 0]])


def test_shares_are_of_the_second_class_and_a_class_of_no_image_has_none():
    third = 2 / 3
    expected = [[1, third, 0, 0], [third, 1, 1, 0], [0, 1 / 3, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_allclose(metrics.co_occurrence(LABELS), expected)
    np.testing.assert_array_equal(metrics.co_occurrence(LABELS > 0), metrics.co_occurrence(LABELS))
    with pytest.raises(ValueError, match=r"labels must be 0 or 1, \[n, classes\]"):
        metrics.co_occurrence(LABELS * 2)


def test_scores_are_raised_by_other_classes_alone():
    rng = np.random.default_rng(0)
    scores, conditional = rng.random((3, 4)), metrics.co_occurrence(LABELS)
    expected = [
        [one[i] + 0.5 * sum(conditional[i, j] * one[j] for j in range(4) if j != i) for i in range(4)] for one in scores
    ]
    np.testing.assert_allclose(metrics.rescore(scores, conditional, weight=0.5), expected)
    np.testing.assert_allclose(metrics.rescore(scores[0], conditional, weight=0.5), expected[0])
    np.testing.assert_array_equal(metrics.rescore(scores, conditional, weight=0), scores)
    with pytest.raises(ValueError, match=r"conditional must be \[4, 4\]"):
        metrics.rescore(scores, conditional[:2], weight=1)
