"""Intersection over union against pycocotools, and by hand for VOC's corners."""

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from jaxloc import metrics


def test_iou_is_pycocotools_for_many_pairs():
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 50, (60, 2, 2))
    boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
    sized = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    expected = coco_masks.iou(sized[:20], sized[20:], [0] * 40)
    np.testing.assert_allclose(metrics.box_iou(boxes[:20], boxes[20:]), expected, atol=1e-12)
    assert 0 < expected.max() < 1


def test_corners_that_belong_to_the_box_make_each_side_one_longer():
    a, b = [0, 0, 9, 9], [5, 0, 14, 9]
    assert metrics.box_iou(a, b, inclusive=True) == 50 / 150
    assert metrics.box_iou(a, b) == 36 / 126
    assert metrics.box_iou([3, 3, 3, 3], [3, 3, 3, 3], inclusive=True) == 1
    assert metrics.box_iou([0, 0, 4, 4], [5, 0, 9, 4], inclusive=True) == 0
    assert metrics.box_iou([0, 0, 4, 4], [4, 0, 9, 4], inclusive=True) == pytest.approx(5 / 50)


def test_what_is_no_box_overlaps_nothing():
    for inclusive in (False, True):
        found = metrics.box_iou([[np.nan] * 4, [5, 5, 2, 2]], [[0, 0, 9, 9]], inclusive=inclusive)
        np.testing.assert_array_equal(found, 0)
        assert metrics.box_iou(np.zeros((0, 4)), [[0, 0, 1, 1]], inclusive=inclusive).shape == (0, 1)
