"""Mask-CNN on squares of two colours: parts are found, classes named, and a killed training resumes."""

import dataclasses
import functools
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxloc.errors import UsageError
from jaxloc.models.fcn import PartScores
from jaxloc.options import MaskCnnOptions
from jaxloc.run.maskcnn import apply_maskcnn, streams, train_maskcnn, training
from jaxloc.run.maskcnn import parts as parts_module
from jaxloc.run.maskcnn.applying import applied_text
from jaxloc.run.maskcnn.examples import read_examples
from jaxloc.run.maskcnn.model import load
from jaxloc.run.maskcnn.training import to_plain, train_examples, training_text
from jaxloc.run.writing import locked
from tests.models import narrow
from tests.run import helpers

WIDE = narrow.register("vgg16-parts", (16, 16, 32, 64, 64))
SIDE, HEAD, TORSO = 96, 32, 36
COLOURS = {"red": (220, 30, 30), "green": (20, 200, 40)}


def write_set(folder, *, each: int = 8, parts: bool = True, splits: bool = True):
    """Images of a head, whose colour is the class, beside a blue torso, and their COCO file."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    images, annotations = [], []
    for number in range(2 * each):
        kind = list(COLOURS)[number % 2]
        pixels = rng.integers(90, 110, (SIDE, SIDE, 3), np.uint8)
        x, y = rng.integers(2, SIDE - TORSO - 2), rng.integers(2, SIDE - TORSO - HEAD - 2)
        pixels[y : y + HEAD, x : x + HEAD] = COLOURS[kind]
        pixels[y + HEAD : y + HEAD + TORSO, x : x + TORSO] = (30, 40, 220)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        split = {"split": "test" if number >= 2 * each - 4 else "train"} if splits else {}
        images.append({"id": number, "file_name": f"{number}.png", "width": SIDE, "height": SIDE} | split)
        boxes = {"head": [x, y, HEAD, HEAD], "torso": [x, y + HEAD, TORSO, TORSO]}
        own = {"parts": [{"name": name, "bbox": list(map(int, box))} for name, box in boxes.items()]} if parts else {}
        whole = [int(x), int(y), TORSO, HEAD + TORSO]
        annotations.append({"id": number, "image_id": number, "category_id": 1 + number % 2, "bbox": whole} | own)
    categories = [{"id": 1 + number, "name": kind} for number, kind in enumerate(COLOURS)]
    file = folder / "annotations.json"
    file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return file


@pytest.fixture(autouse=True, scope="module")
def quick():
    """Small crops and a narrow head, which learns fast."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "CROP", SIDE)
        patch.setattr(parts_module, "PartScores", functools.partial(PartScores, width=128))
        patch.setattr(parts_module, "_RATE", 5e-3)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    return narrow.write(tmp_path_factory.mktemp("weights") / "wide.safetensors", WIDE)


@pytest.fixture(scope="module")
def options(weights):
    return MaskCnnOptions(weights=weights, side=SIDE, steps=120, classifier_steps=40)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_set(tmp_path_factory.mktemp("data") / "squares")


