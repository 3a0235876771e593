"""Bilinear features: the worked example, NumPy, and what they ignore."""

import jax
import numpy as np
import pytest

from jaxloc import bilinear, moments
from tests.compiled import compiled, jitted

bilinear = compiled(bilinear)


def feature_map(seed: int = 0, size: tuple[int, int] = (4, 5)) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(*size, 6)).astype(np.float32)


def reference(features: np.ndarray, mask: np.ndarray, axes: np.ndarray) -> np.ndarray:
    cells = features[mask].astype(np.float64) @ axes.T
    products = (cells.T @ cells).ravel()
    rooted = np.sign(products) * np.sqrt(abs(products))
    return rooted / np.linalg.norm(rooted)


def test_worked_example():
    features = np.array([[[1, 0], [0, 1], [2, 1]]], np.float32)  # the channels are [1, 0, 2] and [0, 1, 1]
    found = bilinear.descriptor(features, np.ones((1, 3), bool))
    np.testing.assert_allclose(found, [0.67419986, 0.42640143, 0.42640143, 0.42640143], atol=1e-7)


def test_a_batch_equals_numpy_and_cells_outside_the_mask_count_for_nothing():
    maps, masks = np.stack([feature_map(0), feature_map(1)]), np.random.default_rng(2).random((2, 4, 5)) < 0.6
    axes = feature_map(3, (1, 2))[0]
    spoilt = np.where(masks[..., None], maps, np.nan)
    found = jitted(jax.vmap(lambda x, mask: bilinear.descriptor(x, mask, axes=axes)))(spoilt, masks)
    expected = [reference(x, mask, axes) for x, mask in zip(maps, masks, strict=True)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_an_empty_mask_gives_zeros():
    np.testing.assert_array_equal(bilinear.descriptor(feature_map(), np.zeros((4, 5), bool)), 0)


def test_axes_are_the_leading_eigenvectors_of_the_uncentred_second_moment():
    x = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float32) * np.arange(1, 7, dtype=np.float32) + 2
    axes = bilinear.fit_axes(moments.of(x), dimension=3)
    values, vectors = np.linalg.eigh(x.T.astype(np.float64) @ x / len(x))
    np.testing.assert_allclose(abs(axes @ vectors[:, ::-1][:, :3]), np.eye(3), atol=1e-4)
    assert values[-1] > values[-2]  # the first axis holds the mean, which centring would take away
    assert abs(axes[0] @ x.mean(0)) > abs(axes[1] @ x.mean(0))


def test_wrong_arguments_are_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"features must be \[h, w, d\].*jax\.vmap"):
        bilinear.descriptor(np.zeros((2, 3, 4, 5)), np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="dimension must be from 1 to the descriptors' 6, got 7"):
        bilinear.fit_axes(moments.of(feature_map()), dimension=7)
