"""DDT and DDT+ against the NumPy float64 transcription, on made-up sets and on real images."""

import functools

import jax
import numpy as np
import pytest
from sklearn.decomposition import PCA

from jaxloc import ddt, models, moments
from jaxloc.data.demo import compose
from tests.compiled import compiled, jitted
from tests.reference import scda_ddt as reference
from tests.soaked import soaked

ddt = compiled(ddt)
moments = compiled(moments, eager=("count",))

DIMENSION = 24


def image_set(seed: int = 0) -> list[np.ndarray]:
    """Maps of two sizes that share one direction inside a blob, over varied background."""
    rng = np.random.default_rng(seed)
    shared = rng.random(DIMENSION) * 3
    maps = []
    for rows, columns in ((9, 12), (7, 14), (7, 14), (9, 12)):
        y, x = np.indices((rows, columns))
        centre = rng.uniform(0.3, 0.7, 2) * (rows, columns)
        blob = np.exp(-((y - centre[0]) ** 2 + (x - centre[1]) ** 2) / 6)[..., None]
        background = rng.random((rows, columns, DIMENSION)) * rng.random(DIMENSION)
        maps.append((blob * shared + background).astype(np.float32))
    return maps


def fit(maps: list[np.ndarray], **options) -> ddt.Model:
    return ddt.fit(functools.reduce(moments.merge, map(moments.of, maps)), **options)


def test_fit_equals_numpy_and_scikit_learn():
    maps = image_set()
    model = fit(maps, components=3)
    mean, components, values = reference.ddt_fit(maps, k=3)
    np.testing.assert_allclose(model.mean, mean, rtol=1e-5)
    np.testing.assert_allclose(model.components, components, atol=1e-4)
    np.testing.assert_allclose(model.eigenvalues, values, rtol=1e-4)
    x = np.concatenate([m.reshape(-1, DIMENSION) for m in maps]).astype(np.float64)
    pca = PCA(3).fit(x)
    np.testing.assert_allclose(np.abs(model.components @ pca.components_.T), np.eye(3), atol=1e-4)
    np.testing.assert_allclose(model.explained, pca.explained_variance_ratio_, rtol=1e-4)
    aggregation = x.sum(1)
    for component, correlation in zip(components, model.correlation, strict=True):
        expected = np.corrcoef((x - mean) @ component, aggregation)[0, 1]
        assert correlation == pytest.approx(expected, abs=1e-4)
        assert correlation >= 0


def test_order_of_the_images_does_not_matter():
    maps = image_set()
    np.testing.assert_allclose(fit(maps).components, fit(maps[::-1]).components, atol=1e-5)


def assert_localized(found, maps: list[np.ndarray], features: np.ndarray, image: tuple[int, int]) -> None:
    """``found`` is what NumPy finds in ``features``, one of ``maps``."""
    mean, components, values = reference.ddt_fit(maps)
    indicator = reference.ddt_indicator(features, mean, components[0])
    mask = reference.largest(indicator > 0)
    np.testing.assert_allclose(found.response, indicator, atol=1e-4)
    np.testing.assert_array_equal(found.mask, mask)
    np.testing.assert_array_equal(found.box, reference.box(mask, image))
    assert found.positive_share == pytest.approx((indicator > 0).mean())
    strength = indicator[mask].mean() / np.sqrt(values[0])
    assert found.score == pytest.approx(strength / (1 + strength), rel=1e-4)


@pytest.mark.parametrize("backend", soaked(["host", "device"], ["host"]))
def test_localize_equals_numpy(backend):
    maps = image_set()
    model = fit(maps)
    for features in maps:
        found = ddt.localize(model, features, np.array([200, 230]), backend=backend)
        assert_localized(found, maps, features, (200, 230))


def test_padded_batch_equals_numpy_on_each_image():
    maps = image_set()
    sizes = np.array([features.shape[:2] for features in maps])
    padded = np.stack([np.pad(m, ((0, 9 - m.shape[0]), (0, 14 - m.shape[1]), (0, 0)), constant_values=9) for m in maps])
    model = fit(maps)
    valid = (np.indices((9, 14)) < sizes[:, :, None, None]).all(1)
    np.testing.assert_allclose(ddt.fit(moments.of(padded, valid)).components, model.components, atol=1e-5)
    images = sizes * 16 + 7
    batch = jitted(lambda model, *arrays: jax.vmap(lambda f, i, s: ddt.localize(model, f, i, size=s))(*arrays))(
        model, padded, images, sizes
    )
    for index, (features, image, (rows, columns)) in enumerate(zip(maps, images, sizes, strict=True)):
        one = jax.tree.map(lambda value, index=index: value[index], batch)
        assert not one.mask[rows:].any()
        assert not one.mask[:, columns:].any()
        cut = {"mask": one.mask[:rows, :columns], "response": one.response[:rows, :columns]}
        assert_localized(one._replace(**cut), maps, features, tuple(image))


