"""Reading annotations in every form, and what happens to what is wrong in them."""

import json
import os
import re

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_masks

from jaxloc.data.annotations import Keypoint, Polygons, Rle, read
from jaxloc.data.annotations.problems import summarize
from jaxloc.errors import UsageError
from tests.data.datasets import trees


def photo(path, width=20, height=10, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(path, **options)
    return path


def coco(path, *annotations, images=None, **sections):
    images = images or [{"id": 1, "file_name": "a.png", "width": 20, "height": 10}]
    numbered = [
        {"id": n, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]} | a for n, a in enumerate(annotations, 1)
    ]
    content = {"images": images, "annotations": numbered, "categories": [{"id": 1, "name": "dog"}]} | sections
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def only(found):
    (image,) = found.images.values()
    return image


def told(found):
    return [(problem.kind, problem.what) for problem in found.problems]


def test_everything_coco_says_is_kept(tmp_path):
    counts = coco_masks.encode(np.asfortranarray(np.eye(10, 20, dtype=np.uint8)))["counts"]
    file = coco(
        tmp_path / "a.json",
        {"segmentation": {"size": [10, 20], "counts": counts.decode()}, "difficult": 1, "truncated": 1, "iscrowd": 1},
        {"segmentation": {"size": [10, 20], "counts": [3, 7, 190]}},
        {"segmentation": [[1, 1, 5, 1, 5, 5]], "score": 0.25, "keypoints": [1, 2, 2, 0, 0, 0, 3, 4, 1]},
        {"parts": [{"name": "head", "bbox": [1, 2, 3, 4]}]},
        images=[{"id": 1, "file_name": "a.png", "width": 20, "height": 10, "split": "val"}],
        categories=[{"id": 1, "name": "dog", "keypoints": ["nose", "tail"]}],
    )
    found = read(file)
    image = only(found)
    assert (found.problems, image.width, image.height, image.splits) == ([], 20, 10, ("val",))
    first, second, third, fourth = image.annotations
    assert (first.difficult, first.truncated, first.crowd) == (True, True, True)
    assert first.mask == Rle(10, 20, counts)
    expected = np.zeros(200, bool)
    expected[3:10] = True
    np.testing.assert_array_equal(second.mask.read().inside, expected.reshape(20, 10).T)
    assert third.mask == Polygons(10, 20, ((1, 1, 5, 1, 5, 5),))
    assert third.keypoints == (Keypoint("nose", 1, 2), Keypoint("tail", 0, 0, False), Keypoint("2", 3, 4))
    assert fourth.parts == (("head", (1, 2, 4, 6)),)


@pytest.mark.parametrize(
    ("entry", "kind", "what", "left"),
    [
        (
            {"bbox": [15, 5, 10, 10]},
            "box that reaches out of the image",
            "annotation 1 of a.png reaches out of",
            (15, 5, 20, 10),
        ),
        (
            {"bbox": [25, 5, 10, 10]},
            "box outside the image",
            "annotation 1 of a.png lies outside its image of 20 × 10",
            None,
        ),
        (
            {"bbox": [1, 2, 0, 4]},
            "box without area",
            "annotation 1 of a.png has a box without area: [1, 2, 0, 4]",
            None,
        ),
        ({"bbox": [1, float("nan"), 3, 4]}, "box without area", "annotation 1 of a.png has a box without area", None),
        ({"bbox": [1, 2, float("inf"), 4]}, "box without area", "annotation 1 of a.png has a box without area", None),
        ({"image_id": 9}, "annotation of no image", "annotation 1 belongs to no image (9)", None),
        ({"category_id": 9}, "unknown class", "annotation 1 of a.png has no known category (9)", None),
        ({"score": float("nan")}, "damaged entry", "annotation 1 of a.png has a score that is not a number", None),
        ({"keypoints": [1, 2]}, "damaged key points or parts", "has key points that are not x, y, v", (1, 2, 4, 6)),
        ({"segmentation": {"size": [5, 5], "counts": [25]}}, "mask that does not fit", "it is of 5 × 5", (1, 2, 4, 6)),
        ({"segmentation": {"size": [10, 20], "counts": [7]}}, "mask that does not fit", "do not fill it", (1, 2, 4, 6)),
        ({"segmentation": [[1, 2, 3]]}, "mask that does not fit", "three or more pairs", (1, 2, 4, 6)),
        (
            {"segmentation": "mask"},
            "mask that does not fit",
            "the mask of annotation 1 of a.png cannot be used",
            (1, 2, 4, 6),
        ),
    ],
)
def test_what_is_wrong_in_coco_is_told_and_mended_or_left_out(tmp_path, entry, kind, what, left):
    found = read(coco(tmp_path / "a.json", entry))
    ((told_kind, told_what),) = told(found)
    assert told_kind == kind
    assert what in told_what
    assert found.problems[0].where == str(tmp_path / "a.json")
    assert [one.box for one in only(found).annotations] == ([] if left is None else [left])


