"""SCDA against the NumPy float64 transcription, on made-up maps and on a real photograph."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import models, scda
from tests.reference import scda_ddt as reference


def feature_maps(count: int = 6, shape: tuple[int, int, int] = (9, 12, 16)) -> np.ndarray:
    """Blobs of activity over weak noise, like a network's."""
    rng = np.random.default_rng(0)
    y, x = np.indices(shape[:2])
    maps = []
    for _ in range(count):
        cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
        blob = np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 8)[..., None] * rng.random(shape[2])
        maps.append(np.maximum(blob * 5 + rng.normal(size=shape) * 0.5, 0))
    return np.array(maps, np.float32)


@pytest.mark.parametrize("backend", ["host", "device"])
def test_mask_box_and_descriptor_equal_numpy(backend):
    for features in feature_maps():
        mask = reference.scda_mask(features)
        found = scda.localize(features, np.array([150, 200]), backend=backend)
        np.testing.assert_array_equal(found.mask, mask)
        np.testing.assert_array_equal(found.box, reference.box(mask, (150, 200)))
        np.testing.assert_allclose(found.response, features.sum(-1), rtol=1e-5)
        np.testing.assert_allclose(
            scda.descriptor(features, found.mask), reference.scda_descriptor(features, mask), rtol=1e-5, atol=1e-7
        )
        aggregation = features.astype(np.float64).sum(-1)
        assert found.score == pytest.approx(1 - aggregation.mean() / aggregation[mask].mean(), rel=1e-5)
        assert found.positive_share == pytest.approx((aggregation > aggregation.mean()).mean())


def test_four_connectivity_is_honoured():
    aggregation = np.zeros((4, 4), np.float32)
    aggregation[0, 0] = aggregation[1, 1] = aggregation[3, 2] = aggregation[3, 3] = 1
    assert scda.object_mask(aggregation)[0, 0]
    four = np.asarray(scda.object_mask(aggregation, connectivity=4))
    assert four[3, 2]
    assert not four[0, 0]


@pytest.mark.parametrize("backend", ["host", "device"])
def test_batch_of_mixed_sizes_equals_each_image_alone(backend):
    maps = feature_maps()
    sizes = np.array([[9, 12], [5, 12], [9, 4], [3, 3], [1, 1], [7, 11]])
    images = sizes * 16 + 3
    padded = maps.copy()
    for features, (rows, columns) in zip(padded, sizes, strict=True):
        features[rows:] = 77
        features[:, columns:] = 77
    localize = functools.partial(scda.localize, backend=backend)
    batch = jax.jit(jax.vmap(lambda f, i, s: localize(f, i, size=s)))(padded, images, sizes)
    for index, (features, image, (rows, columns)) in enumerate(zip(maps, images, sizes, strict=True)):
        alone = localize(features[:rows, :columns], image)
        np.testing.assert_array_equal(batch.mask[index, :rows, :columns], alone.mask)
        assert not batch.mask[index, rows:].any()
        assert not batch.mask[index, :, columns:].any()
        np.testing.assert_array_equal(batch.box[index], alone.box)
        np.testing.assert_allclose(batch.score[index], alone.score, rtol=1e-5)
        np.testing.assert_array_equal(batch.positive_share[index], alone.positive_share)


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6])
def test_constant_map_selects_nothing(value):
    found = scda.localize(np.full((7, 11, 3), value, np.float32), np.array([112, 176]))
    assert not found.found
    assert np.isnan(found.box).all()
    assert found.score == 0
    np.testing.assert_array_equal(scda.descriptor(np.full((7, 11, 3), value, np.float32), found.mask), 0)


def test_one_cell_is_never_above_its_own_mean():
    assert not scda.localize(np.ones((1, 1, 4), np.float32), np.array([20, 20])).found


def test_flip_flips_the_mask_and_scale_changes_nothing():
    features = feature_maps(1)[0]
    mask = np.asarray(scda.object_mask(scda.aggregation_map(features)))
    np.testing.assert_array_equal(scda.object_mask(scda.aggregation_map(features[:, ::-1])), mask[:, ::-1])
    np.testing.assert_array_equal(scda.object_mask(scda.aggregation_map(features * 8)), mask)


def test_bfloat16_features_are_summed_in_float32():
    features = jnp.asarray(feature_maps(1)[0], jnp.bfloat16)
    aggregation = scda.aggregation_map(features)
    assert aggregation.dtype == jnp.float32
    np.testing.assert_allclose(aggregation, np.asarray(features, np.float64).sum(-1), rtol=1e-5)


def test_finds_the_cat(cat, vgg16):
    maps = models.extract_features(vgg16.params, cat, network=vgg16.network)["relu5_3"]
    found = scda.localize(maps.features, np.array(cat.shape[:2]))
    np.testing.assert_array_equal(found.mask, reference.scda_mask(np.asarray(maps.features)))
    np.testing.assert_allclose(found.box, [0, 0, 369, 299], atol=17)


def test_a_batch_is_refused_with_the_cure():
    batch = np.zeros((2, 4, 5, 3), np.float32)
    for call in (scda.aggregation_map, lambda x: scda.localize(x, np.array([64, 80]))):
        with pytest.raises(ValueError, match=r"\[h, w, d\].*\(2, 4, 5, 3\).*jax\.vmap"):
            call(batch)
    for function in (scda.mean_mask, scda.object_mask):
        with pytest.raises(ValueError, match=r"jax\.vmap"):
            function(np.zeros((2, 4, 5)))
    with pytest.raises(ValueError, match="connectivity"):
        scda.object_mask(np.zeros((4, 5)), connectivity=5)
