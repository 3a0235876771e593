"""Naming a data set where a path could stand."""

import subprocess
import sys
from pathlib import Path

import pytest

from jaxloc.data import find_sets, read_image
from jaxloc.data.annotations import Annotated, Annotation, read
from jaxloc.data.datasets import ADAPTERS, is_spec, open_dataset, set_names
from jaxloc.errors import UsageError
from tests.data.datasets import trees


@pytest.mark.parametrize(
    "text", ["cub200:/data/CUB", "voc07/trainval:VOCdevkit", "pets:tfds", r"cars196:C:\data\cars", "coco:"]
)
def test_a_known_name_and_a_colon_are_a_spec(text):
    assert is_spec(text)


@pytest.mark.parametrize(
    "text",
    [
        "cub200",
        "/data/cub200:x",
        "./cub200:x",
        r"C:\data",
        "C:/cub200",
        "tfds:cars196",
        "gs://cub200/x",
        "birds:/data",
        "",
        ":",
    ],
)
def test_everything_else_is_a_path(text):
    assert not is_spec(text)


@pytest.mark.parametrize("text", ["cub200:", "cub200/:x", "cub200/train+:x", "cub200/+:x"])
def test_an_incomplete_spec_is_explained(text):
    with pytest.raises(UsageError, match=rf"^{text.replace('+', '.')}: write cub200:FOLDER, cub200/SPLIT:FOLDER or"):
        open_dataset(text)


def test_an_unknown_name_is_met_with_the_nearest_one():
    with pytest.raises(
        UsageError, match=r"^cub20: no data set of this name; did you mean cub200\? \(`jaxloc datasets`"
    ):
        open_dataset("cub20:/data")
    with pytest.raises(UsageError, match=r"^zebras: no data set of this name; there are cub200, dogs, "):
        open_dataset("zebras:/data")


def test_splits_are_chosen_and_added(tmp_path):
    root = trees.voc(tmp_path)
    counts = {spec: len(open_dataset(f"voc07{spec}:{root}").images) for spec in ("", "/train", "/val", "/train+test")}
    assert counts == {"": 12, "/train": 3, "/val": 6, "/train+test": 6}


def test_the_home_folder_is_understood(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    trees.cub(tmp_path)
    assert len(open_dataset("cub200:~/CUB_200_2011").images) == 8


def test_the_images_of_a_set_are_found_like_those_of_a_folder(tmp_path):
    root = trees.cub(tmp_path)
    [images] = find_sets([f"cub200/train:{root}"])
    assert images.name == "CUB_200_2011"
    assert [source.name for source in images.sources] == list(open_dataset(f"cub200/train:{root}").images)
    assert images.sources[0].label == "001.Bird_1"
    assert images.sources[0].file == root / images.sources[0].name
    assert read_image(images.sources[0].path).pixels.shape == (*trees.SIZE, 3)


def test_per_label_makes_a_set_of_each_class_with_an_image_of_two_in_both(tmp_path):
    root = trees.voc(tmp_path)
    sets = {
        images.name: [source.name for source in images.sources]
        for images in find_sets([f"voc07:{root}"], per_label=True)
    }
    assert sets == open_dataset(f"voc07:{root}").sets()
    assert "JPEGImages/000000.jpg" in sets["aeroplane"]
    assert "JPEGImages/000000.jpg" in sets["bicycle"]


def test_a_set_read_as_it_is_asked_for_makes_sets_of_its_classes_too(tmp_path):
    sets = find_sets([f"imagenet/val:{trees.imagenet(tmp_path)}"], per_label=True)
    assert {images.name: len(images.sources) for images in sets} == {"n01440000": 3, "n01440001": 3}


def test_a_data_set_and_a_folder_go_together(tmp_path):
    root = trees.cub(tmp_path / "birds")
    trees.write_image(tmp_path / "own" / "a.jpg", 0)
    [images] = find_sets([f"cub200:{root}", tmp_path / "own"])
    assert {source.name.split("/")[0] for source in images.sources} == {"birds", "own"}
    assert len(images.sources) == 9


def test_two_splits_of_one_set_have_to_be_named_together(tmp_path):
    root = trees.cub(tmp_path)
    with pytest.raises(UsageError, match=r"^cub200/train:.* and cub200/test:.*: are one data set: name its splits tog"):
        find_sets([f"cub200/train:{root}", f"cub200/test:{root}"])
    assert len(find_sets([f"cub200/train:{root}", f"cub200/train:{root}"])[0].sources) == 4


def test_annotations_are_read_by_spec(tmp_path):
    root = trees.cub(tmp_path)
    (root / "images" / "001.Bird_1" / "Bird_0000.jpg").unlink()
    found = read(f"cub200:{root}")
    assert list(found.images) == list(open_dataset(f"cub200:{root}").images)
    assert [problem.kind for problem in found.problems] == ["missing image"]


def test_images_without_a_class_are_in_no_set():
    box = (0.0, 0.0, 1.0, 1.0)
    hard = Annotation("cat", box, difficult=True)
    assert set_names(Annotated("a.jpg", None, (hard, Annotation("dog", box, truncated=True)))) == []
    assert set_names(Annotated("a.jpg", None, (hard, Annotation("dog", box, crowd=True)))) == []
    assert set_names(Annotated("a.jpg", None, (hard, Annotation("cat", box), Annotation("cat", box)))) == ["cat"]
    assert set_names(Annotated("a.jpg", "cat", (hard,))) == ["cat"]


def test_neither_jax_nor_tensorflow_is_loaded(tmp_path):
    code = (
        "import sys; from jaxloc.data.datasets import open_dataset; from tests.data.datasets import trees; "
        "from pathlib import Path; open_dataset(f'voc07:{trees.voc(Path(sys.argv[1]))}'); "
        "print(sorted({'tensorflow', 'jax', 'tensorflow_datasets'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, cwd=root, timeout=120
    )
    assert done.stdout.strip() == "[]", done.stderr


def test_names_are_short_words():
    assert all(name == name.lower() and len(name) > 1 and ":" not in name and "/" not in name for name in ADAPTERS)
