"""``jaxloc export``: what it prints, and what it answers to what cannot be."""

import json
import shutil
import signal

import pytest

from jaxloc.data.annotations import Annotations
from jaxloc.report.exports import coco
from jaxloc.run.export import export
from tests.cli import cli
from tests.report.exports import examples


@pytest.fixture
def dataset(tmp_path):
    """A COCO export of three images, which lie in ``photos`` with a COCO file of their own beside."""
    images = examples.images(tmp_path / "photos")
    export(Annotations({image.name: image for image in images}), tmp_path / "dataset", "coco")
    shutil.copy(tmp_path / "dataset" / "annotations.json", tmp_path / "photos" / "annotations.json")
    return tmp_path / "dataset"


def test_it_writes_and_says_what(dataset, tmp_path):
    status, out, err = cli.invoke(
        "export", dataset, "--format", "yolo", "--out", tmp_path / "yolo", "--split", "train=0.5, val=0.5",
        "--rename", "dog=hound", "--min-score", 0.7, "--found-only",
    )  # fmt: skip
    assert (status, err) == (0, "")
    first, *rest = out.splitlines()
    assert first.startswith(f"{tmp_path}/yolo: 2 images (")
    assert first.endswith("), 2 objects")
    assert rest == [
        "2 classes: cat, hound",
        "numbers of classes that differ from the source's: cat 1 → 0, hound 2 → 1",
        "left out: 1 × objects below the lowest score",
        "left out: 1 × images without objects",
    ]
    assert (tmp_path / "yolo" / "data.yaml").exists()


def test_problems_are_counted_and_the_first_is_named(dataset, tmp_path):
    file = dataset / "annotations.json"
    content = json.loads(file.read_text())
    content["annotations"][0]["bbox"] = [50, 10, 40, 10]
    content["annotations"][1]["bbox"] = [50, 10, 40, 10]
    content["annotations"][2]["bbox"] = [0, 0, 0, 0]
    file.write_text(json.dumps(content))
    status, _, err = cli.invoke("export", file, "--format", "voc", "--out", tmp_path / "voc")
    assert status == 0
    what = "annotation 1 of dogs/a.jpg reaches out of its image of 64 × 48 pixels: [50, 10, 40, 10]; clipped"
    assert err.splitlines() == [
        f"problem: 2 × box that reaches out of the image, such as {file}: {what}",
        f"problem: 1 × box without area, such as {file}: annotation 3 of cats/b.png has a box without area: "
        "[0, 0, 0, 0]",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "train"], "--split: 'train' is not NAME=VALUE"),
        (["--split", "train=most,val=0.2"], "the share of split train must be above 0 and at most 1, not nan"),
        (["--split", "a=0.5,a=0.5"], "--split: a is given twice"),
        (["--split", "a=0.5,b=0.2"], "the shares of the splits must add up to 1, not 0.7"),
        (["--rename", "dog"], "--rename: 'dog' is not NAME=VALUE"),
        (["--rename", "horse=dog"], "there is no class horse to rename: there are cat, dog"),
        (["--images", "nowhere"], "nowhere: no such folder of images"),
    ],
)
def test_options_that_cannot_be_are_one_line(dataset, tmp_path, options, message):
    status, out, err = cli.invoke("export", dataset, "--format", "coco", "--out", tmp_path / "out", *options)
    assert (status, out) == (2, "")
    assert cli.one_line(err) == f"jaxloc: {message}"


def test_objects_without_masks_are_counted_where_outlines_are_written(dataset, tmp_path):
    status, _, err = cli.invoke("export", dataset, "--format", "yolo", "--segments", "--out", tmp_path / "yolo")
    what = "cats_b.png: an object (cat) has no mask; the outline of its box is written"
    assert (status, err) == (0, f"problem: 1 × object without a mask, such as {what}\n")


def test_a_place_that_cannot_be_written_is_one_line(dataset, tmp_path):
    (tmp_path / "file").touch()
    status, _, err = cli.invoke("export", dataset, "--format", "coco", "--out", tmp_path / "file" / "out")
    assert status == 2
    assert "cannot be read or written" in cli.one_line(err)
    assert cli.one_line(err).endswith("; nothing was exported")


def test_a_folder_that_is_taken_is_one_line(dataset, tmp_path):
    arguments = ("export", dataset, "--format", "crops", "--square", "--margin", 0.1, "--out", tmp_path / "out")
    assert cli.invoke(*arguments)[0] == 0
    status, _, err = cli.invoke(*arguments)
    assert status == 2
    assert cli.one_line(err).endswith("out: is not empty: choose another folder with --out, or pass --overwrite")
    assert cli.invoke(*arguments, "--overwrite")[0] == 0


@pytest.mark.parametrize(
    ("number", "status", "word"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "asked to end")]
)
def test_a_stop_leaves_what_was_there_and_says_so(dataset, tmp_path, monkeypatch, number, status, word):
    before = sorted(tmp_path.rglob("*"))
    write = coco.write

    def stopped(*arguments, **options):
        signal.raise_signal(number)
        return write(*arguments, **options)

    monkeypatch.setattr(coco, "write", stopped)
    for out in (tmp_path / "out", dataset):
        again = ["--overwrite"] if out == dataset else []
        found = cli.invoke("export", tmp_path / "photos", "--format", "coco", "--out", out, *again)
        assert found[:2] == (status, "")
        line = f"jaxloc: {word}; nothing was exported, and what was there before stays"
        assert cli.one_line(found[2]) == line
    assert sorted(tmp_path.rglob("*")) == before


def test_help_shows_examples():
    status, out, _ = cli.invoke("export", "--help")
    assert status == 0
    assert "jaxloc export result --format yolo --out dataset --split train=0.8,val=0.2" in " ".join(out.split())
