"""SPoC against the NumPy float64 transcription."""

import jax
import numpy as np
import pytest

from jaxloc import grids, spoc
from tests.compiled import compiled, jitted
from tests.reference import descriptors as reference

grids = compiled(grids)
spoc = compiled(spoc)

SIZES = [(9, 12), (5, 12), (9, 4), (1, 1), (1, 2), (7, 11)]


def feature_map(size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(size=(*size, 16)), 0).astype(np.float32)


@pytest.mark.parametrize("center", [False, True])
def test_equals_numpy(center):
    features = feature_map((9, 12))
    found = spoc.descriptor(features, center=center)
    np.testing.assert_allclose(found, reference.spoc(features, center), rtol=1e-5, atol=1e-7)


def test_prior_falls_to_its_value_at_three_sigma_on_the_border():
    weights = spoc.center_prior((61, 101))
    assert weights[30, 50] == 1
    # The border lies 30.5 cells from the centre's middle, σ is a third of that.
    assert weights[0, 50] == pytest.approx(np.exp(-0.5 * (3 * 30 / 30.5) ** 2), rel=1e-5)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], rtol=1e-6)


@pytest.mark.parametrize("center", [False, True])
def test_batch_of_mixed_sizes_equals_numpy_on_each_image(center):
    maps = [feature_map(size, seed) for seed, size in enumerate(SIZES)]
    padded = np.stack(
        [np.pad(x, [(0, 9 - x.shape[0]), (0, 12 - x.shape[1]), (0, 0)], constant_values=np.nan) for x in maps]
    )
    describe = jitted(jax.vmap(lambda x, size: spoc.descriptor(x, size=size, center=center)))
    expected = np.stack([reference.spoc(x, center) for x in maps])
    np.testing.assert_allclose(describe(padded, np.array(SIZES)), expected, rtol=1e-5, atol=1e-7)


def test_prior_of_padding_is_zero_and_its_centre_that_of_the_valid_cells():
    weights = spoc.center_prior((8, 9), size=(5, 7))
    np.testing.assert_allclose(weights[:5, :7], spoc.center_prior((5, 7)), rtol=1e-6)
    assert np.unravel_index(weights.argmax(), weights.shape) == (2, 3)
    assert weights.sum() == pytest.approx(weights[:5, :7].sum())


@pytest.mark.parametrize("center", [False, True])
def test_mirroring_the_map_changes_nothing(center):
    features = feature_map((9, 12))
    flipped = spoc.descriptor(grids.flip_columns(features), center=center)
    np.testing.assert_allclose(flipped, spoc.descriptor(features, center=center), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("size", [(9, 12), (0, 0)])
def test_nothing_that_fires_gives_zeros(size):
    np.testing.assert_array_equal(spoc.descriptor(np.zeros((9, 12, 16), np.float32), size=np.array(size)), 0)


def test_the_prior_changes_the_descriptor():
    features = feature_map((9, 12))
    features *= np.arange(108).reshape(9, 12, 1) % 16 == np.arange(16)  # each channel in cells of its own
    without, weighted = (spoc.descriptor(features, center=center) for center in (False, True))
    np.testing.assert_allclose(weighted, reference.spoc(features, True), rtol=1e-5, atol=1e-7)
    assert without @ weighted < 0.99


def test_a_batch_is_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"features must be \[h, w, d\].*jax\.vmap"):
        spoc.descriptor(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match=r"size must be \[2\].*jax\.vmap"):
        spoc.center_prior((3, 4), size=np.ones((2, 2)))
