"""CorLoc, PCP of whole objects and top-1 localisation on cases worked by hand."""

import numpy as np
import pytest

from jaxloc import metrics


def test_iou_must_exceed_the_threshold_or_reach_it():
    truth = [[0, 0, 10, 10]]
    assert not metrics.correct_localization([0, 0, 10, 5], truth)
    assert metrics.correct_localization([0, 0, 10, 5], truth, at_least=True)
    assert metrics.correct_localization([0, 0, 10, 5.01], truth)
    assert metrics.correct_localization([0, 0, 10, 5], truth, threshold=0.49)
    assert not metrics.correct_localization([0, 0, 10, 4.99], truth, at_least=True)


def test_vocs_corners_decide_close_cases():
    assert not metrics.correct_localization([0, 0, 2, 9], [[0, 0, 6, 9]])
    assert metrics.correct_localization([0, 0, 3, 9], [[0, 0, 6, 9]], inclusive=True)
    assert metrics.correct_localization([0, 0, 3, 9], [[0, 0, 7, 9]], inclusive=True, at_least=True)
    assert not metrics.correct_localization([0, 0, 3, 9], [[0, 0, 7, 9]], at_least=True)


def test_any_box_of_the_class_will_do_and_no_box_never_does():
    truth = [[0, 0, 10, 10], [50, 50, 60, 60]]
    assert metrics.correct_localization([51, 50, 60, 60], truth)
    assert not metrics.correct_localization([20, 20, 30, 30], truth)
    assert not metrics.correct_localization([np.nan] * 4, truth)
    assert not metrics.correct_localization([np.nan] * 4, truth, threshold=0, at_least=True)
    with pytest.raises(ValueError, match="no ground-truth box"):
        metrics.correct_localization([0, 0, 1, 1], [])


def test_each_true_box_is_found_or_not():
    truth = [[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]]
    boxes = [[0, 0, 10, 9], [40, 0, 50, 5], [np.nan] * 4]
    np.testing.assert_array_equal(metrics.correct_boxes(truth, boxes), [True, False, False])
    np.testing.assert_array_equal(metrics.correct_boxes(truth, boxes, at_least=True), [True, False, True])
    np.testing.assert_array_equal(metrics.correct_boxes(truth, []), [False] * 3)


def test_top_one_needs_the_class_as_well():
    found = metrics.top_one_localization([True, True, False, False], ["a", "b", "a", "b"], ["a", "a", "a", "a"])
    np.testing.assert_array_equal(found, [True, False, False, False])
    with pytest.raises(ValueError, match="lists of one length"):
        metrics.top_one_localization([True], ["a", "b"], ["a", "b"])
