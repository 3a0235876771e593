"""The spread map against NumPy in float64, alone and in padded batches."""

import jax
import numpy as np
import pytest

from jaxloc import ddt, moments, spreading
from jaxloc.localizers import METHODS, Inputs
from tests.compiled import compiled, jitted
from tests.reference import spreading as reference
from tests.reference.scda_ddt import box
from tests.soaked import soaked

functions = compiled(spreading)
SIZES = np.array([[9, 12], [5, 12], [9, 4], [7, 11]])
IMAGE = np.array([150, 200])
SHARES = (0.3, 0.6, 0.9)
MEAN = np.linspace(0, 1, 8).astype(np.float32)


@pytest.fixture(scope="module")
def maps():
    rng = np.random.default_rng(3)
    return rng.normal(size=(4, 9, 12)).astype(np.float32), rng.random((4, 9, 12, 8)).astype(np.float32)


@pytest.mark.parametrize("backend", soaked(["host", "device"], ["device"]))
def test_batch_of_mixed_sizes_equals_numpy_on_each_image(maps, backend):
    indicators, features = (one.copy() for one in maps)
    for number, (rows, columns) in enumerate(SIZES):
        for one in (indicators, features):
            one[number, rows:], one[number, :, columns:] = 77, np.nan

    def localize(p, x, size):
        smooth = spreading.spread(p, x, MEAN, size=size)
        return spreading.localize(smooth, IMAGE, size=size, shares=SHARES, backend=backend)

    found = jitted(jax.vmap(localize))(indicators, features, SIZES)
    for number, (rows, columns) in enumerate(SIZES):
        inside = number, slice(rows), slice(columns)
        smooth = reference.spread(indicators[inside], features[inside], MEAN)
        response, mask = reference.localize(smooth, 0.6)
        np.testing.assert_allclose(found.response[inside], response, atol=1e-5)
        np.testing.assert_array_equal(found.mask[inside], mask)
        assert found.mask[number].sum() == mask.sum()
        boxes = [box(reference.localize(smooth, share)[1], tuple(IMAGE)) for share in SHARES]
        np.testing.assert_allclose(found.box[number], np.mean(boxes, 0), rtol=1e-6)
        strength = smooth[mask].mean()
        assert found.score[number] == pytest.approx(strength / (1 + strength), abs=1e-5)
        assert found.positive_share[number] == pytest.approx((smooth > 0).mean())


def test_a_weak_cell_takes_from_the_strong_ones_that_are_like_it_alone():
    head, body, grass = [1.0, 0.1], [1.0, 0.0], [-1.0, 0.0]
    features = np.array([[head, body, grass, grass]], np.float32)
    smooth = functions.spread(np.array([[4.0, 0.1, 0.1, 0.1]]), features, np.zeros(2))
    np.testing.assert_allclose(smooth, [[2.05, 2.05, 0.1, 0.1]], atol=0.01)


def test_a_cell_at_the_mean_of_the_set_is_like_none():
    smooth = functions.spread(np.ones((1, 2)), np.array([[[1.0, 2.0], [3.0, 2.0]]]), np.array([1.0, 2.0]))
    np.testing.assert_array_equal(smooth, [[0, 1]])


def test_weak_cells_are_object_only_where_nothing_is_strong():
    weak, beside = np.full((1, 3), 0.1), np.array([[3, 0.1, 0.1]])
    assert functions.localize(weak, IMAGE).mask.all()
    np.testing.assert_array_equal(functions.localize(beside, IMAGE).mask, [[True, False, False]])


def test_the_box_lies_between_those_of_the_shares():
    found = functions.localize(np.array([[0, 0.5, 1, 0]]), IMAGE, shares=(0.1, 0.9))
    np.testing.assert_array_equal(found.box, [75, 0, 150, 150])


def test_nothing_is_found_where_nothing_is_positive():
    found = functions.localize(np.full((3, 4), -1.0), IMAGE)
    assert not found.found
    assert found.score == found.positive_share == 0
    assert np.isnan(found.box).all()


def test_the_method_takes_the_mean_of_both_layers_up_to_one_standard_deviation(maps):
    _, features = maps
    layers = features[0], features[1]
    models = jax.device_get(tuple(ddt.fit(moments.of(one)) for one in layers))
    found = METHODS["ddt-spread"].localize(
        models, Inputs(tuple((one, np.array([9, 12])) for one in layers), IMAGE), connectivity=8, backend="host"
    )
    each = [(x - m.mean) @ m.components[0] / np.sqrt(m.eigenvalues[0]) for x, m in zip(layers, models, strict=True)]
    smooth = reference.spread(np.clip(np.mean(each, 0), -1, 1), layers[1], models[1].mean)
    np.testing.assert_allclose(found.response, reference.localize(smooth, 0.45)[0], atol=1e-5)
