"""SCDA against the NumPy float64 transcription, on made-up maps and on a real photograph."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import grids, models, scda
from tests.compiled import compiled, jitted
from tests.reference import descriptors
from tests.reference import scda_ddt as reference
from tests.soaked import soaked

grids = compiled(grids)
scda = compiled(scda)


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


def assert_localized(found, features: np.ndarray, image: tuple[int, int]) -> np.ndarray:
    """The mask of ``features``, after ``found`` has been compared with it."""
    mask = reference.scda_mask(features)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_array_equal(found.box, reference.box(mask, image))
    aggregation = features.astype(np.float64).sum(-1)
    score = 1 - aggregation.mean() / aggregation[mask].mean() if mask.any() else 0
    assert found.score == pytest.approx(score, rel=1e-5)
    assert found.positive_share == pytest.approx((aggregation > aggregation.mean()).mean())
    return mask


@pytest.mark.parametrize("backend", soaked(["host", "device"], ["host"]))
def test_mask_box_and_descriptor_equal_numpy(backend):
    for features in feature_maps():
        found = scda.localize(features, np.array([150, 200]), backend=backend)
        mask = assert_localized(found, features, (150, 200))
        np.testing.assert_allclose(found.response, features.sum(-1), rtol=1e-5)
        np.testing.assert_allclose(
            scda.descriptor(features, found.mask), reference.scda_descriptor(features, mask), rtol=1e-5, atol=1e-7
        )


@pytest.mark.parametrize("shift", [0.5, 1, 5])
def test_scores_of_negative_features_stay_in_range(shift):
    features = feature_maps(1)[0] - np.float32(shift)
    found = scda.localize(features, np.array([160, 160]), backend="device")
    aggregation = features.astype(np.float64).sum(-1)
    aggregation -= min(aggregation.min(), 0)
    assert found.found
    assert 0 < found.score < 1
    assert found.score == pytest.approx(1 - aggregation.mean() / aggregation[found.mask].mean(), rel=1e-4)


def test_four_connectivity_is_honoured():
    aggregation = np.zeros((4, 4), np.float32)
    aggregation[0, 0] = aggregation[1, 1] = aggregation[3, 2] = aggregation[3, 3] = 1
    assert scda.object_mask(aggregation)[0, 0]
    four = scda.object_mask(aggregation, connectivity=4)
    assert four[3, 2]
    assert not four[0, 0]


@pytest.mark.parametrize("backend", ["host", "device"])
def test_batch_of_mixed_sizes_equals_numpy_on_each_image(backend):
    maps = feature_maps()
    sizes = np.array([[9, 12], [5, 12], [9, 4], [3, 3], [1, 1], [7, 11]])
    images = sizes * 16 + 3
    padded = maps.copy()
    for features, (rows, columns) in zip(padded, sizes, strict=True):
        features[rows:] = 77
        features[:, columns:] = 77
    localize = jitted(jax.vmap(lambda f, i, s: scda.eager.localize(f, i, size=s, backend=backend)))
    batch = localize(padded, images, sizes)
    for index, (features, image, (rows, columns)) in enumerate(zip(maps, images, sizes, strict=True)):
        one = jax.tree.map(lambda value, index=index: value[index], batch)
        assert not one.mask[rows:].any()
        assert not one.mask[:, columns:].any()
        assert_localized(one._replace(mask=one.mask[:rows, :columns]), features[:rows, :columns], tuple(image))


@pytest.mark.parametrize("value", [0.0, 0.1, 1 / 3, 1e6])
def test_constant_map_selects_nothing(value):
    features = np.full((9, 12, 16), value, np.float32)
    found = scda.localize(features, np.array([144, 192]), backend="device")
    assert not found.found
    assert np.isnan(found.box).all()
    assert found.score == 0
    np.testing.assert_array_equal(scda.descriptor(features, found.mask), 0)


def test_one_cell_is_never_above_its_own_mean():
    assert not scda.localize(np.ones((1, 1, 4), np.float32), np.array([20, 20])).found


def test_flip_flips_the_mask_and_scale_changes_nothing():
    features = feature_maps(1)[0]
    mask = scda.object_mask(scda.aggregation_map(features))
    np.testing.assert_array_equal(scda.object_mask(scda.aggregation_map(features[:, ::-1])), mask[:, ::-1])
    np.testing.assert_array_equal(scda.object_mask(scda.aggregation_map(features * 8)), mask)


def test_bfloat16_features_are_summed_in_float32():
    features = jnp.asarray(feature_maps(1)[0], jnp.bfloat16)
    aggregation = scda.aggregation_map(features)
    assert aggregation.dtype == jnp.float32
    np.testing.assert_allclose(aggregation, np.asarray(features, np.float64).sum(-1), rtol=1e-5)


@pytest.fixture(scope="module")
def maps_of(vgg16):
    """The real network's layers, of photographs of one size."""
    layers = ["relu5_2", "relu5_3", "pool5"]
    maps = jitted(lambda params, photo: models.extract_features(params, photo, backbone=vgg16.backbone, layers=layers))
    return lambda photo: {name: layer.features for name, layer in maps(vgg16.params, photo).items()}


