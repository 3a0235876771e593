"""Pooling against NumPy float64, with padding, empty masks and wrong shapes."""

import jax
import numpy as np
import pytest

from jaxloc import pooling
from tests.reference import scda_ddt as reference


@pytest.fixture
def features() -> np.ndarray:
    return np.maximum(np.random.default_rng(0).normal(size=(6, 7, 16)), 0).astype(np.float32)


@pytest.fixture
def mask() -> np.ndarray:
    return np.random.default_rng(1).random((6, 7)) < 0.4


def test_equals_numpy(features, mask):
    np.testing.assert_allclose(pooling.average_pool(features, mask), features[mask].mean(0), rtol=1e-5)
    np.testing.assert_array_equal(pooling.max_pool(features, mask), features[mask].max(0))
    np.testing.assert_allclose(
        pooling.average_max_pool(features, mask), reference.scda_descriptor(features, mask), rtol=1e-5, atol=1e-7
    )


def test_each_block_has_unit_length(features, mask):
    blocks = np.asarray(pooling.average_max_pool(features, mask)).reshape(2, 16)
    np.testing.assert_allclose(np.linalg.norm(blocks, axis=1), 1, rtol=1e-6)


def test_max_of_negative_features_is_not_zero(mask):
    features = -np.ones((6, 7, 3), np.float32)
    np.testing.assert_array_equal(pooling.max_pool(features, mask), [-1, -1, -1])


@pytest.mark.parametrize("pool", [pooling.average_pool, pooling.max_pool, pooling.average_max_pool])
def test_empty_mask_gives_zeros_never_nan(features, pool):
    np.testing.assert_array_equal(pool(features, np.zeros((6, 7), bool)), 0)


@pytest.mark.parametrize("pool", [pooling.average_pool, pooling.max_pool, pooling.average_max_pool])
def test_padding_does_not_leak_in(features, mask, pool):
    padded = np.pad(features, ((0, 3), (0, 2), (0, 0)), constant_values=99)
    np.testing.assert_allclose(pool(padded, np.pad(mask, ((0, 3), (0, 2)))), pool(features, mask), rtol=1e-6)


@pytest.mark.parametrize("pool", [pooling.average_pool, pooling.max_pool, pooling.average_max_pool])
def test_vmap_of_jit_equals_a_loop(pool):
    rng = np.random.default_rng(2)
    features, masks = rng.random((5, 4, 6, 8)).astype(np.float32), rng.random((5, 4, 6)) < 0.5
    expected = np.stack([pool(f, m) for f, m in zip(features, masks, strict=True)])
    np.testing.assert_allclose(jax.jit(jax.vmap(pool))(features, masks), expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_normalisation_survives_any_scale(scale):
    vector = np.array([3.0, 4.0], np.float32) * np.float32(scale)
    np.testing.assert_allclose(pooling.l2_normalize(vector), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(pooling.l2_normalize(np.zeros((2, 3))), 0)


def test_wrong_shapes_are_refused(features, mask):
    with pytest.raises(ValueError, match=r"features must be \[h, w, d\].*jax\.vmap"):
        pooling.average_pool(features[None], mask)
    with pytest.raises(ValueError, match=r"mask must be bool \(6, 7\)"):
        pooling.max_pool(features, mask[:3])
    with pytest.raises(ValueError, match="mask must be bool"):
        pooling.max_pool(features, mask.astype(np.float32))
