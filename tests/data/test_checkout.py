"""Products cut out, pasted and lit."""

import numpy as np
import pytest
import skimage.data
from PIL import Image

from jaxloc.data.checkout import (
    LEVELS,
    Canvas,
    NoRoomError,
    board,
    compose,
    cut_out,
    mask_from_border,
    place,
    simulate,
)
from jaxloc.errors import ImageError
from tests.products import SIDE, cut_outs, product


def disc(colour, ground=(255, 255, 255), side: int = 120) -> np.ndarray:
    """A disc with smooth edges, whose outermost pixels are mixed with the ground: uint8."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    inside = np.clip(side / 3 - np.hypot(x, y) + 0.5, 0, 1)[..., None]
    return np.rint(inside * np.array(colour) + (1 - inside) * np.array(ground)).astype(np.uint8)


def rgba(colour, rows: int, columns: int) -> Image.Image:
    return Image.new("RGBA", (columns, rows), (*colour, 255)).convert("RGBa")


def test_what_a_flood_fill_does_not_reach_is_product():
    pixels = np.full((100, 100, 3), 255, np.uint8)
    pixels[20:80, 30:70] = (200, 30, 40)
    pixels[40:60, 40:60] = 255  # the ground's colour within the product
    mask = mask_from_border(pixels)
    assert mask[40:60, 40:60].all()
    assert not mask[:18].any()
    assert not mask[:, :28].any()
    assert abs(mask.sum() - 60 * 40) < 0.04 * 60 * 40


def test_a_gap_in_an_outline_is_no_way_in():
    pixels = np.full((200, 200, 3), 255, np.uint8)
    pixels[40:160, 40:160] = 30
    pixels[50:150, 50:150] = 255
    pixels[40:50, 100:102] = 255
    assert mask_from_border(pixels)[60:140, 60:140].all()


def test_a_border_that_is_not_uniform_says_nothing():
    assert mask_from_border(skimage.data.chelsea()) is None
    noisy = np.random.default_rng(0).normal(200, 4, (80, 80, 3)).astype(np.uint8)
    noisy[20:60, 20:60] = 20
    assert abs(mask_from_border(noisy).sum() - 1600) < 100


def test_nothing_and_everything_cannot_be_cut_out():
    with pytest.raises(ImageError, match="shows nothing in front of its background"):
        cut_out(np.zeros((40, 40, 3), np.uint8), np.zeros((40, 40), bool))
    with pytest.raises(ImageError, match="its product fills it, so there is nothing to cut out: photograph it with a"):
        cut_out(np.zeros((40, 40, 3), np.uint8), np.ones((40, 40), bool))
    cut_off = np.zeros((40, 40), bool)
    cut_off[:, 5:30] = cut_off[:30] = True
    with pytest.raises(ImageError, match="its product fills it"):
        cut_out(np.zeros((40, 40, 3), np.uint8), cut_off)


@pytest.mark.parametrize("ground", [(255, 255, 255), (0, 0, 0)])
@pytest.mark.parametrize("scale", [0.2, 0.9, 1.7])
def test_pasted_on_its_own_colour_a_product_is_not_seen(ground, scale):
    colour = (180, 120, 60)
    pixels = disc(colour, ground)
    item = place(cut_out(pixels, mask_from_border(pixels)), scale * 100, 33)
    canvas = Canvas(np.full((240, 240, 3), colour, np.uint8))
    assert canvas.paste(item, 20, 30)
    assert np.abs(255 * canvas.pixels - colour).max() < 3  # of 255: neither dark nor light fringes, but rounding


def test_an_item_is_refused_where_it_hides_more_than_half_of_another():
    canvas = Canvas(np.zeros((50, 50, 3), np.uint8))
    assert canvas.paste(rgba((255, 0, 0), 20, 20), 10, 10)
    assert not canvas.paste(rgba((0, 255, 0), 20, 20), 15, 14)
    assert (canvas.owner >= 0).sum() == 400
    assert canvas.paste(rgba((0, 255, 0), 20, 20), 20, 10)  # just half
    assert not canvas.paste(rgba((0, 0, 255), 1, 1), 12, 12)
    first, second = canvas.objects(["a", "b"])
    assert (first.category, first.box) == ("a", (10, 10, 20, 30))
    assert (second.category, second.box) == ("b", (20, 10, 40, 30))


def test_a_shadow_darkens_beside_an_item_and_not_the_item():
    canvas = Canvas(np.full((100, 100, 3), 200, np.uint8))
    canvas.paste(rgba((200, 200, 200), 20, 20), 40, 40, (6.0, 0.0, 0.4))
    assert canvas.pixels[50, 62, 0] < 0.9 * 200 / 255
    assert np.abs(255 * canvas.pixels[42:58, 42:58] - 200).max() < 1
    assert canvas.pixels[5, 5, 0] == pytest.approx(200 / 255)
    edge = Canvas(np.full((30, 30, 3), 200, np.uint8))
    assert edge.paste(rgba((0, 0, 0), 30, 30), 0, 0, (6.0, -6.0, 0.4))


@pytest.mark.parametrize("name", LEVELS)
def test_a_level_s_kinds_and_items_and_half_of_each_is_seen(name):
    names, images = cut_outs()
    level = LEVELS[name]
    for seed in range(4):
        made = compose(np.random.default_rng(seed), names, images.get, level, np.full((320, 320, 3), 230, np.uint8))
        assert level.items[0] <= len(made.objects) <= level.items[1]
        assert level.kinds[0] <= len({one.category for one in made.objects}) <= level.kinds[1]
        masks = np.array([one.mask.read().inside for one in made.objects])
        assert masks.sum(0).max() == 1  # each pixel shows one item
        for mask, one in zip(masks, made.objects, strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert one.box == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        whole = (SIDE - 60) * (SIDE - 20) * (0.8 * 0.24 * 320 / 76) ** 2  # of the smallest item
        assert masks.sum((1, 2)).min() > 0.45 * whole


def test_an_image_follows_from_its_generator_and_too_large_items_find_no_room():
    names, images = cut_outs()
    ground = board(np.random.default_rng(3), 200)
    one, again = (compose(np.random.default_rng(1), names, images.get, LEVELS["easy"], ground) for _ in range(2))
    np.testing.assert_array_equal(one.pixels, again.pixels)
    assert one.objects == again.objects
    with pytest.raises(NoRoomError):
        compose(np.random.default_rng(1), names, images.get, LEVELS["hard"], ground, product_side=0.65)


def test_light_varies_and_stays_within_bounds():
    pixels = np.asarray(product(0, ground=230))
    first, second = (simulate(np.random.default_rng(seed), pixels) for seed in (0, 1))
    assert first.shape == pixels.shape
    assert first.dtype == np.uint8
    assert (first != second).mean() > 0.5
    np.testing.assert_array_equal(first, simulate(np.random.default_rng(0), pixels))
    assert 0.6 < first.mean() / pixels.mean() < 1.4
