"""Export as a job: what is chosen, where it goes, and what stays when something is wrong."""

import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
import tarfile
import warnings
from unittest import mock

import numpy as np
import pytest

from jaxloc.data import read_image
from jaxloc.data.annotations import Annotated, Annotation, Annotations, read
from jaxloc.errors import UsageError
from jaxloc.options import ExportOptions
from jaxloc.report import coco, parquet
from jaxloc.report.exports import formats
from jaxloc.report.records import Finding, Findings
from jaxloc.run import export as job
from jaxloc.run import threaded
from jaxloc.run.export import export
from jaxloc.run.progress import Progress
from jaxloc.run.writing import locked
from tests.data.datasets import trees
from tests.report.exports import examples

FORMATS = list(formats.FORMATS)


@pytest.fixture
def images(tmp_path) -> list[Annotated]:
    return examples.images(tmp_path / "photos")


@pytest.fixture
def source(images) -> Annotations:
    return Annotations({image.name: image for image in images})


def names(folder) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_is_written_and_tells_what(source, tmp_path, format):
    if format == "tfds":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pytest.importorskip("tensorflow_datasets")
    made = export(source, tmp_path / "out", format)
    images = {"masks": 1, "crops": 2}.get(format, 3)
    assert (made.images, made.categories, made.splits, made.problems) == (images, ["cat", "dog"], {}, [])
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert (about["format"], about["images"], about["objects"]) == (format, images, made.objects)
    assert {place.name for place in tmp_path.iterdir()} == {"photos", "out"}


@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_one_layout_after_another_keeps_the_boxes(source, tmp_path, format):
    export(source, tmp_path / "first", format)
    export(tmp_path / "first", tmp_path / "second", "coco")
    again = read(tmp_path / "second")
    assert again.problems == []
    flat = {name.replace("/", "_"): image for name, image in again.images.items()}
    for image in source.images.values():
        boxes = sorted(one.box for one in flat[image.name.replace("/", "_")].annotations)
        assert len(boxes) == len(image.annotations)
        off = np.abs(np.subtract(boxes, sorted(one.box for one in image.annotations))).max(initial=0)
        assert off <= (0.5 if format == "voc" else 1e-6)


def write_job(folder, findings):
    (folder / "parts").mkdir(parents=True)
    coco.write(folder / "annotations.json", findings)
    parquet.write(folder / "parts" / "found-00000.parquet", findings.images, [])


def test_a_jobs_folder_knows_where_its_images_are(tmp_path):
    path = examples.draw(tmp_path / "far" / "away.jpg", 64, 48)
    data = examples.draw(tmp_path / "b.jpg", 30, 20).read_bytes()
    with tarfile.open(tmp_path / "more.tar", "w") as archive:
        archive.add(tmp_path / "b.jpg", "in#side/b.jpg")
    one = Finding("cats/a.jpg", path, "cats", 64, 48, (1.5, 2.5, 30.5, 40.5), 0.5, True, 0.5)
    other = Finding("more/b.jpg", f"{tmp_path}/more.tar#in#side/b.jpg", "cats", 30, 20, None, 0.0, False, 0.01, True)
    write_job(tmp_path / "result", Findings("cats", "ddt", {}, [one, other], []))
    made = export(tmp_path / "result", tmp_path / "out", "coco")
    assert (made.images, made.objects, made.problems) == (2, 1, [])
    again = read(tmp_path / "out").images
    assert again["cats/a.jpg"].annotations == (Annotation("cats", one.box, score=0.5),)
    assert again["cats/a.jpg"].noise_score == 0.5
    assert (tmp_path / "out/images/more/b.jpg").read_bytes() == data
    assert os.path.samefile(path, tmp_path / "out/images/cats/a.jpg")
    path.unlink()
    (tmp_path / "more.tar").unlink()
    with pytest.raises(UsageError, match=r"more\.tar: no such file"):
        export(tmp_path / "result", tmp_path / "out2", "coco")


def test_a_data_set_is_exported_by_its_spec(tmp_path):
    trees.voc(tmp_path / "voc")
    made = export(f"voc07:{tmp_path}/voc/VOCdevkit", tmp_path / "out", "yolo", ExportOptions(segments=True))
    assert made.images == len(list((tmp_path / "voc/VOCdevkit/VOC2007/JPEGImages").iterdir()))
    again = read(tmp_path / "out")
    assert all(one.mask is not None for image in again.images.values() for one in image.annotations)


