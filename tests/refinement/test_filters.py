"""The guided filter and the dense CRF against all windows and all pairs, and what both keep to."""

import functools

import jax
import numpy as np
import pytest

from jaxloc import refinement
from jaxloc.refinement import bilateral_grid
from tests.reference import refinement as reference

OPTIONS = {
    "guided": {"radius": 3, "eps": 1e-3},
    "crf": {"iterations": 3, "appearance_deviation": 8.0, "smoothness_deviation": 1.5},
}
GUIDED = jax.jit(functools.partial(refinement.guided, **OPTIONS["guided"]))
CRF = jax.jit(functools.partial(refinement.crf, **OPTIONS["crf"]))
BOTH = pytest.mark.parametrize("refine", [GUIDED, CRF], ids=["guided", "crf"])
SIZES = np.array([[24, 32], [1, 1], [11, 20]])


@pytest.fixture(scope="module")
def probabilities(indicator):
    return np.asarray(refinement.object_probabilities(indicator, (24, 32)))


@pytest.mark.parametrize(("radius", "eps"), [(1, 1e-2), (4, 1e-4), (40, 1e-3)])
def test_guided_filter_equals_the_reference(small_cat, probabilities, radius, eps):
    found = refinement.guided(small_cat, probabilities, radius=radius, eps=eps)
    np.testing.assert_allclose(found, reference.guided(small_cat / 255, probabilities, radius, eps), atol=2e-4)


@pytest.mark.parametrize(("deviation", "colours"), [(4.0, 13.0), (8.0, 20.0), (12.0, 40.0)])
def test_messages_on_the_grid_are_near_those_of_all_pairs(small_cat, probabilities, deviation, colours):
    votes = 2 * probabilities - 1
    exact = reference.normalized(reference.kernel(small_cat.astype(float), deviation, colours)) @ votes.ravel()
    image = small_cat.astype(np.float32)
    grid = bilateral_grid.make_grid(image, None, deviation=deviation, colour_deviation=colours)
    share = 1 / np.sqrt(bilateral_grid.filter_on(grid, np.ones_like(votes)))
    found = np.asarray(share * bilateral_grid.filter_on(grid, share * votes)).ravel()
    assert np.abs(found - exact).mean() < 0.02
    assert np.abs(found - exact).max() < 0.1


def test_sums_on_the_grid_are_near_those_of_all_pairs(small_cat):
    exact = reference.kernel(small_cat.astype(float), 8.0, 20.0).sum(1)
    grid = bilateral_grid.make_grid(small_cat.astype(np.float32), None, deviation=8.0, colour_deviation=20.0)
    found = np.asarray(bilateral_grid.filter_on(grid, np.ones((24, 32), np.float32))).ravel()
    assert np.abs(found / exact - 1).mean() < 0.04
    assert np.abs(found / exact - 1).max() < 0.25


@pytest.mark.parametrize("iterations", [1, 3])
def test_smoothness_alone_is_exact(small_cat, probabilities, iterations):
    found = refinement.crf(small_cat, probabilities, iterations=iterations, appearance_weight=0)
    expected = reference.crf(small_cat.astype(float), probabilities, iterations, 0, 1, 1, 3.0, 2.0)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_mean_field_step_is_near_that_of_all_pairs(small_cat, probabilities):
    image, values = small_cat[::2, ::2], probabilities[::2, ::2]
    assert image.shape[:2] == (12, 16)
    options = {"appearance_weight": 3.0, "appearance_deviation": 6.0, "colour_deviation": 20.0}
    found = refinement.crf(image, values, iterations=1, **options)
    expected = reference.crf(image.astype(float), values, 1, 3.0, 6.0, 20.0, 3.0, 2.0)
    assert np.abs(found - expected).mean() < 0.01
    assert np.abs(found - expected).max() < 0.08


def test_converged_mean_field_has_the_mask_of_all_pairs(small_cat, probabilities):
    found = refinement.crf(small_cat, probabilities, iterations=10, appearance_deviation=8.0)
    expected = reference.crf(small_cat.astype(float), probabilities, 10, 10.0, 8.0, 20.0, 3.0, 2.0)
    assert ((np.asarray(found) > 0.5) == (expected > 0.5)).mean() > 0.98


def test_no_iterations_leave_the_probabilities(small_cat, probabilities):
    np.testing.assert_allclose(refinement.crf(small_cat, probabilities, iterations=0), probabilities, atol=1e-5)


