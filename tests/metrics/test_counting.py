"""Counts of objects, against the figures that the formulas give by hand."""

import numpy as np
import pytest

from jaxloc import metrics

TRUTH = np.array([[2, 1, 0], [0, 1, 3], [1, 0, 0], [0, 2, 2]])
FOUND = np.array([[2, 1, 0], [0, 2, 2], [1, 0, 1], [0, 2, 2]])


def test_the_measures_of_four_images_by_hand():
    measured = metrics.counting(FOUND, TRUTH)
    np.testing.assert_allclose(measured, [0.5, 0.75, np.mean([0, 0.25, 0.4]), np.mean([1, 0.8, 2 / 3])])
    assert measured.class_distance == pytest.approx(0.2166667, abs=5e-8)
    assert measured.class_iou == pytest.approx(0.8222222, abs=5e-8)


def test_a_class_that_never_occurs_counts_only_where_it_is_predicted():
    never = np.zeros((4, 1), int)
    predicted = never.copy()
    predicted[2] = 1
    measured = metrics.counting(np.hstack([FOUND, predicted]), np.hstack([TRUTH, never]))
    np.testing.assert_allclose(measured, [0.5, 1.0, 0.65 / 3, (1 + 0.8 + 2 / 3) / 4])
    assert measured.class_iou == pytest.approx(0.6166667, abs=5e-8)
    assert metrics.counting(np.hstack([FOUND, never]), np.hstack([TRUTH, never])) == metrics.counting(FOUND, TRUTH)


def test_nothing_is_measured_of_nothing():
    assert np.isnan(metrics.counting(np.zeros((0, 3)), np.zeros((0, 3)))).all()
    assert metrics.counting([[0]], [[0]])[:2] == (1, 0)
    assert np.isnan(metrics.counting([[0]], [[0]])[2:]).all()
    with pytest.raises(ValueError, match=r"counts must be two arrays \[n, classes\] from 0"):
        metrics.counting(FOUND, TRUTH[:2])
    with pytest.raises(ValueError, match=r"counts must be two arrays \[n, classes\] from 0"):
        metrics.counting(-FOUND, TRUTH)


def test_the_best_threshold_counts_most_images_right():
    truth = np.array([[1, 0], [1, 1]])
    images, classes, scores = [0, 0, 1, 1], [0, 1, 0, 1], [0.9, 0.4, 0.8, 0.6]
    best = metrics.best_count_threshold(images, classes, scores, truth)
    assert 0.4 < best <= 0.6
    np.testing.assert_array_equal(metrics.counts_above(images, classes, scores, best, truth.shape), truth)
    assert metrics.best_count_threshold([0], [0], [0.7], np.zeros((1, 1))) == np.inf
    assert metrics.best_count_threshold([], [], [], truth) == np.inf
