"""Crops: every pixel of the box, a margin, squares, and never outside the image."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from jaxloc.data import read_image
from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.report.exports import crops
from jaxloc.report.exports.job import Job
from tests.report.exports import examples


def test_each_object_is_an_image_in_the_folder_of_its_class(tmp_path):
    images = examples.images(tmp_path / "photos")
    found: list = []
    assert crops.write(Job(tmp_path / "out", images, ["cat", "dog"], found)) == images[:2]
    assert found == []
    made = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert made == ["cat/cats/b_1.png", "cat/dogs/a_2.jpg", "dog/dogs/a_1.jpg"]
    np.testing.assert_array_equal(
        read_image(tmp_path / "out/cat/cats/b_1.png").pixels, read_image(images[1].path).pixels
    )
    with Image.open(tmp_path / "out/dog/dogs/a_1.jpg") as image:
        assert image.size == (23, 35)


def test_classes_are_safe_folders(tmp_path):
    path = examples.draw(tmp_path / "a.png", 20, 20)
    objects = tuple(Annotation(name, (0.0, 0.0, 5.0, 5.0)) for name in ("../up", "a/b", "a_b"))
    crops.write(Job(tmp_path / "out", [Annotated("a.png", None, objects, 20, 20, path=path)], ["../up", "a/b", "a_b"]))
    folders = sorted(place.name for place in (tmp_path / "out").iterdir())
    assert len(folders) == 3
    assert folders[:2] == ["a_b", "a_b-" + folders[1].partition("-")[2]]
    assert folders[2] == "up"


def test_the_folder_of_the_class_does_not_appear_twice(tmp_path):
    path = examples.draw(tmp_path / "a.png", 20, 20)
    objects = tuple(Annotation(name, (0.0, 0.0, 5.0, 5.0)) for name in ("bus", "car"))
    names = ("bus/a.png", "a.png", "bus/bus/b.png", "bus.png")
    images = [Annotated(name, None, objects, 20, 20, path=path) for name in names]
    crops.write(Job(tmp_path / "out", images, ["bus", "car"]))
    made = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.png")}
    assert len(made) == 8
    assert made >= {"bus/a_1.png", "bus/bus/b_1.png", "bus/bus_1.png", "car/bus/a_2.png", "car/a_2.png"}


def test_a_turned_image_is_cropped_as_it_is_shown(tmp_path):
    path = examples.draw(tmp_path / "a.jpg", 40, 20, turned=True)
    image = Annotated("a.jpg", None, (Annotation("cat", (0.0, 0.0, 20.0, 40.0)),), 20, 40, path=path)
    crops.write(Job(tmp_path / "out", [image], ["cat"]))
    assert read_image(tmp_path / "out/cat/a_1.jpg").original_size == (40, 20)


def test_an_unreadable_image_is_told(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"no image")
    image = Annotated("a.jpg", None, (Annotation("cat", (0, 0, 2, 2)),), 20, 40, path=tmp_path / "a.jpg")
    found: list = []
    assert crops.write(Job(tmp_path / "out", [image], ["cat"], found)) == []
    assert "not an image" in str(found[0])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, (10, 20, 31, 30)),
        ({"margin": 0.1}, (7, 17, 33, 33)),
        ({"square": True}, (10, 14, 31, 35)),
    ],
)
def test_margin_and_squares(options, expected):
    assert crops.crop_box((10.0, 20.0, 30.5, 30.0), 100, 100, **options) == expected


def test_a_square_moves_where_the_image_ends():
    assert crops.crop_box((80.0, 0.0, 100.0, 4.0), 100, 100, square=True) == (80, 0, 100, 20)
    assert crops.crop_box((0.0, 0.0, 100.0, 4.0), 100, 30, square=True) == (0, 0, 100, 30)


@given(
    x=st.floats(0, 98), y=st.floats(0, 48), wide=st.floats(1e-3, 100), high=st.floats(1e-3, 50),
    margin=st.floats(0, 3), square=st.booleans(),
)  # fmt: skip
def test_crops_hold_their_box_and_stay_inside(x, y, wide, high, margin, square):
    box = (x, y, min(x + wide, 100.0), min(y + high, 50.0))
    x0, y0, x1, y1 = crops.crop_box(box, 100, 50, margin=margin, square=square)
    assert 0 <= x0 < x1 <= 100
    assert 0 <= y0 < y1 <= 50
    assert x0 <= box[0]
    assert y0 <= box[1]
    assert x1 >= box[2]
    assert y1 >= box[3]
    assert not square or x1 - x0 == y1 - y0 or 50 in (x1 - x0, y1 - y0)
