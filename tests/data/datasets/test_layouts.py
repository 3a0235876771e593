"""Original layouts: what each says of its images comes out as it was put in."""

import numpy as np
import pytest

from jaxloc.data.annotations import Annotated, Keypoint
from jaxloc.data.datasets import ADAPTERS, open_dataset
from tests.data.datasets import trees


def box(image: Annotated) -> tuple[float, float, float, float]:
    [one] = image.annotations
    return one.box


def in_box(mask: np.ndarray, number: int) -> bool:
    """Whether a mask is exactly the box of an image."""
    x0, y0, x1, y1 = trees.box_of(number)
    expected = np.zeros(trees.SIZE, bool)
    expected[y0:y1, x0:x1] = True
    return bool((mask == expected).all())


def test_birds(tmp_path):
    dataset = open_dataset(f"cub200:{trees.cub(tmp_path)}")
    assert len(dataset.images) == 8
    assert dataset.problems == []
    image = dataset.images["images/001.Bird_1/Bird_0002.jpg"]
    assert (image.category, image.splits, image.width, image.height) == ("001.Bird_1", ("test",), 64, 48)
    assert box(image) == trees.box_of(2)
    assert image.path.is_file()
    assert in_box(image.mask.read().inside, 2)
    x0, y0, _, _ = trees.box_of(2)
    assert image.annotations[0].keypoints == (Keypoint("beak", x0 + 2, y0 + 3), Keypoint("left leg", 0, 0, False))
    assert dataset.images["images/002.Bird_2/Bird_0001.jpg"].annotations[0].keypoints[1].visible


def test_birds_without_masks_and_parts_are_read(tmp_path):
    root = trees.cub(tmp_path, masks=False)
    (root / "parts" / "part_locs.txt").unlink()
    dataset = open_dataset(f"cub200:{root}")
    assert {image.mask for image in dataset.images.values()} == {None}
    assert {one.keypoints for image in dataset.images.values() for one in image.annotations} == {()}
    assert dataset.problems == []


def test_birds_masks_may_lie_beside_the_folder(tmp_path):
    root = trees.cub(tmp_path)
    (root / "segmentations").rename(tmp_path / "segmentations")
    assert all(image.mask for image in open_dataset(f"cub200:{root}").images.values())


def test_dogs(tmp_path):
    dataset = open_dataset(f"dogs:{trees.dogs(tmp_path)}")
    image = dataset.images["Images/n02080001-Dog_1/n02080001_3.jpg"]
    assert (image.category, image.splits, box(image)) == ("n02080001-Dog_1", ("test",), trees.box_of(3))
    assert {one.category for one in image.annotations} == {"n02080001-Dog_1"}
    assert len(dataset.images) == 8
    assert dataset.problems == []


def test_dogs_lists_may_lie_in_a_folder_and_hold_one_image(tmp_path):
    root = trees.dogs(tmp_path, classes=1, images=2)
    (root / "lists").mkdir()
    for path in root.glob("*.mat"):
        path.rename(root / "lists" / path.name)
    assert len(open_dataset(f"dogs:{root}").images) == 2


def test_flowers(tmp_path):
    dataset = open_dataset(f"flowers102:{trees.flowers(tmp_path)}")
    splits = [image.splits for image in dataset.images.values()]
    assert splits.count(("train", "trainval")) == splits.count(("val", "trainval")) == splits.count(("test",)) == 4
    image = dataset.images["jpg/image_00003.jpg"]
    assert image.category == "pink primrose"
    assert image.annotations == ()
    inside = image.mask.read().inside
    x0, y0, x1, y1 = trees.box_of(2)
    assert inside[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].all()
    assert not inside[: y0 - 2].any()
    assert not inside[:, x1 + 2 :].any()
    assert {name for name, other in open_dataset(f"flowers102/trainval:{tmp_path}").images.items()} == {
        name for name, other in dataset.images.items() if "trainval" in other.splits
    }


