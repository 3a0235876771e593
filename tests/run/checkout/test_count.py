"""Counters: trained on a composed set, they count; whatever breaks a training off, it ends with the same bytes."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from jaxloc.data import annotations
from jaxloc.errors import UsageError
from jaxloc.options import ComposeOptions, CountOptions, EvaluateOptions, TrainCounterOptions
from jaxloc.run.checkout import compose, count, model, train
from jaxloc.run.checkout.count import counted_text, to_plain
from jaxloc.run.checkout.train import training_text
from jaxloc.run.evaluation import evaluate_files
from jaxloc.run.loop import Score
from jaxloc.run.writing import locked
from tests.products import write_products
from tests.report.parsed import Page
from tests.run.retrieval import small

KINDS = ("kind-0", "kind-1", "kind-2")


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """A set of three striking kinds; nothing may be written there."""
    folder = tmp_path_factory.mktemp("labelled")
    products = write_products(folder / "products", kinds=3, views=1)
    options = ComposeOptions(images=30, levels=("easy",), side=96, product_side=0.28, render="none")
    return compose(products, folder / "out", options).folder / "dataset"


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    """A short training on a small network."""
    weights = small.write_weights(tmp_path_factory.mktemp("weights") / "small.safetensors")
    return TrainCounterOptions(weights=weights, side=96, steps=240, validation_steps=120, learning_rate=1e-2)


@pytest.fixture(scope="module")
def trained(labelled, options, tmp_path_factory):
    """A finished training; nothing may be changed in its folder."""
    return train(labelled, tmp_path_factory.mktemp("trained"), options)


@pytest.fixture(scope="module")
def counted(trained, labelled, options, tmp_path_factory):
    """What it counts in the images it was trained on."""
    return count(
        trained.file.parent,
        [labelled / "images"],
        tmp_path_factory.mktemp("counted"),
        CountOptions(weights=options.weights),
    )


def test_it_learns_to_count_what_it_is_shown(trained, labelled):
    assert trained.counter.classes == KINDS
    assert (trained.images, trained.held_out) == (24, 6)
    items = [len(image.annotations) for image in annotations.read(labelled).images.values()]
    assert trained.validation.distance < 0.6 * np.mean(items)  # of a small random network; counting nothing errs by all
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert "Learnt 3 kinds from 24 images; of 6 held out, " in training_text(trained)
    log = json.loads((trained.file.parent / "training.json").read_text())
    assert log["validation"]["distance"] == trained.validation.distance
    assert not (trained.file.parent / "maps").exists()


@pytest.mark.soak  # the loop is tested in run/test_loop.py and run/test_finetune.py
def test_broken_off_it_ends_with_the_same_bytes(trained, labelled, options, tmp_path, monkeypatch):
    calls = []

    def add(self, tally, before=Score.add):
        calls.append(tally)
        if len(calls) == 150:
            raise RuntimeError("killed")
        before(self, tally)

    with monkeypatch.context() as patch:
        patch.setattr(Score, "add", add)
        with pytest.raises(RuntimeError, match="killed"):
            train(labelled, tmp_path, options)
    again = train(labelled, tmp_path, options)
    assert again.resumed
    assert again.file.read_bytes() == trained.file.read_bytes()
    with pytest.raises(UsageError, match="a training was begun there with seed 0, not 1"):
        train(labelled, tmp_path, dataclasses.replace(options, seed=1))


def test_a_folder_that_another_process_writes_to_is_refused(labelled, options, tmp_path):
    with locked(tmp_path), pytest.raises(UsageError, match="another process is writing to this folder"):
        train(labelled, tmp_path, options)


def test_a_counter_that_finds_nothing_says_to_train_longer(trained, counted):
    warning = "Warning: the counter finds no product of the images held out, and counts nothing: train longer"
    empty = dataclasses.replace(trained.counter, threshold=1.0)
    assert warning in training_text(dataclasses.replace(trained, counter=empty))
    assert warning in counted_text(dataclasses.replace(counted, counter=empty, threshold=1.0))
    assert warning not in training_text(trained)
    assert warning not in counted_text(counted)


def test_counts_are_those_of_the_boxes_above_the_threshold(counted, trained):
    plain = json.loads((counted.folder / "counts.json").read_text())
    assert plain == to_plain(counted)
    assert plain["threshold"] == trained.counter.threshold
    with (counted.folder / "counts.csv").open(newline="") as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    found = annotations.read(counted.folder / "annotations.json").images
    assert len(found) == len(rows) == 30
    for name, image in found.items():
        above = [one.category for one in image.annotations if one.score >= plain["threshold"]]
        assert plain["images"][name] == {kind: above.count(kind) for kind in set(above)}
        assert [int(rows[name][kind]) for kind in KINDS] == [above.count(kind) for kind in KINDS]
        assert int(rows[name]["items"]) == len(above)
        assert (image.width, image.height) == (96, 96)
        assert all(0 <= one.box[0] < one.box[2] <= 96 for one in image.annotations)
    page = Page((counted.folder / "report.html").read_text())
    assert page.tile("Images") == "30"
    assert "All counts are in" in counted_text(counted)


def test_evaluation_takes_the_threshold_of_the_counts(counted, labelled):
    scores = evaluate_files(counted.folder, labelled, EvaluateOptions(counts=True)).counts
    assert scores.threshold == counted.threshold
    assert scores.levels["easy"].images == 30
    best = evaluate_files(counted.folder, labelled, EvaluateOptions(counts=True, count_threshold="best")).counts
    every_box = evaluate_files(counted.folder, labelled, EvaluateOptions(counts=True, count_threshold=0.0)).counts
    kept, best, every_box = (one.levels["averaged"].counting for one in (scores, best, every_box))
    assert best.accuracy >= max(kept.accuracy, every_box.accuracy)
    assert every_box != kept


def test_a_threshold_may_be_given_and_unreadable_images_are_named(trained, labelled, options, tmp_path):
    asked = CountOptions(threshold=1.0, weights=options.weights)
    shutil.copytree(labelled / "images", tmp_path / "images")
    (tmp_path / "images" / "broken.jpg").write_bytes(b"\xff\xd8 nothing")
    done = count(trained.file, [tmp_path / "images"], tmp_path / "out", asked)
    assert list(done.skipped) == ["broken.jpg"]
    assert not any(done.counts(image) for image in done.images)
    assert "Not used:\n  broken.jpg: " in counted_text(done)
    for path in (tmp_path / "images").glob("easy*"):
        path.unlink()
    with pytest.raises(UsageError, match="none of the 1 image can be used"):
        count(trained.file, [tmp_path / "images"], tmp_path / "none", asked)


def test_a_counter_is_read_as_it_was_written_and_others_are_refused(trained, labelled, tmp_path):
    known = model.load(trained.file)
    model.save(tmp_path / "again.safetensors", known)
    assert (tmp_path / "again.safetensors").read_bytes() == trained.file.read_bytes()
    (tmp_path / "damaged.safetensors").write_bytes(trained.file.read_bytes()[:100])
    with pytest.raises(UsageError, match=r"missing or damaged counter .*: train it again with jaxloc checkout train"):
        model.load(tmp_path / "damaged.safetensors")
    other = small.write_weights(tmp_path / "other.safetensors", seed=3)
    with pytest.raises(
        UsageError, match=r"the counter was trained on other weights of .* name the file with --weights"
    ):
        count(trained.file, [labelled / "images"], tmp_path / "out", CountOptions(weights=other))


def test_annotations_of_something_else_are_not_replaced(trained, labelled, tmp_path):
    shutil.copy(labelled / "annotations.json", tmp_path / "annotations.json")
    with pytest.raises(
        UsageError, match="written by something else than a run in this folder, and would be replaced: choose another"
    ):
        count(trained.file, [labelled / "images"], tmp_path)


def test_a_set_without_images_or_with_one_cannot_be_learnt(labelled, options, tmp_path):
    shutil.copy(labelled / "annotations.json", tmp_path / "annotations.json")
    with pytest.raises(UsageError, match="has no image with a box whose file is there"):
        train(tmp_path / "annotations.json", tmp_path / "out", options)