def test_what_files_round_is_clipped_without_a_word(tmp_path):
    found = read(coco(tmp_path / "a.json", {"bbox": [-0.01, 0, 20.02, 10.01]}))
    assert found.problems == []
    assert only(found).annotations[0].box == (0, 0, 20, 10)


def test_annotations_of_one_id_are_told_and_kept(tmp_path):
    found = read(coco(tmp_path / "a.json", {"id": 7}, {"id": 7}))
    assert told(found) == [("duplicate id", "two annotations have the id 7; both are kept")]
    assert len(only(found).annotations) == 2


def test_categories_of_one_id_are_refused(tmp_path):
    with pytest.raises(UsageError, match=r"a\.json: two categories have the id 1"):
        read(coco(tmp_path / "a.json", categories=[{"id": 1, "name": "a"}, {"id": 1, "name": "b"}]))


def test_images_are_looked_for_beside_the_file(tmp_path):
    file = coco(tmp_path / "set" / "annotations" / "instances_train2017.json")
    assert only(read(file)).path is None
    for place in ("train2017/a.png", "annotations/a.png", "annotations/images/a.png"):
        photo(tmp_path / "set" / place)
        assert only(read(file)).path == tmp_path / "set" / place


def test_given_a_folder_every_image_has_to_be_there_and_agree(tmp_path):
    names = ["fine", "gone", "damaged", "larger", "turned", "unsaid"]
    images = [{"id": n, "file_name": f"{name}.png", "width": 20, "height": 10} for n, name in enumerate(names)]
    del images[5]["width"]
    file = coco(tmp_path / "a.json", {"image_id": 5, "bbox": [10, 5, 30, 30]}, images=images)
    for name in ("fine", "unsaid"):
        photo(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "damaged.png").write_bytes(b"no image")
    photo(tmp_path / "photos" / "larger.png", 40, 20)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo(tmp_path / "photos" / "turned.png", exif=exif)
    found = read(file, images=tmp_path / "photos")
    assert list(found.images) == ["fine.png", "unsaid.png"]
    unsaid = found.images["unsaid.png"]
    assert (unsaid.width, unsaid.height, unsaid.annotations[0].box) == (20, 10, (10, 5, 20, 10))
    kinds = [kind for kind, _ in told(found)]
    assert kinds == [
        "missing image",
        "unreadable image",
        "image of another size",
        "image of another size",
        "box that reaches out of the image",
    ]
    what = "is shown as 10 × 20 pixels, its annotations say 20 × 10: it is stored rotated (EXIF), and was annotated"
    assert told(found)[3][1].startswith(what)
    assert summarize(found.problems)[2].startswith("2 × image of another size, such as ")
    with pytest.raises(UsageError, match="gone: no such folder of images"):
        read(file, images=tmp_path / "gone")


def voc(folder, name="a", size="<width>20</width><height>10</height>", objects="", filename="a.png"):
    folder.mkdir(parents=True, exist_ok=True)
    text = f"<annotation><filename>{filename}</filename><size>{size}</size>{objects}</annotation>"
    (folder / f"{name}.xml").write_text(text)


def thing(name="dog", box=(1, 1, 20, 10), more=""):
    corners = "".join(f"<{c}>{v}</{c}>" for c, v in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True))
    return f"<object><name>{name}</name><bndbox>{corners}</bndbox>{more}</object>"


def test_voc_folders_and_folders_of_xml_are_read(tmp_path):
    head = thing("head", (2, 3, 4, 5)).replace("object", "part")
    objects = thing(more="<difficult>1</difficult><truncated>1</truncated>" + head)
    voc(tmp_path / "voc/Annotations", objects=objects)
    photo(tmp_path / "voc/JPEGImages/a.png")
    lists = tmp_path / "voc/ImageSets/Main"
    lists.mkdir(parents=True)
    (lists / "train.txt").write_text("a\n")
    (lists / "dog_train.txt").write_text("a  1\n")
    found = read(tmp_path / "voc")
    image = only(found)
    (one,) = image.annotations
    assert (found.problems, image.splits, image.path) == ([], ("train",), tmp_path / "voc/JPEGImages/a.png")
    assert (one.box, one.difficult, one.truncated) == ((0, 0, 20, 10), True, True)
    assert one.parts == (("head", (1, 2, 4, 5)),)
    voc(tmp_path / "plain", objects=thing())
    assert only(read(tmp_path / "plain")).annotations[0].box == (0, 0, 20, 10)


