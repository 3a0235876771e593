"""The guided filter and the dense CRF against all windows and all pairs, and what both keep to."""

import jax
import numpy as np
import pytest

from jaxloc import refinement
from jaxloc._jit import standard_promotion
from jaxloc.refinement import bilateral_grid
from tests.compiled import compiled, jitted
from tests.reference import refinement as reference
from tests.soaked import soaked

refinement = compiled(refinement)


def GUIDED(image, values, **options):
    return refinement.guided(image, values, **{"radius": 3, "eps": 1e-3} | options)


def CRF(image, values, *, appearance_weight=10, **options):
    """With a weight that is no part of the program."""
    options = {"iterations": 4, "appearance_deviation": 8.0, "smoothness_deviation": 1.5} | options
    return refinement.crf(image, values, appearance_weight=np.float32(appearance_weight), **options)


BOTH = pytest.mark.parametrize("refine", [GUIDED, CRF], ids=["guided", "crf"])
SIZES = np.array([[24, 32], [1, 1], [11, 20]])


@jitted
@standard_promotion()
def on_grid(image, votes, *, deviation, colours):
    """The kernel's sums, and its normalised messages."""
    grid = bilateral_grid.make_grid(image, None, deviation=deviation, colour_deviation=colours)
    sums = bilateral_grid.filter_on(grid, votes * 0 + 1)
    share = jax.lax.rsqrt(sums)
    return sums, share * bilateral_grid.filter_on(grid, share * votes)


def padded_batch(refine, images, values):
    """Each of ``SIZES`` under vmap, the images as floats in the unit range and not numbers where they are padded."""
    padding = ~((np.indices((24, 32)) < SIZES[:, :, None, None]).all(1))
    images = np.where(padding[..., None], np.nan, images / np.float32(255))
    values = np.where(padding, np.nan, values)

    def of_size(image, values, size):
        return refine(image, values, size=size)

    return BATCHES.setdefault(refine, jitted(jax.vmap(of_size)))(images, values, SIZES)


BATCHES = {}


@pytest.fixture(scope="module")
def probabilities(indicator):
    return refinement.object_probabilities(indicator, (24, 32))


@pytest.mark.parametrize("options", soaked([(3, 1e-3), (12, 1e-4)], [(3, 1e-3)]))
def test_guided_filter_equals_the_reference(small_cat, probabilities, options):
    radius, eps = options
    found = refinement.guided(small_cat, probabilities, radius=radius, eps=eps)
    np.testing.assert_allclose(found, reference.guided(small_cat / 255, probabilities, radius, eps), atol=2e-4)


@pytest.mark.parametrize("deviations", soaked([(4.0, 13.0), (8.0, 20.0)], [(4.0, 13.0)]))
def test_messages_on_the_grid_are_near_those_of_all_pairs(small_cat, probabilities, deviations):
    deviation, colours = deviations
    votes = 2 * probabilities - 1
    exact = reference.normalized(reference.kernel(small_cat.astype(float), deviation, colours)) @ votes.ravel()
    found = on_grid(small_cat.astype(np.float32), votes, deviation=deviation, colours=colours)[1].ravel()
    assert np.abs(found - exact).mean() < 0.02
    assert np.abs(found - exact).max() < 0.1


def test_sums_on_the_grid_are_near_those_of_all_pairs(small_cat, probabilities):
    exact = reference.kernel(small_cat.astype(float), 8.0, 20.0).sum(1)
    found = on_grid(small_cat.astype(np.float32), probabilities, deviation=8.0, colours=20.0)[0].ravel()
    assert np.abs(found / exact - 1).mean() < 0.04
    assert np.abs(found / exact - 1).max() < 0.25


