"""R-MAC's regions at every map size, and its vectors, against the published steps in NumPy."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import rmac, whitening
from tests.compiled import compiled, jitted
from tests.reference import descriptors as reference

rmac = compiled(rmac)

ROUNDED_IN_DOUBLE = {(10, 18), (15, 27), (20, 36)}
ROUNDED_IN_SINGLE = {(7, 35), (8, 36), (9, 35)}
SIZES = [(9, 12), (5, 12), (9, 4), (1, 1), (2, 7), (9, 9), (0, 0)]


def feature_map(size: tuple[int, int], seed: int = 0, dimension: int = 16) -> np.ndarray:
    return np.maximum(np.random.default_rng(seed).normal(size=(*size, dimension)), 0).astype(np.float32)


def used(found: rmac.Regions) -> list[tuple[int, ...]]:
    return [tuple(box) for box in np.asarray(found.boxes)[np.asarray(found.valid)].tolist()]


def all_regions(sides: range, levels: int = 3) -> dict[tuple[int, int], list[tuple[int, ...]]]:
    sizes = [(rows, columns) for rows in sides for columns in sides]
    boxes, valid = jitted(jax.vmap(lambda size: rmac.regions(size, levels=levels)))(np.array(sizes))
    return {size: used(rmac.Regions(boxes[i], valid[i])) for i, size in enumerate(sizes)}


def test_regions_of_every_size_are_the_published_ones_in_their_order():
    rounded = {np.float64: set(), np.float32: set()}
    for size, boxes in all_regions(range(7, 41)).items():
        assert boxes == reference.rmac_regions(*size, number=Fraction), size
        for number, differing in rounded.items() if size[0] <= size[1] else ():
            if boxes != reference.rmac_regions(*size, number=number):
                differing.add(size)
    for number, expected in ((np.float64, ROUNDED_IN_DOUBLE), (np.float32, ROUNDED_IN_SINGLE)):
        assert rounded[number] == expected


@pytest.mark.parametrize("levels", [1, 4])
def test_other_levels_and_tiny_maps(levels):
    for size, boxes in all_regions(range(1, 10), levels).items():
        assert boxes == reference.rmac_regions(*size, levels, Fraction), size


def test_a_square_map_has_one_four_and_nine_regions():
    found = rmac.regions(np.array([12, 12]))
    assert found.boxes.shape == (50, 4)
    assert found.boxes.dtype == jnp.int32
    boxes = used(found)
    assert boxes[:5] == [(0, 0, 12, 12), (0, 0, 8, 8), (4, 0, 12, 8), (0, 4, 8, 12), (4, 4, 12, 12)]
    assert len(boxes) == 14
    assert not found.boxes[~found.valid].any()


def test_an_image_without_cells_has_no_region():
    assert not rmac.regions(np.array([0, 0])).valid.any()


def test_regions_appear_twice_where_the_published_code_repeats_them():
    boxes = used(rmac.regions(np.array([2, 3])))
    assert len(boxes) > len(set(boxes))
    assert boxes == reference.rmac_regions(2, 3)


@pytest.mark.parametrize(("include_global", "dimension"), [(False, 512), (True, 16)])
def test_descriptor_equals_numpy(include_global, dimension):
    features = feature_map((9, 12), dimension=dimension)
    found = rmac.descriptor(features, include_global=include_global)
    expected = reference.rmac(features, include_global=include_global)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)
    assert np.linalg.norm(found) == pytest.approx(1)


def test_global_vector_comes_first():
    features = feature_map((9, 12))
    vectors, valid = rmac.region_vectors(features, include_global=True)
    assert vectors.shape == (51, 16)
    assert valid[0]
    np.testing.assert_allclose(vectors[0], reference.unit(features.max((0, 1))), rtol=1e-6)
    alone = rmac.region_vectors(features)
    np.testing.assert_array_equal(vectors[1:], alone.vectors)
    np.testing.assert_array_equal(valid[1:], alone.valid)


def test_region_vectors_are_of_unit_length_and_zero_in_unused_slots():
    vectors, valid = rmac.region_vectors(feature_map((9, 12)))
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), valid.astype(float), rtol=1e-6)


def some_whitening(dimension: int = 5) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(4)
    return rng.random(16).astype(np.float32), rng.normal(size=(dimension, 16)).astype(np.float32)


@pytest.mark.parametrize("as_function", [False, True])
def test_each_region_is_whitened_before_the_sum(as_function):
    features, (mean, projection) = feature_map((9, 12)), some_whitening()

    def whiten(vector):
        return jnp.dot(projection, vector - mean, precision="highest")

    whitening = whiten if as_function else (mean, projection)
    found = rmac.descriptor(features, include_global=as_function, whitening=whitening)
    expected = reference.rmac(
        features, include_global=as_function, whitening=lambda vector: projection.astype(float) @ (vector - mean)
    )
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_whitening_that_divides_by_zero_in_unused_slots_is_harmless():
    features = feature_map((9, 12))
    found = rmac.descriptor(features, whitening=lambda vector: vector / jnp.linalg.norm(vector))
    np.testing.assert_allclose(found, reference.rmac(features), rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("whitened", [False, True])
def test_batch_of_mixed_sizes_equals_numpy_on_each_image(whitened):
    mean, projection = some_whitening()
    maps = [feature_map(size, seed) for seed, size in enumerate(SIZES)]
    padded = np.stack(
        [np.pad(x, [(0, 9 - x.shape[0]), (0, 12 - x.shape[1]), (0, 0)], constant_values=np.nan) for x in maps]
    )

    def describe(x, size):
        whitening = (mean, projection) if whitened else None
        return rmac.descriptor(x, size=size, include_global=whitened, whitening=whitening)

    found = jitted(jax.vmap(describe))(padded, np.array(SIZES))
    whiten = (lambda vector: projection.astype(float) @ (vector - mean)) if whitened else None
    expected = [reference.rmac(x, include_global=whitened, whitening=whiten) for x in maps[:-1]]
    np.testing.assert_allclose(found[:-1], np.stack(expected), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found[-1], 0)


def test_memory_does_not_grow_with_the_number_of_regions():
    features = jax.ShapeDtypeStruct((40, 40, 512), jnp.float32)
    program = jax.jit(rmac.eager.descriptor).lower(features).compile()
    assert program.memory_analysis().temp_size_in_bytes < 2 * 40 * 40 * 512 * 4


def test_a_fitted_whitening_goes_in_as_a_function_only():
    features, (mean, projection) = feature_map((9, 12)), some_whitening(16)
    fitted = whitening.Whitening(mean, projection)
    found = rmac.descriptor(features, whitening=lambda vector: whitening.apply(fitted, vector))
    expected = reference.rmac(features, whitening=lambda vector: projection.T.astype(float) @ (vector - mean))
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
