"""Boxes against the nearest-upsampled mask itself, and round trips of every conversion."""

import jax
import numpy as np
import pytest

from jaxloc import boxes, grids, metrics
from tests.compiled import compiled, jitted
from tests.reference import scda_ddt as reference

boxes = compiled(boxes)
grids = compiled(grids)

SIZES = [((7, 9), (112, 144)), ((7, 9), (119, 151)), ((1, 1), (17, 33)), ((5, 3), (5, 3))]


@pytest.mark.parametrize(("grid", "image"), SIZES)
@pytest.mark.parametrize("share", [0.03, 0.3, 0.9])
def test_box_is_tight_around_the_upsampled_mask(grid, image, share):
    mask = np.random.default_rng(0).random(grid) < share
    np.testing.assert_array_equal(boxes.mask_to_box(mask, np.array(image)), reference.box(mask, image))


@pytest.mark.parametrize(("grid", "image"), SIZES)
def test_upsampling_samples_at_half_pixel_centres(grid, image):
    values = np.random.default_rng(1).random(grid)
    expected = reference.upsample(values.astype(np.float32), image)
    np.testing.assert_array_equal(grids.upsample_nearest(values.astype(np.float32), image), expected)
    resized = jitted(lambda values: jax.image.resize(values, image, "nearest"))(values.astype(np.float32))
    assert (resized == expected).mean() > 0.999


def test_padding_around_the_valid_cells_changes_nothing():
    mask = np.random.default_rng(0).random((7, 9)) < 0.2
    padded = np.pad(mask, ((0, 5), (0, 3)))
    image, size = np.array([119, 151]), np.array([7, 9])
    np.testing.assert_array_equal(boxes.mask_to_box(padded, image, size=size), boxes.mask_to_box(mask, image))
    np.testing.assert_array_equal(
        grids.upsample_nearest(padded, (119, 151), size=size), grids.upsample_nearest(mask, (119, 151))
    )


def test_empty_mask_gives_nan_and_cells_without_an_image():
    assert np.isnan(boxes.mask_to_box(np.zeros((4, 5), bool), np.array([64, 80]))).all()
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = mask[3, 4] = True
    np.testing.assert_array_equal(boxes.mask_to_box(mask), [2, 1, 5, 4])


def test_vmap_equals_numpy_on_different_masks():
    masks = np.random.default_rng(0).random((6, 8, 11)) < 0.1
    sizes = np.array([[8, 11], [8, 11], [5, 11], [8, 4], [1, 1], [8, 11]])
    masks &= (np.indices((8, 11)) < sizes[:, :, None, None]).all(1)
    images = sizes * 16 + 5
    mapped = jitted(jax.vmap(lambda m, i, s: boxes.eager.mask_to_box(m, i, size=s)))(masks, images, sizes)
    for found, mask, image, size in zip(mapped, masks, images, sizes, strict=True):
        np.testing.assert_array_equal(found, reference.box(mask[: size[0], : size[1]], tuple(image)))


def test_flipping_the_mask_flips_the_box():
    mask = np.random.default_rng(3).random((7, 9)) < 0.1
    x0, y0, x1, y1 = np.asarray(boxes.mask_to_box(mask, np.array([112, 144])))
    np.testing.assert_array_equal(boxes.mask_to_box(mask[:, ::-1], np.array([112, 144])), [144 - x1, y0, 144 - x0, y1])


def test_large_images_do_not_overflow():
    mask = np.zeros((600, 600), bool)
    mask[599, 598] = True
    box = boxes.mask_to_box(mask, np.array([60000, 60000]))
    np.testing.assert_array_equal(box, [59800, 59900, 59900, 60000])


def some_boxes(seed: int) -> np.ndarray:
    corners = np.random.default_rng(seed).uniform(0, 100, (30, 2, 2))
    return np.concatenate([corners.min(1), corners.max(1)], -1).astype(np.float32)


def test_iou_equals_counting_pixels():
    a, b = np.round(some_boxes(0)), np.round(some_boxes(1))

    def pixels(box: np.ndarray) -> np.ndarray:
        canvas = np.zeros((100, 100), bool)
        canvas[int(box[1]) : int(box[3]), int(box[0]) : int(box[2])] = True
        return canvas

    expected = [
        (pixels(p) & pixels(q)).sum() / max((pixels(p) | pixels(q)).sum(), 1) for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_allclose(boxes.iou(a, b), expected, rtol=1e-6)
    np.testing.assert_allclose(metrics.box_iou(a, b).diagonal(), expected, rtol=1e-12)


def test_iou_of_nan_or_empty_boxes_is_zero():
    nothing = np.full(4, np.nan)
    assert boxes.iou(nothing, [0, 0, 1, 1]) == 0
    assert boxes.iou([1, 1, 1, 5], [1, 1, 1, 5]) == 0
    assert metrics.box_iou(nothing, [[0, 0, 1, 1]]) == 0
    assert boxes.iou([0, 0, 1, 1], [2, 2, 3, 3]) == 0


def test_wrong_shapes_are_refused():
    with pytest.raises(ValueError, match=r"boxes must be \[\.\.\., 4\]"):
        boxes.iou(np.zeros(3), np.zeros(4))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        boxes.mask_to_box(np.zeros((2, 3, 4), bool))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        grids.upsample_nearest(np.zeros((2, 3, 4)), (8, 8))
    with pytest.raises(ValueError, match="rows, columns"):
        grids.valid_cells(np.zeros(3), (4, 4))


@pytest.mark.parametrize("wrong", [(60, 70, 3), [[60, 70]], 60])
def test_a_size_of_an_image_is_rows_and_columns(wrong):
    with pytest.raises(ValueError, match=r"image_size must be \[2\]"):
        boxes.mask_to_box(np.ones((2, 3), bool), wrong)
