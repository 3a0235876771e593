"""COCO: nothing is lost but pixels nobody knows, and pycocotools and supervision read it."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from jaxloc.data.annotations import Annotated, Annotation, MaskFile, Rle, read
from jaxloc.report.exports import coco
from jaxloc.report.exports.job import Job
from tests.report.exports import examples

CLASSES = ["cat", "dog"]


@pytest.fixture
def images(tmp_path):
    return examples.images(tmp_path / "photos")


def export(folder, images, classes=CLASSES, **options):
    folder.mkdir(parents=True)
    found: list = []
    written = coco.write(Job(folder, images, classes, found, **options))
    return written, found


def test_a_round_trip_loses_nothing(images, tmp_path):
    assert export(tmp_path / "out", images) == (images, [])
    read_back = read(tmp_path / "out")
    assert read_back.problems == []
    assert list(read_back.images) == [image.name for image in images]
    for image in images:
        again = read_back.images[image.name]
        assert again.path == tmp_path / "out" / "images" / image.name
        assert again.path.read_bytes() == image.path.read_bytes()
        assert dataclasses.replace(again, path=image.path) == image


def test_splits_are_files_and_an_image_may_be_in_two(images, tmp_path):
    split = [
        dataclasses.replace(image, splits=s) for image, s in zip(images, [("a",), ("a", "b"), ("b",)], strict=True)
    ]
    export(tmp_path / "out", split)
    assert sorted(path.name for path in (tmp_path / "out").glob("*.json")) == [
        "annotations_a.json",
        "annotations_b.json",
    ]
    read_back = read(tmp_path / "out")
    assert {name: image.splits for name, image in read_back.images.items()} == {i.name: i.splits for i in split}
    assert read_back.images["cats/b.png"].annotations == split[1].annotations


@settings(max_examples=50)
@given(x=st.floats(0, 1900), y=st.floats(0, 1000), width=st.floats(1e-3, 2000), height=st.floats(1e-3, 2000))
def test_boxes_come_back_to_a_millionth_of_a_pixel(tmp_path_factory, x, y, width, height):
    box = (x, y, min(x + width, 2000.0), min(y + height, 2000.0))
    image = Annotated("a.jpg", "cat", (Annotation("cat", box),), 2000, 2000)
    folder = tmp_path_factory.mktemp("boxes")
    export(folder / "out", [image], placement="none")
    (one,) = read(folder / "out").images["a.jpg"].annotations
    assert np.abs(np.subtract(one.box, box)).max() < 1e-6


def test_pycocotools_reads_boxes_masks_and_results(images, tmp_path, capsys):
    export(tmp_path / "out", images)
    file = str(tmp_path / "out" / "annotations.json")
    truth = COCO(file)
    assert [category["name"] for category in truth.loadCats(truth.getCatIds())] == CLASSES
    first, second, third = truth.loadAnns(truth.getAnnIds())
    assert first["bbox"] == [8.25, 6.5, 21.875, 34.25]
    np.testing.assert_array_equal(truth.annToMask(first), examples.square_mask(64, 48, 10, 12, 9))
    assert first["area"] == 81
    np.testing.assert_array_equal(truth.annToMask(second), examples.square_mask(64, 48, 40, 5, 20))
    assert (third["iscrowd"], third["area"]) == (0, 2000)
    results = [
        {key: one[key] for key in ("image_id", "category_id", "bbox", "score")} for one in (first, second, third)
    ]
    (tmp_path / "results.json").write_text(json.dumps(results))
    assert len(truth.loadRes(str(tmp_path / "results.json")).getAnnIds()) == 3
    capsys.readouterr()


def test_supervision_opens_it(images, tmp_path):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    export(tmp_path / "out", images)
    opened = sv.DetectionDataset.from_coco(
        str(tmp_path / "out" / "images"), str(tmp_path / "out" / "annotations.json"), force_masks=True
    )
    assert opened.classes == CLASSES
    by_name = {path.rpartition("/images/")[2]: detections for path, _, detections in opened}
    np.testing.assert_allclose(by_name["dogs/a.jpg"].xyxy, [one.box for one in images[0].annotations], atol=1e-4)
    np.testing.assert_array_equal(by_name["dogs/a.jpg"].mask[0], examples.square_mask(64, 48, 10, 12, 9))


def test_a_mask_of_another_size_is_told_and_the_box_kept(images, tmp_path):
    Image.fromarray(np.ones((3, 4), np.uint8)).save(tmp_path / "mask.png")
    for mask in (Rle.of(np.ones((3, 4), bool)), MaskFile(tmp_path / "mask.png")):
        folder = tmp_path / type(mask).__name__
        one = dataclasses.replace(images[0].annotations[0], mask=mask)
        _, found = export(folder, [dataclasses.replace(images[0], annotations=(one,))])
        (problem,) = found
        assert str(problem) == "dogs/a.jpg: a mask is of 4 × 3 pixels, the image of 64 × 48; left out"
        assert read(folder).images["dogs/a.jpg"].annotations == (dataclasses.replace(one, mask=None),)


def test_a_mask_in_a_file_becomes_run_lengths(images, tmp_path):
    mask = examples.square_mask(64, 48, 3, 4, 5)
    Image.fromarray(mask.astype(np.uint8) * 7).save(tmp_path / "mask.png")
    one = dataclasses.replace(images[0].annotations[0], mask=MaskFile(tmp_path / "mask.png"))
    export(tmp_path / "out", [dataclasses.replace(images[0], annotations=(one,))])
    (again,) = read(tmp_path / "out").images["dogs/a.jpg"].annotations
    np.testing.assert_array_equal(again.mask.read().inside, mask)
