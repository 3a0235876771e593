"""Object discovery against the NumPy float64 transcription, worked examples and published photographs."""

import functools

import jax
import numpy as np
import pytest
import skimage.data

from jaxloc import discovery, graphs, models
from jaxloc._jit import standard_promotion
from jaxloc.discovery import SETTINGS, Setting, egm
from tests.compiled import RUNS_OFTEN, compiled, jitted
from tests.reference import discovery as reference
from tests.soaked import soaked

discovery = compiled(discovery, eager=("fit_objects",))
PLAIN = Setting(0.0, 1.0, 2.5)


def feature_maps(count: int = 4, shape: tuple[int, int, int] = (9, 12, 16)) -> np.ndarray:
    """Two blobs of activity over weak noise, like a network's."""
    rng = np.random.default_rng(0)
    y, x = np.indices(shape[:2])
    maps = rng.normal(size=(count, *shape)) * 0.3
    for one in maps:
        for _ in range(2):
            cy, cx = rng.uniform(0, shape[0]), rng.uniform(0, shape[1])
            one += 5 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 6)[..., None] * rng.random(shape[2])
    return np.maximum(maps, 0).astype(np.float32)


def drawn(*blocks: tuple[slice, slice, float]) -> np.ndarray:
    saliency = np.zeros((6, 8), np.float32)
    for rows, columns, value in blocks:
        saliency[rows, columns] = value
    return saliency


def kept(found: discovery.Regions) -> list[list[int]]:
    return found.cells[found.valid].tolist()


# Feature saliency.


def test_feature_saliency_by_hand():
    found = discovery.feature_saliency(np.array([[[1, 0], [1, 2]]], np.float32), epsilon=0.0)
    np.testing.assert_allclose(found, [[0.394699, 1]], atol=1e-6)


def test_feature_saliency_equals_numpy_and_does_not_depend_on_padding():
    for features in feature_maps():
        features[..., 0] = 0
        expected = reference.feature_saliency(features)
        np.testing.assert_allclose(discovery.feature_saliency(features), expected, atol=1e-6)
        padded = np.pad(features, ((0, 2), (0, 3), (0, 0)), constant_values=np.nan)
        found = discovery.feature_saliency(padded, size=np.array(features.shape[:2]))
        np.testing.assert_allclose(found[:9, :12], expected, atol=1e-6)
        assert not found[9:].any()


def test_nothing_that_fires_has_no_saliency_and_no_region():
    saliency = discovery.feature_saliency(np.zeros((9, 12, 16), np.float32))
    assert not saliency.any()
    assert not discovery.find_regions(saliency).valid.any()


# Contrast and regions.


def test_contrast_masks_what_does_not_exceed_the_threshold():
    found = discovery.contrast(np.array([[0.1, 1], [2, 0]], np.float32), threshold=0.5, exponent=2.0)
    np.testing.assert_array_equal(found, [[0, 0], [1, 0]])
    with pytest.raises(ValueError, match="exponent must be above 0, got 0: at 0 the background would count"):
        discovery.contrast(np.ones((2, 2)), threshold=0.0, exponent=0)


def test_a_uniform_rectangle_of_cells_comes_back():
    found = discovery.find_regions(drawn((slice(1, 5), slice(2, 7), 1)), setting=PLAIN)
    assert kept(found) == [[2, 1, 7, 5]]
    np.testing.assert_allclose(found.edges[0], [2, 1, 7, 5], atol=1e-5)


def test_one_cell_is_a_region():
    assert kept(discovery.find_regions(drawn((2, 2, 1)), setting=PLAIN)) == [[2, 2, 3, 3]]


