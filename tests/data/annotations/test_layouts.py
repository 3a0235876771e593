"""COCO files as the tools lay them out: the same images for annotations and as sources."""

import json
import unicodedata

import pytest

from jaxloc.data import find_sets
from jaxloc.data.annotations import read
from jaxloc.errors import UsageError
from tests.data.annotations.test_reading import coco, only, photo, told


def lay(tmp_path, file, names, photos):
    entries = [{"id": n, "file_name": name, "width": 20, "height": 10} for n, name in enumerate(names, 1)]
    boxes = ({"image_id": entry["id"]} for entry in entries)
    for place in photos:
        photo(tmp_path / place)
    return coco(tmp_path / file, *boxes, images=entries)


def decomposed(text):
    return unicodedata.normalize("NFD", text)


@pytest.mark.parametrize(
    ("file", "name", "place", "source"),
    [
        ("annotations.json", "images\\a.png", "images/a.png", "images/a.png"),
        ("annotations.json", "a.png", "images/a.png", "a.png"),
        ("annotations.json", "müll/ä.png", decomposed("müll/ä.png"), decomposed("müll/ä.png")),
        ("annotations.json", "Images/A.PNG", "images/a.png", "images/a.png"),
        ("annotations.json", "D:\\photos\\images\\a.png", "images/a.png", "images/a.png"),
        ("annotations.json", "/home/someone/photos/a.png", "photos/a.png", "photos/a.png"),
        ("annotations/instances_train.json", "a.png", "images/train/a.png", "a.png"),
        ("annotations/instances_val2017.json", "a.png", "val2017/a.png", "a.png"),
        ("annotations/instances_default.json", "sub/a.png", "images/default/sub/a.png", "sub/a.png"),
        ("annotations/person_keypoints_val.json", "../images/a.png", "images/a.png", "a.png"),
        ("train/_annotations.coco.json", "a.png", "train/a.png", "a.png"),
        ("labels.json", "a.png", "data/a.png", "a.png"),
    ],
)
def test_images_are_found_where_the_tools_put_them(tmp_path, file, name, place, source):
    path = lay(tmp_path, file, [name], [place])
    assert only(read(path)).path == tmp_path / place
    (found,) = find_sets([path])[0].sources
    assert (found.path, found.name) == (tmp_path / place, source)


def test_a_name_that_two_files_resemble_is_not_guessed(tmp_path):
    path = lay(tmp_path, "annotations.json", ["A.png"], ["a.png"])
    assert only(read(path)).path is not None
    photo(tmp_path / "a.PNG")
    assert only(read(path)).path is None


@pytest.mark.parametrize("pattern", ["annotations/instances_{}.json", "{}/_annotations.coco.json"])
def test_a_folder_holds_the_splits_of_coco_cvat_and_roboflow(tmp_path, pattern):
    for split in ("train", "val"):
        place = f"images/{split}/a.png" if "instances" in pattern else f"{split}/a.png"
        lay(tmp_path, pattern.format(split), ["a.png"], [place])
    found = read(tmp_path)
    assert {name: image.splits for name, image in found.images.items()} == {"a.png": ("train",), "val/a.png": ("val",)}
    assert found.problems == []


@pytest.mark.parametrize(
    ("segmentation", "box"),
    [
        ([[1, 2, 4, 2, 4, 6]], (1, 2, 4, 6)),
        ([[1, 2, 4, 2, 4, 6], [8, 1, 9, 1, 9, 3]], (1, 1, 9, 6)),
        ({"size": [10, 20], "counts": [12, 3, 185]}, (1, 2, 2, 5)),
    ],
)
def test_a_mask_alone_has_the_box_around_it(tmp_path, segmentation, box):
    for bbox in (None, []):
        found = read(coco(tmp_path / "a.json", {"bbox": bbox, "segmentation": segmentation}))
        (one,) = only(found).annotations
        assert (one.box, one.mask is not None, found.problems) == (box, True, [])


def results(tmp_path, image, category=5):
    ids = [{"id": 5, "name": "dog"}]
    truth = [{"id": 3, "file_name": "photos/000012.png", "width": 20, "height": 10}]
    found = coco(tmp_path / "truth.json", images=truth, annotations=[], categories=ids)
    entry = {"image_id": image, "category_id": category, "bbox": [1, 2, 3, 4], "score": 0.5}
    (tmp_path / "results.json").write_text(json.dumps([entry]))
    return read(tmp_path / "results.json", truth=found)


@pytest.mark.parametrize("image", [3, "3", "000012", 12, "000012.png", "photos/000012"])
@pytest.mark.parametrize("category", [5, "5", "dog"])
def test_ids_of_results_may_be_text_or_names(tmp_path, image, category):
    found = results(tmp_path, image, category)
    (one,) = only(found).annotations
    assert (one.category, one.score, told(found)) == ("dog", 0.5, [])


def test_ids_of_results_that_match_nothing_are_told(tmp_path):
    with pytest.raises(UsageError, match=r"no image_id is that of an image of the truth: .* 99, .* 3 \(.*000012"):
        results(tmp_path, 99)
    with pytest.raises(UsageError, match=r"no category_id is that of a category of the truth: .* 0, .* 5 \(dog\)"):
        results(tmp_path, 3, 0)
