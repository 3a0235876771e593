"""Crops against Pillow's resize of the same crop."""

import functools

import jax
import numpy as np
import pytest
from PIL import Image

from jaxloc import crops
from tests.compiled import compiled, jitted
from tests.reference import descriptors as reference

crops = compiled(crops)

BOXES = [(0, 0, 451, 300), (13, 27, 311, 290), (5, 5, 25, 45), (3, 4, 4, 5), (400, 200, 451, 300), (10, 10, 11, 290)]
SHAPES = [(64, 96), (120, 33), (1, 1)]


def photo(cat: np.ndarray) -> np.ndarray:
    return cat.astype(np.float32) / 255


def pillow(image: np.ndarray, box: tuple[int, int, int, int], shape: tuple[int, int]) -> np.ndarray:
    """Each channel on its own in Pillow's floating-point mode."""
    x0, y0, x1, y1 = box
    channels = [np.ascontiguousarray(image[y0:y1, x0:x1, channel]) for channel in range(image.shape[2])]
    resized = [Image.fromarray(one).resize(shape[::-1], Image.Resampling.BILINEAR) for one in channels]
    return np.stack([np.asarray(one) for one in resized], -1)


@pytest.mark.parametrize("shape", SHAPES)
def test_equals_pillow(cat, shape):
    image = photo(cat)
    for box in BOXES:
        found = crops.crop_resize(image, np.array(box), shape)
        np.testing.assert_allclose(found, pillow(image, box, shape), atol=2e-5)


def test_equals_pillow_on_bytes_within_its_rounding(cat):
    for box in BOXES:
        expected = np.asarray(Image.fromarray(cat).crop(box).resize((96, 64), Image.Resampling.BILINEAR))
        found = crops.crop_resize(photo(cat), np.array(box), (64, 96))
        np.testing.assert_allclose(found, expected / 255, atol=1.01 / 255)


def test_boxes_between_pixels_equal_numpy(cat):
    image = photo(cat)[:40, :50]
    for box in [(3.25, 4.5, 30.75, 33.1), (0.2, 0.7, 0.9, 0.8), (10.9, 3.1, 12.1, 39.5)]:
        found = crops.crop_resize(image, np.array(box), (9, 11))
        np.testing.assert_allclose(found, reference.crop_resize(image, box, (9, 11)), atol=1e-5)


def test_result_is_continuous_where_a_box_reaches_a_new_pixel(cat):
    image = photo(cat)
    boxes = [np.array([20, 30, 119.999 + step, 130]) for step in (0, 0.002)]
    below, above = (crops.crop_resize(image, box, (64, 96)) for box in boxes)
    np.testing.assert_allclose(above, below, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 1), (64, 96)])
def test_nothing_beyond_the_box_is_seen(cat, shape):
    image = photo(cat)
    outside = np.full_like(image, 1e6)
    outside[30:90, 40:140] = image[30:90, 40:140]
    box = np.array([40, 30, 140, 90])
    np.testing.assert_array_equal(crops.crop_resize(outside, box, shape), crops.crop_resize(image, box, shape))


def test_nan_means_the_whole_valid_image(cat):
    image = photo(cat)
    padded = np.pad(image, [(0, 20), (0, 29), (0, 0)], constant_values=np.nan)
    expected = pillow(image, (0, 0, 451, 300), (64, 96))
    for box in ([np.nan] * 4, [3, np.nan, 5, 6]):
        np.testing.assert_allclose(crops.crop_resize(image, np.array(box), (64, 96)), expected, atol=2e-5)
        found = crops.crop_resize(padded, np.array(box), (64, 96), size=np.array([300, 451]))
        np.testing.assert_allclose(found, expected, atol=2e-5)


def test_a_box_is_cut_off_at_the_valid_image(cat):
    image = photo(cat)
    found = crops.crop_resize(image, np.array([-50, 250, 100, np.inf]), (64, 96))
    np.testing.assert_allclose(found, pillow(image, (0, 250, 100, 300), (64, 96)), atol=2e-5)
    found = crops.crop_resize(image, np.array([10, 20, 400, 280]), (64, 96), size=np.array([200, 150]))
    np.testing.assert_allclose(found, pillow(image, (10, 20, 150, 200), (64, 96)), atol=2e-5)


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (500, 10, 600, 20), (-9, -9, 0, -1)])
def test_a_box_without_area_in_the_image_gives_zeros(cat, box):
    np.testing.assert_array_equal(crops.crop_resize(photo(cat), np.array(box), (64, 96)), 0)


def test_no_valid_pixels_give_zeros(cat):
    found = crops.crop_resize(photo(cat), np.full(4, np.nan), (64, 96), size=np.array([0, 0]))
    np.testing.assert_array_equal(found, 0)


def test_batch_of_mixed_sizes_equals_numpy_on_each_image(cat):
    image = photo(cat)
    sizes = np.array([[300, 451], [120, 90], [37, 300], [1, 1]])
    boxes = np.array([[13, 27, 311, 290], [5.5, 2.25, 80, 200], [np.nan] * 4, [0, 0, 1, 1]])
    padded = np.full((4, 300, 451, 3), np.nan, np.float32)
    for one, (rows, columns) in zip(padded, sizes, strict=True):
        one[:rows, :columns] = image[:rows, :columns]
    crop = functools.partial(crops.crop_resize, shape=(24, 18))
    found = jitted(jax.vmap(lambda x, box, size: crop(x, box, size=size)))(padded, boxes, sizes)
    for index, (rows, columns) in enumerate(sizes):
        whole = np.array([0, 0, columns, rows])
        box = whole if np.isnan(boxes[index]).any() else np.minimum(boxes[index], np.tile(whole[2:], 2))
        alone = reference.crop_resize(image[:rows, :columns], box, (24, 18))
        np.testing.assert_allclose(found[index], alone, atol=1e-5)


def test_several_boxes_of_one_image_by_vmap(cat):
    image = photo(cat)
    crop = functools.partial(crops.crop_resize, shape=(16, 16))
    found = jitted(jax.vmap(crop, (None, 0)))(image, np.array(BOXES))
    for one, box in zip(found, BOXES, strict=True):
        np.testing.assert_allclose(one, pillow(image, box, (16, 16)), atol=2e-5)


def test_a_constant_image_stays_constant():
    found = crops.crop_resize(np.full((30, 40, 3), 0.3, np.float32), np.array([2.3, 4.1, 33.7, 21.9]), (13, 50))
    np.testing.assert_allclose(found, 0.3, rtol=1e-6)


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"image must be \[h, w, channels\].*jax\.vmap"):
        crops.crop_resize(np.zeros((2, 8, 8, 3)), np.zeros(4), (4, 4))
    with pytest.raises(ValueError, match=r"box must be \[4\].*jax\.vmap"):
        crops.crop_resize(np.zeros((8, 8, 3)), np.zeros((2, 4)), (4, 4))
    with pytest.raises(ValueError, match=r"box must be \[4\] \(x0, y0, x1, y1\)"):
        crops.crop_resize(np.zeros((8, 8, 3)), np.zeros(3), (4, 4))
