"""Pooling against NumPy float64, with padding, empty masks and wrong shapes."""

import jax
import numpy as np
import pytest

from jaxloc import pooling
from tests.compiled import compiled, jitted
from tests.reference import descriptors
from tests.reference import scda_ddt as reference

pooling = compiled(pooling)

POOLS = [pooling.average_pool, pooling.max_pool, pooling.average_max_pool, pooling.generalized_mean_pool]


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
    blocks = pooling.average_max_pool(features, mask).reshape(2, 16)
    np.testing.assert_allclose(np.linalg.norm(blocks, axis=1), 1, rtol=1e-6)


def test_max_of_negative_features_is_not_zero(mask):
    features = -np.ones((6, 7, 16), np.float32)
    np.testing.assert_array_equal(pooling.max_pool(features, mask), -1)


@pytest.mark.parametrize("pool", POOLS)
def test_empty_mask_gives_zeros_never_nan(features, pool):
    np.testing.assert_array_equal(pool(features, np.zeros((6, 7), bool)), 0)


@pytest.mark.parametrize("pool", POOLS)
def test_padding_does_not_leak_in(features, mask, pool):
    padded = np.pad(features, ((0, 3), (0, 2), (0, 0)), constant_values=99)
    np.testing.assert_allclose(pool(padded, np.pad(mask, ((0, 3), (0, 2)))), pool(features, mask), rtol=1e-6)


@pytest.mark.parametrize("pool", POOLS)
def test_vmap_equals_a_loop(pool):
    rng = np.random.default_rng(2)
    features, masks = rng.random((5, 6, 7, 16)).astype(np.float32), rng.random((5, 6, 7)) < 0.5
    expected = np.stack([pool(f, m) for f, m in zip(features, masks, strict=True)])
    np.testing.assert_allclose(jitted(jax.vmap(pool))(features, masks), expected, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_normalisation_survives_any_scale(scale):
    vector = np.array([3.0, 4.0], np.float32) * np.float32(scale)
    np.testing.assert_allclose(pooling.l2_normalize(vector), [0.6, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(pooling.l2_normalize(np.zeros((2, 3))), 0)


@pytest.mark.parametrize("power", [0.5, 1.0, 3.0, 30.0, 1000.0])
@pytest.mark.parametrize("scale", [1.0, 1e4, 1e30])
def test_generalized_mean_equals_numpy_at_any_power_and_scale(features, mask, power, scale):
    features = features * np.float32(scale)
    pooled = pooling.generalized_mean_pool(features, mask, power=np.float32(power))
    np.testing.assert_allclose(pooled, descriptors.generalized_mean(features, mask, power), rtol=2e-5)


def test_generalized_mean_lies_between_average_and_maximum(features, mask):
    features = features + 0.1
    average = pooling.generalized_mean_pool(features, mask, power=np.float32(1))
    np.testing.assert_allclose(average, pooling.average_pool(features, mask), rtol=1e-5)
    cubic = pooling.generalized_mean_pool(features, mask)
    largest = pooling.max_pool(features, mask)
    assert (average < cubic).all()
    assert (cubic < largest).all()
    np.testing.assert_allclose(pooling.generalized_mean_pool(features, mask, power=np.float32(1e5)), largest, rtol=1e-4)


def test_generalized_mean_takes_a_power_for_each_channel(features, mask):
    powers = np.linspace(1, 8, 16).astype(np.float32)
    expected = [descriptors.generalized_mean(features, mask, power)[i] for i, power in enumerate(powers)]
    np.testing.assert_allclose(pooling.generalized_mean_pool(features, mask, power=powers), expected, rtol=1e-5)


def test_generalized_mean_of_a_dead_channel_is_epsilon(mask):
    pooled = pooling.generalized_mean_pool(np.zeros((6, 7, 2), np.float32), mask, epsilon=1e-3)
    np.testing.assert_allclose(pooled, 1e-3, rtol=1e-6)


def test_generalized_mean_has_finite_gradients(features, mask):
    features[:, :, 0] = 0
    padded = np.where(mask[..., None], features, np.nan)

    def total(x, power):
        return pooling.generalized_mean_pool(x, mask, power=power).sum()

    for gradient in jitted(jax.grad(total, (0, 1)))(padded, np.float32(3)):
        assert np.isfinite(gradient).all()


@pytest.mark.parametrize(("name", "value"), [("power", 0), ("power", -1.0), ("power", float("nan")), ("epsilon", 0.0)])
def test_generalized_mean_refuses_what_is_not_above_zero(features, mask, name, value):
    with pytest.raises(ValueError, match=f"{name} must be above zero"):
        pooling.generalized_mean_pool(features, mask, **{name: value})


def test_wrong_shapes_are_refused(features, mask):
    with pytest.raises(ValueError, match=r"features must be \[h, w, d\].*jax\.vmap"):
        pooling.average_pool(features[None], mask)
    with pytest.raises(ValueError, match=r"mask must be bool \(6, 7\)"):
        pooling.max_pool(features, mask[:3])
    with pytest.raises(ValueError, match="mask must be bool"):
        pooling.max_pool(features, mask.astype(np.int32))


CELLS, WEIGHTS = np.float32([[[1, 2], [3, 0]], [[0, 4], [2, 2]]]), np.float32([[1, 0.5], [0, 0.25]])


def test_worked_example_of_weights():
    np.testing.assert_allclose(pooling.average_pool(CELLS, WEIGHTS), [0.75, 0.625])
    np.testing.assert_allclose(pooling.max_pool(CELLS, WEIGHTS), [1.5, 2])
    vector = pooling.average_max_pool(CELLS, WEIGHTS)
    np.testing.assert_allclose(vector, [0.76822128, 0.6401844, 0.6, 0.8], atol=1e-7)


def test_weights_of_zero_and_one_point_where_the_mask_does(features, mask):
    """The length of an average differs, and its direction and the maximum do not."""
    weighted = pooling.average_max_pool(features, mask.astype(np.float32))
    np.testing.assert_allclose(weighted, pooling.average_max_pool(features, mask), atol=1e-6)


def test_weighted_cells_outside_the_image_count_for_nothing(features, mask):
    weights = np.random.default_rng(2).random((6, 7)).astype(np.float32)
    padded = np.pad(features, [(0, 2), (0, 3), (0, 0)], constant_values=np.nan)
    around = np.pad(weights, [(0, 2), (0, 3)], constant_values=0.5)
    for pool in (pooling.average_pool, pooling.max_pool, pooling.average_max_pool):
        found = pool(padded, around, size=np.array([6, 7]))
        np.testing.assert_allclose(found, pool(features, weights), rtol=1e-6)