def test_smoothness_alone_is_exact(small_cat, probabilities):
    found = CRF(small_cat, probabilities, appearance_weight=0)
    expected = reference.crf(small_cat.astype(float), probabilities, 4, 0, 1, 1, 3.0, 1.5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_mean_field_step_is_near_that_of_all_pairs(small_cat, probabilities):
    found = CRF(small_cat, probabilities, iterations=1, appearance_weight=3)
    expected = reference.crf(small_cat.astype(float), probabilities, 1, 3.0, 8.0, 20.0, 3.0, 1.5)
    assert np.abs(found - expected).mean() < 0.01
    assert np.abs(found - expected).max() < 0.08


def test_the_mean_field_has_the_mask_of_all_pairs(small_cat, probabilities):
    found = CRF(small_cat, probabilities)
    expected = reference.crf(small_cat.astype(float), probabilities, 4, 10.0, 8.0, 20.0, 3.0, 1.5)
    assert ((found > 0.5) == (expected > 0.5)).mean() > 0.98


def test_no_iterations_leave_the_probabilities(small_cat, probabilities):
    np.testing.assert_allclose(CRF(small_cat, probabilities, iterations=0), probabilities, atol=1e-5)


@BOTH
def test_a_padded_batch_equals_each_image_alone_whatever_the_padding_holds(small_cat, probabilities, refine):
    rng = np.random.default_rng(0)
    images = np.stack([np.roll(small_cat, shift, 1) for shift in range(3)])
    values = rng.permuted(np.stack([probabilities] * 3), axis=0)
    batch = padded_batch(refine, images, values)
    for found, image, one, (rows, columns) in zip(batch, images, values, SIZES, strict=True):
        image, one = image[:rows, :columns], one[:rows, :columns]
        alone = reference.guided(image / 255, one, 3, 1e-3) if refine is GUIDED else refine(image, one)
        np.testing.assert_allclose(found, np.pad(alone, [(0, 24 - rows), (0, 32 - columns)]), atol=3e-4)


@BOTH
@pytest.mark.parametrize("axis", soaked([0, 1], [1]))
def test_a_mirrored_image_gives_the_mirrored_result(small_cat, probabilities, refine, axis):
    found = np.flip(refine(np.flip(small_cat, axis), np.flip(probabilities, axis)), axis)
    np.testing.assert_allclose(found, refine(small_cat, probabilities), atol=3e-4)


@pytest.mark.soak  # the padded batch above is of floats, and equals bytes alone
@BOTH
def test_floats_in_the_unit_range_are_bytes(small_cat, probabilities, refine):
    found = padded_batch(refine, np.stack([small_cat] * 3), np.stack([probabilities] * 3))
    np.testing.assert_allclose(found[0], refine(small_cat, probabilities), atol=3e-4)


@BOTH
def test_an_image_of_one_colour_gives_a_smooth_map(refine):
    step = (np.where(np.arange(32) < 16, 0.9, 0.1) * np.ones((24, 1))).astype(np.float32)
    found = refine(np.full((24, 32, 3), 80, np.uint8), step)
    assert np.isfinite(found).all()
    assert (np.diff(found, axis=1) <= 1e-5).all()
    np.testing.assert_allclose(found, found[:1] * np.ones((24, 1)), atol=0.02)


@BOTH
def test_edges_of_the_image_draw_the_border(refine):
    image = np.zeros((24, 32, 3), np.uint8)
    image[:, :12] = 220
    rough = np.clip(0.5 + (14.5 - np.arange(32)) / 20, 0.02, 0.98)  # its border is at 14.5
    rough = (rough * np.ones((24, 1))).astype(np.float32)
    found = refine(image, rough, **({"radius": 12, "eps": 1e-4} if refine is GUIDED else {}))
    np.testing.assert_array_equal(found > 0.5, np.broadcast_to(np.arange(32) < 12, (24, 32)))


@BOTH
def test_one_pixel_and_no_object(small_cat, refine):
    one = refine(small_cat[:1, :1], np.full((1, 1), 0.8, np.float32))
    assert one[0, 0] > 0.5
    assert not (refine(small_cat, np.full((24, 32), 0.1, np.float32)) > 0.5).any()


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