@pytest.fixture(scope="module")
def trained(data, options, tmp_path_factory):
    """Of the four networks, that of images and that of everything."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "_kinds", lambda parts: [[0], [0, 1, 2]])
        return train_maskcnn(data, tmp_path_factory.mktemp("out"), options)


def test_parts_are_found_and_classes_told_apart(trained):
    assert (trained.train, trained.test, trained.model.parts) == (12, 4, ["head", "torso"])
    assert trained.pcp == {"head": 1, "torso": 1}
    assert training._kinds(2) == [[0], [0, 1], [0, 2], [0, 1, 2]]
    assert list(trained.accuracies) == [("image",), ("image", "head", "torso")]
    assert trained.accuracies["image", "head", "torso"] == 1


def test_results_are_annotations_with_parts_a_page_and_a_sheet_of_masks(trained):
    coco = json.loads((trained.folder / "annotations.json").read_text())
    assert len(coco["images"]) == 4
    assert [[part["name"] for part in one["parts"]] for one in coco["annotations"]] == [["head", "torso"]] * 4
    assert "Mask-CNN of 4 images" in (trained.folder / "report.html").read_text()
    with Image.open(trained.folder / "masks.png") as sheet:
        assert sheet.width > 1000
    figures = json.loads((trained.folder / "evaluation.json").read_text())
    assert figures["pcp"] == {"head": 1, "torso": 1}
    text = training_text(trained, 1.0)
    assert "image + head + torso" in text
    assert "Learnt from 12 images of 2 classes, tested on 4" in text
    assert not (trained.folder / "work").exists()


def test_a_part_that_no_test_image_shows_has_no_share(trained):
    unseen = dataclasses.replace(trained, pcp={"head": 1.0, "torso": float("nan")})
    assert json.loads(json.dumps(to_plain(unseen), allow_nan=False))["pcp"] == {"head": 1, "torso": None}


def test_a_model_is_read_as_it_was_written_and_names_new_images(trained, data, options, tmp_path):
    again = load(trained.folder / "maskcnn.safetensors")
    assert (again.classes, again.parts, again.side) == (["green", "red"], ["head", "torso"], SIDE)
    (tmp_path / "new").mkdir()
    for number in (12, 13):
        shutil.copy(data.parent / f"{number}.png", tmp_path / "new")
    (tmp_path / "new" / "broken.png").write_bytes(b"no image")
    model = trained.folder / "maskcnn.safetensors"
    found = apply_maskcnn(model, [tmp_path / "new"], tmp_path / "out", options)
    assert {one.name: one.category for one in found.images} == {"12.png": "red", "13.png": "green"}
    assert [one.name for one in found.skipped] == ["broken.png"]
    trained_on = json.loads((trained.folder / "annotations.json").read_text())["annotations"]
    applied = json.loads((tmp_path / "out" / "annotations.json").read_text())["annotations"]
    boxes = {tuple(one["bbox"]) for one in trained_on}
    assert {tuple(one["bbox"]) for one in applied} <= boxes
    assert "2 images named, 1 skipped." in (text := applied_text(found, tmp_path / "out"))
    assert "broken.png: " in text
    named = json.loads((tmp_path / "out" / "maskcnn.json").read_text())
    assert {name: one["class"] for name, one in named["images"].items()} == {"12.png": "red", "13.png": "green"}
    assert list(named["skipped"]) == ["broken.png"]
    apply_maskcnn(model, [tmp_path / "new"], tmp_path / "out", options)
    with pytest.raises(UsageError, match=r"annotations.json: written by something else than a run in this folder"):
        apply_maskcnn(model, [tmp_path / "new"], trained.folder, options)


def test_other_weights_are_refused(trained, data, options, tmp_path):
    other = MaskCnnOptions(weights=narrow.write(tmp_path / "other.safetensors", WIDE, seed=5))
    with pytest.raises(UsageError, match="made with other weights of vgg16-parts: pass those with --weights"):
        apply_maskcnn(trained.folder / "maskcnn.safetensors", [data.parent], tmp_path / "out", other)


@pytest.mark.soak  # the loop is tested in run/test_loop.py and run/test_finetune.py
def test_a_killed_training_resumes_to_the_same_bytes(data, options, tmp_path, monkeypatch):
    monkeypatch.setattr(training, "_kinds", lambda parts: [[0], [0, 1, 2]])
    options = dataclasses.replace(options, steps=4, classifier_steps=4)
    unbroken = train_maskcnn(data, tmp_path / "unbroken", options).folder
    broken = tmp_path / "broken"
    with helpers.killed_after_periods(2), pytest.raises(InterruptedError):
        train_maskcnn(data, broken, options)
    examples = read_examples(data, test_share=options.test_share, seed=options.seed)
    with pytest.raises(UsageError, match="a training was begun there with other images"):
        train_examples(examples._replace(boxes=examples.boxes + 1), broken, options)
    train_maskcnn(data, broken, options)
    name = "maskcnn.safetensors"
    assert (broken / name).read_bytes() == (unbroken / name).read_bytes()


def test_without_splits_a_share_of_each_class_is_tested_on(tmp_path):
    examples = read_examples(write_set(tmp_path / "squares", splits=False), test_share=0.25, seed=0)
    tested = [label for label, test in zip(examples.labels, examples.test, strict=True) if test]
    assert sorted(tested) == ["green", "green", "red", "red"]
    assert examples.boxes.shape == (16, 2, 4)


def test_a_set_without_parts_and_an_odd_side_are_refused(data, options, tmp_path):
    with pytest.raises(
        UsageError, match="no image to learn from has named parts or CUB's key points: pass cub200:FOLDER"
    ):
        read_examples(write_set(tmp_path / "plain", parts=False), test_share=0.25, seed=0)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "annotations.json").write_text("{}")
    with pytest.raises(UsageError, match=r"annotations.json: written by something else than a run in this folder"):
        train_maskcnn(data, tmp_path / "mine", options)
    with locked(tmp_path / "mine"), pytest.raises(UsageError, match="another process is writing to this folder"):
        train_maskcnn(data, tmp_path / "mine", options)
    with pytest.raises(UsageError, match="the side must be a multiple of 32 pixels, not 100"):
        train_maskcnn(data, tmp_path / "out", MaskCnnOptions(side=100))
