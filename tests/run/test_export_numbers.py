"""Numbers of classes in exports: those of the source, or said."""

import dataclasses
import json

import pytest

from jaxloc.data.annotations import Annotations, read
from jaxloc.options import ExportOptions
from jaxloc.run.export import export
from tests.report.exports import examples


@pytest.fixture
def source(tmp_path) -> Annotations:
    return Annotations({image.name: image for image in examples.images(tmp_path / "photos")})


def test_categories_of_coco_keep_their_ids_and_others_say_the_new_numbers(source, tmp_path):
    numbers = {"zebra": 3, "dog": 7, "cat": 90}
    numbered = dataclasses.replace(source, categories=tuple(numbers), numbers=numbers)
    made = export(numbered, tmp_path / "coco", "coco", ExportOptions(rename={"dog": "hound"}))
    about = json.loads((tmp_path / "coco/annotations.json").read_text())
    assert {entry["name"]: entry["id"] for entry in about["categories"]} == {"zebra": 3, "hound": 7, "cat": 90}
    assert {entry["category_id"] for entry in about["annotations"]} == {7, 90}
    assert made.renumbered == {}
    assert read(tmp_path / "coco").numbers == {"zebra": 3, "hound": 7, "cat": 90}
    for format, first in (("yolo", 0), ("parquet", 0), ("masks", 1)):
        made = export(numbered, tmp_path / format, format)
        assert made.categories == ["zebra", "dog", "cat"]
        assert made.renumbered == {"zebra": (3, first), "dog": (7, first + 1), "cat": (90, first + 2)}
        assert json.loads((tmp_path / format / "export.json").read_text())["renumbered"]["cat"] == [90, first + 2]
    assert export(numbered, tmp_path / "voc", "voc").renumbered == {}


def test_classes_of_yolo_keep_their_numbers(source, tmp_path):
    numbered = dataclasses.replace(source, categories=("dog", "cat"), numbers={"dog": 0, "cat": 1}, first_number=0)
    assert export(numbered, tmp_path / "yolo", "yolo").renumbered == {}
    again = read(tmp_path / "yolo")
    assert (again.numbers, again.first_number) == ({"dog": 0, "cat": 1}, 0)
    made = export(again, tmp_path / "coco", "coco")
    assert made.renumbered == {"dog": (0, 1), "cat": (1, 2)}
