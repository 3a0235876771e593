"""VOC: whole pixels that count from 1, and what that costs."""

import dataclasses
import os
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from jaxloc.data.annotations import read
from jaxloc.report.exports import voc
from jaxloc.report.exports.job import Job
from tests.report.exports import examples

CLASSES = ["cat", "dog"]


@pytest.fixture
def images(tmp_path):
    return examples.flat(examples.images(tmp_path / "photos"))


def export(folder, images):
    folder.mkdir()
    found: list = []
    voc.write(Job(folder, images, CLASSES, found))
    assert found == []


def test_a_round_trip_moves_sides_by_half_a_pixel_at_most(images, tmp_path):
    export(tmp_path / "out", images)
    read_back = read(tmp_path / "out")
    assert read_back.problems == []
    assert sorted(read_back.images) == sorted(image.name for image in images)
    for image in images:
        again = read_back.images[image.name]
        assert (again.width, again.height) == (image.width, image.height)
        assert again.path == tmp_path / "out" / "JPEGImages" / image.name
        assert len(again.annotations) == len(image.annotations)
        for before, after in zip(image.annotations, again.annotations, strict=True):
            assert np.abs(np.subtract(before.box, after.box)).max() <= 0.5
            assert (before.category, before.difficult) == (after.category, after.difficult)
            assert (before.truncated, before.score) == (after.truncated, after.score)
            assert [name for name, _ in before.parts] == [name for name, _ in after.parts]


def test_corners_count_from_one_and_are_inside(images, tmp_path):
    export(tmp_path / "out", images)
    root = ElementTree.parse(tmp_path / "out" / "Annotations" / "cats_b.xml").getroot()
    assert [root.findtext(f"object/bndbox/{c}") for c in ("xmin", "ymin", "xmax", "ymax")] == ["1", "1", "50", "40"]
    assert [root.findtext(f"size/{side}") for side in ("width", "height", "depth")] == ["50", "40", "3"]
    assert root.findtext("object/truncated") == "1"


whole = st.tuples(st.integers(0, 99), st.integers(1, 100)).map(
    lambda p: (min(p[0], 100 - p[1]), min(p[0], 100 - p[1]) + p[1])
)


@given(x=whole, y=whole)
def test_boxes_of_whole_pixels_come_back_as_they_are(x, y):
    xmin, ymin, xmax, ymax = voc.to_pixels((float(x[0]), float(y[0]), float(x[1]), float(y[1])), 100, 100)
    assert (xmin - 1, ymin - 1, xmax, ymax) == (x[0], y[0], x[1], y[1])


@settings(max_examples=200)
@given(start=st.floats(0, 99.9), length=st.floats(1e-6, 100))
def test_a_box_keeps_a_pixel_and_stays_inside(start, length):
    box = (start, 0.0, min(start + length, 100.0), 50.0)
    xmin, _, xmax, _ = voc.to_pixels(box, 100, 50)
    assert 1 <= xmin <= xmax <= 100
    if box[2] - box[0] >= 1:
        assert abs(xmin - 1 - box[0]) <= 0.5
        assert abs(xmax - box[2]) <= 0.5


def test_splits_are_lists_of_names(images, tmp_path):
    split = [
        dataclasses.replace(image, splits=("train",) if number else ("val",)) for number, image in enumerate(images)
    ]
    export(tmp_path / "out", split)
    lists = tmp_path / "out" / "ImageSets" / "Main"
    assert (lists / "val.txt").read_text() == "dogs_a\n"
    assert {name: image.splits for name, image in read(tmp_path / "out").images.items()} == {
        i.name: i.splits for i in split
    }


def test_supervision_opens_it(images, tmp_path):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    export(tmp_path / "out", images)
    opened = sv.DetectionDataset.from_pascal_voc(
        str(tmp_path / "out" / "JPEGImages"), str(tmp_path / "out" / "Annotations")
    )
    assert sorted(opened.classes) == CLASSES
    by_name = {path.rpartition("/")[2]: detections for path, _, detections in opened}
    np.testing.assert_allclose(by_name["dogs_a.jpg"].xyxy, [(8, 7, 30, 41), (40, 5, 60, 25)], atol=1)
    assert len(by_name["c.jpg"]) == 0


def test_images_are_jpegs_and_listed_as_the_tools_of_voc_ask(images, tmp_path):
    export(tmp_path / "out", images)
    for image in images:
        with Image.open(tmp_path / "out/JPEGImages" / image.name) as opened:
            assert (opened.format, opened.size) == ("JPEG", (image.width, image.height))
        assert os.path.samefile(tmp_path / "out/JPEGImages" / image.name, image.path) == (image.path.suffix == ".jpg")
    assert (tmp_path / "out/ImageSets/Main/train.txt").read_text().split() == ["dogs_a", "cats_b", "c"]
