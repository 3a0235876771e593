"""YOLO's labels of every task, and the layouts of the tools that write them."""

import pytest

from jaxloc.data.annotations import Polygons, read
from jaxloc.errors import UsageError
from tests.data.annotations.test_reading import only, photo, told

BOX = "0 0.5 0.5 0.5 0.5\n"
INSIDE = (5, 2.5, 15, 7.5)


def lay(folder, *images, **texts):
    """Images of 20 × 10 pixels, and texts at paths with ``__`` for each slash and ``_DOT_`` for each dot."""
    for image in images:
        photo(folder / image)
    for path, text in texts.items():
        file = folder / path.replace("__", "/").replace("_DOT_", ".")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())


def label(folder, text, about="names: [dog, cat]"):
    lay(folder, "images/a.png", labels__a_DOT_txt=text, data_DOT_yaml=f"train: images\n{about}\n")
    return read(folder)


def facts(found):
    return [
        (one.category, tuple(round(value, 6) for value in one.box), one.score, len(one.keypoints), one.mask is not None)
        for one in only(found).annotations
    ]


@pytest.mark.parametrize(
    ("line", "score", "points", "outlined"),
    [
        ("0 .5 .5 .5 .5 .75", 0.75, 0, False),
        ("0 .5 .5 .5 .5 7", 1, 0, False),
        ("0 .5 .5 .5 .5 .75 7", 0.75, 0, False),
        ("0 .5 .5 .5 .5 .75 1", 0.75, 0, False),
        ("0.0 .5 .5 .5 .5", 1, 0, False),
        ("0 .25 .25 .75 .25 .75 .75 .25 .75", 1, 0, True),
        ("0 .25 .25 .75 .25 .75 .75 .25 .75 .5", 0.5, 0, True),
        ("0 .25 .25 .75 .25 .75 .75 .25 .75 .5 12", 0.5, 0, True),
        ("0 .25 .25 .75 .25 .75 .75 .25 .75 12", 1, 0, True),
        ("5 2.5 15 2.5 15 7.5 5 7.5 dog 0", 1, 0, True),
        ("imagesource:x\n5 2.5 15 2.5 15 7.5 5 7.5 dog", 1, 0, True),
        ("0 .5 .5 .5 .5 .3 .4 2 .4 .4 1 0 0 0", 1, 3, False),
    ],
)
def test_lines_of_every_task_give_the_box(tmp_path, line, score, points, outlined):
    found = label(tmp_path, line)
    assert facts(found) == [("dog", INSIDE, score, points, outlined)]
    assert found.problems == []


@pytest.mark.parametrize(
    ("shape", "line", "visible", "score"),
    [
        ("[2, 2]", "0 .5 .5 .5 .5 .3 .4 0 0", [True, False], 1),
        ("[2, 3]", "0 .5 .5 .5 .5 .3 .4 2 .4 .4 0", [True, False], 1),
        ("[2, 3]", "0 .5 .5 .5 .5 .3 .4 2 .4 .4 0 .75", [True, False], 0.75),
        ("[2, 3]", "0 .5 .5 .5 .5 .3 .4 .9 .4 .4 .2 .75 3", [True, True], 0.75),
        ("[2, 3]", "0 .5 .5 .5 .5", [], 1),
    ],
)
def test_key_points_follow_the_box_where_the_yaml_says_so(tmp_path, shape, line, visible, score):
    found = label(tmp_path, line, f"names: [dog]\nkpt_shape: {shape}\nkpt_names: {{0: [nose, tail]}}")
    assert facts(found) == [("dog", INSIDE, score, len(visible), False)]
    points = only(found).annotations[0].keypoints
    assert [point.visible for point in points] == visible
    assert [(point.name, point.x, point.y) for point in points[:1]] == [("nose", 6, 4)][: len(points)]
    assert found.problems == []


def test_key_points_that_disagree_with_the_yaml_are_told(tmp_path):
    found = label(tmp_path, "0 .5 .5 .5 .5" + 5 * " .3 .4", "names: [dog]\nkpt_shape: [2, 2]")
    assert facts(found) == [("dog", INSIDE, 1, 0, False)]
    assert told(found) == [
        ("damaged key points or parts", "line 1 has other key points than kpt_shape says; its box is kept")
    ]
    with pytest.raises(UsageError, match="kpt_shape is not the number of key points and 2 or 3: 17"):
        label(tmp_path, "", "names: [dog]\nkpt_shape: 17")


def test_a_triangle_at_the_edge_of_a_track_less_file_stays_an_outline(tmp_path):
    found = label(tmp_path, f"{BOX}0 .25 .25 .75 .25 .75 1\n")
    assert only(found).annotations[1].mask == Polygons(10, 20, ((5, 2.5, 15, 2.5, 15, 10),))