@pytest.mark.parametrize(
    ("variance", "iterations", "weights", "means", "cells"),
    [
        (1.0, 9, [0.927704, 0.072296], [[2.025304, 2.510979], [6.463321, 4.48713]], [[1, 1, 3, 4], [6, 4, 7, 5]]),
        (2.5, 3, [1], [[2.346154, 2.653846]], [[0, 1, 5, 4]]),
    ],
)
def test_a_block_and_a_speck(variance, iterations, weights, means, cells):
    saliency = drawn((slice(1, 4), slice(1, 3), 1), (4, 6, 0.5))
    found = discovery.find_regions(saliency, setting=Setting(0.0, 1.0, variance))
    assert found.iterations == iterations
    assert kept(found) == cells
    np.testing.assert_allclose(found.weights[found.valid], weights, atol=1e-6)
    np.testing.assert_allclose(found.means[found.valid], means, atol=1e-5)
    if len(cells) == 1:
        np.testing.assert_allclose(found.variances[0], [1.668639, 0.899408], atol=1e-5)


def test_equal_components_are_kept_from_a_distance_on():
    """Of one variance v they overlap too much if nearer than 0.896 √v; the third is a twin of the first."""
    purge = jitted(standard_promotion()(egm._purge))
    for distance, expected in ((0.895, [True, False, False]), (0.897, [True, True, False])):
        means = np.array([[0, 0], [3 * distance, 0], [0, 0]], np.float32)
        weights, variances = np.full(3, 1 / 3, np.float32), np.full((3, 2), 9, np.float32)
        found = purge(weights, means, variances, np.ones(3, bool), 0.45 / 0.55)
        assert found.tolist() == expected


@pytest.mark.parametrize(
    "setting", soaked([SETTINGS["features, paper"], Setting(0.0, 1.0, 0.5)], [Setting(0.0, 1.0, 0.5)])
)
def test_regions_equal_numpy_alone_and_in_a_padded_batch(setting):
    maps = [reference.feature_saliency(features).astype(np.float32) for features in feature_maps()]
    maps[1] = maps[1][:7, :5]
    padded = np.stack([np.pad(one, [(0, 9 - one.shape[0]), (0, 12 - one.shape[1])]) for one in maps])
    sizes = np.array([one.shape for one in maps])
    found = jitted(jax.vmap(lambda s, size: discovery.eager.find_regions(s, size=size, setting=setting)))(padded, sizes)
    for place, one in enumerate(maps):
        real, cells, components = reference.regions(one, setting)
        alone = jax.tree.map(lambda values, place=place: values[place], found)
        number = min(len(cells), 16)
        assert alone.valid.sum() == number
        np.testing.assert_allclose(alone.edges[:number], real[:number], atol=0.05)
        np.testing.assert_allclose(alone.weights[:number], components.weight[:number], atol=1e-4)
        assert (alone.cells[:number] == cells[:number]).all()


def test_more_regions_than_are_kept_at_once():
    """Many specks: more components than the compact slots hold, of which the heaviest are given."""
    saliency = np.zeros((40, 40), np.float32)
    saliency[::4, ::4] = np.linspace(1, 2, 100).reshape(10, 10)
    found = discovery.find_regions(saliency, setting=Setting(0.0, 1.0, 0.1), slots=3)
    assert kept(found) == [[36, 36, 37, 37], [32, 36, 33, 37], [28, 36, 29, 37]]


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"saliency must be \[h, w\].*jax\.vmap"):
        discovery.find_regions(np.ones((2, 3, 3)))
    with pytest.raises(ValueError, match="variance must be above 0, got 0"):
        discovery.find_regions(np.ones((2, 3)), setting=Setting(0.0, 1.0, 0.0))
    with pytest.raises(ValueError, match="overlap must be between 0 and 1, got 1"):
        discovery.find_regions(np.ones((2, 3)), overlap=1.0)


# Vectors.


def found_in(features: np.ndarray, setting: Setting = PLAIN) -> discovery.Regions:
    return discovery.find_regions(discovery.feature_saliency(features), setting=setting)


def described(*arguments, **options) -> np.ndarray:
    return discovery.descriptor(discovery.image_regions(*arguments, **options))


