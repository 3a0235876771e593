"""MaxBoxAcc and PxAP against a transcription of the benchmark, scikit-learn, and by hand."""

import numpy as np
import pytest
from scipy import ndimage
from sklearn.metrics import average_precision_score

from jaxloc import metrics
from tests.reference import wsol

V2 = (0.3, 0.5, 0.7)


def make_maps(seed: int, number: int = 3) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    maps = [ndimage.gaussian_filter(rng.normal(size=(12, 15)), 1.5) for _ in range(number)]
    return [(one - one.min()) / np.ptp(one) for one in maps]


def make_boxes(seed: int, number: int = 3) -> list[list[list[float]]]:
    rng = np.random.default_rng(seed + 100)
    boxes = []
    for count in rng.integers(1, 4, number):
        corners = rng.uniform(0, 1, (count, 2, 2)) * (14, 11)
        boxes.append(np.concatenate([corners.min(1), corners.max(1)], 1).tolist())
    return boxes


@pytest.mark.parametrize("seed", range(2))
def test_max_box_accuracy_is_that_of_the_benchmark(seed):
    maps, boxes = make_maps(seed), make_boxes(seed)
    found = [metrics.box_overlaps(one, truth) for one, truth in zip(maps, boxes, strict=True)]
    first = metrics.max_box_accuracy([one.largest for one in found])
    assert first == wsol.max_box_accuracy(maps, boxes, (0.5,), largest_only=True)
    second = metrics.max_box_accuracy([one.every for one in found], ious=V2)
    assert second == pytest.approx(wsol.max_box_accuracy(maps, boxes, V2, largest_only=False), abs=1e-15)
    assert second > 0


def test_one_threshold_serves_all_images():
    low, high = np.zeros((10, 10)), np.full((10, 10), 0.6)
    low[2:8, 2:8], low[0, 0] = 0.4, 1
    high[2:8, 2:8] = 1
    found = np.array([metrics.box_overlaps(one, [[2, 2, 8, 8]]).largest for one in (low, high)])
    assert [metrics.max_box_accuracy(found[[place]], ious=(0.9,)) for place in (0, 1)] == [1, 1]
    assert metrics.max_box_accuracy(found, ious=(0.9,)) == 0.5


def test_only_the_second_version_takes_smaller_components():
    score_map = np.zeros((20, 20))
    score_map[1:5, 1:5] = 1
    score_map[10:19, 10:19] = 1
    found = metrics.box_overlaps(score_map, [[1, 1, 5, 5]])
    np.testing.assert_array_equal(found.largest, 0)
    np.testing.assert_array_equal(found.every, 1)


def test_a_map_without_contrast_localises_nothing():
    assert not np.any(metrics.box_overlaps(np.zeros((9, 9)), [[2, 2, 8, 8]]))
    np.testing.assert_array_equal(metrics.score_map_boxes(np.zeros((9, 9), np.uint8), 0), [[0, 0, 0, 0]])


def test_boxes_come_largest_first_and_stay_inside():
    grey = np.zeros((6, 8), np.uint8)
    grey[0, 0], grey[3:6, 4:8] = 9, 9
    np.testing.assert_array_equal(metrics.score_map_boxes(grey, 8), [[4, 3, 7, 5], [0, 0, 1, 1]])
    np.testing.assert_array_equal(metrics.score_map_boxes(grey, 9), [[0, 0, 0, 0]])


@pytest.mark.parametrize("seed", range(4))
def test_pixel_average_precision_is_the_benchmarks_and_near_scikit_learns(seed):
    maps = make_maps(seed)
    masks = [np.random.default_rng(place).random(one.shape) < one for place, one in enumerate(maps)]
    counts = sum(metrics.pixel_counts(one, mask) for one, mask in zip(maps, masks, strict=True))
    found = metrics.pixel_average_precision(counts)
    assert found == pytest.approx(wsol.pixel_average_precision(maps, masks), abs=1e-12)
    expected = average_precision_score(np.concatenate(masks).ravel(), np.concatenate(maps).ravel())
    assert found == pytest.approx(expected, abs=0.02)


def test_rounded_maps_give_scikit_learns_area_exactly():
    rng = np.random.default_rng(0)
    score_map, mask = rng.integers(0, 11, (30, 30)) / 10, rng.random((30, 30)) < 0.4
    found = metrics.pixel_average_precision(metrics.pixel_counts(score_map, mask, thresholds=np.arange(10) / 10))
    assert found == pytest.approx(average_precision_score(mask.ravel(), score_map.ravel()), abs=1e-12)


def test_unknown_pixels_count_neither_way():
    rng = np.random.default_rng(1)
    score_map, mask, known = rng.random((8, 8)), rng.random((8, 8)) < 0.5, rng.random((8, 8)) < 0.7
    counts = metrics.pixel_counts(score_map, mask, known=known)
    assert counts.sum() == known.sum()
    assert counts[0].sum() == (known & mask).sum()
    changed = np.where(known, score_map, 1 - score_map)
    np.testing.assert_array_equal(metrics.pixel_counts(changed, mask, known=known), counts)


def test_what_cannot_be_measured_is_no_number():
    assert np.isnan(metrics.max_box_accuracy(np.zeros((0, 1000))))
    assert np.isnan(metrics.pixel_average_precision(metrics.pixel_counts(np.ones((2, 2)), np.zeros((2, 2), bool))))


def test_wrong_maps_are_refused():
    for wrong in (np.full((2, 2), 1.1), np.full((2, 2), np.nan), np.zeros(4), np.zeros((0, 3))):
        with pytest.raises(ValueError, match="numbers from 0 to 1"):
            metrics.box_overlaps(wrong, [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="no ground-truth box"):
        metrics.box_overlaps(np.zeros((2, 2)), [])
    with pytest.raises(ValueError, match="of one size"):
        metrics.pixel_counts(np.zeros((2, 3)), np.zeros((3, 2), bool))
    with pytest.raises(ValueError, match="must be uint8"):
        metrics.score_map_boxes(np.zeros((2, 2)), 0)
