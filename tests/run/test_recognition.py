"""Recognition from labelled images: what the SVM is given, what it leaves, and that no earlier run shows through.

Nine images of three kinds and of one shape are learnt from everywhere: programs are compiled anew for other numbers.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from jaxloc import models
from jaxloc.errors import UsageError
from jaxloc.options import ClassifyOptions, FinetuneOptions, IndexOptions
from jaxloc.run import classify, recognition
from jaxloc.run.recognition import recognize
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked

NUMBERS = (0, 2, 4, 6)
"""Those of the images to learn from; crops of even numbers have one shape."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    return small.write_weights(tmp_path_factory.mktemp("weights") / "narrow.safetensors")


@pytest.fixture(scope="module")
def options(weights) -> ClassifyOptions:
    """A given C, little training, several shards."""
    return ClassifyOptions(
        training=FinetuneOptions(weights=weights, epochs=1, batch=4, max_side=64, validation_share=0.0, workers=1),
        describing=IndexOptions(descriptor="scda_flip+", weight=1.0, shard_size=4, workers=1),
        regularization=1.0,
    )


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """Four images of each of three kinds, each in its folder; nothing may be written here."""
    return small.write_images(tmp_path_factory.mktemp("images") / "photos", NUMBERS, empty=False)


@pytest.fixture(scope="module")
def asked(tmp_path_factory) -> Path:
    """Other images of the same kinds."""
    return small.write_images(tmp_path_factory.mktemp("asked") / "asked", (8, 10), empty=False)


@pytest.fixture(scope="module")
def expected(images, asked, options, weights, tmp_path_factory) -> dict[str, np.ndarray]:
    """Every image's vector, by path, from galleries made for nothing else."""
    found = {}
    for number, photos in enumerate((images, asked)):
        folder = tmp_path_factory.mktemp("expected") / str(number)
        index([photos], folder, dataclasses.replace(options.describing, weights=weights))
        found |= zip(Gallery.open(folder).whole_table()["path"].to_pylist(), small.stored(folder), strict=True)
    return found


@pytest.fixture(scope="module")
def done(images, options, tmp_path_factory) -> tuple[Path, recognition.Recognized]:
    """A finished run: its folder, to be copied before anything is written there, and what it returned."""
    folder = tmp_path_factory.mktemp("done") / "out"
    return folder, recognize([images], folder, options)


@pytest.fixture
def given(monkeypatch) -> list[tuple]:
    """What the classifier was given, run by run: vectors, labels, test vectors, test labels."""
    calls: list[tuple] = []
    original = classify.classify

    def spy(*arguments, **values):
        calls.append(arguments)
        return original(*arguments, **values)

    monkeypatch.setattr(classify, "classify", spy)
    return calls


def names_of(vectors: np.ndarray, expected: dict[str, np.ndarray]) -> Iterator[str]:
    """The one image that each vector is of."""
    for vector in vectors:
        (path,) = (path for path, value in expected.items() if np.allclose(vector, value, atol=1e-5))
        yield path


def kind_of(path: str) -> str:
    return Path(path).parent.name


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in ("classifier.safetensors", "evaluation.json")}