def test_images_that_disagree_are_told_and_left_out(source, tmp_path):
    (tmp_path / "photos" / "c.jpg").unlink()
    examples.draw(tmp_path / "photos/cats/b.png", 99, 40)
    made = export(source, tmp_path / "out", "yolo")
    assert (made.images, [problem.kind for problem in made.problems]) == (
        1,
        ["image of another size", "missing image"],
    )
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert about["problems"][1]["where"].endswith("c.jpg")
    shutil.rmtree(tmp_path / "photos")
    cure = r"3 × missing image, such as .*a\.jpg: no such image; left out; name the images' folder with --images"
    with pytest.raises(UsageError, match=rf"nothing is left to export: {cure}"):
        export(source, tmp_path / "out2", "yolo")
    assert not (tmp_path / "out2").exists()


def test_without_images_nothing_is_looked_for(source, tmp_path):
    shutil.rmtree(tmp_path / "photos")
    made = export(source, tmp_path / "out", "coco", ExportOptions(placement="none"))
    assert (made.images, names(tmp_path / "out")) == (3, ["annotations.json", "export.json"])
    unsized = Annotations({"a.jpg": Annotated("a.jpg")})
    with pytest.raises(UsageError, match=r"missing size, such as a\.jpg: voc needs the image's size; left out"):
        export(unsized, tmp_path / "voc", "voc", ExportOptions(placement="none"))


def test_turned_images_are_exported_upright_with_their_boxes(tmp_path):
    path = examples.draw(tmp_path / "a.jpg", 40, 20, turned=True)
    source = Annotations({"a.jpg": Annotated("a.jpg", None, (Annotation("cat", (1, 2, 19, 39)),), 20, 40, path=path)})
    made = export(source, tmp_path / "out", "voc")
    assert (made.images, made.problems) == (1, [])
    again = read(tmp_path / "out", images=tmp_path / "out" / "JPEGImages").images["a.jpg"]
    assert again.annotations[0].box == (1, 2, 19, 39)
    assert read_image(again.path).original_size == (40, 20)
    lying = Annotations({"a.jpg": dataclasses.replace(source.images["a.jpg"], width=40, height=20)})
    with pytest.raises(UsageError, match="is shown as 20 × 40 pixels, its annotations say 40 × 20"):
        export(lying, tmp_path / "out2", "voc")


def many(count: int) -> Annotations:
    boxes = (Annotation("cat", (0, 0, 5, 5)),)
    return Annotations({f"{n}.jpg": Annotated(f"{n}.jpg", None, boxes, 9, 9) for n in range(count)})


def test_splits_have_their_shares_and_are_stable(tmp_path):
    options = ExportOptions(split={"train": 0.7, "val": 0.2, "test": 0.1}, placement="none")
    made = export(many(2000), tmp_path / "out", "coco", options)
    assert sum(made.splits.values()) == 2000
    assert abs(made.splits["train"] - 1400) < 80
    assert abs(made.splits["val"] - 400) < 60
    all_of = {name: image.splits for name, image in read(tmp_path / "out").images.items()}
    export(many(1000), tmp_path / "fewer", "coco", options)
    assert all(all_of[name] == image.splits for name, image in read(tmp_path / "fewer").images.items())
    other = dataclasses.replace(options, seed=1)
    assert any(job.deal(name, other) != split[0] for name, split in all_of.items())


def test_splits_of_the_annotations_are_kept_unless_others_are_asked_for(source, tmp_path):
    images = {n: dataclasses.replace(i, splits=("test",) if n == "c.jpg" else ()) for n, i in source.images.items()}
    made = export(Annotations(images), tmp_path / "out", "yolo")
    assert made.splits == {"test": 1, "unassigned": 2}
    made = export(Annotations(images), tmp_path / "out2", "yolo", ExportOptions(split={"all": 1}))
    assert made.splits == {"all": 3}


def test_scores_empty_images_and_names_of_classes(source, tmp_path):
    options = ExportOptions(min_score=0.7, found_only=True, rename={"dog": "cat"})
    made = export(source, tmp_path / "out", "coco", options)
    assert (made.images, made.objects, made.categories) == (2, 2, ["cat"])
    assert made.left_out == {"objects below the lowest score": 1, "images without objects": 1}
    with pytest.raises(UsageError, match="there is no class horse to rename: there are cat, dog"):
        export(source, tmp_path / "out2", "coco", ExportOptions(rename={"horse": "cat"}))
    with pytest.raises(UsageError, match="nothing is left to export: 3 × objects below the lowest score"):
        export(source, tmp_path / "out3", "coco", ExportOptions(min_score=2, found_only=True))


