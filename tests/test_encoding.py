"""VLAD and Fisher vectors against NumPy and scikit-image, and under padding."""

import functools
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import skimage.feature
import sklearn.mixture

from jaxloc import encoding
from jaxloc.clustering import KMeans
from jaxloc.mixture import GaussianMixture
from tests.compiled import compiled, jitted
from tests.reference import encoding as reference
from tests.reference.encoding import relu_clusters
from tests.soaked import soaked

encoding = compiled(encoding)


def feature_map(height: int = 7, width: int = 9, dimension: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A map and a mask of about half of it."""
    features = relu_clusters(height * width, dimension, seed=seed).reshape(height, width, dimension)
    return features, np.random.default_rng(seed).random((height, width)) < 0.5


def codebook(dimension: int = 12, clusters: int = 2) -> KMeans:
    return KMeans(relu_clusters(clusters, dimension, seed=5))


def gaussians(dimension: int = 12) -> GaussianMixture:
    rng = np.random.default_rng(6)
    means = relu_clusters(2, dimension, seed=5)
    variances = rng.random(means.shape, np.float32) * 200 + 100
    return GaussianMixture(np.array([0.3, 0.7], np.float32), means, variances)


ENCODERS = {
    "vlad": functools.partial(encoding.vlad, codebook()),
    "fisher_vector": functools.partial(encoding.fisher_vector, gaussians()),
}
encoders = pytest.mark.parametrize("encode", ENCODERS.values(), ids=ENCODERS)


@pytest.mark.parametrize("dimension", soaked([12, 512], [12]))
def test_vlad_equals_numpy(dimension):
    features, mask = feature_map(dimension=dimension)
    model = codebook(dimension, clusters=2)
    expected = reference.vlad(np.asarray(model.centers), features, mask)
    assert expected.shape == (2 * dimension,)
    found = encoding.vlad(model, features, mask, normalize=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(encoding.vlad(model, features, mask), reference.power_normalized(expected), atol=1e-4)


@pytest.mark.parametrize("dimension", soaked([12, 512], [12]))
def test_fisher_vector_equals_numpy(dimension):
    features, mask = feature_map(dimension=dimension)
    model = gaussians(dimension)
    expected = reference.fisher_vector(*(np.asarray(part, np.float64) for part in model), features, mask)
    assert expected.shape == (4 * dimension,)
    found = encoding.fisher_vector(model, features, mask, normalize=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    np.testing.assert_allclose(
        encoding.fisher_vector(model, features, mask), reference.power_normalized(expected), atol=1e-4
    )


def test_fisher_vector_equals_scikit_image_but_for_the_weights_and_the_sign_of_the_second_block():
    x = relu_clusters(400) + np.random.default_rng(0).random((400, 12), np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", sklearn.exceptions.ConvergenceWarning)
        theirs = sklearn.mixture.GaussianMixture(2, covariance_type="diag", max_iter=3, random_state=0, tol=0).fit(x)
    parts = theirs.weights_, theirs.means_, theirs.covariances_
    model = GaussianMixture(*(part.astype(np.float32) for part in parts))
    features, mask = feature_map(seed=3)
    expected = skimage.feature.fisher_vector(features[mask].astype(np.float64), theirs)
    expected = np.concatenate([expected[2:26], -expected[26:]])
    found = encoding.fisher_vector(model, features, mask, normalize=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_sample_of_the_mixture_itself_has_a_small_gradient():
    rng = np.random.default_rng(0)
    model = gaussians()
    component = (rng.random(40_000) < 0.7).astype(int)
    x = model.means[component] + rng.normal(size=(40_000, 12)) * np.sqrt(model.variances)[component]
    found = encoding.fisher_vector(
        model, x.astype(np.float32).reshape(200, 200, 12), np.ones((200, 200), bool), normalize=False
    )
    assert np.abs(found).max() < 5 / np.sqrt(40_000)  # Unit variance for each descriptor, by the Fisher information.
    assert np.abs(found).max() > 0.5 / np.sqrt(40_000)


@encoders
def test_result_is_of_unit_length_after_the_signed_root(encode):
    features, mask = feature_map()
    raw, final = encode(features, mask, normalize=False), encode(features, mask)
    assert final.dtype == jnp.float32
    assert np.linalg.norm(final) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(final, reference.power_normalized(raw.astype(np.float64)), atol=1e-6)


@encoders
def test_padding_and_unselected_cells_have_no_influence(encode):
    whole = np.zeros((7, 9), bool)
    whole[:5, :6] = True
    features, mask = feature_map()
    mask &= whole
    expected = encode(features, mask)
    compact = encode(*(np.ascontiguousarray(part[:5, :6]) for part in (features, mask)))
    np.testing.assert_allclose(compact, expected, atol=1e-5)
    for garbage in (np.nan, np.inf, 1e30):
        found = encode(np.where(mask[..., None], features, np.float32(garbage)), mask)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@encoders
def test_an_empty_mask_gives_zeros(encode):
    features = np.full((7, 9, 12), np.nan, np.float32)
    for normalize in ({}, {"normalize": False}):
        np.testing.assert_array_equal(encode(features, np.zeros((7, 9), bool), **normalize), 0)


@encoders
def test_vmap_equals_a_loop(encode):
    maps, masks = (np.stack(part) for part in zip(*(feature_map(seed=seed) for seed in range(3)), strict=True))
    masks[1] = False
    batch = jitted(jax.vmap(encode))(maps, masks)
    for found, features, mask in zip(batch, maps, masks, strict=True):
        np.testing.assert_allclose(found, encode(features, mask), atol=1e-5)


@encoders
def test_order_of_cells_does_not_matter(encode):
    features, mask = feature_map()
    np.testing.assert_allclose(encode(features[::-1, ::-1], mask[::-1, ::-1]), encode(features, mask), atol=1e-5)


def test_one_cell():
    features = relu_clusters(1, seed=2).reshape(1, 1, 12)
    one = np.ones((1, 1), bool)
    at_centre = KMeans(np.stack([features[0, 0] + 9, features[0, 0]]))
    np.testing.assert_array_equal(encoding.vlad(at_centre, features, one, normalize=False), 0)
    raw = encoding.vlad(codebook(), features, one, normalize=False).reshape(2, 12)
    assert (raw.any(1)).sum() == 1
    expected = reference.fisher_vector(*(np.asarray(part, np.float64) for part in gaussians()), features, one)
    found = encoding.fisher_vector(gaussians(), features, one, normalize=False)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_a_component_of_no_weight_stays_zero():
    features, mask = feature_map()
    model = gaussians()._replace(weights=np.array([0, 1], np.float32))
    found = encoding.fisher_vector(model, features, mask).reshape(2, 2, 12)
    np.testing.assert_array_equal(found[:, 0], 0)
    assert found[:, 1].all()


def test_signed_square_root():
    np.testing.assert_allclose(encoding.signed_sqrt(np.array([-4.0, 0.0, 9.0])), [-2, 0, 3])


@encoders
def test_wrong_arguments_are_refused(encode):
    features, mask = feature_map()
    with pytest.raises(ValueError, match=r"\[h, w, d\].*jax\.vmap"):
        encode(features[None], mask[None])
    with pytest.raises(ValueError, match=r"mask must be bool \(7, 9\), got bool \(7, 8\)"):
        encode(features, mask[:, 1:])
    with pytest.raises(ValueError, match=r"mask must be bool \(7, 9\), got float32"):
        encode(features, mask.astype(np.float32))
    with pytest.raises(ValueError, match="5 channels, the model was fitted on 12"):
        encode(features[..., :5], mask)
