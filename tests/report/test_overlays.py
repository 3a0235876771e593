"""Overlays, thumbnails and kept response maps."""

import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data

from jaxloc.data.annotations import Rle
from jaxloc.report.overlays import draw_overlay, encode_heat, make_mask_image, make_thumbnail
from jaxloc.report.records import Finding

CYAN = (0, 229, 255)


def grey(width: int = 200, height: int = 120) -> Image.Image:
    return Image.new("RGB", (width, height), (128, 128, 128))


def finding(**changes) -> Finding:
    plain = Finding(
        name="cat/a.jpg",
        path=Path("cat/a.jpg"),
        category="cat",
        width=200,
        height=120,
        box=(50.0, 40.0, 150.0, 100.0),
        score=0.87,
        found=True,
    )
    return dataclasses.replace(plain, **changes)


def changed(image: Image.Image, before: Image.Image) -> np.ndarray:
    return (np.asarray(image) != np.asarray(before.convert("RGB"))).any(2)


def bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


def test_heat_is_signed_and_scaled_to_the_largest_magnitude():
    heat = encode_heat(np.array([[1.0, 2.0], [3.0, 7.0]]), 3.0)
    assert heat.dtype == np.int8
    assert heat.tolist() == [[-64, -32], [0, 127]]


def test_heat_keeps_the_side_of_cells_next_to_the_threshold():
    heat = encode_heat(np.array([[1e-6, -1e-6, 0.0, -5.0]]), 0.0)
    assert heat.tolist() == [[1, -1, 0, -127]]


@pytest.mark.parametrize(
    "response", [np.full((2, 3), 0.7), np.zeros((2, 3)), np.full((2, 3), np.nan), np.zeros((0, 3))]
)
def test_heat_of_a_map_without_contrast_is_zero(response):
    heat = encode_heat(response, 0.1)
    assert heat.shape == response.shape
    assert heat.dtype == np.int8
    assert not heat.any()


def test_heat_is_zero_where_the_response_is_not_finite():
    heat = encode_heat(np.array([[np.nan, 2.0, np.inf, -1.0]], np.float32), 0.0)
    assert heat.tolist() == [[0, 127, 0, -64]]


def test_heat_of_a_batch_is_refused():
    with pytest.raises(ValueError, match=r"one map \[h, w\], got shape \(1, 2, 2\)"):
        encode_heat(np.zeros((1, 2, 2)), 0.0)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((400, 600), (256, 171)), ((600, 400), (171, 256)), ((50, 40), (40, 50)), ((1, 1), (1, 1)), ((2, 5000), (256, 1))],
)
def test_thumbnail_fits_the_side_and_never_grows(shape, size):
    image = Image.open(io.BytesIO(make_thumbnail(np.zeros((*shape, 3), np.uint8))))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", size)


def test_thumbnail_looks_like_the_image_and_is_small_and_without_metadata():
    pixels = data.coffee()
    thumbnail = make_thumbnail(pixels)
    image = Image.open(io.BytesIO(thumbnail))
    whole = np.asarray(Image.fromarray(pixels).resize(image.size, Image.Resampling.LANCZOS), float)
    assert np.abs(np.asarray(image, float) - whole).mean() < 6
    assert len(thumbnail) < 16_000
    assert not image.getexif()
    assert "icc_profile" not in image.info
    assert make_thumbnail(pixels) == thumbnail


@pytest.mark.parametrize("pixels", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)])
def test_thumbnail_of_anything_but_rgb_bytes_is_refused(pixels):
    with pytest.raises(ValueError, match=r"pixels must be uint8 \[h, w, 3\]"):
        make_thumbnail(pixels)


def test_box_is_drawn_inside_its_edges_and_leaves_the_middle():
    image = grey()
    result = draw_overlay(image, finding())
    cyan = (np.asarray(result.crop((0, 40, 200, 120))) == CYAN).all(2)
    assert bounds(cyan) == (51, 1, 149, 59)  # a dark pixel outside the bright line
    below_label = changed(result, image)[40:]
    assert bounds(below_label) == (50, 0, 150, 60)
    assert not below_label[4:56, 54:146].any()


@pytest.mark.parametrize("shade", [(0, 0, 0), (255, 255, 255), CYAN, (16, 20, 24)])
def test_box_shows_on_any_background(shade):
    image = Image.new("RGB", (200, 120), shade)
    line = np.asarray(draw_overlay(image, finding()).crop((50, 70, 54, 71)), int)
    assert (np.abs(line - shade).max(2) > 100).any()


def test_box_line_grows_with_the_image():
    wide = draw_overlay(grey(2800, 1680), finding())
    cyan = (np.asarray(wide) == CYAN).all(2)
    assert cyan[840, 700:760].sum() == 8
    assert bounds(cyan[600:])[0] == 704


def test_box_is_scaled_to_an_image_of_another_size():
    cyan = (np.asarray(draw_overlay(grey(100, 60), finding(found=False))) == CYAN).all(2)
    assert bounds(cyan) == (26, 21, 74, 49)