def test_vectors_and_saliency_of_regions_equal_numpy():
    features = feature_maps()[0]
    saliency, found = discovery.feature_saliency(features), found_in(features)
    cells, number = found.cells[found.valid], found.valid.sum()
    vectors = discovery.region_vectors(features, found.cells, valid=found.valid)
    np.testing.assert_allclose(vectors[:number], reference.region_vectors(features, cells), atol=1e-6)
    assert not vectors[number:].any()
    values = discovery.region_saliency(saliency, found.cells)
    np.testing.assert_allclose(values[:number], reference.region_saliency(saliency, cells), atol=1e-6)


@pytest.mark.parametrize("weigh", ["weight", "equal"])
def test_a_descriptor_sums_the_vectors_of_regions(weigh):
    features = feature_maps()[1]
    found = found_in(features, Setting(0.0, 1.0, 0.5))
    vectors = reference.region_vectors(features, found.cells[found.valid])
    weights = found.weights[found.valid] if weigh == "weight" else np.ones(len(vectors))
    expected = reference.unit(weights @ vectors)
    np.testing.assert_allclose(described(features, found, weigh=weigh), expected, atol=1e-6)


def test_without_a_region_the_descriptor_is_the_whole_map_s_maximum():
    features = feature_maps()[0]
    found = discovery.find_regions(np.zeros((9, 12), np.float32))
    padded = np.pad(features, ((0, 1), (0, 1), (0, 0)), constant_values=9)
    expected = reference.unit(features.max((0, 1)))
    np.testing.assert_allclose(described(padded, found, size=np.array([9, 12])), expected, atol=1e-6)


def test_squares_lie_inside_their_region_and_share_its_weight():
    found = discovery.find_regions(drawn((slice(1, 5), slice(2, 6), 1)), setting=PLAIN)
    inner = discovery.inner_regions(found)
    assert inner.cells.shape == (16 * 24, 4)
    whole, level_1, *level_2 = inner.cells[inner.valid].tolist()
    assert whole == level_1 == [2, 1, 6, 5]
    assert level_2 == [[2, 1, 4, 3], [4, 1, 6, 3], [2, 3, 4, 5], [4, 3, 6, 5]]
    np.testing.assert_allclose(inner.weights[inner.valid], found.weights[0])


# The set's objects.


def test_centrality_of_a_pair_and_of_a_vertex_alone():
    graph = graphs.Graph(np.array([[1], [0], [2]], np.int32), np.array([[1], [1], [0]], np.float32))
    for alpha, alone in ((0.5, 0.5), (0.99, 0.01)):
        found = graphs.katz(graph, alpha=alpha)
        assert found.converged
        np.testing.assert_allclose(found.values, [1, 1, alone], rtol=1e-4)


@functools.cache
def region_set() -> tuple[np.ndarray, np.ndarray]:
    maps = feature_maps(12)
    found = [found_in(features) for features in maps]
    vectors = [reference.region_vectors(x, one.cells[one.valid]) for x, one in zip(maps, found, strict=True)]
    saliency = [
        reference.region_saliency(reference.feature_saliency(x), one.cells[one.valid])
        for x, one in zip(maps, found, strict=True)
    ]
    return np.concatenate(vectors).astype(np.float32), np.concatenate(saliency).astype(np.float32)


def test_centrality_and_object_saliency_equal_numpy():
    vectors, saliency = region_set()
    model = discovery.fit_objects(vectors, saliency, dimension=0, neighbors=3)
    expected = reference.centrality(vectors.astype(np.float64), 3)
    np.testing.assert_allclose(discovery.centrality(vectors, neighbors=3), expected, rtol=1e-3)
    np.testing.assert_allclose(model.values, saliency**3 * expected, rtol=1e-3)
    features = feature_maps()[0]
    fs = discovery.feature_saliency(features)
    found = discovery.object_saliency(model, features, fs, side=3, neighbors=5)
    expected = reference.object_saliency(features, fs, vectors, np.asarray(model.values), 3, 5)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_object_saliency_by_hand():
    model = discovery.ObjectModel(np.array([[0.9, np.sqrt(0.19)]], np.float32), np.array([0.5**3], np.float32))
    found = discovery.object_saliency(model, np.array([[[2, 0]]], np.float32), np.array([[0.8]], np.float32))
    np.testing.assert_allclose(found, [[0.05832]], rtol=1e-5)


