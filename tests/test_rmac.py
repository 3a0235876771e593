"""R-MAC's regions at every map size, and its vectors, against the published steps in NumPy."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import models, rmac, whitening
from tests.reference import descriptors as reference

ROUNDED_IN_DOUBLE = {(10, 18), (15, 27), (20, 36)}
ROUNDED_IN_SINGLE = {(7, 35), (8, 36), (9, 35)}
SIZES = [(9, 12), (5, 12), (9, 4), (1, 1), (2, 7), (9, 9)]


def feature_map(size: tuple[int, int], seed: int = 0, dimension: int = 16) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(size=(*size, dimension)), 0).astype(np.float32)


def used(found: rmac.Regions) -> list[tuple[int, ...]]:
    return [tuple(box) for box in np.asarray(found.boxes)[np.asarray(found.valid)].tolist()]


def all_regions(sides: range, levels: int = 3) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    sizes = [(rows, columns) for rows in sides for columns in sides]
    found = jax.jit(jax.vmap(lambda size: rmac.regions(size, levels=levels)))(np.array(sizes))
    boxes, valid = jax.device_get(found)
    return {size: used(rmac.Regions(boxes[i], valid[i])) for i, size in enumerate(sizes)}


def test_regions_of_every_size_are_the_published_ones_in_their_order():
    rounded = {np.float64: set(), np.float32: set()}
    for size, boxes in all_regions(range(7, 41)).items():
        assert boxes == reference.rmac_regions(*size, number=Fraction), size
        for number, differing in rounded.items():
            if boxes != reference.rmac_regions(*size, number=number):
                differing.add(size)
    for number, expected in ((np.float64, ROUNDED_IN_DOUBLE), (np.float32, ROUNDED_IN_SINGLE)):
        assert rounded[number] == expected | {size[::-1] for size in expected}


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_other_levels_and_tiny_maps(levels):
    for size, boxes in all_regions(range(1, 10), levels).items():
        assert boxes == reference.rmac_regions(*size, levels, Fraction), size


def test_a_square_map_has_one_four_and_nine_regions():
    found = rmac.regions((12, 12))
    assert found.boxes.shape == (50, 4)
    assert found.boxes.dtype == jnp.int32
    boxes = used(found)
    assert boxes[:5] == [(0, 0, 12, 12), (0, 0, 8, 8), (4, 0, 12, 8), (0, 4, 8, 12), (4, 4, 12, 12)]
    assert len(boxes) == 14
    assert not found.boxes[~found.valid].any()


def test_an_image_without_cells_has_no_region():
    found = rmac.regions((0, 0))
    assert not found.valid.any()
    features = np.ones((3, 4, 2), np.float32)
    for include_global in (False, True):
        vector = rmac.descriptor(features, size=np.array([0, 0]), include_global=include_global)
        np.testing.assert_array_equal(vector, 0)


def test_regions_appear_twice_where_the_published_code_repeats_them():
    boxes = used(rmac.regions((2, 3)))
    assert len(boxes) > len(set(boxes))
    assert boxes == reference.rmac_regions(2, 3)


@pytest.mark.parametrize("include_global", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_descriptor_equals_numpy(size, include_global):
    features = feature_map(size)
    found = rmac.descriptor(features, include_global=include_global)
    expected = reference.rmac(features, include_global=include_global)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert np.linalg.norm(found) == pytest.approx(1)


def test_global_vector_comes_first():
    features = feature_map((6, 8))
    vectors, valid = rmac.region_vectors(features, include_global=True)
    assert vectors.shape == (51, 16)
    assert valid[0]
    np.testing.assert_allclose(vectors[0], reference.unit(features.max((0, 1))), rtol=1e-6)
    alone = rmac.region_vectors(features)
    np.testing.assert_array_equal(vectors[1:], alone.vectors)
    np.testing.assert_array_equal(valid[1:], alone.valid)


def test_region_vectors_are_of_unit_length_and_zero_in_unused_slots():
    vectors, valid = rmac.region_vectors(feature_map((6, 8)))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), np.asarray(valid, float), rtol=1e-6)


@pytest.mark.parametrize("include_global", [False, True])
def test_each_region_is_whitened_before_the_sum(include_global):
    rng = np.random.default_rng(4)
    features, mean = feature_map((7, 10)), rng.random(16).astype(np.float32)
    projection = rng.normal(size=(5, 16)).astype(np.float32)
    expected = reference.rmac(
        features, include_global=include_global, whitening=lambda vector: projection.astype(float) @ (vector - mean)
    )
    for whiten in ((mean, projection), lambda vector: jnp.dot(projection, vector - mean, precision="highest")):
        found = rmac.descriptor(features, include_global=include_global, whitening=whiten)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_whitening_that_divides_by_zero_in_unused_slots_is_harmless():
    found = rmac.descriptor(feature_map((6, 6)), whitening=lambda vector: vector / jnp.linalg.norm(vector))
    np.testing.assert_allclose(found, rmac.descriptor(feature_map((6, 6))), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("whitened", [False, True])
def test_batch_of_mixed_sizes_equals_each_image_alone(whitened):
    rng = np.random.default_rng(5)
    whiten = (rng.random(16).astype(np.float32), rng.normal(size=(8, 16)).astype(np.float32)) if whitened else None
    maps = [feature_map(size, seed) for seed, size in enumerate(SIZES)]
    padded = np.stack(
        [np.pad(x, [(0, 9 - x.shape[0]), (0, 12 - x.shape[1]), (0, 0)], constant_values=np.nan) for x in maps]
    )

    def describe(x, size=None):
        return rmac.descriptor(x, size=size, include_global=True, whitening=whiten)

    found = jax.jit(jax.vmap(describe))(padded, np.array(SIZES))
    np.testing.assert_allclose(found, np.stack([jax.jit(describe)(x) for x in maps]), rtol=1e-5, atol=1e-6)


def test_memory_does_not_grow_with_the_number_of_regions():
    features = jax.ShapeDtypeStruct((40, 40, 512), jnp.float32)
    compiled = jax.jit(rmac.descriptor).lower(features).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 2 * 40 * 40 * 512 * 4


def test_real_features(cat, vgg16):
    maps = models.extract_features(vgg16.params, cat[::2, ::2], backbone=vgg16.backbone)["relu5_3"]
    features = np.asarray(maps.features)
    np.testing.assert_allclose(rmac.descriptor(features), reference.rmac(features), rtol=1e-4, atol=1e-6)


def test_a_fitted_whitening_goes_in_as_a_function_only():
    rng = np.random.default_rng(6)
    features = feature_map((6, 8))
    mean, projection = rng.random(16).astype(np.float32), rng.normal(size=(16, 16)).astype(np.float32)
    fitted = whitening.Whitening(jnp.asarray(mean), jnp.asarray(projection))
    found = rmac.descriptor(features, whitening=lambda vector: whitening.apply(fitted, vector))
    expected = rmac.descriptor(features, whitening=(mean, projection.T))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(TypeError, match="got Whitening; pass a function"):
        rmac.descriptor(features, whitening=fitted)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"features must be \[h, w, d\].*jax\.vmap"):
        rmac.descriptor(np.zeros((2, 3, 4, 5)))
    with pytest.raises(ValueError, match=r"size must be \[2\].*jax\.vmap"):
        rmac.regions(np.ones((3, 2)))
    with pytest.raises(ValueError, match="levels must be at least 1, got 0"):
        rmac.regions((3, 4), levels=0)
    with pytest.raises(ValueError, match=r"whitening must be \(mean \[5\], projection \[k, 5\]\)"):
        rmac.descriptor(np.zeros((3, 4, 5)), whitening=(np.zeros(5), np.zeros((5, 4))))