def test_odd_names_become_files_and_are_told(tmp_path):
    path = examples.draw(tmp_path / "x.png", 20, 10)
    odd = ["../up.png", "a/b.png", "a_b.png", "no suffix"]
    source = Annotations({name: Annotated(name, None, (), 20, 10, path=path) for name in odd})
    export(source, tmp_path / "out", "voc")
    about = json.loads((tmp_path / "out" / "export.json").read_text())
    assert set(about["renamed_files"]) == {"../up.png", "a/b.png", "a_b.png", "no suffix"}
    assert len(list((tmp_path / "out/JPEGImages").iterdir())) == 4
    assert about["renamed_files"]["no suffix"] == "no_suffix.jpg"


@pytest.mark.parametrize(
    ("format", "options", "message"),
    [
        ("csv", {}, "no format 'csv': there are coco, voc"),
        ("coco", {"placement": "move"}, "images must be one of link, copy, none, not 'move'"),
        ("crops", {"placement": "none"}, "crops is made of images: leave --placement none out"),
        ("coco", {"split": {"a": 0.5, "b": 0.6}}, r"must add up to 1, not 1\.1"),
        ("coco", {"split": {"a": 1.5, "b": -0.5}}, r"the share of split a must be above 0 and at most 1, not 1\.5"),
        ("coco", {"split": {"a/b": 1}}, "a split's name becomes that of files: 'a/b' cannot"),
        ("crops", {"margin": -1}, "the margin must be at least 0, not -1"),
        ("crops", {"margin": float("nan")}, "the margin must be at least 0, not nan"),
        ("coco", {"min_score": float("nan")}, "the lowest score must be a number"),
    ],
)
def test_options_that_make_no_sense_are_refused_first(source, tmp_path, format, options, message):
    with pytest.raises(UsageError, match=message):
        export(source, tmp_path / "out", format, ExportOptions(**options))
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_refused_and_only_exports_are_replaced(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    export(source, out, "coco")
    with pytest.raises(UsageError, match=r"out: is not empty: choose another folder with --out, or pass --overwrite"):
        export(source, out, "voc")
    export(source, out, "voc", ExportOptions(overwrite=True))
    assert not (out / "annotations.json").exists()
    assert (out / "Annotations").is_dir()
    with pytest.raises(UsageError, match=r"c\.jpg: is a file"):
        export(source, tmp_path / "photos" / "c.jpg", "coco")


def test_numbers_of_classes_do_not_depend_on_what_is_left_out(source, tmp_path):
    few = ExportOptions(min_score=0.7, found_only=True, rename={"dog": "hound"}, origin="there")
    made = export(dataclasses.replace(source, categories=("ant", "cat")), tmp_path / "out", "yolo", few)
    assert made.categories == ["ant", "cat", "hound"]
    assert "names:\n  0: ant\n  1: cat\n  2: hound\n" in (tmp_path / "out" / "data.yaml").read_text()
    assert json.loads((tmp_path / "out" / "export.json").read_text())["source"] == "there"
    made = export(source, tmp_path / "out2", "yolo", ExportOptions(min_score=2))
    assert made.categories == ["cat", "dog"]


@pytest.mark.parametrize(("format", "segments"), [("masks", False), ("yolo", True)])
def test_masks_that_the_score_left_out_are_told_apart_from_none(source, tmp_path, format, segments):
    scored = {
        name: dataclasses.replace(
            image, annotations=tuple(dataclasses.replace(one, score=0.5) for one in image.annotations)
        )
        for name, image in source.images.items()
    }
    options = ExportOptions(min_score=0.99, segments=segments)
    message = "what is left out had all the masks: 3 × objects below the lowest score: leave out less"
    with pytest.raises(UsageError, match=message):
        export(Annotations(scored), tmp_path / "out", format, options)
    assert not (tmp_path / "out").exists()


def test_a_replaced_export_leaves_nothing_of_it_and_no_file_of_somebody_is_lost(source, tmp_path):
    out = tmp_path / "out"
    export(source, out, "coco")
    (out / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"out: holds mine\.txt, which the export did not write .* move it away, or"):
        export(source, out, "voc", ExportOptions(overwrite=True))
    assert (out / "mine.txt").read_text() == "mine"
    assert (out / "annotations.json").exists()


def test_what_is_exported_is_never_replaced(source, tmp_path):
    export(source, tmp_path / "out", "coco")
    before = names(tmp_path / "out")
    with pytest.raises(UsageError, match=r"out: holds what is exported \("):
        export(tmp_path / "out", tmp_path / "out", "voc", ExportOptions(overwrite=True))
    assert names(tmp_path / "out") == before


def test_a_full_disk_leaves_what_was_there_and_nothing_else(source, tmp_path):
    resource = pytest.importorskip("resource")
    out = tmp_path / "out"
    export(source, out, "coco", ExportOptions(placement="copy"))
    before = {name: (out / name).read_bytes() for name in names(out)}
    for image in source.images.values():
        noise = np.random.default_rng(0).bytes(400_000)
        image.path.write_bytes(image.path.read_bytes() + noise)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limit[1]))
    try:
        with pytest.raises(UsageError, match=r"cannot be written \(File too large\)"):
            export(source, out, "coco", ExportOptions(placement="copy", overwrite=True))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert {name: (out / name).read_bytes() for name in names(out)} == before
    assert {place.name for place in tmp_path.iterdir()} == {"photos", "out"}