def test_what_is_wrong_in_voc_is_told(tmp_path):
    objects = thing(box=(1, 1, 30, 10)) + thing(box=(5, 5, 4, 5)) + thing("") + thing(box=("x", 1, 2, 2))
    voc(tmp_path, objects=objects)
    voc(tmp_path, "b", size="", filename="b.png")
    found = read(tmp_path)
    assert [kind for kind, _ in told(found)] == [
        "box that reaches out of the image",
        "box without area",
        "unknown class",
        "box without area",
        "missing size",
    ]
    assert found.problems[1].where == str(tmp_path / "a.xml")
    assert found.problems[1].what == "object 2 has a box without area: ['5', '5', '4', '5']"
    assert len(found.images["a.png"].annotations) == 1


def test_one_voc_file_that_is_cut_off_costs_only_its_image(tmp_path):
    for name in "abc":
        voc(tmp_path, name, objects=thing(), filename=f"{name}.png")
    whole = (tmp_path / "b.xml").read_text()
    (tmp_path / "b.xml").write_text(whole[: len(whole) // 2])
    (tmp_path / "c.xml").write_text("<html/>")
    found = read(tmp_path)
    assert list(found.images) == ["a.png"]
    assert [(problem.kind, problem.where) for problem in found.problems] == [
        ("damaged file", str(tmp_path / "b.xml")),
        ("damaged file", str(tmp_path / "c.xml")),
    ]
    assert re.fullmatch(r"not readable as XML \(.*\); its image is left out", found.problems[0].what)
    (tmp_path / "a.xml").write_text("")
    with pytest.raises(UsageError, match=r"a\.xml: not readable as XML"):
        read(tmp_path)


def test_images_in_voc_remember_the_classes_of_objects_they_lost(tmp_path):
    voc(tmp_path, objects=thing("dog", (5, 5, 4, 5)) + thing("cat") + thing("") + thing("cow", (90, 1, 99, 9)))
    voc(tmp_path, "b", objects=thing(), filename="b.png")
    images = read(tmp_path).images
    assert [image.damaged for image in images.values()] == [("dog", "", "cow"), ()]


def test_a_box_that_turns_out_to_lie_outside_its_image_is_remembered(tmp_path):
    unsaid = [{"id": 1, "file_name": "a.png"}]
    file = coco(tmp_path / "a.json", {"bbox": [25, 5, 10, 10]}, {}, images=unsaid)
    photo(tmp_path / "photos/a.png")
    assert only(read(file)).damaged == ()
    image = only(read(file, images=tmp_path / "photos"))
    assert (image.damaged, len(image.annotations)) == (("dog",), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [("<annotation>", r"a\.xml: not readable as XML"), ("<html/>", r"a\.xml: not a VOC annotation: .* <html>")],
)
def test_files_that_are_not_voc_are_refused(tmp_path, text, message):
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(UsageError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("photos", ["", "JPEGImages/", "elsewhere/"])
@pytest.mark.parametrize("filename", ["DSC_1.png", "b"])
def test_an_image_that_voc_misnames_has_the_stem_of_its_file(tmp_path, photos, filename):
    folder = tmp_path / "Annotations" if photos == "JPEGImages/" else tmp_path
    for name, said in (("a", "a.png"), ("b", filename), ("c", "e.png"), ("d", "e.png")):
        voc(folder, name, objects=thing(), filename=said)
        photo(tmp_path / photos / f"{name}.png")
    found = read(tmp_path, images=tmp_path / photos if photos == "elsewhere/" else None)
    assert {name: image.path.stem for name, image in found.images.items()} == {f"{name}.png": name for name in "abcd"}
    assert told(found) == [
        ("image of another name", f"names the image {filename}, which is not there; b.png is meant"),
        ("image of another name", "names the image e.png, as other files do; c.png is meant"),
        ("image of another name", "names the image e.png, as other files do; d.png is meant"),
    ]


def test_two_voc_files_of_one_image_that_is_nowhere_are_two_images(tmp_path):
    voc(tmp_path, "a")
    voc(tmp_path, "b")
    found = read(tmp_path)
    assert list(found.images) == ["a.png", "b.png"]
    assert told(found) == [("image of another name", "names the image a.png, as other files do; b.png is meant")]


def test_voc_files_in_folders_of_classes_or_splits_are_read(tmp_path):
    for folder in ("cats", "dogs"):
        voc(tmp_path / folder, "1", objects=thing(folder), filename="1.png")
        photo(tmp_path / folder / "1.png")
    found = read(tmp_path)
    assert {name: image.categories for name, image in found.images.items()} == {
        "cats/1.png": ["cats"],
        "dogs/1.png": ["dogs"],
    }
    assert found.problems == []


def yolo(folder, *lines, about=None, split="train"):
    photo(folder / "images" / split / "a.png")
    (folder / "labels" / split).mkdir(parents=True, exist_ok=True)
    (folder / "labels" / split / "a.txt").write_text("\n".join(lines))
    if about is not None:
        (folder / "data.yaml").write_text(about)


def test_yolo_lines_are_boxes_scored_boxes_and_outlines(tmp_path):
    yolo(
        tmp_path, "0 0.5 0.5 1 1", "1 .25 .5 .1 .2 .75", "0 .1 .1 .5 .1 .5 .5", "",
        about="train: images/train\nnames: [dog, cat]",
    )  # fmt: skip
    found = read(tmp_path)
    image = only(found)
    assert (found.problems, image.name, image.splits, image.width) == ([], "a.png", ("train",), 20)
    whole, scored, outlined = image.annotations
    assert (whole.box, whole.category) == ((0, 0, 20, 10), "dog")
    assert (scored.score, scored.category) == (0.75, "cat")
    assert outlined.mask == Polygons(10, 20, ((2, 1, 10, 1, 10, 5),))
    assert outlined.box == (2, 1, 10, 5)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("0 0.5 0.5 1", "damaged entry"),
        ("dog 0.5 0.5 1 1", "damaged entry"),
        ("0.5 0.5 0.5 1 1", "damaged entry"),
        ("0 nan 0.5 1 1", "damaged entry"),
        ("7 0.5 0.5 1 1", "unknown class"),
        ("0 0.5 0.5 0 1", "box without area"),
        ("0 1.5 0.5 0.1 1", "box outside the image"),
        ("0 0.9 0.5 0.5 1", "box that reaches out of the image"),
    ],
)
def test_what_is_wrong_in_yolo_is_told(tmp_path, line, kind):
    yolo(tmp_path, "0 0.5 0.5 1 1", line, about="train: images/train\nnames: {0: dog}")
    found = read(tmp_path)
    ((told_kind, what),) = told(found)
    assert told_kind == kind
    assert what.startswith("line 2 ")
    lost = {"damaged entry": ("",), "unknown class": ("",), "box that reaches out of the image": ()}
    assert (only(found).damaged, found.categories) == (lost.get(kind, ("dog",)), ("dog",))


def test_yolo_without_yaml_names_classes_by_list_or_number(tmp_path):
    yolo(tmp_path, "1 0.5 0.5 1 1", split="val")
    assert only(read(tmp_path)).annotations[0].category == "1"
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    assert only(read(tmp_path)).annotations[0].category == "cat"
    assert only(read(tmp_path)).splits == ("val",)


def test_yolo_as_roboflow_writes_it_is_read(tmp_path):
    photo(tmp_path / "train/images/a.png")
    (tmp_path / "train/labels").mkdir()
    (tmp_path / "train/labels/a.txt").write_text("0 0.5 0.5 1 1")
    (tmp_path / "train/labels/b.txt").write_text("0 0.5 0.5 1 1")
    (tmp_path / "data.yaml").write_text("train: ../train/images\nval: ../train/images\nnames: [dog]")
    found = read(tmp_path / "data.yaml")
    assert len(only(found).annotations) == 1
    assert told(found) == [("annotation of no image", "belongs to no image; left out")]


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ("names: [", "not readable as YAML"),
        ("train: images", "not a YOLO data set: it has no names of classes"),
        ("names: dog\ntrain: images", "names is neither a list"),
        ("names:\ntrain: images", "names is neither a list"),
        ("names: [dog]", "names no folder of images"),
        ("names: [dog]\ntrain: gone", "train: no folder or list gone"),
    ],
)
def test_a_yaml_that_is_no_data_set_is_refused(tmp_path, about, message):
    (tmp_path / "data.yaml").write_text(about)
    with pytest.raises(UsageError, match=message):
        read(tmp_path / "data.yaml")


def test_a_data_set_is_read_by_its_spec(tmp_path):
    trees.voc(tmp_path)
    found = read(f"voc07/trainval:{tmp_path}/VOCdevkit")
    assert found.images
    for image in found.images.values():
        assert "trainval" in image.splits
        assert image.path.is_file()
        assert image.annotations
    assert len(read(f"voc07:{tmp_path}/VOCdevkit").images) > len(found.images)
    with pytest.raises(UsageError, match=r"voc07:.*gone"):
        read(f"voc07:{tmp_path}/gone")


def test_a_place_without_annotations_says_what_can_be_read(tmp_path):
    with pytest.raises(UsageError, match="no annotations there that can be read: pass a COCO file"):
        read(tmp_path)
    (tmp_path / "a.txt").write_text("")
    with pytest.raises(UsageError, match=r"a\.txt: no annotations there"):
        read(os.fspath(tmp_path / "a.txt"))


def test_a_place_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"gone\.json: no such file or folder: pass a COCO file"):
        read(tmp_path / "gone.json")