def test_finds_the_cat(cat, maps_of):
    photo = cat[::2, ::2]
    features = maps_of(photo)["relu5_3"]
    found = scda.localize(features, np.array(photo.shape[:2]))
    np.testing.assert_array_equal(found.mask, reference.scda_mask(features))
    np.testing.assert_allclose(found.box, [0, 0, 184, 150], atol=17)


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


def two_layers(shape=(7, 9, 16), shape_lower=(15, 18, 24), seed=3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features of an upper and a lower layer, and the upper's object mask."""
    rng = np.random.default_rng(seed)
    features = np.maximum(rng.normal(size=shape), 0).astype(np.float32)
    lower = np.maximum(rng.normal(size=shape_lower), 0).astype(np.float32)
    return features, lower, reference.scda_mask(features)


@jitted
def plus_of(features, lower, mask):
    """The lower layer's mask, the descriptor, and that of weight 1."""
    mask_lower = scda.lower_mask(mask, scda.aggregation_map(lower))
    both = features, mask, lower, mask_lower
    return mask_lower, scda.descriptor_plus(*both), scda.descriptor_plus(*both, weight=1)


@pytest.mark.parametrize("shape_lower", [(15, 18, 24), (20, 23, 24), (3, 2, 24)])
def test_lower_mask_and_plus_equal_numpy_whatever_the_ratio_of_sizes(shape_lower):
    features, lower, mask = two_layers(shape_lower=shape_lower)
    mask_lower, plus, heavier = plus_of(features, lower, mask)
    expected = descriptors.lower_mask(mask, lower)
    np.testing.assert_array_equal(mask_lower, expected)
    blocks = [reference.scda_descriptor(features, mask), reference.scda_descriptor(lower, expected)]
    np.testing.assert_allclose(plus, np.concatenate([blocks[0], blocks[1] / 2]), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(heavier, np.concatenate(blocks), rtol=1e-5, atol=1e-7)


def test_no_component_is_taken_of_the_lower_mask():
    aggregation = np.zeros((4, 8), np.float32)
    aggregation[0, 0] = aggregation[3, 7] = 1
    np.testing.assert_array_equal(scda.lower_mask(np.ones((2, 4), bool), aggregation), aggregation > 0)


def test_the_blocks_of_plus_keep_their_lengths():
    plus = plus_of(*two_layers())[1]
    lengths = [np.linalg.norm(block) for block in np.split(plus, [16, 32, 56])]
    np.testing.assert_allclose(lengths, [1, 1, 0.5, 0.5], rtol=1e-6)
    both = scda.descriptor_flip_plus(plus, plus[::-1])
    np.testing.assert_array_equal(both, np.concatenate([plus, plus[::-1]]))


def test_an_empty_upper_mask_leaves_nothing_below():
    features, lower, mask = two_layers()
    mask_lower, plus, _ = plus_of(features, lower, np.zeros_like(mask))
    assert not mask_lower.any()
    np.testing.assert_array_equal(plus, 0)


def test_plus_of_a_batch_of_mixed_sizes_equals_numpy_on_each_image():
    sizes = np.array([[7, 9], [5, 9], [7, 4], [3, 3]])
    sizes_lower = np.array([[15, 18], [10, 18], [15, 8], [7, 6]])
    uppers, lowers, masks, expected, masks_expected = [], [], [], [], []
    for seed, (size, size_lower) in enumerate(zip(sizes, sizes_lower, strict=True)):
        features, lower, mask = two_layers((*size, 16), (*size_lower, 24), seed)
        mask_lower = descriptors.lower_mask(mask, lower)
        blocks = reference.scda_descriptor(features, mask), reference.scda_descriptor(lower, mask_lower) / 2
        expected.append(np.concatenate(blocks))
        masks_expected.append(np.pad(mask_lower, [(0, 15 - size_lower[0]), (0, 18 - size_lower[1])]))
        for padded, value, full in ((uppers, features, (7, 9)), (lowers, lower, (15, 18))):
            widths = [(0, full[0] - value.shape[0]), (0, full[1] - value.shape[1]), (0, 0)]
            padded.append(np.pad(value, widths, constant_values=np.nan))
        masks.append(np.pad(mask, [(0, 7 - size[0]), (0, 9 - size[1])]))

    def plus(features, mask, lower, size, size_lower):
        mask_lower = scda.lower_mask(mask, scda.aggregation_map(lower), size=size, size_lower=size_lower)
        return scda.descriptor_plus(features, mask, lower, mask_lower), mask_lower

    arguments = [np.stack(part) for part in (uppers, masks, lowers)]
    vectors, masks_lower = jitted(jax.vmap(plus))(*arguments, sizes, sizes_lower)
    np.testing.assert_array_equal(masks_lower, masks_expected)
    np.testing.assert_allclose(vectors, np.stack(expected), rtol=1e-5, atol=1e-7)


def test_flip_plus_of_the_cat(cat, maps_of):
    image = cat[::2, ::2]
    plus, expected = [], []
    for photo in (image, grids.flip_columns(image)):
        layers = maps_of(photo)
        upper, lower = layers["pool5"], layers["relu5_2"]
        mask = reference.scda_mask(upper)
        np.testing.assert_array_equal(scda.object_mask(scda.aggregation_map(upper)), mask)
        plus.append(plus_of(upper, lower, mask)[1])
        mask_lower = descriptors.lower_mask(mask, lower)
        assert 0 < mask_lower.sum() < reference.upsample(mask, mask_lower.shape).sum()
        expected.append(reference.scda_descriptor(upper, mask))
        expected.append(reference.scda_descriptor(lower, mask_lower) / 2)
    both = scda.descriptor_flip_plus(*plus)
    assert both.shape == (4096,)
    np.testing.assert_allclose(both, np.concatenate(expected), rtol=1e-4, atol=1e-6)
    assert 0.7 < plus[0] @ plus[1] / 2.5 < 1


def test_plus_refuses_wrong_arguments():
    features, lower, mask = two_layers()
    with pytest.raises(ValueError, match="mask must be bool, got float32"):
        scda.lower_mask(mask.astype(np.float32), lower.sum(-1))
    with pytest.raises(ValueError, match=r"aggregation must be \[h, w\].*jax\.vmap"):
        scda.lower_mask(mask, lower)
    with pytest.raises(ValueError, match=r"values must be \[h, w\].*jax\.vmap"):
        scda.lower_mask(mask[None], lower.sum(-1))
    with pytest.raises(ValueError, match=r"mask must be bool \(15, 18\)"):
        scda.descriptor_plus(features, mask, lower, mask)
    with pytest.raises(ValueError, match=r"plus_of_flip must be \[n\].*jax\.vmap"):
        scda.descriptor_flip_plus(np.zeros(3), np.zeros((2, 3)))
    with pytest.raises(ValueError, match="differ in length: 3 and 4"):
        scda.descriptor_flip_plus(np.zeros(3), np.zeros(4))
