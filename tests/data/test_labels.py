"""Labels of single images, from COCO files, and the sets that are made of them."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from jaxloc.data import find_sets
from jaxloc.errors import UsageError
from tests.data.encoded import names_of, plant


def write_coco(path: Path, images: list[dict], annotations: Sequence[dict] = ()) -> Path:
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    path.write_text(json.dumps({"images": images, "annotations": list(annotations), "categories": categories}))
    return path


def test_a_coco_file_gives_its_images_and_their_labels(tmp_path):
    plant(tmp_path / "pets", "a.jpg", "sub/b.jpg", "c.jpg", "unlisted.jpg")
    images = [
        {"id": 1, "file_name": "sub/b.jpg", "category_id": 1},
        {"id": 2, "file_name": "a.jpg"},
        {"id": 3, "file_name": "c.jpg"},
    ]
    boxes = [(2, 2), (3, 1), (3, 2)]
    annotations = [{"id": i, "image_id": a, "category_id": b, "bbox": [0, 0, 1, 1]} for i, (a, b) in enumerate(boxes)]
    [found] = find_sets([write_coco(tmp_path / "pets/coco.json", images, annotations)])
    assert found.name == "pets"
    assert [(source.name, source.label) for source in found.sources] == [
        ("a.jpg", "cat"),
        ("c.jpg", None),
        ("sub/b.jpg", "dog"),
    ]
    assert found.sources[0].path == tmp_path / "pets/a.jpg"


def test_per_label_makes_a_set_of_each_label(tmp_path):
    images = [{"id": i, "file_name": f"{i}.jpg", "category_id": 1 + i % 2} for i in range(5)]
    path = write_coco(tmp_path / "coco.json", images)
    assert names_of(find_sets([path], per_label=True)) == {
        "cat": ["1.jpg", "3.jpg"],
        "dog": ["0.jpg", "2.jpg", "4.jpg"],
    }


def test_boxes_that_cannot_be_used_refuse_no_image_and_are_told_once_where_labels_are_wanted(tmp_path, capsys):
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 160, "height": 120} for i in range(4)]
    boxes = [(0, 1, [1, 1, 9, 9]), (0, 2, [1, 1, 9, 0]), (1, 2, [1, 1, 9, 9]), (1, 9, [1, 1, 9, 9])]
    boxes += [(2, 2, [1, 1, 0, 9]), (3, 1, [1, 1, 9, 9]), (77, 1, [1, 1, 9, 9])]
    annotations = [{"id": i, "image_id": a, "category_id": b, "bbox": c} for i, (a, b, c) in enumerate(boxes)]
    path = write_coco(tmp_path / "coco.json", images, annotations)
    [found] = find_sets([path])
    assert [(source.name, source.label) for source in found.sources] == [
        ("0.jpg", "dog"),
        ("1.jpg", "cat"),
        ("2.jpg", "cat"),
        ("3.jpg", "dog"),
    ]
    assert capsys.readouterr() == ("", "")
    assert names_of(find_sets([path], per_label=True)) == {"cat": ["1.jpg", "2.jpg"], "dog": ["0.jpg", "3.jpg"]}
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.splitlines() == [
        f"2 × box without area, such as {path}: annotation 1 of 0.jpg has a box without area: [1, 1, 9, 0]",
        f"1 × unknown class, such as {path}: annotation 3 of 1.jpg has no known category (9)",
        f"1 × annotation of no image, such as {path}: annotation 6 belongs to no image (77)",
    ]


def test_boxes_that_are_fine_or_mended_are_not_told_of(tmp_path, capsys):
    images = [{"id": 0, "file_name": "a.jpg", "width": 16, "height": 12}, {"id": 1, "file_name": "b.jpg"}]
    annotations = [{"id": 5, "image_id": i, "category_id": 1, "bbox": [1, 1, 99, 9]} for i in range(2)]
    path = write_coco(tmp_path / "coco.json", images, annotations)
    assert names_of(find_sets([path], per_label=True)) == {"dog": ["a.jpg", "b.jpg"]}
    assert capsys.readouterr() == ("", "")


def test_a_coco_file_beside_its_folder_labels_the_images_there(tmp_path):
    plant(tmp_path / "pets", "0.jpg", "1.jpg")
    path = write_coco(tmp_path / "pets/coco.json", [{"id": 0, "file_name": "0.jpg", "category_id": 2}])
    [found] = find_sets([tmp_path / "pets", path])
    assert [(source.name, source.label) for source in found.sources] == [("0.jpg", "cat"), ("1.jpg", None)]


def test_a_json_file_that_is_not_coco_is_named(tmp_path):
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(UsageError, match=r"a\.json: not a COCO annotation file"):
        find_sets([tmp_path / "a.json"])


def test_folders_have_no_labels(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg")
    with pytest.raises(UsageError, match=r"pets: no labels there: .*make the sets per folder"):
        find_sets([tmp_path / "pets"], per_label=True)


def test_sets_are_made_in_one_way(tmp_path):
    plant(tmp_path / "pets", "dogs/a.jpg")
    with pytest.raises(UsageError, match="either per folder or per label: choose one of them"):
        find_sets([tmp_path / "pets"], per_label=True, per_folder=True)