def test_vectors_are_whitened_to_a_dimension_for_every_four_regions():
    rng = np.random.default_rng(0)
    vectors = reference.unit(rng.random(16))[None] + rng.normal(size=(30, 16)) * 0.1
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    model = discovery.fit_objects(vectors, np.ones(30, np.float32))
    assert model.vectors.shape == (30, 7)
    np.testing.assert_allclose(np.linalg.norm(model.vectors, axis=1), 1, rtol=1e-5)
    features = feature_maps(1)[0]
    assert discovery.patch_vectors(model, features).shape == (9, 12, 7)
    assert discovery.fit_objects(vectors[:3], np.ones(3, np.float32)).whitening is None


def test_a_padded_map_has_the_object_saliency_of_the_map_alone():
    vectors, saliency = region_set()
    model = discovery.fit_objects(vectors, saliency)
    features = feature_maps()[2]
    fs = discovery.feature_saliency(features)
    alone = discovery.object_saliency(model, features, fs)
    padded = np.pad(features, ((0, 3), (0, 1), (0, 0)), constant_values=7)
    found = discovery.object_saliency(model, padded, np.pad(fs, ((0, 3), (0, 1))), size=np.array([9, 12]))
    np.testing.assert_allclose(found[:9, :12], alone, rtol=1e-4, atol=1e-7)
    assert not found[9:].any()
    assert not found[:, 12:].any()


def test_sets_without_regions_and_even_patches_are_refused():
    with pytest.raises(ValueError, match=r"vectors must be \[n, d\] and saliency \[n\], n above 0"):
        discovery.fit_objects(np.zeros((0, 4)), np.zeros(0))
    model = discovery.ObjectModel(np.ones((1, 2), np.float32), np.ones(1, np.float32))
    with pytest.raises(ValueError, match="side must be odd and at least 1, got 4"):
        discovery.patch_vectors(model, np.ones((3, 3, 2)), side=4)


# Boxes.


def test_the_heaviest_region_is_the_object():
    features = feature_maps()[0]
    found = discovery.localize(features, np.array([90, 240]))
    real, cells, components = reference.regions(reference.feature_saliency(features), SETTINGS["features"])
    np.testing.assert_allclose(found.box, real[0] * [20, 10, 20, 10], atol=0.5)
    number = len(cells)
    np.testing.assert_allclose(found.objects.box[:number], real * [20, 10, 20, 10], atol=0.5)
    np.testing.assert_allclose(found.objects.weight[:number], components.weight, atol=1e-4)
    x0, y0, x1, y1 = cells[0]
    assert found.mask[y0:y1, x0:x1].all()
    assert found.mask.sum() == (y1 - y0) * (x1 - x0)
    saliency = reference.feature_saliency(features)
    assert found.score == pytest.approx(1 - saliency.mean() / saliency[found.mask].mean(), rel=1e-4)
    np.testing.assert_allclose(found.response, saliency - 0.5, atol=1e-6)
    assert found.positive_share == pytest.approx((saliency > 0.5).mean())


def test_an_image_without_activity_has_no_box():
    found = discovery.localize(np.zeros((9, 12, 16), np.float32), np.array([90, 240]))
    assert not found.found
    assert np.isnan(found.box).all()
    assert np.isnan(found.objects.box).all()
    assert found.score == 0


def test_the_object_of_a_set_is_found_in_an_image():
    vectors, saliency = region_set()
    model = discovery.fit_objects(vectors, saliency)
    features = feature_maps()[1]
    found = discovery.localize_object(model, features, np.array([90, 120]), side=3)
    fs = discovery.feature_saliency(features)
    expected = discovery.find_regions(
        discovery.object_saliency(model, features, fs, side=3), setting=SETTINGS["objects"]
    )
    np.testing.assert_allclose(found.box, expected.edges[0] * 10, rtol=1e-4)


# VGG-16 on photographs that ship inside scikit-image; numbers of an independent NumPy float64 program.