def test_pets(tmp_path):
    dataset = open_dataset(f"pets:{trees.pets(tmp_path)}")
    image = dataset.images["images/Big_cat_1_1.jpg"]
    assert (image.category, image.splits, box(image)) == ("Big_cat_1", ("trainval",), trees.box_of(1))
    assert image.annotations[0].parts == (("head", trees.head_of(1)),)
    pixels = image.mask.read()
    assert in_box(pixels.inside, 1)
    x0, y0, x1, y1 = trees.box_of(1)
    assert np.argwhere(~pixels.known).min(axis=0).tolist() == [y0 - 1, x0 - 1]
    assert not pixels.known[y0 - 1, x0 - 1 : x1 + 1].any()
    assert pixels.known[y0:y1, x0:x1].all()
    assert dataset.images["images/pug_2.jpg"].annotations[0].parts == ()


def test_aircraft(tmp_path):
    dataset = open_dataset(f"aircraft:{trees.aircraft(tmp_path)}")
    image = dataset.images["images/0034003.jpg"]
    assert (image.category, image.splits, box(image)) == ("Boeing 717", ("val", "trainval"), trees.box_of(3))
    assert len(open_dataset(f"aircraft/test:{tmp_path}").images) == 2


@pytest.mark.parametrize("together", [False, True])
def test_cars(tmp_path, together):
    dataset = open_dataset(f"cars196:{trees.cars(tmp_path, together=together)}")
    image = dataset.images["car_ims/000004.jpg" if together else "cars_test/00002.jpg"]
    assert (image.category, image.splits, box(image)) == ("Maker Model 1 2012", ("test",), trees.box_of(3))
    assert len(dataset.images) == 8
    assert len(open_dataset(f"cars196/train:{tmp_path}").images) == 4


def test_labels_of_cars_to_test_with_may_lie_beside_the_devkit(tmp_path):
    trees.cars(tmp_path)
    name = "cars_test_annos_withlabels.mat"
    (tmp_path / "devkit" / name).rename(tmp_path / name)
    assert len(open_dataset(f"cars196:{tmp_path}").images) == 8


@pytest.mark.parametrize("year", [2007, 2012])
def test_voc(tmp_path, year):
    dataset = open_dataset(f"voc{year % 100:02}:{trees.voc(tmp_path, year=year)}")
    assert dataset.problems == []
    image = dataset.images["JPEGImages/000000.jpg"]
    assert (image.category, image.splits) == (None, ("train", "trainval"))
    assert [(one.category, one.box) for one in image.annotations] == [
        ("aeroplane", trees.box_of(0)),
        ("bicycle", trees.corner_of()),
    ]
    first, second = (one.mask.read() for one in image.annotations)
    assert in_box(first.inside, 0)
    assert not second.inside.any()
    assert first.known is not None
    hard = dataset.images["JPEGImages/000009.jpg"].annotations[0]
    assert (hard.difficult, hard.truncated) == (True, False)
    assert dataset.images["JPEGImages/000006.jpg"].splits == ("test",)


def test_voc_sets_leave_out_images_whose_objects_are_all_difficult_or_truncated(tmp_path):
    root = trees.voc(tmp_path)
    plain, cut = (trees.box_of(0), ""), (trees.corner_of(), "truncated")
    for key, objects in {
        "000003": [cut],
        "000004": [cut, plain],
        "000005": [(trees.box_of(0), "difficult"), cut],
    }.items():
        category = trees.VOC_CLASSES[int(key) % 3]
        trees.voc_xml(root / "VOC2007" / "Annotations" / f"{key}.xml", [(category, *one) for one in objects])
    sets = open_dataset(f"voc07/trainval:{root}").sets()
    assert sets == {
        "aeroplane": ["JPEGImages/000000.jpg"],
        "bicycle": ["JPEGImages/000000.jpg", "JPEGImages/000001.jpg", "JPEGImages/000004.jpg"],
        "horse": ["JPEGImages/000002.jpg"],
    }


@pytest.mark.parametrize("below", ["", "VOC2007"])
def test_voc_may_be_pointed_at_from_above_or_within(tmp_path, below):
    root = trees.voc(tmp_path)
    names = list(open_dataset(f"voc07:{root / below}").images)
    assert names == list(open_dataset(f"voc07:{tmp_path}").images)


def test_object_discovery(tmp_path):
    dataset = open_dataset(f"object-discovery:{trees.object_discovery(tmp_path, images=3, noisy=1)}")
    image = dataset.images["Car100/0002.jpg"]
    assert (image.category, box(image)) == ("car", trees.box_of(4))
    assert in_box(image.mask.read().inside, 4)
    noisy = dataset.images["Car100/0003.jpg"]
    assert (noisy.category, noisy.annotations) == ("car", ())
    assert not noisy.mask.read().inside.any()
    assert {name: len(names) for name, names in dataset.sets().items()} == {"airplane": 3, "car": 3, "horse": 3}
    assert dataset.problems == []