@jitted
def plus(top, features, below, features_below):
    """What is found, and its mask from the indicators of both layers."""
    indicators = ddt.indicator_maps(top, features)[0], ddt.indicator_maps(below, features_below)[0]
    found = ddt.localize(top, features, np.array([160, 160]), below=below, features_below=features_below)
    return found, ddt.object_mask(*indicators)


def test_ddt_plus_is_the_component_above_cut_by_the_layer_below():
    maps, lower = image_set(0), image_set(0)
    lower = [np.roll(features, 1, axis=1) for features in lower]
    top, below = fit(maps), fit(lower)
    for features, features_below in zip(maps, lower, strict=True):
        mean, components, _ = reference.ddt_fit(maps)
        mean_below, components_below, _ = reference.ddt_fit(lower)
        expected = reference.largest(reference.ddt_indicator(features, mean, components[0]) > 0)
        expected &= reference.ddt_indicator(features_below, mean_below, components_below[0]) > 0
        found, mask = plus(top, features, below, features_below)
        np.testing.assert_array_equal(found.mask, expected)
        np.testing.assert_array_equal(found.box, reference.box(expected, (160, 160)))
        np.testing.assert_array_equal(mask, expected)


def test_sign_rules():
    maps = image_set()
    for rule in ("aggregation", "loading"):
        flipped = moments.of(-np.concatenate([m.reshape(-1, DIMENSION) for m in maps]))
        up, down = fit(maps, sign=rule), ddt.fit(flipped, sign=rule)
        np.testing.assert_allclose(up.components, down.components, atol=1e-4)
    assert (fit(maps, sign="aggregation").correlation >= 0).all()
    loading = fit(maps, sign="loading").components
    assert (loading[np.arange(2), np.abs(loading).argmax(1)] > 0).all()
    none = fit(maps, sign="none").components
    np.testing.assert_allclose(np.abs(none), np.abs(loading), atol=1e-6)


@pytest.mark.parametrize("sign", ["minority", "border", "attention"])
def test_rules_of_a_second_pass_follow_what_they_look_at(sign):
    maps = image_set()
    attention = [features[..., :2] ** 2 for features in maps]
    model = fit(maps, sign=sign)
    sums, weights = 0.0, 0.0
    for features, looked_at in zip(maps, attention, strict=True):
        numbers, weight = ddt.sign_evidence(model, features, looked_at, sign=sign)
        sums, weights = sums + numbers, weights + weight
    evidence = sums / weights
    indicators = [np.asarray(ddt.indicator_maps(model, features)) for features in maps]
    if sign == "attention":
        standard = np.concatenate([((one - one.mean()) / one.std()).ravel() for one in (a.mean(-1) for a in attention)])
        every = np.concatenate([one.reshape(2, -1) for one in indicators], 1)
        np.testing.assert_allclose(evidence, [np.corrcoef(one, standard)[0, 1] for one in every], rtol=3e-3)
    else:
        looked = [np.ones(features.shape[:2], bool) for features in maps]
        for one in looked if sign == "border" else ():
            one[1:-1, 1:-1] = False
        every = np.concatenate([one[:, where] for one, where in zip(indicators, looked, strict=True)], 1)
        np.testing.assert_allclose(evidence, 1 - 2 * (every > 0).mean(1), atol=1e-6)
    oriented = ddt.orient(model, evidence)
    flips = np.where(evidence < 0, -1, 1)[:, None]
    np.testing.assert_array_equal(oriented.components, model.components * flips)
    np.testing.assert_allclose(oriented.correlation, np.abs(evidence))


def test_evidence_of_padded_images_is_that_of_the_images_alone():
    features = image_set()[0]
    model = fit(image_set())
    size = np.array([5, 4])
    for sign in ("minority", "border", "attention"):
        alone = ddt.sign_evidence(model, features[:5, :4], features[:5, :4], sign=sign)
        padded = ddt.sign_evidence(model, features, features, sign=sign, size=size)
        jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), padded, alone)


