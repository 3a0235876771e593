"""CroW against the NumPy float64 transcription."""

import jax
import numpy as np
import pytest

from jaxloc import crow
from tests.compiled import compiled, jitted
from tests.reference import descriptors as reference

crow = compiled(crow)

SIZES = [(9, 12), (5, 12), (9, 4), (1, 1), (7, 11)]


def feature_map(size: tuple[int, int] = (9, 12), seed: int = 0, dimension: int = 16) -> np.ndarray:
    """Sparse features, whose channels fire at different rates and whose last never does."""
    rng = np.random.default_rng(seed)
    features = np.maximum(rng.normal(size=(*size, dimension)) - np.linspace(-1, 1.5, dimension), 0)
    features[..., -1] = 0
    return features.astype(np.float32)


@pytest.mark.parametrize(("order", "root"), [(2, 2), (1, 1), (3, 0.5)])
def test_spatial_weights_equal_numpy(order, root):
    aggregation = feature_map().sum(-1)
    found = crow.spatial_weights(aggregation, order=np.float32(order), root=np.float32(root))
    np.testing.assert_allclose(found, reference.crow_spatial(aggregation, order, root), rtol=1e-5)


@pytest.mark.parametrize("dimension", [16, 512])
def test_defaults_are_those_of_the_paper(dimension):
    features = feature_map(dimension=dimension)
    np.testing.assert_allclose(crow.sparsity_weights(features), reference.crow_sparsity(features), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(crow.descriptor(features), reference.crow(features, 2, 2), rtol=1e-4, atol=1e-6)


def test_rare_channels_weigh_more_and_dead_ones_nothing():
    features = np.zeros((4, 4, 3), np.float32)
    features[..., 0] = 1
    features[0, 0, 1] = 5
    weights = crow.sparsity_weights(features)
    np.testing.assert_allclose(weights, [np.log(17 / 16), np.log(17), 0], rtol=1e-5)


def test_epsilon_is_added_to_every_share_and_dead_channels_weigh_most():
    features = feature_map()
    share = (features > 0).mean((0, 1), dtype=np.float64)
    expected = np.log((share + 0.01).sum() / (share + 0.01))
    found = crow.sparsity_weights(features, epsilon=0.01)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found.argmax() == 15


@pytest.mark.parametrize("scale", [1e-20, 1.0, 1e20, 1e30])
def test_weights_do_not_depend_on_the_scale(scale):
    features = feature_map()
    scaled = features * np.float32(scale)
    np.testing.assert_allclose(
        crow.spatial_weights(scaled.sum(-1)), reference.crow_spatial(features.sum(-1)), rtol=1e-5
    )
    np.testing.assert_allclose(crow.descriptor(scaled), crow.descriptor(features), rtol=1e-4, atol=1e-6)


def test_batch_of_mixed_sizes_equals_numpy_on_each_image():
    maps = [feature_map(size, seed) for seed, size in enumerate(SIZES)]
    padded = np.stack(
        [np.pad(x, [(0, 9 - x.shape[0]), (0, 12 - x.shape[1]), (0, 0)], constant_values=np.nan) for x in maps]
    )

    def everything(x, size):
        places = crow.spatial_weights(x.sum(-1), size=size)
        return crow.descriptor(x, size=size), crow.sparsity_weights(x, size=size), places

    vectors, channels, places = jitted(jax.vmap(everything))(padded, np.array(SIZES))
    for index, features in enumerate(maps):
        rows, columns = SIZES[index]
        np.testing.assert_allclose(vectors[index], reference.crow(features), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(channels[index], reference.crow_sparsity(features), rtol=1e-5, atol=1e-6)
        alone = reference.crow_spatial(features.sum(-1))
        expected = np.pad(alone, [(0, 9 - rows), (0, 12 - columns)])
        np.testing.assert_allclose(places[index], expected, rtol=1e-5)


@pytest.mark.parametrize("size", [(6, 5), (0, 0)])
def test_nothing_that_fires_gives_zeros(size):
    features, size = np.zeros((6, 5, 4), np.float32), np.array(size)
    np.testing.assert_array_equal(crow.descriptor(features, size=size), 0)
    np.testing.assert_array_equal(crow.spatial_weights(features.sum(-1), size=size), 0)
    np.testing.assert_array_equal(crow.sparsity_weights(features, size=size), 0)


def test_negative_sums_weigh_nothing():
    np.testing.assert_allclose(crow.spatial_weights(np.array([[-3.0, 4.0]])), [[0, 1]])


def test_a_batch_is_refused_with_the_cure():
    for function in (crow.descriptor, crow.sparsity_weights):
        with pytest.raises(ValueError, match=r"features must be \[h, w, d\].*jax\.vmap"):
            function(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match=r"aggregation must be \[h, w\].*jax\.vmap"):
        crow.spatial_weights(np.zeros((2, 3, 4)))
