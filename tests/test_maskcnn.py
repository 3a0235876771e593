"""Targets and boxes of parts."""

import jax
import numpy as np
import pytest

from jaxloc import maskcnn
from tests.compiled import compiled, jitted

maskcnn = compiled(maskcnn)

HEAD, TORSO, NOWHERE = (4.0, 0.0, 12.0, 8.0), (8.0, 4.0, 20.0, 16.0), (np.nan,) * 4


def test_cells_are_shared_among_background_and_parts_and_the_head_wins():
    found = maskcnn.part_targets(np.array([HEAD, TORSO]), (2, 3), stride=8)
    background, head, torso = found.transpose(2, 0, 1)
    np.testing.assert_allclose(head, [[0.5, 0.5, 0], [0, 0, 0]])
    np.testing.assert_allclose(torso, [[0, 0.25, 0.25], [0, 1, 0.5]])  # the head keeps 4 × 4 of its own pixels
    np.testing.assert_allclose(background, 1 - head - torso)


def test_a_part_that_is_not_seen_has_no_target():
    found = maskcnn.part_targets(np.array([NOWHERE, TORSO]), (2, 3), stride=8)
    assert not found[..., 1].any()
    assert found[..., 2].sum() * 64 == 12 * 12


def scores(labels) -> np.ndarray:
    return np.eye(3, dtype=np.float32)[np.array(labels)]


LABELS = [[0, 1, 0, 0, 1], [0, 1, 1, 0, 0], [0, 2, 2, 0, 0]]


def test_boxes_surround_the_largest_component_in_pixels_of_the_image():
    found = maskcnn.part_boxes(scores(LABELS), np.array([30, 50]))
    np.testing.assert_array_equal(found.box, [[10, 0, 30, 20], [10, 20, 30, 30]])
    np.testing.assert_array_equal(found.found, [True, True])
    np.testing.assert_array_equal(found.object_box, [10, 0, 30, 30])
    every = maskcnn.part_boxes(scores(LABELS), np.array([30, 50]), largest=False)
    np.testing.assert_array_equal(every.box[0], [10, 0, 50, 20])


def test_a_missing_part_takes_the_box_of_the_object_and_then_the_image():
    found = maskcnn.part_boxes(scores([[0, 2], [0, 2]]), np.array([20, 20]))
    np.testing.assert_array_equal(found.box, [[10, 0, 20, 20]] * 2)
    np.testing.assert_array_equal(found.found, [False, True])
    apart = maskcnn.part_boxes(scores([[1, 0, 0], [0, 0, 2]]), np.array([20, 30]))
    np.testing.assert_array_equal(apart.object_box, [0, 0, 30, 20])
    nothing = maskcnn.part_boxes(scores([[0, 0], [0, 0]]), np.array([20, 40]))
    np.testing.assert_array_equal([*nothing.box, nothing.object_box], [[0, 0, 40, 20]] * 3)


def test_padded_images_of_a_batch_have_the_boxes_of_each_alone():
    whole = scores(LABELS)
    padded = np.full((2, 5, 6, 3), np.nan, np.float32)
    padded[0, :3, :5], padded[1, :3, :2] = whole, whole[:, :2]
    sizes, images = np.array([[3, 5], [3, 2]]), np.array([[30, 50], [30, 20]])
    found = jitted(jax.vmap(lambda x, image, size: maskcnn.part_boxes(x, image, size=size)))(padded, images, sizes)
    for number, columns in enumerate((5, 2)):
        alone = maskcnn.part_boxes(whole[:, :columns], images[number])
        np.testing.assert_array_equal(found.box[number], alone.box)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"scores must be \[h, w, c\].*jax\.vmap"):
        maskcnn.part_boxes(np.zeros((1, 2, 3, 3)), np.array([2, 3]))
    with pytest.raises(ValueError, match=r"boxes must be \[k, 4\]"):
        maskcnn.part_targets(np.zeros(4), (2, 3), stride=8)
