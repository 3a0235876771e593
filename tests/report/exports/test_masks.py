"""Masks as images of class numbers."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from jaxloc.data.annotations import Annotated, Annotation, MaskFile, Rle
from jaxloc.errors import UsageError
from jaxloc.report.exports import masks
from jaxloc.report.exports.job import Job
from tests.report.exports import examples

CLASSES = ["cat", "dog"]


@pytest.fixture
def images(tmp_path):
    return examples.images(tmp_path / "photos")


def test_pixels_hold_class_numbers_and_images_without_masks_are_left_out(images, tmp_path):
    (tmp_path / "out").mkdir()
    found: list = []
    assert masks.write(Job(tmp_path / "out", images, CLASSES, found)) == images[:1]
    assert found == []
    with Image.open(tmp_path / "out/masks/dogs/a.png") as image:
        assert image.mode == "P"
        values = np.asarray(image)
        assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    expected = 2 * examples.square_mask(64, 48, 10, 12, 9) + examples.square_mask(64, 48, 40, 5, 20)
    np.testing.assert_array_equal(values, expected)
    assert (tmp_path / "out/classes.txt").read_text() == "background\ncat\ndog\n"
    assert (tmp_path / "out/images/dogs/a.jpg").exists()


def test_a_trimap_keeps_what_nobody_knows(tmp_path):
    trimap = np.array([[1, 2, 3], [2, 2, 3]], np.uint8)
    Image.fromarray(trimap).save(tmp_path / "trimap.png")
    image = Annotated("a.jpg", "dog", (), 3, 2, mask=MaskFile(tmp_path / "trimap.png", inside=(1,), unknown=(3,)))
    np.testing.assert_array_equal(masks.class_map(image, CLASSES, []), [[2, 0, 255], [0, 0, 255]])


def test_a_later_object_is_above_an_earlier_one():
    inside = np.ones((2, 2), bool)
    objects = (
        Annotation("dog", (0, 0, 2, 2), mask=Rle.of(inside)),
        Annotation("cat", (0, 0, 1, 2), mask=Rle.of(inside)),
    )
    assert (masks.class_map(Annotated("a", None, objects, 2, 2), CLASSES, []) == 1).all()


def test_without_any_mask_it_says_how_to_get_them(images, tmp_path):
    with pytest.raises(UsageError, match="no image has a mask: make them with --refine"):
        masks.write(Job(tmp_path, images[1:], CLASSES))


def test_a_byte_numbers_254_classes():
    image = Annotated("a", "0", (), 2, 2, mask=Rle.of(np.ones((2, 2), bool)))
    assert masks.class_map(image, list(map(str, range(254))), []) is not None
    with pytest.raises(UsageError, match="a mask holds at most 254 classes, these are 255: export to coco"):
        masks.class_map(image, list(map(str, range(255))), [])


def test_a_mask_that_cannot_be_read_is_told(images, tmp_path):
    found: list = []
    image = dataclasses.replace(images[1], mask=MaskFile(tmp_path / "gone.png"))
    assert masks.class_map(image, CLASSES, found) is None
    assert "gone.png: not readable as a mask" in str(found[0])