FS = {
    "chelsea": (0.534407, 0.164301, 0.122117, (10, 10), 0.598664),
    "coffee": (0.412086, 0.184324, 0.124799, (10, 21), 0.322021),
    "astronaut": (0.438618, 0.168263, 0.132296, (31, 9), 0.589649),
}
CELLS = {
    "chelsea": [[2, 1, 23, 18]],
    "coffee": [[11, 4, 27, 21], [35, 24, 37, 25]],
    "astronaut": [
        *([5, 10, 18, 21], [6, 19, 23, 32], [23, 0, 28, 11], [22, 23, 32, 32], [0, 0, 5, 8], [13, 0, 18, 4]),
    ],
}
WEIGHTS = {
    "chelsea": [1],
    "coffee": [0.99958, 0.00042],
    "astronaut": [0.40232, 0.35348, 0.14542, 0.07733, 0.01703, 0.00443],
}
F = [0.58985, 0.62207, 0.40837, 0.58600, 0.54968, 0.57979, 0.47731, 0.43059, 0.41304]
G = [0.81305, 0.92085, 0.11702, 0.98406, 1.08281, 0.90065, 0.90567, 0.64878, 0.29473]
OS = {
    "chelsea": (0.1420426, (11, 19), 0.203085),
    "coffee": (0.1294837, (17, 23), 0.138627),
    "astronaut": (0.2303650, (4, 26), 0.115261),
}
OS_CELLS = {
    "chelsea": [[3, 2, 15, 17], [16, 5, 23, 17]],
    "coffee": [[12, 6, 27, 21]],
    "astronaut": [[9, 14, 21, 32], [6, 10, 14, 18], [23, 1, 28, 8], [25, 25, 32, 32], [0, 0, 5, 7]],
}


@pytest.fixture(scope="module")
def photographs(vgg16) -> dict[str, np.ndarray]:
    images = {name: getattr(skimage.data, name)() for name in (*FS, "rocket")}

    @functools.partial(jax.jit, compiler_options=RUNS_OFTEN)
    def extract(params, image):
        return models.extract_features(params, image, backbone=vgg16.backbone)["relu5_3"].features

    return {name: np.asarray(extract(vgg16.params, image)) for name, image in images.items()}


def place(values: np.ndarray) -> tuple[int, ...]:
    return tuple(int(number) for number in np.unravel_index(values.argmax(), values.shape))


@pytest.mark.soak  # VGG-16 at full size; each of these functions equals NumPy above
def test_photographs(photographs):
    saliency, vectors, values = {}, [], []
    for name, features in photographs.items():
        saliency[name] = fs = discovery.feature_saliency(features)
        found = discovery.find_regions(fs, setting=SETTINGS["features, paper"])
        vectors.append(discovery.region_vectors(features, found.cells)[found.valid])
        values.append(discovery.region_saliency(fs, found.cells)[found.valid])
        if name in FS:
            mean, deviation, least, largest, corner = FS[name]
            measured = fs.mean(), fs.std(), fs.min(), fs[0, 0]
            np.testing.assert_allclose(measured, (mean, deviation, least, corner), atol=2e-6)
            assert place(fs) == largest
            assert kept(found) == CELLS[name]
            np.testing.assert_allclose(found.weights[found.valid], WEIGHTS[name], atol=2e-5)
    f = np.concatenate(values)
    np.testing.assert_allclose(f[: len(F)], F, atol=1e-5)
    model = discovery.fit_objects(np.concatenate(vectors), f, dimension=0)
    np.testing.assert_allclose((model.values / f**3)[: len(G)], G, rtol=1e-4)
    for name, (largest, cell, mean) in OS.items():
        found = discovery.object_saliency(model, photographs[name], saliency[name])
        assert found.max() == pytest.approx(largest, rel=1e-4)
        assert place(found) == cell
        assert found.mean() / found.max() == pytest.approx(mean, rel=1e-4)
        assert kept(discovery.find_regions(found, setting=SETTINGS["objects, paper"])) == OS_CELLS[name]