@BOTH
def test_a_padded_batch_under_jit_equals_each_image_alone(small_cat, probabilities, refine):
    rng = np.random.default_rng(0)
    images = np.stack([np.roll(small_cat, shift, 1) for shift in range(3)])
    values = rng.permuted(np.stack([probabilities] * 3), axis=0)
    batch = jax.jit(jax.vmap(lambda image, values, size: refine(image, values, size=size)))(images, values, SIZES)
    for found, image, one, (rows, columns) in zip(batch, images, values, SIZES, strict=True):
        alone = refine(image[:rows, :columns], one[:rows, :columns])
        np.testing.assert_allclose(found, np.pad(alone, [(0, 24 - rows), (0, 32 - columns)]), atol=3e-4)


@pytest.mark.parametrize("name", ["guided", "crf"])
def test_jit_equals_eager(small_cat, probabilities, name):
    eager = getattr(refinement, name)(small_cat, probabilities, **OPTIONS[name])
    np.testing.assert_allclose((GUIDED if name == "guided" else CRF)(small_cat, probabilities), eager, atol=3e-4)


@BOTH
def test_what_the_padding_holds_does_not_matter(small_cat, probabilities, refine):
    image = np.pad(small_cat / np.float32(255), [(0, 8), (0, 16), (0, 0)], constant_values=np.nan)
    found = refine(image, np.pad(probabilities, [(0, 8), (0, 16)], constant_values=np.nan), size=(24, 32))
    np.testing.assert_allclose(found[:24, :32], refine(small_cat, probabilities), atol=3e-4)
    assert not np.any(found[24:])
    assert not np.any(found[:, 32:])


@BOTH
@pytest.mark.parametrize("axis", [0, 1])
def test_a_mirrored_image_gives_the_mirrored_result(small_cat, probabilities, refine, axis):
    found = np.flip(refine(np.flip(small_cat, axis), np.flip(probabilities, axis)), axis)
    np.testing.assert_allclose(found, refine(small_cat, probabilities), atol=3e-4)


@BOTH
def test_floats_in_the_unit_range_are_bytes(small_cat, probabilities, refine):
    found = refine(small_cat / np.float32(255), probabilities)
    np.testing.assert_allclose(found, refine(small_cat, probabilities), atol=3e-4)


@BOTH
def test_an_image_of_one_colour_gives_a_smooth_map(refine):
    step = np.where(np.arange(32) < 16, 0.9, 0.1) * np.ones((24, 1))
    found = np.asarray(refine(np.full((24, 32, 3), 80, np.uint8), step))
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=1) <= 1e-5).all()
    np.testing.assert_allclose(found, found[:1] * np.ones((24, 1)), atol=0.02)


@BOTH
def test_edges_of_the_image_draw_the_border(refine):
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, :12] = 220
    rough = np.clip(0.5 + (14.5 - np.arange(32)) / 20, 0.02, 0.98) * np.ones((24, 1))  # its border is at 14.5
    found = np.asarray(refinement.guided(image, rough, radius=12) if refine is GUIDED else refinement.crf(image, rough))
    np.testing.assert_array_equal(found > 0.5, np.broadcast_to(np.arange(32) < 12, (24, 32)))


@BOTH
def test_one_pixel_and_no_object(small_cat, refine):
    one = refine(small_cat[:1, :1], np.full((1, 1), 0.8, np.float32))
    assert one[0, 0] > 0.5
    assert not (np.asarray(refine(small_cat, np.full((24, 32), 0.1, np.float32))) > 0.5).any()


@BOTH
def test_wrong_arguments_are_refused(small_cat, probabilities, refine):
    with pytest.raises(ValueError, match=r"image must be \[h, w, 3\].*jax.vmap"):
        refine(small_cat[None], probabilities)
    with pytest.raises(ValueError, match=r"image must be RGB \[h, w, 3\], got shape \(24, 32, 4\)"):
        refine(np.zeros((24, 32, 4), np.uint8), probabilities)
    with pytest.raises(ValueError, match=r"one size, got \(24, 32\) and \(6, 8\).*object_probabilities"):
        refine(small_cat, probabilities[:6, :8])


def test_wrong_options_are_refused(small_cat, probabilities):
    with pytest.raises(ValueError, match=r"radius must be at least 1 and eps above 0, got 0 and 0\.1"):
        refinement.guided(small_cat, probabilities, radius=0, eps=0.1)
    with pytest.raises(ValueError, match="deviations must be above 0"):
        refinement.crf(small_cat, probabilities, colour_deviation=0)
    with pytest.raises(ValueError, match=r"need a grid of [\d,]+ cells for an image of 24×32: use larger ones"):
        refinement.crf(small_cat, probabilities, colour_deviation=0.5)