def test_object_discovery_without_a_mask_file_is_noisy_and_told(tmp_path):
    root = trees.object_discovery(tmp_path, images=3, noisy=1)
    (root / "Data" / "Horse100" / "GroundTruth" / "0003.png").unlink()
    dataset = open_dataset(f"object-discovery:{root}")
    noisy = dataset.images["Horse100/0003.jpg"]
    assert (noisy.category, noisy.annotations, noisy.mask) == ("horse", (), None)
    [problem] = dataset.problems
    assert str(problem).endswith("GroundTruth: 0003.jpg has none; taken as noisy, without the object")


@pytest.mark.parametrize("masks", ["ground_truth_mask", "masks"])
def test_ecssd(tmp_path, masks):
    root = trees.ecssd(tmp_path / "ECSSD")
    (root / "ground_truth_mask").rename(root / masks)
    dataset = open_dataset(f"ecssd:{tmp_path}")
    image = dataset.images["images/0001.jpg"]
    assert (image.categories, box(image)) == (["object"], trees.box_of(1))
    assert in_box(image.annotations[0].mask.read().inside, 1)
    assert {name: len(names) for name, names in dataset.sets().items()} == {"object": 3}
    assert dataset.problems == []


@pytest.mark.parametrize("by_name", [False, True])
def test_imagenet_subsets(tmp_path, by_name):
    dataset = open_dataset(f"imagenet-subsets:{trees.imagenet_subsets(tmp_path, by_name=by_name)}")
    assert {name: len(names) for name, names in dataset.sets().items()} == dict.fromkeys(
        ["chipmunk", "raccoon", "rake", "rhino", "stoat", "wheelchair"], 2
    )
    folder = "rhino" if by_name else "n02391994"
    image = dataset.images[f"{folder}/n02391994_1.JPEG"]
    assert (image.category, box(image), image.annotations[0].category) == ("rhino", trees.box_of(2), "rhino")


def test_imagenet_reads_annotations_only_when_asked(tmp_path, monkeypatch):
    from jaxloc.data.datasets import imagenet

    read: list[str] = []
    real = imagenet.read_xml
    monkeypatch.setattr(
        imagenet, "read_xml", lambda into, path, **more: read.append(path.stem) or real(into, path, **more)
    )
    dataset = open_dataset(f"imagenet:{trees.imagenet(tmp_path)}")
    assert len(dataset.images) == len(list(dataset.images)) == 12
    assert {name: len(names) for name, names in dataset.sets().items()} == {"n01440000": 6, "n01440001": 6}
    assert len(dataset.part()) == 12
    assert read == []
    image = dataset.images["val/n01440001/n01440001_3.JPEG"]
    assert read == ["n01440001_3"]
    assert (image.category, image.splits, box(image)) == ("n01440001", ("val",), trees.box_of(3))
    with pytest.raises(KeyError):
        dataset.images["val/n01440001/n01440001_33.JPEG"]


@pytest.mark.parametrize("place", ["Annotation", "bbox"])
def test_imagenet_boxes_may_lie_in_one_folder_for_each_synset(tmp_path, place):
    trees.imagenet(tmp_path, boxes=False)
    trees.voc_xml(
        tmp_path / place / "n01440000" / "n01440000_2.xml", [("n01440000", (1, 2, 30, 40), "")], first_pixel=0
    )
    images = open_dataset(f"imagenet:{tmp_path}").images
    assert box(images["train/n01440000/n01440000_2.JPEG"]) == (1, 2, 30, 40)
    assert images["train/n01440000/n01440000_0.JPEG"].annotations == ()


def test_imagenet_is_found_where_kaggle_unpacks_it(tmp_path):
    inner = tmp_path / "ILSVRC" / "Data" / "CLS-LOC"
    trees.imagenet(inner)
    (inner / "Annotations").rename(tmp_path / "ILSVRC" / "Annotations")
    images = open_dataset(f"imagenet/train:{tmp_path}").images
    assert len(images) == 6
    assert all(image.annotations for image in images.values())