def test_wrong_evidence_is_refused():
    model = fit(image_set())
    with pytest.raises(ValueError, match=r"evidence must be \(2,\)"):
        ddt.orient(model, np.array([0.1]))
    with pytest.raises(ValueError, match="sign='attention' needs attention"):
        ddt.sign_evidence(model, image_set()[0], sign="attention")
    with pytest.raises(ValueError, match="sign must be one of 'minority', 'border', 'attention'"):
        ddt.sign_evidence(model, image_set()[0], sign="loading")


def test_image_without_a_positive_value_is_noisy():
    maps = image_set()
    model = fit(maps)
    found = ddt.localize(model, np.zeros((9, 12, DIMENSION), np.float32), np.array([144, 192]), backend="device")
    assert not found.found
    assert np.isnan(found.box).all()
    assert found.score == 0
    assert found.positive_share == 0
    assert not found.mask.any()


def test_indicator_exactly_zero_is_not_object():
    assert not ddt.positive_cells(np.zeros((3, 4))).any()
    assert ddt.noise_score(np.array([[1.0, -1.0], [0.0, 2.0]])) == 0.5
    assert ddt.noise_score(np.array([[1.0, -1.0], [0.0, 2.0]]), size=np.array([1, 2])) == 0.5
    assert ddt.noise_score(np.array([[1.0, -1.0], [0.0, 2.0]]), size=np.array([2, 1])) == 0.5


def test_deviation_is_the_direction_of_the_sum_of_positive_descriptors():
    images = image_set()
    model = fit(images)
    features, valid = images[0], np.zeros(images[0].shape[:2], bool)
    valid[:5, :7] = True
    centred = features.astype(np.float64) - np.asarray(model.mean, np.float64)
    component = np.asarray(model.components[0], np.float64)
    for size, cells in ((None, np.ones_like(valid)), (np.array([5, 7]), valid)):
        total = centred[(centred @ component > 0) & cells].sum(0)
        found = ddt.deviation(model, features, size=size)
        np.testing.assert_allclose(found, total / np.linalg.norm(total), atol=1e-6)
    assert not ddt.deviation(model, np.broadcast_to(model.mean - component, (3, 4, DIMENSION))).any()


def test_alignment_is_high_for_what_most_images_share_and_low_for_others():
    common, other, orthogonal = np.eye(3, DIMENSION)
    deviations = np.stack([common] * 8 + [(common + other) / 2**0.5, other, orthogonal, -common, 0 * common])
    aligned = ddt.alignment(deviations)
    assert aligned[:8].min() > 0.99
    assert 0.7 < aligned[8] < 0.8
    assert aligned[9:].max() < 0.1
    np.testing.assert_array_equal(aligned[-2:], 0)


def test_alignment_does_not_depend_on_the_order_of_images_and_on_rows_of_zeros():
    deviations = np.stack([np.asarray(ddt.deviation(fit(image_set()), features)) for features in image_set()])
    aligned = ddt.alignment(deviations)
    np.testing.assert_allclose(ddt.alignment(deviations[::-1])[::-1], aligned, atol=1e-6)
    np.testing.assert_allclose(ddt.alignment(np.pad(deviations, ((0, 3), (0, 0))))[:-3], aligned, atol=1e-6)


@pytest.mark.parametrize(("number", "value"), [(1, 1), (108, 1), (108, 0)])
def test_a_set_without_variance_has_finite_numbers_and_finds_nothing(number, value):
    features = np.full((9, 12, DIMENSION), value, np.float32)
    model = ddt.fit(moments.of(features, np.arange(108).reshape(9, 12) < number))
    assert all(np.isfinite(part).all() for part in model)
    found = ddt.localize(model, features, np.array([144, 192]), backend="device")
    assert not found.found
    assert found.score == 0


@pytest.mark.parametrize("number", [2, 5])
def test_a_set_of_equal_images_without_variance_finds_nothing(number):
    features = np.broadcast_to(np.random.default_rng(0).random(DIMENSION, np.float32) * 3, (9, 12, DIMENSION))
    model = fit([features] * number)
    assert not any(part.any() for part in (model.components, model.eigenvalues, model.explained, model.correlation))
    found = ddt.localize(model, features, np.array([144, 192]), backend="device")
    assert (found.found, found.score, found.positive_share) == (False, 0, 0)


