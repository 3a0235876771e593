"""Reading COCO files: what is kept of them, and each thing that may be wrong, by its message."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from jaxloc.data.annotations import read
from jaxloc.data.annotations.coco import read_coco
from jaxloc.errors import UsageError

COCO: dict[str, Any] = {
    "images": [
        {"id": 1, "file_name": "dogs/a.jpg", "width": 100, "height": 80, "category_id": 7, "noise_score": 0.25},
        {"id": 2, "file_name": "dogs/b.jpg", "width": 100, "height": 80},
    ],
    "annotations": [
        {"id": 1, "image_id": 1, "category_id": 7, "bbox": [10, 20, 30, 40], "score": 0.5, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 7, "bbox": [1, 2, 3, 4]},
        {"id": 3, "image_id": 1, "category_id": 7, "bbox": [0, 0, 100, 80], "iscrowd": 1},
        {"id": 4, "image_id": 2, "category_id": 9, "bbox": [0.5, 0, 2.25, 4]},
        {"id": 5, "image_id": 2, "category_id": 7, "bbox": [0, 0, 1, 1]},
    ],
    "categories": [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}],
}


@pytest.fixture
def coco() -> dict[str, Any]:
    return copy.deepcopy(COCO)


@pytest.fixture
def write(tmp_path):
    def write(content: object) -> Path:
        path = tmp_path / "coco.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_boxes_become_corners_by_category_and_crowds_are_left_out(coco, write):
    images = read_coco(write(coco))
    assert list(images) == ["dogs/a.jpg", "dogs/b.jpg"]
    assert images["dogs/a.jpg"].boxes == {"dog": [(10, 20, 40, 60, 0.5), (1, 2, 4, 6, 1)]}
    assert images["dogs/b.jpg"].boxes == {"cat": [(0.5, 0, 2.75, 4, 1)], "dog": [(0, 0, 1, 1, 1)]}


def test_an_image_is_of_its_own_category_or_else_of_those_of_its_boxes(coco, write):
    images = read_coco(write(coco))
    assert images["dogs/a.jpg"].categories == ["dog"]
    assert images["dogs/a.jpg"].noise_score == 0.25
    assert images["dogs/b.jpg"].categories == ["cat", "dog"]
    assert images["dogs/b.jpg"].noise_score is None


def test_an_image_without_boxes_is_kept(coco, write):
    coco["annotations"] = []
    images = read_coco(write(coco))
    assert images["dogs/a.jpg"].categories == ["dog"]
    assert images["dogs/a.jpg"].boxes == {}
    assert images["dogs/b.jpg"].categories == []


def test_names_and_numbers_of_other_people_are_read(coco, write):
    for entry in coco["images"]:
        entry["id"] = f"image-{entry['id']}"
        entry["license"] = None
    for entry in coco["annotations"]:
        entry["image_id"] = f"image-{entry['image_id']}"
        entry["segmentation"] = []
    assert read_coco(write(coco | {"licenses": [], "info": None}))["dogs/a.jpg"].boxes["dog"]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.json: no such file"):
        read_coco(tmp_path / "gone.json")


@pytest.mark.parametrize("content", ["", "{", "not json", '{"images": [}', "\x00\x01"])
def test_a_file_that_is_no_json_is_named(write, content):
    with pytest.raises(UsageError, match=r"coco\.json: not readable as JSON \("):
        read_coco(write(content))


def test_a_file_in_another_encoding_is_named(tmp_path):
    (tmp_path / "coco.json").write_bytes(b'{"images": "caf\xe9"}')
    with pytest.raises(UsageError, match=r"coco\.json: not readable as JSON \("):
        read_coco(tmp_path / "coco.json")


def test_a_folder_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"not readable as JSON \(.*directory"):
        read_coco(tmp_path)


@pytest.mark.parametrize("content", [[], "text", 5, None, [{"image_id": 1, "bbox": [0, 0, 1, 1]}], {}, {"images": []}])
def test_json_that_is_no_coco_file_says_so(write, content):
    with pytest.raises(UsageError, match=r"coco\.json: not a COCO annotation file"):
        read_coco(write(json.dumps(content)))


@pytest.mark.parametrize("section", ["images", "annotations", "categories"])
def test_a_missing_section_is_named(coco, write, section):
    del coco[section]
    with pytest.raises(UsageError, match=rf"coco\.json: not a COCO annotation file: it has no list of {section}$"):
        read_coco(write(coco))


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ("images", "id"),
        ("images", "file_name"),
        ("categories", "id"),
        ("categories", "name"),
    ],
)
def test_a_missing_field_is_named(coco, write, section, field):
    del coco[section][-1][field]
    with pytest.raises(UsageError, match=rf"not a COCO annotation file: entry 2 of {section} has no {field}$"):
        read_coco(write(coco))


def test_all_that_a_file_lacks_is_named_without_a_word_of_python(write):
    for content in ({}, 5, "text", None):
        with pytest.raises(UsageError, match=r"file: it has no list of images, annotations and categories$"):
            read_coco(write(json.dumps(content)))
    with pytest.raises(UsageError, match=r"file: entry 1 of images has no id and file_name$"):
        read_coco(write({"images": [3], "annotations": [], "categories": []}))


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("image_id", r"annotation 5 belongs to no image \(None\)"),
        ("category_id", r"annotation 5 of dogs/b\.jpg has no known category \(None\)"),
        ("bbox", r"annotation 5 of dogs/b\.jpg has a box that is not four numbers: None; left out"),
    ],
)
def test_what_an_annotation_lacks_is_named_with_its_image(coco, write, field, message):
    del coco["annotations"][-1][field]
    with pytest.raises(UsageError, match=rf"coco\.json: {message}"):
        read_coco(write(coco))
    assert len(read(write(coco)).problems) == 1


@pytest.mark.parametrize(
    "box", [None, [1, 2, 3], [1, 2, 3, 4, 5], ["a", 0, 1, 1], {"x": 1}, 5, [1, 2, None, 4], [[1], 2, 3, 4]]
)
def test_a_box_that_is_no_box_costs_only_itself(coco, write, box):
    coco["annotations"][0]["bbox"] = box
    found = read(write(coco))
    (problem,) = found.problems
    assert (problem.kind, problem.where) == ("damaged entry", str(write(coco)))
    assert problem.what == f"annotation 1 of dogs/a.jpg has a box that is not four numbers: {box}; left out"
    assert [len(image.annotations) for image in found.images.values()] == [2, 2]
    with pytest.raises(UsageError, match=r"annotation 1 of dogs/a\.jpg has a box that is not four numbers"):
        read_coco(write(coco))


def test_other_values_of_an_annotation_that_are_no_numbers_are_told(coco, write):
    coco["annotations"][0] |= {"score": "high"}
    coco["annotations"][1] |= {"keypoints": [1, None, 2]}
    coco["annotations"][3] |= {"parts": [{"name": "head"}], "score": None}
    coco["annotations"].append(7)
    found = read(write(coco))
    assert [(problem.kind, problem.what) for problem in found.problems] == [
        ("damaged entry", "annotation 1 of dogs/a.jpg has a score that is not a number: high; left out"),
        (
            "damaged key points or parts",
            "annotation 2 of dogs/a.jpg has key points that are not x, y, v in turn; its box is kept",
        ),
        (
            "damaged key points or parts",
            "annotation 4 of dogs/b.jpg has parts that are not a name and a box each; its box is kept",
        ),
        ("damaged entry", "entry 6 of annotations is none: 7; left out"),
    ]
    assert [len(image.annotations) for image in found.images.values()] == [2, 2]


@pytest.mark.parametrize(
    ("entry", "lost"),
    [
        ({"bbox": [1, 2, 0, 4]}, "cat"),
        ({"bbox": [500, 2, 5, 4]}, "cat"),
        ({"bbox": [1, 2, float("nan"), 4]}, "cat"),
        ({"bbox": [1, 2, None, 4]}, "cat"),
        ({"score": float("nan")}, "cat"),
        ({"category_id": 99}, ""),
    ],
)
def test_an_image_that_lost_an_object_remembers_of_which_class(coco, write, entry, lost):
    coco["annotations"][3] |= entry
    images = read(write(coco)).images
    assert (images["dogs/b.jpg"].damaged, images["dogs/a.jpg"].damaged) == ((lost,), ())


def test_an_image_in_two_splits_or_of_two_classes_remembers_what_either_lost(coco, write):
    again = dict(coco["images"][0], id=3, category_id=9)
    coco["images"].append(again)
    coco["annotations"][0]["bbox"] = None
    coco["annotations"].append({"id": 9, "image_id": 3, "category_id": 9, "bbox": [5, 5, 0, 0]})
    assert read(write(coco)).images["dogs/a.jpg"].damaged == ("dog", "cat")
    coco["images"][0]["split"], coco["images"][2] = "train", again | {"category_id": 7, "split": "test"}
    assert read(write(coco)).images["dogs/a.jpg"].damaged == ("dog", "cat")


def test_a_size_that_is_no_number_is_a_missing_size(coco, write):
    coco["images"][0]["width"], coco["images"][1]["height"] = "wide", [3]
    found = read(write(coco))
    assert [problem.what for problem in found.problems] == [f"dogs/{name}.jpg has no width and height" for name in "ab"]


def test_declared_classes_are_kept_though_nothing_is_of_them(coco, write):
    coco["categories"].append({"id": 11, "name": "bird"})
    assert read(write(coco)).categories == ("dog", "cat", "bird")


@pytest.mark.parametrize("box", [[1, 2, 0, 4], [1, 2, 3, 0], [1, 2, -3, 4], [1, 2, float("nan"), 4]])
def test_a_box_without_area_names_its_annotation(coco, write, box):
    coco["annotations"][0]["bbox"] = box
    with pytest.raises(UsageError, match=r"coco\.json: annotation 1 of dogs/a\.jpg has a box without area: \[1, 2, "):
        read_coco(write(coco))


def test_an_annotation_of_no_image_is_named(coco, write):
    coco["annotations"][1]["image_id"] = 99
    with pytest.raises(UsageError, match=r"coco\.json: annotation 2 belongs to no image \(99\)"):
        read_coco(write(coco))


def test_an_annotation_of_no_category_is_named(coco, write):
    coco["annotations"][1]["category_id"] = 99
    with pytest.raises(UsageError, match=r"coco\.json: annotation 2 of dogs/a\.jpg has no known category \(99\)"):
        read_coco(write(coco))


def test_an_image_listed_twice_is_named(coco, write):
    coco["images"].append(dict(coco["images"][0], id=3))
    with pytest.raises(UsageError, match=r"coco\.json: lists dogs/a\.jpg twice"):
        read_coco(write(coco))


def test_an_image_may_be_listed_once_for_each_split(coco, write):
    coco["images"][0]["split"] = "train"
    coco["images"].append(dict(coco["images"][0], id=3, split="test"))
    image = read_coco(write(coco))["dogs/a.jpg"]
    assert image.splits == ("train", "test")
    assert image.boxes
    coco["images"].append(dict(coco["images"][0], id=4, split="test"))
    with pytest.raises(UsageError, match=r"lists dogs/a\.jpg twice"):
        read_coco(write(coco))


def test_an_image_listed_with_different_contents_is_refused(coco, write):
    coco["images"][0]["split"] = "train"
    coco["images"].append(dict(coco["images"][0], id=3, split="test", category_id=None))
    with pytest.raises(UsageError, match=r"dogs/a\.jpg twice, with different contents"):
        read_coco(write(coco))


def test_two_images_of_one_number_are_refused_because_they_would_share_their_boxes(coco, write):
    coco["images"].append({"id": 1, "file_name": "dogs/c.jpg"})
    with pytest.raises(UsageError, match=r"coco\.json: .*\b1\b"):
        read_coco(write(coco))


def test_an_image_of_no_known_category_is_refused(coco, write):
    coco["images"][0]["category_id"] = 99
    with pytest.raises(UsageError, match=r"not a COCO annotation file: dogs/a\.jpg has no known category \(99\)"):
        read_coco(write(coco))


def test_the_positive_share_is_read_under_either_name(coco, write):
    coco["images"][0]["positive_share"] = coco["images"][0].pop("noise_score")
    assert read_coco(write(coco))["dogs/a.jpg"].noise_score == 0.25


@pytest.mark.parametrize("value", [float("nan"), "high", [0.5]])
def test_a_noise_score_that_is_no_number_is_refused(coco, write, value):
    coco["images"][0]["noise_score"] = value
    with pytest.raises(UsageError, match=r"coco\.json"):
        read_coco(write(coco))


def test_an_image_listed_for_two_classes_is_one_image_of_both(coco, write):
    again = {"id": 3, "file_name": "dogs/a.jpg", "width": 100, "height": 80, "category_id": 9, "noise_score": 0.5}
    coco["images"].append(again)
    coco["annotations"].append({"id": 9, "image_id": 3, "category_id": 9, "bbox": [5, 5, 10, 10], "score": 0.25})
    image = read_coco(write(coco))["dogs/a.jpg"]
    assert image.categories == ["dog", "cat"]
    assert image.boxes["cat"] == [(5, 5, 15, 15, 0.25)]
    assert len(image.boxes["dog"]) == 2
    assert [image.noise_of(category) for category in ("dog", "cat", "bird")] == [0.25, 0.5, None]


def test_an_image_listed_twice_for_one_class_is_refused(coco, write):
    coco["images"].append({"id": 3, "file_name": "dogs/a.jpg", "width": 100, "height": 80, "category_id": 7})
    with pytest.raises(UsageError, match=r"lists dogs/a\.jpg twice"):
        read_coco(write(coco))


RESULTS = [
    {"image_id": 2, "category_id": 9, "bbox": [1, 2, 3, 4], "score": 0.5},
    {"image_id": 2, "category_id": 7, "bbox": [90, 2, 30, 4], "score": 0.25},
    {"image_id": 5, "category_id": 7, "bbox": [1, 2, 3, 4], "score": 0.25},
]


@pytest.fixture
def results(tmp_path):
    def write(content: object) -> Path:
        path = tmp_path / "results.json"
        path.write_text(json.dumps(content))
        return path

    return write


def test_a_list_of_results_is_explained_by_its_truth(coco, write, results):
    found = read(results(RESULTS), truth=write(coco))
    assert list(found.images) == ["dogs/a.jpg", "dogs/b.jpg"]
    assert found.images["dogs/b.jpg"].boxes == {"cat": [(1, 2, 4, 6, 0.5)], "dog": [(90, 2, 100, 6, 0.25)]}
    image = found.images["dogs/a.jpg"]  # nothing of the truth counts as found
    assert (image.category, image.noise_score, image.annotations) == (None, None, ())
    assert [str(problem).partition(": ")[2] for problem in found.problems] == [
        "annotation 2 of dogs/b.jpg reaches out of its image of 100 × 80 pixels: [90, 2, 30, 4]; clipped",
        "annotation 3 belongs to no image (5)",
    ]
    assert read(results([]), truth=write(coco)).images.keys() == found.images.keys()


def test_a_list_of_results_alone_is_refused(results, tmp_path):
    for truth in (None, tmp_path, results(RESULTS), "voc07:somewhere"):
        with pytest.raises(UsageError, match=r"but a plain list of results, whose ids .* only its truth explains"):
            read(results(RESULTS), truth=truth)


def test_damaged_results_are_named(coco, write, results):
    with pytest.raises(UsageError, match=r"results\.json: result 1 has no score"):
        read(results([{"image_id": 2, "category_id": 9, "bbox": [1, 2, 3, 4]}]), truth=write(coco))
    message = "not a COCO annotation file, nor a list of COCO results: entry 1 has no image_id, category_id and bbox$"
    for content in ([1, 2], [{"score": 1}]):
        for truth in (write(coco), None):
            with pytest.raises(UsageError, match=rf"results\.json: {message}"):
                read(results(content), truth=truth)
    found = read(results([RESULTS[0] | {"bbox": [1, None, 3, 4]}, RESULTS[0]]), truth=write(coco))
    assert [problem.kind for problem in found.problems] == ["damaged entry"]
    assert len(found.images["dogs/b.jpg"].annotations) == 1


def test_probability_and_point_are_read_and_damaged_ones_are_told(tmp_path):
    asked = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 5, 5], "probability": 0.25}
    coco = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 10, "height": 10}],
        "categories": [{"id": 1, "name": "bus"}],
        "annotations": [asked | {"id": 1, "point": [2, 3.5]}, asked | {"id": 2, "point": [2, "x"]}],
    }
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(coco))
    found = read(path)
    whole, damaged = found.images["a.jpg"].annotations
    assert (whole.probability, whole.point) == (0.25, (2.0, 3.5))
    assert (damaged.probability, damaged.point) == (None, None)
    assert str(found.problems[0]).endswith("has a probability or a point that is no number or two; its box is kept")