@pytest.mark.parametrize("box", [(0.0, 0.0, 200.0, 120.0), (-5.0, -5.0, 400.0, 400.0), (199.0, 119.0, 200.0, 120.0)])
def test_box_at_or_past_the_border_stays_visible(box):
    image = grey()
    assert changed(draw_overlay(image, finding(box=box)), image)[60:, 100:].any()


def test_heat_falls_on_positive_cells_only_at_half_pixel_centres():
    image = grey(10, 4)
    heat = np.array([[127, -127, 1], [0, 0, -1]], np.int8)
    result = changed(draw_overlay(image, finding(heat=heat, box=None, width=10, height=4)), image)
    cells = np.array([[True, False, True], [False, False, False]])
    columns, rows = (np.arange(10) + 0.5) * 3 // 10, (np.arange(4) + 0.5) * 2 // 4
    np.testing.assert_array_equal(result, cells[rows.astype(int)][:, columns.astype(int)])


def test_heat_grows_warmer_with_the_response():
    heat = np.array([[20, 70, 127]], np.int8)
    row = np.asarray(draw_overlay(grey(3, 1), finding(heat=heat, box=None, width=3, height=1)), int)[0]
    redness = row[:, 0] - row[:, 2]
    assert (np.diff(redness) > 0).all()
    assert (np.diff(row[:, 1]) < 0).all()


def test_label_stands_above_the_box_and_differs_by_verdict():
    image = grey()
    found = changed(draw_overlay(image, finding()), image)
    assert found[39, 60]
    assert not found[:, :50].any()
    absent = draw_overlay(image, finding(box=None, found=False))
    assert bounds(changed(absent, image))[:2] == (0, 0)
    assert not changed(absent, image)[40:].any()
    assert absent.tobytes() != draw_overlay(image, finding(box=None)).tobytes()


@pytest.mark.parametrize("category", ["x" * 500, "船", "a\nb", ""])
def test_any_category_can_be_a_label(category):
    image = grey()
    assert changed(draw_overlay(image, finding(category=category)), image)[20:40, 50:].any()


def test_same_input_gives_the_same_image_and_is_left_alone():
    image = Image.fromarray(data.coffee())
    before = image.tobytes()
    heat = encode_heat(np.random.default_rng(0).normal(size=(9, 13)), 0.0)
    one = finding(heat=heat, width=image.width, height=image.height)
    assert draw_overlay(image, one).tobytes() == draw_overlay(image, one).tobytes()
    assert image.tobytes() == before


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1"])
def test_every_mode_and_the_smallest_image_give_rgb(mode):
    heat = np.array([[127]], np.int8)
    one = finding(width=1, height=1, box=(0.0, 0.0, 1.0, 1.0), heat=heat)
    result = draw_overlay(Image.new(mode, (1, 1)), one)
    assert (result.mode, result.size) == ("RGB", (1, 1))


def test_empty_heat_draws_nothing():
    image = grey(10, 4)
    one = finding(heat=np.zeros((0, 0), np.int8), box=None, width=10, height=4)
    assert not changed(draw_overlay(image, one), image).any()


def test_a_mask_is_tinted_instead_of_the_heat():
    mask = np.zeros((120, 200), bool)
    mask[50:60, 70:90] = True
    shown = finding(box=None, mask=Rle.of(mask).counts, heat=np.full((2, 2), 127, np.int8), category="")
    drawn = np.asarray(draw_overlay(grey(), shown))
    tinted = (drawn != 128).any(2)
    tinted[:30] = False  # the label
    np.testing.assert_array_equal(tinted, mask)


def test_a_mask_becomes_a_small_transparent_image():
    mask = np.zeros((100, 400), bool)
    mask[:, 200:] = True
    small = make_mask_image(Rle.of(mask).counts, 400, 100, 40)
    assert (small.mode, small.size) == ("RGBA", (40, 10))
    opacity = np.asarray(small.getchannel("A"))
    assert not opacity[:, :20].any()
    assert (opacity[:, 20:] > 0).all()


def test_each_part_has_a_box_of_its_own_colour():
    parts = ((10.0, 90.0, 30.0, 110.0), None, (160.0, 90.0, 190.0, 110.0))
    drawn = draw_overlay(grey(), finding(box=(100.0, 60.0, 120.0, 80.0), parts=parts))
    first, third = drawn.getpixel((12, 91)), drawn.getpixel((162, 91))
    assert first == (0xFF, 0x4F, 0xD8)
    assert third == (0x57, 0xF2, 0x87)


def test_lighter_regions_have_boxes_of_their_own_colour():
    regions = ((100.0, 60.0, 120.0, 80.0, 0.9), (10.0, 90.0, 30.0, 110.0, 0.1))
    drawn = draw_overlay(grey(), finding(box=regions[0][:4], objects=regions))
    assert drawn.getpixel((12, 91)) == (255, 225, 77)
    assert drawn.getpixel((102, 61)) == (0, 229, 255)