def test_rounding_is_no_variance():
    rng = np.random.default_rng(0)
    some = moments.of(1 + rng.random((108, DIMENSION)).astype(np.float32))
    for noise, varies in ((1e-7, False), (1e-4, True)):
        model = ddt.fit(some._replace(scatter=some.scatter * np.float32(noise) ** 2))
        assert model.components.any() == varies


@pytest.mark.parametrize("scale", [1e-10, 1e10])
def test_the_scale_of_the_features_changes_no_correlation(scale):
    maps = image_set()
    model, scaled = fit(maps), fit([features * np.float32(scale) for features in maps])
    np.testing.assert_allclose(scaled.correlation, model.correlation, rtol=1e-3)
    np.testing.assert_allclose(scaled.components, model.components, atol=1e-4)
    np.testing.assert_allclose(scaled.explained, model.explained, rtol=1e-4)
    np.testing.assert_allclose(scaled.eigenvalues / scale**2, model.eigenvalues, rtol=1e-4)


def test_the_layer_below_takes_the_sign_that_agrees_with_the_layer_above():
    maps, lower = image_set(0), [3 - np.roll(features, 1, axis=1)[..., :20] for features in image_set(0)]
    top, alone = fit(maps), fit(lower)
    both = [moments.of(*pair[:1], below=pair[1]) for pair in zip(maps, lower, strict=True)]
    below = ddt.agree(alone, top, functools.reduce(moments.merge, both))
    np.testing.assert_array_equal(below.components, alone.components * np.array([[-1], [1]]))
    np.testing.assert_array_equal(below.correlation, alone.correlation * np.array([-1, 1]))
    indicators = [
        np.concatenate([ddt.indicator_maps(model, features)[0].ravel() for features in some])
        for model, some in ((top, maps), (below, lower))
    ]
    assert np.corrcoef(*indicators)[0, 1] > 0
    with pytest.raises(ValueError, match=r"a scatter of \(24, 20\), got \(24, 24\): take moments\.of\(upper, below"):
        ddt.agree(alone, top, moments.of(maps[0]))


def test_fit_vmaps_over_sets():
    sets = [image_set(seed) for seed in range(3)]
    stacked = [functools.reduce(moments.merge, map(moments.of, maps)) for maps in sets]
    batch = jax.tree.map(lambda *values: np.stack(values), *stacked)
    mapped = jitted(jax.vmap(functools.partial(ddt.eager.fit, components=2)))(batch)
    for index, maps in enumerate(sets):
        np.testing.assert_allclose(mapped.components[index], fit(maps).components, atol=1e-4)


@pytest.mark.soak  # the demo in cli/test_commands.py
def test_real_images_share_the_motorcycle(vgg16):
    images = [photo.image.resize((192, 192)) for photo in compose(with_object=4, without=0, seed=1)]
    extract = jitted(functools.partial(models.extract_features, backbone=vgg16.backbone))
    maps = [extract(vgg16.params, np.asarray(image))["relu5_3"].features for image in images]
    model = fit(maps)
    mean, components, _ = reference.ddt_fit(maps)
    assert np.abs(model.components[0] - components[0]).max() < 1e-4
    for features in maps:
        mask = reference.largest(reference.ddt_indicator(features, mean, components[0]) > 0)
        np.testing.assert_array_equal(
            ddt.localize(model, features, np.array([192, 192])).box, reference.box(mask, (192, 192))
        )


def test_wrong_arguments_say_what_is_wrong():
    maps = image_set()
    model = fit(maps)
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        ddt.indicator_maps(model, np.stack([maps[0], maps[0]]))
    with pytest.raises(ValueError, match="7 channels, the model was fitted on 24"):
        ddt.indicator_maps(model, np.zeros((3, 4, 7)))
    with pytest.raises(ValueError, match="needs both below"):
        ddt.localize(model, maps[0], np.array([64, 64]), below=model)
    with pytest.raises(ValueError, match="between 1 and the dimension 24, got 25"):
        fit(maps, components=25)
    with pytest.raises(ValueError, match="sign must be one of"):
        fit(maps, sign="best")
    with pytest.raises(ValueError, match=r"both maps must have one size"):
        ddt.object_mask(np.zeros((3, 4)), np.zeros((3, 5)))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        ddt.fit(jax.tree.map(lambda value: np.stack([value] * 2), moments.of(maps[0])))