@pytest.mark.parametrize(
    ("content", "lines", "names"),
    [
        (b"raccoon\ndog \n\n\n", "1", ["raccoon", "dog"]),
        (b"\xef\xbb\xbfraccoon\r\ndog\r\n", "1", ["raccoon", "dog"]),
        ("raccoon\ndog\n".encode("utf-16"), "1", ["raccoon", "dog"]),
        (b"\nraccoon\n\ndog", "1", ["raccoon", "dog"]),
        (b"raccoon\n\ndog", "2", ["raccoon", "dog"]),
    ],
)
def test_names_of_classes_are_lines_without_blanks(tmp_path, content, lines, names):
    text = b"\xef\xbb\xbf" + BOX.replace("0", lines, 1).encode()
    lay(tmp_path, "images/a.png", labels__a_DOT_txt=text, classes_DOT_txt=content)
    found = read(tmp_path)
    assert (found.problems, list(found.categories)) == ([], names)
    assert facts(found) == [("dog", INSIDE, 1, 0, False)]


CVAT = {
    "obj_DOT_data": "classes = 1\ntrain = data/train.txt\nvalid = data/valid.txt\nnames = data/obj.names\n",
    "obj_DOT_names": "dog\n",
    "train_DOT_txt": "data/obj_train_data/a.png\n",
    "obj_train_data__a_DOT_txt": BOX,
}


@pytest.mark.parametrize(
    ("images", "texts", "expected", "problems"),
    [
        (["obj_train_data/a.png"], CVAT, {"a.png": ("train",)}, ["valid: no folder or list data/valid.txt"]),
        (
            ["images/train/a.png", "images/Valid/b.png", "images/c.png"],
            {"labels__train__a_DOT_txt": BOX, "labels__Valid__b_DOT_txt": BOX, "labels__c_DOT_txt": BOX},
            {"a.png": ("train",), "b.png": ("Valid",), "c.png": ()},
            [],
        ),
        (
            ["train/images/a.png", "valid/images/x/b.png"],
            {"train__labels__a_DOT_txt": BOX, "valid__labels__x__b_DOT_txt": BOX},
            {"a.png": ("train",), "x/b.png": ("valid",)},
            [],
        ),
        (["a.png", "sub/b.png"], {"a_DOT_txt": BOX, "sub__b_DOT_txt": BOX}, {"a.png": (), "sub/b.png": ()}, []),
        (
            ["images/train/a.png"],
            {
                "data_DOT_yaml": "path: ./\ntrain: train.txt\nval: nowhere.txt\nnames: {0: dog}",
                "train_DOT_txt": "images\\train\\a.png\r\n./images/train/gone.png\n",
                "labels__train__a_DOT_txt": BOX,
            },
            {"a.png": ("train",)},
            ["./images/train/gone.png: no such image", "val: no folder or list nowhere.txt; the other splits are read"],
        ),
        (
            ["images/night/a.png", "images/day/b.png"],
            {
                "coco8_DOT_yaml": "path: coco8\ntrain: /content/sets/images/day\nnight: [images/night]\nnames: [dog]",
                "labels__night__a_DOT_txt": BOX,
                "labels__day__b_DOT_txt": BOX,
            },
            {"b.png": ("train",), "a.png": ("night",)},
            [],
        ),
        (
            ["train/images/a.png", "images/b.png"],
            {
                "data_DOT_yaml": "train: ../train/images\ntest: ../test/images\nnc: 1",
                "train__labels__a_DOT_txt": BOX,
            },
            {"a.png": ("train",)},
            ["test: no folder or list ../test/images"],
        ),
        (["predict/a.png"], {"predict__labels__a_DOT_txt": BOX}, {"predict/a.png": ()}, []),
    ],
)  # fmt: skip
def test_layouts_of_the_tools_are_read(tmp_path, images, texts, expected, problems):
    lay(tmp_path, *images, **texts)
    found = read(tmp_path)
    assert {name: image.splits for name, image in found.images.items()} == expected
    assert all(image.annotations[0].box == INSIDE for image in found.images.values())
    assert len(found.problems) == len(problems)
    for problem, what in zip(found.problems, problems, strict=True):
        assert problem.what.startswith(what)


def test_images_with_captions_beside_them_are_no_labels(tmp_path):
    lay(tmp_path, "a.png", a_DOT_txt="a dog on 4 legs, 2 5 6 7")
    with pytest.raises(UsageError, match="no annotations there"):
        read(tmp_path)
