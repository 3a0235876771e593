"""What disagrees in a data set: each kind is told with its file, and handled as documented, or refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from PIL import Image

from jaxloc.data.annotations import Annotated, Annotation
from jaxloc.data.datasets import ADAPTERS, Dataset, open_dataset
from jaxloc.data.datasets.gathering import Gathering
from jaxloc.errors import UsageError
from tests.data.datasets import rpc_tree, trees, vehicle_trees


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def told(dataset: Dataset) -> list[str]:
    """Kind and text of each problem."""
    return [f"{problem.kind}: {problem}" for problem in dataset.problems]


@pytest.fixture
def birds(tmp_path) -> Path:
    return trees.cub(tmp_path)


FIRST = "images/001.Bird_1/Bird_0000.jpg"


def test_a_missing_image_is_left_out_and_named(birds):
    (birds / FIRST).unlink()
    dataset = open_dataset(f"cub200:{birds}")
    assert FIRST not in dataset.images
    assert told(dataset) == [f"missing image: {birds}/images.txt: {FIRST} is not there; left out"]


def test_an_unreadable_image_is_left_out_and_named(birds):
    (birds / FIRST).write_bytes(b"no image")
    dataset = open_dataset(f"cub200:{birds}")
    assert FIRST not in dataset.images
    assert told(dataset) == [f"unreadable image: {birds}/images.txt: {FIRST} cannot be read; left out"]


@pytest.mark.parametrize(
    ("box", "kept", "message"),
    [
        (
            "50.0 10.0 20.0 10.0",
            (50, 10, 64, 20),
            "box that reaches out of the image: .* of 64 × 48 pixels.*clipped$",
        ),
        ("-3.0 10.0 20.0 10.0", (0, 10, 17, 20), "box that reaches out of the image: .*; clipped$"),
        ("70.0 10.0 20.0 10.0", None, "box outside the image: .*; left out$"),
        ("5.0 10.0 0.0 10.0", None, "box without area: .*"),
        ("5.0 10.0 -4.0 10.0", None, "box without area: .*"),
        ("nan 10.0 4.0 10.0", None, "box without area: .*"),
    ],
)
def test_a_box_is_clipped_or_left_out(birds, box, kept, message):
    x0, y0, x1, y1 = trees.box_of(0)
    edit(birds / "bounding_boxes.txt", f"1 {x0:.1f} {y0:.1f} {x1 - x0:.1f} {y1 - y0:.1f}", f"1 {box}")
    dataset = open_dataset(f"cub200:{birds}")
    problems = told(dataset)
    assert any(re.match(message, problem) and FIRST in problem for problem in problems), problems
    if kept:
        assert dataset.images[FIRST].annotations[0].box == kept
    else:
        assert FIRST not in dataset.images
        assert any(problem.startswith("image none of whose boxes can be used") for problem in problems)


def test_a_point_outside_the_image_is_taken_as_hidden(birds):
    x0, y0, _, _ = trees.box_of(0)
    edit(birds / "parts" / "part_locs.txt", f"1 1 {x0 + 2:.1f} {y0 + 3:.1f} 1", "1 1 99.0 5.0 1")
    dataset = open_dataset(f"cub200:{birds}")
    assert not dataset.images[FIRST].annotations[0].keypoints[0].visible
    [problem] = told(dataset)
    assert problem.endswith("beak at (99, 5) in 64 × 48 pixels; taken as hidden")


def test_an_image_without_annotation_is_left_out(birds):
    x0, y0, x1, y1 = trees.box_of(0)
    edit(birds / "bounding_boxes.txt", f"1 {x0:.1f} {y0:.1f} {x1 - x0:.1f} {y1 - y0:.1f}\n", "")
    dataset = open_dataset(f"cub200:{birds}")
    assert FIRST not in dataset.images
    assert told(dataset) == [
        f"image without its annotation: {birds}/images.txt: 1 {FIRST[7:]} has no class, box or split; left out"
    ]


def test_an_unknown_class_an_unlisted_image_and_a_second_entry_are_told(birds):
    edit(birds / "image_class_labels.txt", "1 1\n", "1 7\n")
    with (birds / "image_class_labels.txt").open("a") as file:
        file.write("99 1\n2 1\n")
    dataset = open_dataset(f"cub200:{birds}")
    assert told(dataset) == [
        f"annotation of no image: {birds}/image_class_labels.txt: 99 is no image of images.txt; left out",
        f"duplicate id: {birds}/image_class_labels.txt: 2 is listed again; the first counts",
        f"unknown class: {birds}/image_class_labels.txt: {FIRST[7:]} is of class 7, which classes.txt does not list; "
        "left out",
    ]
    assert len(dataset.images) == 7
    assert dataset.images["images/002.Bird_2/Bird_0001.jpg"].category == "002.Bird_2"


def test_two_ids_of_one_image_are_told(birds):
    edit(birds / "images.txt", "3 001.Bird_1/Bird_0002.jpg", "3 001.Bird_1/Bird_0000.jpg")
    dataset = open_dataset(f"cub200:{birds}")
    assert told(dataset) == [f"duplicate id: {birds}/images.txt: {FIRST} is listed again; the first counts"]


def test_a_mask_that_is_missing_damaged_or_of_another_size_is_dropped(birds):
    masks = [birds / "segmentations" / f"001.Bird_1/Bird_{number:04}.png" for number in (0, 2, 4)]
    masks[0].unlink()
    masks[1].write_bytes(b"no image")
    Image.new("L", (10, 20)).save(masks[2])
    dataset = open_dataset(f"cub200:{birds}")
    assert [image.name for image in dataset.images.values() if image.mask is None] == [
        f"images/001.Bird_1/Bird_{number:04}.jpg" for number in (0, 2, 4)
    ]
    missing, damaged, other = told(dataset)
    assert missing.startswith("missing mask: ")
    assert missing.endswith("Bird_0000.png is not there; kept without")
    assert damaged.endswith("Bird_0002.jpg: the mask cannot be read; kept without")
    assert other.endswith("Bird_0004.jpg: the mask is 10 × 20 and the image 64 × 48; kept without")


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("bounding_boxes.txt", "1 8.0", "1 eight", "bounding_boxes.txt: a number was expected (could not convert"),
        ("bounding_boxes.txt", "1 8.0 6.0", "1", "bounding_boxes.txt: line 1 has 3 fields and not 5: '1 32.0 24.0'"),
        ("classes.txt", "1 001.Bird_1", "1", "classes.txt: line 1 has 1 fields and not 2: '1'"),
    ],
)
def test_a_line_that_is_none_is_refused(birds, file, old, new, message):
    edit(birds / file, old, new)
    with pytest.raises(UsageError, match=re.escape(f"{birds}/{message}")):
        open_dataset(f"cub200:{birds}")


def test_a_missing_table_is_refused(birds):
    (birds / "train_test_split.txt").unlink()
    with pytest.raises(UsageError, match=r"train_test_split\.txt: no such file: the data set needs it, unpack it"):
        open_dataset(f"cub200:{birds}")


def test_a_table_that_is_no_text_is_refused(birds):
    (birds / "classes.txt").write_bytes(b"1 caf\xe9")
    with pytest.raises(UsageError, match=r"classes\.txt: not readable as text \("):
        open_dataset(f"cub200:{birds}")


def test_no_image_at_all_is_refused_with_the_reasons(birds):
    for path in birds.rglob("*.jpg"):
        path.unlink()
    with pytest.raises(UsageError) as raised:
        open_dataset(f"cub200:{birds}")
    assert str(raised.value) == (
        f"cub200:{birds}: no image can be used (8 × missing image, such as {birds}/images.txt: {FIRST} is not "
        "there; left out): see `jaxloc datasets cub200` for the layout expected"
    )


LAYOUTS: dict[str, tuple[Callable, str]] = {
    "dogs": (trees.dogs, "Images"),
    "flowers102": (trees.flowers, "setid.mat"),
    "pets": (trees.pets, "annotations/trainval.txt"),
    "aircraft": (trees.aircraft, "images_variant_train.txt"),
    "cars196": (trees.cars, "devkit/cars_meta.mat"),
    "voc07": (trees.voc, "ImageSets/Main"),
    "object-discovery": (trees.object_discovery, "Airplane100"),
    "ecssd": (trees.ecssd, "ground_truth_mask"),
    "imagenet-subsets": (trees.imagenet_subsets, "Annotation"),
    "imagenet": (trees.imagenet, "train"),
    "coco": (trees.coco, "annotations"),
    "instre": (trees.instre, "INSTRE-S1"),
    "veri776": (vehicle_trees.veri, "name_train.txt"),
    "vehicleid": (vehicle_trees.vehicle_id, "train_test_split"),
    "rpc": (rpc_tree.rpc, "instances_test2019.json"),
}


NO_SPLITS = ("object-discovery", "ecssd", "imagenet-subsets")


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_of_another_layout_is_refused(tmp_path, name):
    (tmp_path / "photos").mkdir()
    trees.write_image(tmp_path / "photos" / "a.jpg", 0)
    with pytest.raises(UsageError) as raised:
        open_dataset(f"{name}:{tmp_path}")
    assert str(raised.value) == (
        f"{name}:{tmp_path}: holds no {LAYOUTS[name][1]}: see `jaxloc datasets {name}` for the layout expected, "
        "and point at its top"
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_folder_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(UsageError, match=rf"^{name}:{tmp_path}/gone: no such folder$"):
        open_dataset(f"{name}:{tmp_path}/gone")


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name not in NO_SPLITS])
def test_a_split_that_is_not_there_is_refused(tmp_path, name):
    root = LAYOUTS[name][0](tmp_path)
    with pytest.raises(UsageError, match=rf"^{name}/dev:.*: no such split; there are \w"):
        open_dataset(f"{name}/dev:{root}")


def test_voc_tells_what_is_wrong_in_its_xml(tmp_path):
    root = trees.voc(tmp_path) / "VOC2007"
    xml = root / "Annotations"
    (xml / "000001.xml").unlink()
    (xml / "000002.xml").write_text("<annotation>")
    trees.voc_xml(xml / "000003.xml", [("unicorn", trees.box_of(3), ""), ("horse", trees.box_of(3), "")])
    trees.voc_xml(xml / "000004.xml", [("bicycle", (5, 5, 30, 30), "")], (480, 640))
    dataset = open_dataset(f"voc07:{root}")
    assert told(dataset) == [
        f"image without its annotation: {xml}/000001.xml: is not there; its image is left out",
        f"damaged entry: {xml}/000002.xml: not readable as XML (no element found: line 1, column 12); its image is "
        "left out",
        f"unknown class: {xml}/000003.xml: object 1 is of class 'unicorn'; left out",
        f"image of another size: {xml}/000004.xml: JPEGImages/000004.jpg should have 640 × 480 pixels and is 64 × "
        "48; its own size counts",
    ]
    assert [one.category for one in dataset.images["JPEGImages/000003.jpg"].annotations] == ["horse"]
    assert dataset.images["JPEGImages/000004.jpg"].width == 64


def test_masks_of_voc_are_dropped_where_objects_cannot_be_numbered(tmp_path):
    root = trees.voc(tmp_path) / "VOC2007"
    objects = [("aeroplane", (9, 9, 9, 20), ""), ("aeroplane", trees.box_of(0), "")]
    trees.voc_xml(root / "Annotations" / "000000.xml", objects)
    image = open_dataset(f"voc07:{root}").images["JPEGImages/000000.jpg"]
    assert [one.mask for one in image.annotations] == [None]


def test_the_other_year_is_refused(tmp_path):
    root = trees.voc(tmp_path, year=2012)
    with pytest.raises(UsageError, match=r"^voc07:.*: is VOC2012 and not VOC2007$"):
        open_dataset(f"voc07:{root}/VOC2012")


def test_flowers_without_a_class_are_told(tmp_path):
    trees.flowers(tmp_path)
    scipy.io.savemat(tmp_path / "imagelabels.mat", {"labels": np.array([[1, 0, 103]])})
    dataset = open_dataset(f"flowers102:{tmp_path}")
    assert list(dataset.images) == ["jpg/image_00001.jpg"]
    assert told(dataset)[0] == (
        f"unknown class: {tmp_path}/imagelabels.mat: image 2 has no class of 1 to 102; left out"
    )
    assert len(dataset.problems) == 11


@pytest.mark.parametrize("content", [b"", b"not MATLAB", None])
def test_a_matlab_file_that_is_none_is_refused(tmp_path, content):
    trees.flowers(tmp_path)
    if content is None:
        scipy.io.savemat(tmp_path / "imagelabels.mat", {"other": 1})
        message = r"imagelabels\.mat: holds no variable labels: is it the file of this data set\?$"
    else:
        (tmp_path / "imagelabels.mat").write_bytes(content)
        message = r"imagelabels\.mat: not readable as a MATLAB file \("
    with pytest.raises(UsageError, match=message):
        open_dataset(f"flowers102:{tmp_path}")


def test_cars_of_no_class_are_told(tmp_path):
    trees.cars(tmp_path)
    scipy.io.savemat(tmp_path / "devkit" / "cars_meta.mat", {"class_names": np.array(["Only one"], object)})
    dataset = open_dataset(f"cars196:{tmp_path}")
    assert len(dataset.images) == 4
    assert told(dataset)[0] == (
        f"unknown class: {tmp_path}/devkit/cars_train_annos.mat: cars_train/00002.jpg is of class 2, and there are 1 "
        "to 1; left out"
    )


def test_an_aircraft_without_a_box_or_with_two_is_told(tmp_path):
    trees.aircraft(tmp_path)
    boxes = tmp_path / "data" / "images_box.txt"
    lines = boxes.read_text().splitlines()
    boxes.write_text("\n".join([*lines[1:], lines[1]]) + "\n")
    dataset = open_dataset(f"aircraft:{tmp_path}")
    assert told(dataset) == [
        f"duplicate id: {boxes}: 0034001 is listed again; the first counts",
        f"image without its annotation: {tmp_path}/data/images_variant_train.txt: 0034000 has no box in "
        "images_box.txt; left out",
    ]


def test_a_damaged_mask_does_not_make_an_image_noisy(tmp_path):
    root = trees.object_discovery(tmp_path)
    mask = root / "Data" / "Car100" / "GroundTruth" / "0001.png"
    mask.write_bytes(mask.read_bytes()[:60])
    dataset = open_dataset(f"object-discovery:{root}")
    assert "Car100/0001.jpg" not in dataset.images
    assert told(dataset)[0].startswith(f"mask that does not fit: {mask}: not readable as a mask (")
    assert told(dataset)[1].endswith("GroundTruth: 0001.jpg has a mask that cannot be read; left out")


def test_a_salient_object_without_its_mask_is_told(tmp_path):
    root = trees.ecssd(tmp_path)
    masks = root / "ground_truth_mask"
    (masks / "0000.png").unlink()
    trees.write_mask(masks / "0001.png", 1, trees.SIZE, inside=0)
    dataset = open_dataset(f"ecssd:{root}")
    assert list(dataset.images) == ["images/0002.jpg"]
    assert told(dataset) == [
        f"image without its annotation: {masks}: 0000.jpg has no mask; left out",
        f"image without its annotation: {masks}: 0001.jpg has a mask that is empty or cannot be read; left out",
    ]


def test_a_pet_whose_trimap_is_damaged_keeps_no_box(tmp_path):
    trees.pets(tmp_path)
    trimap = tmp_path / "annotations" / "trimaps" / "pug_0.png"
    trimap.write_bytes(trimap.read_bytes()[:60])
    dataset = open_dataset(f"pets:{tmp_path}")
    assert dataset.images["images/pug_0.jpg"].annotations == ()
    assert told(dataset)[0].startswith(f"mask that does not fit: {trimap}: not readable as a mask (")


def test_a_subset_of_imagenet_without_boxes_is_refused(tmp_path):
    trees.imagenet_subsets(tmp_path)
    (tmp_path / "Annotation" / "n02442336").rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match=r"no boxes of stoat: unpack them in Annotation/n02442336 or Annotation/s"):
        open_dataset(f"imagenet-subsets:{tmp_path}")


def test_imagenet_tells_what_is_wrong_with_an_image_once_it_is_read(tmp_path):
    trees.imagenet(tmp_path)
    path = tmp_path / "Annotations" / "CLS-LOC" / "train" / "n01440000" / "n01440000_0.xml"
    trees.voc_xml(path, [("n09999999", (1, 2, 30, 40), ""), ("n01440000", (1, 2, 30, 40), "")], first_pixel=0)
    path.with_name("n01440000_2.xml").write_text("<annotation>")
    dataset = open_dataset(f"imagenet:{tmp_path}")
    assert dataset.problems == []
    assert len(dataset.images["train/n01440000/n01440000_0.JPEG"].annotations) == 1
    assert dataset.images["train/n01440000/n01440000_2.JPEG"].annotations == ()
    unknown, damaged = told(dataset)
    assert unknown == (f"unknown class: {path}: train/n01440000/n01440000_0.JPEG has boxes of n09999999; left out")
    assert damaged.startswith(f"damaged entry: {path.with_name('n01440000_2.xml')}: not readable as XML")


def test_unsorted_images_of_imagenet_are_refused(tmp_path):
    trees.write_image(tmp_path / "val" / "ILSVRC2012_val_00000001.JPEG", 0)
    with pytest.raises(UsageError, match=r"val: holds images and no folders of synsets: sort them into a folder for"):
        open_dataset(f"imagenet/val:{tmp_path}")


def test_coco_tells_what_its_file_has_wrong(tmp_path):
    trees.coco(tmp_path)
    path = tmp_path / "annotations" / "instances_val2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["category_id"] = 77
    content["annotations"][1]["image_id"] = 77
    content["annotations"][2]["bbox"] = [1, 2, 0, 4]
    content["annotations"][4]["id"] = content["annotations"][3]["id"]
    path.write_text(json.dumps(content))
    dataset = open_dataset(f"coco/val2017:{tmp_path}")
    assert [problem.kind for problem in dataset.problems] == [
        "unknown class",
        "annotation of no image",
        "box without area",
        "duplicate id",
    ]
    assert {problem.where for problem in dataset.problems} == {str(path)}
    assert len(dataset.images) == 6


def test_coco_without_instances_is_refused(tmp_path):
    (tmp_path / "annotations").mkdir()
    with pytest.raises(UsageError, match=r"annotations holds no instances_\*\.json: unpack the annotations there$"):
        open_dataset(f"coco:{tmp_path}")


def test_a_class_of_which_an_image_lost_an_object_is_remembered(tmp_path):
    path = tmp_path / "a.jpg"
    trees.write_image(path, 0)
    gathering = Gathering(ADAPTERS["voc07"].info, str(tmp_path), ())
    sound, lost = Annotation("cat", (1.0, 1.0, 9.0, 9.0)), Annotation("dog", (5.0, 5.0, 5.0, 9.0))
    gathering.add(Annotated("a.jpg", annotations=(sound, lost), path=path), where="a.xml")
    image = gathering.finish().images["a.jpg"]
    assert (image.annotations, image.damaged) == ((sound,), ("dog",))
