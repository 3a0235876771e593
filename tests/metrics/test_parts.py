"""Part boxes from points, the assignment of unnamed parts, and their PCP."""

import itertools

import numpy as np
import pytest

from jaxloc import metrics

NAN = [np.nan] * 4


def test_boxes_stand_round_the_visible_points_of_a_part():
    points = {"beak": (10, 20), "nape": (30, 25), "tail": (60, 70), "left leg": (40, 80)}
    assert metrics.part_boxes(points) == {"head": (10, 20, 30, 25), "torso": (30, 25, 60, 80)}
    assert metrics.part_boxes({"beak": (10, 20), "tail": (1, 5), "back": (1, 9)}) == {}


def test_every_point_of_cub_belongs_to_a_part():
    names = ["back", "beak", "belly", "breast", "crown", "forehead", "nape", "tail", "throat"]
    names += [f"{side} {what}" for side in ("left", "right") for what in ("eye", "leg", "wing")]
    assert {name for group in metrics.CUB_PARTS.values() for name in group} == set(names)
    assert len(names) == 15


def test_parts_are_assigned_so_that_most_boxes_are_right():
    head, torso, other = [0, 0, 10, 10], [20, 20, 40, 40], [90, 90, 95, 95]
    truth = [[head, torso], [head, torso], [head, NAN]]
    predicted = [[other, torso, head], [other, torso, head], [head, torso, NAN]]
    assigned = metrics.assign_parts(predicted, truth)
    np.testing.assert_array_equal(assigned, [-1, 1, 0])
    right = metrics.correct_parts(predicted, truth, assigned)
    np.testing.assert_array_equal(right, [[1, 1], [1, 1], [0, np.nan]])


@pytest.mark.parametrize("seed", range(6))
def test_no_other_assignment_has_more_right_or_as_many_with_more_overlap(seed):
    rng = np.random.default_rng(seed)
    places = rng.integers(0, 12, (2, 8, 3, 2))
    predicted, truth = np.concatenate([places, places + rng.integers(4, 14, places.shape)], -1).astype(float)
    overlap = np.array([metrics.box_iou(a, b) for a, b in zip(predicted, truth, strict=True)])

    def worth(order) -> tuple[float, float]:
        chosen = overlap[:, range(3), order]
        return (chosen > 0.4).sum(), chosen.sum()

    best = max(itertools.permutations(range(3)), key=worth)
    np.testing.assert_array_equal(metrics.assign_parts(predicted, truth, threshold=0.4), best)
    found = metrics.correct_parts(predicted, truth, best, threshold=0.4)
    assert found.sum() == worth(best)[0]


def test_more_true_parts_than_predicted_leave_some_unfound():
    head, torso = [0, 0, 10, 10], [20, 20, 40, 40]
    assigned = metrics.assign_parts([[torso]], [[head, torso]])
    np.testing.assert_array_equal(assigned, [1])
    np.testing.assert_array_equal(metrics.correct_parts([[torso]], [[head, torso]], assigned), [[0, 1]])


def test_the_threshold_has_to_be_exceeded_or_reached_and_corners_count():
    truth, half = [[[0, 0, 10, 10]]], [[[0, 0, 10, 5]]]
    assert metrics.correct_parts(half, truth, [0]) == 0
    assert metrics.correct_parts(half, truth, [0], at_least=True) == 1
    assert metrics.correct_parts(half, truth, [0], inclusive=True) == 1


def test_wrong_shapes_are_refused():
    for wrong in (np.zeros((2, 4)), np.zeros((3, 2, 4))):
        with pytest.raises(ValueError, match=r"parts must be \[n, k, 4\]"):
            metrics.assign_parts(wrong, np.zeros((2, 2, 4)))
    with pytest.raises(ValueError, match="one for each predicted part"):
        metrics.correct_parts(np.zeros((2, 2, 4)), np.zeros((2, 2, 4)), [0])
