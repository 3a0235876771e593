"""Every component of a mask as an object."""

import numpy as np

from jaxloc import localization
from tests.compiled import compiled

localization = compiled(localization)

MASK = np.array(
    [
        [1, 1, 0, 0, 0, 1],
        [1, 1, 0, 0, 0, 0],
        [0, 0, 0, 1, 1, 1],
        [0, 1, 0, 0, 0, 0],
    ],
    bool,
)


def test_components_come_by_size_in_pixels_of_the_image_and_the_rest_is_empty():
    found = localization.every_component(MASK, np.array([40, 60]), most=5)
    boxes = [[0, 0, 20, 20], [30, 20, 60, 30], [50, 0, 60, 10], [10, 30, 20, 40], [np.nan] * 4]
    np.testing.assert_array_equal(found.box, boxes)
    np.testing.assert_allclose(found.weight, np.array([4, 3, 1, 1, 0]) / 9, rtol=1e-6)
    most = localization.every_component(MASK, np.array([40, 60]), most=2)
    np.testing.assert_array_equal(most.box, boxes[:2])
    np.testing.assert_array_equal(most.weight, found.weight[:2])


def test_a_box_is_around_confirmed_cells_and_a_component_without_any_has_none():
    within = np.zeros_like(MASK)
    within[1, 0] = within[2, 4:] = True
    found = localization.every_component(MASK, np.array([40, 60]), within=within, most=4)
    np.testing.assert_array_equal(found.box, [[0, 10, 10, 20], [40, 20, 60, 30], [np.nan] * 4, [np.nan] * 4])
    np.testing.assert_allclose(found.weight, np.array([4, 3, 0, 0]) / 9, rtol=1e-6)
