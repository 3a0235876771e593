"""YOLO: shares of the sides with all digits, as boxes or outlines."""

import dataclasses

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from jaxloc.data.annotations import Annotated, Annotation, Rle, read
from jaxloc.errors import UsageError
from jaxloc.report.exports import yolo
from jaxloc.report.exports.job import Job
from tests.report.exports import examples

CLASSES = ["cat", "dog"]


@pytest.fixture
def images(tmp_path):
    """Each with its objects by falling score, the order of lines."""
    flat = examples.flat(examples.images(tmp_path / "photos"))
    return [
        dataclasses.replace(one, annotations=tuple(sorted(one.annotations, key=lambda found: -found.score)))
        for one in flat
    ]


def export(folder, images, **options):
    folder.mkdir()
    found: list = []
    yolo.write(Job(folder, images, CLASSES, found), **options)
    return found


def test_a_round_trip_keeps_boxes_to_a_millionth_of_a_pixel(images, tmp_path):
    assert export(tmp_path / "out", images) == []
    for place in (tmp_path / "out", tmp_path / "out" / "data.yaml"):
        read_back = read(place)
        assert read_back.problems == []
        for image in images:
            again = read_back.images[image.name]
            assert again.splits == ("train",)
            assert examples.bare(again).name == image.name
            assert [one.category for one in again.annotations] == [one.category for one in image.annotations]
            for before, after in zip(image.annotations, again.annotations, strict=True):
                np.testing.assert_allclose(after.box, before.box, atol=1e-6)


@settings(max_examples=100)
@given(x=st.floats(0, 4999), y=st.floats(0, 3999), width=st.floats(0.01, 5000), height=st.floats(0.01, 4000))
def test_lines_have_digits_enough(x, y, width, height):
    box = (x, y, min(x + width, 5000.0), min(y + height, 4000.0))
    line = yolo._line(Annotation("cat", box), Annotated("a.jpg", width=5000, height=4000), 0, False, [])
    _, middle_x, middle_y, wide, high = map(float, line.split())
    again = np.array([middle_x - wide / 2, middle_y - high / 2, middle_x + wide / 2, middle_y + high / 2])
    np.testing.assert_allclose(again * (5000, 4000, 5000, 4000), box, atol=1e-6)


def test_outlines_fill_to_the_same_pixels(images, tmp_path):
    assert export(tmp_path / "out", images[:1], segments=True) == []
    second, first = read(tmp_path / "out").images["dogs_a.jpg"].annotations
    np.testing.assert_array_equal(first.mask.read().inside, examples.square_mask(64, 48, 10, 12, 9))
    np.testing.assert_array_equal(second.mask.read().inside, examples.square_mask(64, 48, 40, 5, 20))
    np.testing.assert_allclose(first.box, (10, 12, 19, 21), atol=0.5)


def test_an_object_without_a_mask_is_outlined_by_its_box_and_told(images, tmp_path):
    (problem,) = export(tmp_path / "out", images[:2], segments=True)
    assert str(problem) == "cats_b.png: an object (cat) has no mask; the outline of its box is written"
    assert problem.kind == "object without a mask"
    text = (tmp_path / "out" / "labels" / "train" / "cats_b.txt").read_text()
    assert list(map(float, text.split())) == [0, 0, 0, 1, 0, 1, 1, 0, 1]


def test_outlines_are_refused_where_no_object_has_a_mask(images, tmp_path):
    with pytest.raises(UsageError, match=r"no object has a mask to outline: .* or leave --segments out"):
        export(tmp_path / "out", images[1:], segments=True)
    assert export(tmp_path / "empty", images[2:], segments=True) == []


def test_pieces_of_a_mask_are_joined(images, tmp_path):
    mask = examples.square_mask(64, 48, 2, 2, 3) | examples.square_mask(64, 48, 20, 20, 9)
    mask |= examples.square_mask(64, 48, 50, 5, 4)
    one = Annotation("dog", (2, 2, 54, 29), mask=Rle.of(mask))
    assert export(tmp_path / "out", [dataclasses.replace(images[0], annotations=(one,))], segments=True) == []
    (again,) = read(tmp_path / "out").images["dogs_a.jpg"].annotations
    np.testing.assert_array_equal(again.mask.read().inside, mask)
    np.testing.assert_allclose(again.box, one.box, atol=0.5)


def test_yaml_names_folders_and_classes_whatever_they_are_called(images, tmp_path):
    split = [dataclasses.replace(image, splits=("val" if number else "train",)) for number, image in enumerate(images)]
    (tmp_path / "out").mkdir()
    yolo.write(Job(tmp_path / "out", split, ["cat", "dog", "no: #1 '\"\n写"]))
    about = yaml.safe_load((tmp_path / "out" / "data.yaml").read_text())
    assert about == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "cat", 1: "dog", 2: "no: #1 '\"\n写"},
    }


def test_crowds_are_left_out(images, tmp_path):
    crowd = Annotation("dog", (2, 2, 29, 29), crowd=True)
    export(tmp_path / "out", [dataclasses.replace(images[0], annotations=(crowd,))])
    assert (tmp_path / "out" / "labels" / "train" / "dogs_a.txt").read_text() == ""


def test_supervision_opens_it(images, tmp_path):
    sv = pytest.importorskip("supervision", reason="supervision is not installed")
    export(tmp_path / "out", images)
    opened = sv.DetectionDataset.from_yolo(
        str(tmp_path / "out/images/train"), str(tmp_path / "out/labels/train"), str(tmp_path / "out/data.yaml")
    )
    assert opened.classes == CLASSES
    by_name = {path.rpartition("/")[2]: detections for path, _, detections in opened}
    np.testing.assert_allclose(by_name["dogs_a.jpg"].xyxy, [one.box for one in images[0].annotations], atol=1e-3)
    assert by_name["dogs_a.jpg"].class_id.tolist() == [0, 1]


def test_lines_fall_by_score(images, tmp_path):
    low, high = (Annotation("cat", (0.0, 0.0, 4.0, 4.0), score=0.2), Annotation("dog", (1.0, 1.0, 5.0, 5.0), score=0.9))
    export(tmp_path / "out", [dataclasses.replace(images[0], annotations=(low, high))])
    [label] = (tmp_path / "out" / "labels").rglob("*.txt")
    assert [line.split()[0] for line in label.read_text().splitlines()] == ["1", "0"]
