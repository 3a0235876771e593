"""Beam search against the transcription in float64, and the heat map that it leaves."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import beam, cam, localization
from tests import colours
from tests.compiled import compiled
from tests.reference import classifier_search as reference

IMAGE = reference.toy_image().astype(np.float32)
SIZE = np.array(IMAGE.shape[:2], np.int32)
RED = np.array([1, 0, 0], np.float32)
search = jax.jit(functools.partial(beam.search, colours.features, colours.head, side=reference.SIDE))


@pytest.fixture(scope="module")
def found():
    return jax.device_get(search(IMAGE, RED))


@pytest.fixture(scope="module")
def levels():
    return reference.beam(reference.toy_image(), 0)


def test_candidates_are_those_of_the_transcription(found, levels):
    for number, level in enumerate(levels):
        valid = found.valid[number]
        assert valid.sum() == len(level)
        np.testing.assert_allclose(found.scores[number][valid], [score for score, _ in level], atol=1e-5)
        np.testing.assert_allclose(found.boxes[number][valid], [box for _, box in level], atol=1e-3)
        assert not found.scores[number][~valid].any()
    np.testing.assert_allclose(found.scores[0][:4], (0.540010, 0.536772, 0.531026, 0.378855), atol=1e-6)
    assert found.scores[-1][0] == pytest.approx(0.997802, abs=1e-5)
    np.testing.assert_allclose(found.boxes[-1][0], (23.6968, 15.2337, 53.3073, 37.4415), atol=1e-3)


def test_heat_points_at_the_object(found, levels):
    heat = compiled(beam).heat_map(found.boxes, found.scores, SIZE, valid=found.valid, shape=(28, 28))
    np.testing.assert_allclose(heat, reference.heat(levels, *SIZE, 28), atol=1e-3)
    assert heat.max() == pytest.approx(66.219030, abs=1e-4)
    assert heat.sum() == pytest.approx(22288.144053, rel=1e-6)
    x, y = compiled(localization).peak(heat, SIZE)
    assert ((x - 40) / 12) ** 2 + ((y - 26) / 9) ** 2 < 0.1


def test_the_root_is_asked_about_once_and_padding_and_batches_change_nothing(found):
    traces = []

    def counted(images):
        traces.append(images.shape)
        return colours.features(images)

    padded = np.pad(np.stack([IMAGE, np.flip(IMAGE, 1)]), ((0, 0), (0, 3), (0, 7), (0, 0)), constant_values=0.5)
    one = functools.partial(beam.search, counted, colours.head, weights=RED, size=SIZE, side=reference.SIDE)
    both = jax.device_get(jax.jit(jax.vmap(one))(padded))
    assert traces == [(1, 28, 28, 3), (8, 28, 28, 3)]
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4), both.scores[0], found.scores)
    assert np.abs(both.boxes[1] - found.boxes).max() > 1


def test_weights_may_depend_on_the_probabilities_of_the_whole_image(found, levels):
    likeliest = functools.partial(
        beam.search,
        colours.features,
        colours.head,
        weights=lambda probabilities: jnp.arange(3) == probabilities.argmax(),
        side=reference.SIDE,
    )
    chosen = jax.device_get(jax.jit(likeliest)(IMAGE))
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), chosen, found)
    np.testing.assert_allclose(found.probabilities, (0.460309, 0.212861, 0.326831), atol=1e-6)
    assert found.passes == 1 + sum(map(len, levels[:-1]))


def test_wrong_arguments_name_the_cure():
    with pytest.raises(ValueError, match=r"weights must be \[classes\]"):
        search(IMAGE, RED[None])
    with pytest.raises(ValueError, match=r"weights must be \[3\], one for each channel, got shape \(4,\)"):
        cam.activation_map(np.zeros((2, 2, 3), np.float32), np.zeros(4, np.float32))


def test_the_cells_of_an_activation_map_add_up_to_the_score():
    rng = np.random.default_rng(0)
    features, weights = rng.normal(size=(4, 5, 6)).astype(np.float32), rng.normal(size=6).astype(np.float32)
    cells = compiled(cam).activation_map(features, weights)
    assert cells.mean() == pytest.approx(features.mean((0, 1)) @ weights, abs=1e-5)


def test_maps_of_two_sizes_count_alike_and_the_small_one_is_enlarged():
    rng = np.random.default_rng(1)
    small, large = (rng.normal(size=shape).astype(np.float32) for shape in ((3, 4), (6, 8)))
    enlarged = reference.enlarge(np.maximum(small, 0) / small.max(), 6, 8)
    expected = (enlarged + np.maximum(large, 0) / large.max()) / 2
    np.testing.assert_allclose(compiled(cam).fuse([100 * small, large]), expected, atol=1e-6)
    assert not compiled(cam).fuse([-abs(small), -abs(large)]).any()


def test_a_class_map_spreads_to_cells_that_look_alike():
    rng = np.random.default_rng(2)
    cells, features = abs(rng.normal(size=(4, 5))), abs(rng.normal(size=(4, 5, 6)))
    features[2, 3] = 0
    spread = compiled(cam).spread(cells.astype(np.float32), features.astype(np.float32))
    np.testing.assert_allclose(spread, reference.spread(cells, features), rtol=1e-5)
    assert spread[2, 3] == 0
    body = np.zeros((4, 5, 2), np.float32)
    body[..., 0], body[1:3, :, 0], body[1:3, :, 1] = 1, 0, 1
    head = np.zeros((4, 5), np.float32)
    head[1, 2] = 1
    np.testing.assert_allclose(compiled(cam).spread(head, body), body[..., 1] / 10, atol=1e-7)
    with pytest.raises(ValueError, match=r"features must be of the \(4, 5\) cells of the map, got shape \(5, 4, 2\)"):
        cam.spread(head, body.transpose(1, 0, 2))


@pytest.mark.parametrize(("threshold", "box"), [(0.4, (10, 10, 40, 20)), (0.6, (10, 10, 30, 20))])
def test_the_object_of_a_peak_is_its_largest_component_above_a_share_of_the_maximum(threshold, box):
    response = np.full((5, 6), -1.0, np.float32)
    response[1, 1:4] = (8, 10, 5)
    response[4, 0] = 9
    response[:, 5] = 100  # padding
    found = compiled(localization).of_peak(
        response, np.array([50, 50], np.int32), threshold=np.float32(threshold), size=np.array([5, 5], np.int32)
    )
    assert found.box.tolist() == list(box)
    assert found.found
    inside = response[found.mask].mean()
    assert found.score == pytest.approx(1 - 32 / 25 / inside)
    np.testing.assert_allclose(found.point, (25, 15))


def test_a_map_without_a_positive_value_shows_no_object():
    found = compiled(localization).of_peak(-np.ones((3, 3), np.float32), np.array([9, 9], np.int32), threshold=0.4)
    assert not found.found
    assert np.isnan(found.box).all()
    assert np.isnan(found.point).all()
    assert found.score == 0