def evaluation(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def test_a_share_of_each_kind_is_tested_on_with_the_vectors_of_these_images(images, options, expected, given, tmp_path):
    done = recognize([images], tmp_path, options)
    ((vectors, labels, test_vectors, test_labels),) = given
    train, test = list(names_of(vectors, expected)), list(names_of(test_vectors, expected))
    assert list(map(kind_of, train)) == labels
    assert list(map(kind_of, test)) == test_labels == sorted(small.KINDS)
    assert sorted(train + test) == sorted(str(path) for path in images.rglob("*.png"))
    assert (done.train, done.test, done.skipped, done.tuned) == (9, 3, {}, None)
    train, test = recognition._split([images], (), None, tmp_path, dataclasses.replace(options, test_share=0.5))
    assert (len(train), len(test)) == (6, 6)


def test_the_classifier_that_is_written_is_the_one_that_was_measured(done, expected):
    folder, recognized = done
    classifier = classify.load(folder / "classifier.safetensors")
    assert classifier.classes == tuple(sorted(small.KINDS))
    assert classifier.settings["descriptor"] == "scda_flip+"
    assert (classifier.settings["tune"], classifier.settings["weight"]) == ("none", "1")
    told = evaluation(folder)
    right = 0
    for image in told["images"]:
        (path,) = (path for path in expected if path.endswith(f"photos/{image['name']}"))
        assert image["label"] == kind_of(path)
        assert classifier.predict(expected[path][None]) == [image["predicted"]]
        right += image["predicted"] == image["label"]
    assert told["accuracy"] == recognized.classified.evaluation.accuracy == right / 3
    assert (told["train"], told["test"], told["regularization"]) == (9, 3, 1.0)


def test_the_seed_decides_what_is_tested_on(images, options, done):
    def tested(seed):
        _, test = recognition._split([images], (), None, "out", dataclasses.replace(options, seed=seed))
        return {image.source.name for image in test}

    assert tested(0) == {image["name"] for image in evaluation(done[0])["images"]}
    assert len({frozenset(tested(seed)) for seed in range(5)}) > 1


def test_images_to_test_on_are_not_learnt_from(images, asked, options, expected, given, tmp_path):
    also = [images / kind / "2.png" for kind in small.KINDS]
    done = recognize([images], tmp_path, options, test=[*also, asked])
    ((vectors, labels, test_vectors, test_labels),) = given
    train, test = list(names_of(vectors, expected)), list(names_of(test_vectors, expected))
    assert set(train) == {str(path) for path in images.rglob("*.png") if path not in also}
    assert set(test) == {*map(str, also), *(str(path) for path in asked.rglob("*.png"))}
    assert list(map(kind_of, train)) == labels
    assert (done.train, done.test) == (9, 9)
    assert len(test_labels) == 9


def write_coco(path: Path, labels: dict[str, str]) -> Path:
    """A COCO file of image labels, without boxes."""
    kinds = sorted(set(labels.values()))
    images = [
        {"id": number, "file_name": name, "category_id": kinds.index(label)}
        for number, (name, label) in enumerate(labels.items())
    ]
    categories = [{"id": number, "name": kind} for number, kind in enumerate(kinds)]
    path.write_text(json.dumps({"images": images, "annotations": [], "categories": categories}))
    return path


def test_labels_may_come_from_a_coco_file_and_change(images, options, given, tmp_path):
    flat = tmp_path / "flat"
    flat.mkdir()
    labels = {}
    for path in sorted(images.rglob("*.png")):
        name = f"{path.stem}_{path.parent.name}.png"
        shutil.copy(path, flat / name)
        labels[f"flat/{name}"] = {"cat": "animal", "coffee": "cup", "face": "person"}[path.parent.name]
    coco = write_coco(tmp_path / "labels.json", labels)
    with pytest.raises(UsageError, match="all images to learn from are of one kind, 'flat', and telling"):
        recognize([flat], tmp_path / "out", options)
    done = recognize([flat], tmp_path / "out", options, labels=coco)
    assert done.classified.classifier.classes == ("animal", "cup", "person")
    assert (done.train, done.test) == (9, 3)
    told = evaluation(tmp_path / "out")["images"]
    assert all(image["label"] == labels[f"flat/{image['name']}"] for image in told)

    labels = {name: ("early", "later", "last")[number // 4] for number, name in enumerate(labels)}
    write_coco(coco, labels)
    recognize([flat], tmp_path / "out", options, labels=coco)
    recognize([flat], tmp_path / "fresh", options, labels=coco)
    (_, before, *_), (vectors, after, *_), (fresh_vectors, fresh, *_) = given
    assert sorted(set(before)) == ["animal", "cup", "person"]
    assert sorted(set(after)) == ["early", "last", "later"]
    assert after == fresh
    np.testing.assert_allclose(vectors, fresh_vectors, atol=1e-5)

    del labels["flat/0_cat.png"]
    write_coco(coco, labels)
    with pytest.raises(UsageError, match=r"1 of 12 images have no label: .*--labels"):
        recognize([flat], tmp_path / "out", options, labels=coco)


def test_the_same_call_again_changes_nothing(images, options, done, tmp_path):
    folder = small.copy(done[0], tmp_path / "out")
    before = helpers.every_file(folder)
    again = recognize([images], folder, options)
    assert helpers.every_file(folder) == before
    assert (again.train, again.test) == (done[1].train, done[1].test)


def test_broken_off_it_goes_on_to_the_same_result(images, options, done, tmp_path, monkeypatch):
    write_shard = Gallery.write_shard
    written = []

    def broken(self, number, *arguments):
        write_shard(self, number, *arguments)
        written.append(self.folder.name)
        if len(written) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Gallery, "write_shard", broken)
        with pytest.raises(KeyboardInterrupt):
            recognize([images], tmp_path / "out", options)
    assert written == ["train", "train"]
    recognize([images], tmp_path / "out", options)
    assert helpers.every_file(tmp_path / "out") == helpers.every_file(done[0])


def test_images_that_went_came_or_changed_leave_no_trace(images, options, given, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    shutil.copytree(images, photos)
    recognize([photos], out, options)
    (photos / "face" / "4.png").unlink()
    small.crop("face", 12).save(photos / "face" / "0_before_the_others.png")
    small.crop("coffee", 14).save(photos / "coffee" / "2.png")
    shutil.rmtree(photos / "cat")
    (photos / "tea").mkdir()
    for number in (16, 18, 20, 22):
        small.crop("coffee", number).save(photos / "tea" / f"{number}.png")
    recognize([photos], out, options)
    recognize([photos], tmp_path / "fresh", options)
    _, (vectors, labels, tests, test_labels), (fresh, fresh_labels, fresh_tests, fresh_test_labels) = given
    assert sorted(set(labels)) == ["coffee", "face", "tea"]
    assert (labels, test_labels) == (fresh_labels, fresh_test_labels)
    np.testing.assert_allclose(vectors, fresh, atol=1e-5)
    np.testing.assert_allclose(tests, fresh_tests, atol=1e-5)
    assert evaluation(out) == evaluation(tmp_path / "fresh")


@pytest.mark.parametrize("change", soaked(["max_side", "descriptor", "weights"], ["weights"]))
def test_with_other_options_or_weights_the_vectors_are_made_anew(images, options, done, tmp_path, change):
    folder = small.copy(done[0], tmp_path / "out")
    if change == "weights":
        other = small.write_weights(tmp_path / "other.safetensors", seed=1)
        changed = dataclasses.replace(options, training=dataclasses.replace(options.training, weights=other))
    else:
        value = {"max_side": 64, "descriptor": "scda"}[change]
        changed = dataclasses.replace(options, describing=dataclasses.replace(options.describing, **{change: value}))
    recognize([images], folder, changed)
    recognize([images], tmp_path / "fresh", changed)
    assert helpers.every_file(folder) == helpers.every_file(tmp_path / "fresh")
    assert results(folder) != results(done[0])


@pytest.mark.soak  # a run that is broken off elsewhere is tested above
def test_killed_while_old_vectors_are_removed_it_still_goes_on(images, options, done, tmp_path, monkeypatch):
    folder = small.copy(done[0], tmp_path / "out")
    changed = dataclasses.replace(options, describing=dataclasses.replace(options.describing, max_side=64))
    rmtree = shutil.rmtree

    def broken(path):
        rmtree(path)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "rmtree", broken)
        with pytest.raises(KeyboardInterrupt):
            recognize([images], folder, changed)
    recognize([images], folder, changed)
    recognize([images], tmp_path / "fresh", changed)
    assert helpers.every_file(folder) == helpers.every_file(tmp_path / "fresh")


def test_tuning_the_head_leaves_the_vectors_and_tuning_more_does_not(images, options, done, tmp_path):
    folder = small.copy(done[0], tmp_path / "out")
    before = helpers.every_file(folder / "train")
    tuned = recognize([images], folder, dataclasses.replace(options, tune="head")).tuned
    assert tuned.classes == tuple(sorted(small.KINDS))
    assert helpers.every_file(folder / "train") == before
    assert (folder / "tuning" / "tuned.safetensors").is_file()
    assert evaluation(folder)["tuned"] == dataclasses.asdict(tuned.epochs[0])
    assert classify.load(folder / "classifier.safetensors").settings["tune"] == "head"

    shutil.rmtree(folder / "tuning")
    whole = recognize([images], folder, dataclasses.replace(options, tune="whole"))
    assert whole.tuned.epochs[0].accuracy >= 0
    checksum = models.load(whole.tuned.weights).checksum
    assert Gallery.open(folder / "train").description.weights_checksum == checksum
    assert Gallery.open(folder / "test").description.weights_checksum == checksum
    assert checksum != models.load(options.training.weights).checksum
    assert helpers.every_file(folder / "train") != before
    after = helpers.every_file(folder)
    recognize([images], folder, dataclasses.replace(options, tune="whole"))
    assert helpers.every_file(folder) == after


def test_the_network_is_tuned_on_what_is_learnt_from_only(images, options, tmp_path, monkeypatch):
    seen = {}

    def stop(paths, out, training, labels):
        seen.update(paths=paths, out=out, training=training, labels=labels)
        raise UsageError("far enough")

    monkeypatch.setattr(recognition, "finetune", stop)
    wanted = dataclasses.replace(options, tune="last", seed=3)
    with pytest.raises(UsageError, match="far enough"):
        recognize([images], tmp_path / "out", wanted)
    train, _ = recognition._split([images], (), None, tmp_path / "out", wanted)
    assert seen["paths"] == [image.source.path for image in train]
    assert seen["labels"] == {f"{kind_of(path)}/{path.name}": kind_of(path) for path in seen["paths"]}
    assert (seen["out"], seen["training"].frozen_blocks, seen["training"].seed) == (tmp_path / "out" / "tuning", 4, 3)


def test_kinds_with_a_single_image_are_learnt_but_not_tested(images, options, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(images, photos)
    for number in NUMBERS[1:]:
        (photos / "face" / f"{number}.png").unlink()
    for kind, number in (("cat", 8), ("coffee", 10)):
        small.crop(kind, number).save(photos / kind / f"{number}.png")
    done = recognize([photos], tmp_path / "out", options)
    assert (done.train, done.test) == (9, 2)
    assert done.classified.classifier.classes == tuple(sorted(small.KINDS))
    assert [one.name for one in done.classified.evaluation.classes] == ["cat", "coffee"]
    for kind in ("cat", "coffee"):
        shutil.rmtree(photos / kind)
        helpers.plant(photos / kind, [images / kind / "0.png"])
    with pytest.raises(UsageError, match=r"every kind has a single image, so there is nothing to test on: .*--test"):
        recognize([photos], tmp_path / "out", options)


def test_a_kind_that_was_not_learnt_counts_as_wrong(images, asked, options, tmp_path):
    known = [images / kind / "2.png" for kind in small.KINDS]
    shutil.copytree(asked / "coffee", tmp_path / "asked" / "tea")
    done = recognize([images], tmp_path / "out", options, test=[*known, tmp_path / "asked"])
    scores = {one.name: one for one in done.classified.evaluation.classes}
    assert done.classified.classifier.classes == tuple(sorted(small.KINDS))
    assert (scores["tea"].correct, scores["tea"].count) == (0, 2)
    assert done.classified.evaluation.accuracy <= 3 / 5


def test_images_that_cannot_be_read_are_told_until_they_are_gone(images, options, tmp_path):
    photos = tmp_path / "photos"
    tested = [photos / kind / "2.png" for kind in small.KINDS]
    shutil.copytree(images, photos)
    (photos / "cat" / "text.png").write_text("no image")
    whole = (photos / "face" / "0.png").read_bytes()
    (photos / "face" / "cut.png").write_bytes(whole[: len(whole) // 2])
    done = recognize([photos], tmp_path / "out", options, test=tested)
    assert (done.train, done.test) == (9, 3)
    assert set(done.skipped) == {"cat/text.png", "face/cut.png"}
    assert evaluation(tmp_path / "out")["skipped"] == done.skipped
    (photos / "cat" / "text.png").unlink()
    done = recognize([photos], tmp_path / "out", options, test=tested)
    assert set(done.skipped) == {"face/cut.png"}
    (photos / "face" / "cut.png").unlink()
    done = recognize([photos], tmp_path / "out", options, test=tested)
    assert (done.train, done.skipped) == (9, {})


def test_where_nothing_can_be_tested_or_learnt_from_the_cure_is_named(images, options, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(UsageError, match=r"every image is one to test on, so there is none to learn from: .*--test"):
        recognize([images], out, options, test=[images])
    with pytest.raises(UsageError, match="all images to learn from are of one kind, 'cat', and telling kinds apart"):
        recognize([images / "cat"], out, options)
    with pytest.raises(UsageError, match="all images to learn from are of one kind, 'cat'"):
        recognize([images], out, options, test=[images / "coffee", images / "face"])
    broken = tmp_path / "broken" / "cat"
    broken.mkdir(parents=True)
    (broken / "a.png").write_text("no image")
    assert not out.exists()
    with pytest.raises(UsageError, match=r"no readable image among 1 \(.*a\.png: not an image"):
        recognize([images], out, options, test=[broken.parent])
    assert not (out / "classifier.safetensors").exists()


def test_what_is_written_beside_the_images_is_not_taken_for_images(images, options, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(images, photos)
    first = recognize([photos], photos / "out", options)
    assert not [path for path in (photos / "out").rglob("*") if path.suffix in (".png", ".jpg", ".jpeg")]
    again = recognize([photos], photos / "out", options)
    assert (again.train, again.test) == (first.train, first.test) == (9, 3)


def test_c_is_chosen_by_validation_where_none_is_given(images, options, tmp_path):
    done = recognize([images], tmp_path, dataclasses.replace(options, regularization=None))
    assert set(done.classified.accuracies) == set(classify.CANDIDATES)
    assert evaluation(tmp_path)["regularization"] == done.classified.regularization