def test_a_kill_leaves_what_was_there_and_the_next_export_cleans_up(source, tmp_path):
    out = tmp_path / "out"
    export(source, out, "coco")
    before = names(out)
    code = f"""
import pickle, time
from jaxloc.run import export as job
source = pickle.loads({pickle.dumps(source)!r})
job.write_marker = lambda *_: (print("half done", flush=True), time.sleep(600))
job.export(source, {os.fspath(out)!r}, "voc", job.ExportOptions(overwrite=True))
"""
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "half done\n"
    process.kill()
    process.wait(30)
    process.stdout.close()
    assert names(out) == before
    assert len(list(tmp_path.glob(".out.*.part"))) == 1
    export(source, out, "voc", ExportOptions(overwrite=True))
    assert list(tmp_path.glob(".out.*.part")) == []


def test_a_kill_between_the_old_folder_and_the_new_brings_the_old_one_back(source, tmp_path):
    out = tmp_path / "out"
    export(source, out, "coco")
    before = names(out)
    out.rename(tmp_path / ".out.01234567.old")
    with pytest.raises(UsageError, match="out: is not empty"):
        export(source, out, "voc")
    assert names(out) == before
    assert {place.name for place in tmp_path.iterdir()} == {"photos", "out"}


def test_what_another_process_is_writing_is_left_alone(source, tmp_path):
    theirs = tmp_path / ".out.01234567.part"
    theirs.mkdir()
    with locked(theirs):
        export(source, tmp_path / "out", "coco")
    assert theirs.is_dir()


def test_ctrl_c_between_two_images_leaves_nothing(source, tmp_path, monkeypatch):
    def stop(shown, images=1):
        raise KeyboardInterrupt

    monkeypatch.setattr(Progress, "update", stop)
    with pytest.raises(KeyboardInterrupt):
        export(source, tmp_path / "out", "coco")
    assert {place.name for place in tmp_path.iterdir()} == {"photos"}


@pytest.mark.parametrize(
    ("format", "bars"),
    [
        ("coco", ["checking", "images", "annotations"]),
        ("yolo", ["checking", "writing"]),
        ("crops", ["checking", "cutting crops"]),
        ("parquet", ["checking", "writing train"]),
    ],
)
def test_it_shows_how_far_it_is(source, tmp_path, monkeypatch, format, bars):
    shown = []

    @contextlib.contextmanager
    def progress(purpose, total):
        counted = mock.Mock()
        yield counted
        shown.append((purpose, total, counted.update.call_count))

    monkeypatch.setattr(threaded, "progress", progress)
    export(source, tmp_path / "out", format)
    assert shown == [(purpose, 3, 3) for purpose in bars]


def test_many_images_and_problems_keep_their_order(tmp_path):
    path = examples.draw(tmp_path / "photos/a.jpg", 20, 10)
    images = {}
    for number in range(200):
        name = f"{(number * 37) % 200}.jpg"
        boxes = (Annotation("cat", (0, 0, 5, 5)),)
        images[name] = Annotated(name, None, boxes, 20, 99 if number % 50 == 7 else 10, path=path)
    made = export(Annotations(images), tmp_path / "out", "coco")
    wrong = [name for number, name in enumerate(images) if number % 50 == 7]
    assert len(made.problems) == len(wrong) == 4
    assert list(read(tmp_path / "out").images) == [name for name in images if name not in wrong]


@pytest.mark.photos
@pytest.mark.parametrize("format", ["coco", "voc", "yolo"])
def test_real_photographs_go_through(photos_folder, tmp_path, format):
    truth = read(photos_folder / "voc07_left" / "annotations.json")
    made = export(truth, tmp_path / "out", format, ExportOptions(split={"train": 0.8, "val": 0.2}, placement="copy"))
    assert (made.images, made.problems) == (len(truth.images), [])
    again = {name.replace("/", "_"): image for name, image in read(tmp_path / "out").images.items()}
    off = [
        np.abs(np.subtract(before.box, after.box)).max()
        for name, image in truth.images.items()
        for before, after in zip(image.annotations, again[name.replace("/", "_")].annotations, strict=True)
    ]
    assert len(off) == made.objects
    assert max(off) < 1e-6