def test_coco(tmp_path):
    dataset = open_dataset(f"coco:{trees.coco(tmp_path)}")
    assert len(dataset.images) == 12
    image = dataset.images["val2017/000000000001.jpg"]
    assert (image.category, image.splits, box(image)) == (None, ("val2017",), trees.box_of(1))
    assert in_box(image.annotations[0].mask.read().inside, 1)
    crowded = dataset.images["val2017/000000000005.jpg"]
    assert [one.crowd for one in crowded.annotations] == [False, True]
    assert crowded.annotations[1].mask.read().inside.all()
    assert dataset.problems == []


def test_coco_parses_no_other_split_than_the_one_wanted(tmp_path):
    trees.coco(tmp_path)
    (tmp_path / "annotations" / "instances_train2017.json").write_text("not JSON")
    assert len(open_dataset(f"coco/val2017:{tmp_path}").images) == 6


@pytest.mark.parametrize(("name", "prefix"), [("oxford5k", "oxc1_"), ("paris6k", "")])
def test_landmarks(tmp_path, name, prefix):
    dataset = open_dataset(f"{name}:{trees.landmarks(tmp_path, prefix=prefix)}")
    assert len(dataset.images) == 10
    query = dataset.queries[1]
    assert (query.name, query.image, query.box) == ("hall_1_1", "jpg/hall_1_000000.jpg", trees.box_of(5))
    assert query.judged == {
        "good": ("jpg/hall_1_000000.jpg", "jpg/hall_1_000001.jpg"),
        "ok": ("jpg/hall_1_000002.jpg",),
        "junk": ("jpg/hall_1_000003.jpg",),
    }
    assert dataset.problems == []


def test_images_of_paris_may_lie_in_folders(tmp_path):
    trees.landmarks(tmp_path, prefix="")
    (tmp_path / "jpg").rename(tmp_path / "hall")
    (tmp_path / "paris").mkdir()
    (tmp_path / "hall").rename(tmp_path / "paris" / "hall")
    assert open_dataset(f"paris6k:{tmp_path}").queries[0].image == "paris/hall/hall_0_000000.jpg"


@pytest.mark.parametrize("name", ["roxford5k", "rparis6k"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_revisited_landmarks(tmp_path, name, protocol):
    dataset = open_dataset(f"{name}:{trees.revisited(tmp_path, name=name, protocol=protocol)}")
    query = dataset.queries[1]
    assert (query.name, query.image) == ("001 query_000001", "jpg/query_000001.jpg")
    assert query.box == trees.box_of(11)
    assert query.judged == {
        "easy": ("jpg/hall_000005.jpg", "jpg/hall_000006.jpg"),
        "hard": ("jpg/hall_000007.jpg",),
        "junk": ("jpg/hall_000008.jpg",),
    }
    assert len(open_dataset(f"{name}/database:{tmp_path}").images) == 10
    assert dataset.problems == []


def test_instre(tmp_path):
    dataset = open_dataset(f"instre:{trees.instre(tmp_path)}")
    image = dataset.images["INSTRE-S2/01b_s2/002.jpg"]
    assert (image.category, image.splits, box(image)) == ("01b_s2", ("s2",), trees.box_of(1))
    both = dataset.images["INSTRE-M/01_pair/001.jpg"]
    assert both.category is None
    assert [(one.category, one.box) for one in both.annotations] == [
        ("01a_s1", trees.box_of(0)),
        ("01b_s1", trees.corner_of()),
    ]
    query = dataset.queries[1]
    assert (query.image, query.box) == ("INSTRE-S1/01b_s1/001.jpg", trees.box_of(0))
    assert query.judged == {"ok": tuple(f"INSTRE-S1/01b_s1/{number:03}.jpg" for number in (1, 2, 3))}
    assert dataset.problems == []


def test_instre_without_the_protocol_has_no_queries(tmp_path):
    assert open_dataset(f"instre:{trees.instre(tmp_path, protocol=False)}").queries == ()


@pytest.mark.parametrize("name", list(ADAPTERS))
def test_every_data_set_tells_what_a_newcomer_needs(name):
    info = ADAPTERS[name].info
    assert info.name == name
    assert all([info.title, info.holds, info.size, info.licence])
    assert info.page.startswith("http")
    assert info.get
    assert info.layout
    assert bool(info.tfds) == (ADAPTERS[name].read_tfds is not None)
