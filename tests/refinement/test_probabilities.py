"""Response maps enlarged to probabilities of pixels."""

import jax
import numpy as np
import pytest

from jaxloc import refinement
from tests.compiled import compiled, jitted
from tests.reference import refinement as reference

refinement = compiled(refinement, eager=("grab_cut",))

SIZES = np.array([[6, 8], [1, 1], [3, 8], [6, 2]])
TARGETS = np.array([[21, 30], [1, 9], [7, 30], [17, 4]])


def test_bilinear_enlargement_equals_the_reference(indicator):
    for shape in ((24, 32), (13, 11), (4, 3)):
        found = refinement.upsample_bilinear(indicator, shape)
        np.testing.assert_allclose(found, reference.upsample_bilinear(indicator, shape), atol=1e-5)


@pytest.mark.parametrize("sharpness", [0.5, 2.0, 5.0])
def test_probabilities_equal_the_reference(indicator, sharpness):
    found = refinement.object_probabilities(indicator, (24, 32), sharpness=np.float32(sharpness))
    np.testing.assert_allclose(found, reference.probabilities(indicator, (24, 32), sharpness), atol=1e-5)


def test_a_padded_batch_equals_the_reference_on_each_map():
    values = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)

    def one(values, size, target):
        return refinement.eager.object_probabilities(values, (21, 30), size=size, target_size=target)

    batch = jitted(jax.vmap(one))(values, SIZES, TARGETS)
    for found, one_map, (rows, columns), target in zip(batch, values, SIZES, TARGETS, strict=True):
        alone = reference.probabilities(one_map[:rows, :columns], tuple(target), 2.0)
        np.testing.assert_allclose(found, np.pad(alone, [(0, 21 - target[0]), (0, 30 - target[1])]), atol=1e-5)


def test_what_the_padding_holds_does_not_matter(indicator):
    padded = np.pad(indicator, [(0, 2), (0, 3)], constant_values=np.nan)
    found = refinement.object_probabilities(padded, (24, 32), size=(6, 8))
    np.testing.assert_allclose(found, refinement.object_probabilities(indicator, (24, 32)), atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_map_gives_mirrored_probabilities(indicator, axis):
    found = refinement.object_probabilities(np.flip(indicator, axis), (23, 30))
    np.testing.assert_allclose(np.flip(found, axis), refinement.object_probabilities(indicator, (23, 30)), atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e3, 1e30])
def test_the_scale_of_the_map_does_not_matter(indicator, scale):
    found = refinement.object_probabilities(indicator * np.float32(scale), (24, 32))
    np.testing.assert_allclose(found, refinement.object_probabilities(indicator, (24, 32)), atol=1e-5)


def test_sides_of_the_threshold_are_kept(indicator):
    found = refinement.object_probabilities(indicator, indicator.shape)
    np.testing.assert_array_equal(found > 0.5, indicator > 0)


def test_positive_cells_outside_the_mask_are_undecided():
    cells = np.array([[3.0, -1.0, 3.0]], np.float32)
    found = refinement.object_probabilities(cells, (1, 3), mask=np.array([[True, True, False]]))
    assert found[0, 0] > 0.5 > found[0, 1]
    assert found[0, 2] == 0.5
    with pytest.raises(ValueError, match=r"mask must be of the indicator's size \(1, 3\), got shape \(3,\)"):
        refinement.object_probabilities(cells, (1, 3), mask=np.ones(3, bool))


@pytest.mark.parametrize(("value", "expected"), [(0.0, 0.5), (3.0, 0.8808), (-3.0, 0.1192), (np.nan, 0.5)])
def test_a_constant_map(value, expected):
    for shape in ((1, 1), (5, 4)):
        found = refinement.object_probabilities(np.full(shape, value, np.float32), (9, 7))
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_batch_is_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"indicator must be \[h, w\].*jax.vmap"):
        refinement.object_probabilities(np.zeros((2, 3, 4)), (9, 9))
    with pytest.raises(ValueError, match=r"values must be \[h, w\]"):
        refinement.upsample_bilinear(np.zeros(4), (9, 9))
