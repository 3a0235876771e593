"""Learning to tell identities apart as a job, and the galleries that are made with what it learnt."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from jaxloc import models
from jaxloc.errors import UsageError
from jaxloc.models import projection
from jaxloc.options import IndexOptions, NetworkOptions, ReidOptions
from jaxloc.run.reid.evaluation import evaluate, evaluation_text
from jaxloc.run.reid.listing import find_identities
from jaxloc.run.reid.train import learnt_text, train
from jaxloc.run.retrieval.evaluation import evaluate_retrieval
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.search import search
from tests.compiled import jitted
from tests.data.datasets import vehicle_trees
from tests.models import narrow
from tests.run.test_finetune import Killed, break_off, killed

KINDS = {"warm": ((230, 60, 40), (230, 160, 40), (180, 20, 90)), "cold": ((30, 40, 220), (40, 200, 210), (90, 20, 200))}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Four images of each of three identities of two kinds: a noisy colour, and a patch of another somewhere."""
    folder, rng = tmp_path_factory.mktemp("identities") / "in", np.random.default_rng(0)
    for kind, colours in KINDS.items():
        for number, colour in enumerate(colours):
            (folder / kind / f"{kind}{number}").mkdir(parents=True)
            for image in range(4):
                shape = ((64, 72, 3), (80, 64, 3))[image % 2]
                pixels = np.clip(rng.normal(colour, 30, shape), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / kind / f"{kind}{number}" / f"{image}.png")
    return folder


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    weights = narrow.write(tmp_path_factory.mktemp("weights") / "narrow.safetensors")
    return ReidOptions(
        method="rnn-ha",
        weights=weights,
        hidden=8,
        steps=12,
        step_images=12,
        validation_steps=4,
        max_side=64,
        devices=1,
        workers=1,
    )


@pytest.fixture(scope="module")
def learnt(images, options, tmp_path_factory):
    """A finished training; nothing may be written to its folder."""
    return train([images], tmp_path_factory.mktemp("learnt") / "out", options)


@pytest.fixture(scope="module")
def gallery(images, options, learnt, tmp_path_factory):
    folder = tmp_path_factory.mktemp("made") / "gallery"
    index([images], folder, IndexOptions(weights=options.weights, projection=learnt.projection, devices=1))
    return folder


def test_a_training_says_what_it_did(learnt):
    assert (learnt.images, learnt.identities, learnt.kinds, learnt.skipped) == (24, 6, 2, {})
    assert learnt.history[-1]["loss"] < learnt.history[0]["loss"]
    told = learnt_text(learnt)
    assert "24 images of 6 identities of 2 kinds; kept the state after step 12" in told
    assert f"--projection {learnt.projection}" in told
    assert told.endswith(f"Look at {learnt.attention}")
    with Image.open(learnt.attention) as sheet:
        assert sheet.size == (4 * 408 + 8, 2 * 208 + 8)


@pytest.mark.soak  # the loop is tested in run/test_loop.py and run/test_finetune.py
def test_killed_it_resumes_to_the_same_bytes(images, options, learnt, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        break_off(patch, 7, killed)
        with pytest.raises(Killed):
            train([images], tmp_path / "out", options)
    assert not (tmp_path / "out" / "projection.safetensors").exists()
    assert train([images], tmp_path / "out", options).resumed
    for name in ("projection.safetensors", "training.json"):
        assert (tmp_path / "out" / name).read_bytes() == (learnt.projection.parent / name).read_bytes()
    with pytest.raises(UsageError, match="begun there with steps 12, not 13"):
        train([images], tmp_path / "out", dataclasses.replace(options, steps=13))


def test_a_gallery_holds_the_projected_vectors(images, gallery, learnt, options):
    made = Gallery.open(gallery)
    assert (made.description.descriptor, made.description.settings["max_side"]) == ("projection", 64)
    vectors = np.concatenate(list(made.chunks()))
    assert vectors.shape == (24, 16)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    read, about = projection.load(learnt.projection)
    weights = models.load(options.weights)
    row = made.whole_table().to_pylist()[5]
    with Image.open(row["path"]) as image:
        features, size = jitted(models.extract_features)(
            weights.params, np.asarray(image), backbone=weights.backbone, layers=(about.layer,)
        )[about.layer]
    expected = np.asarray(read.look(features, size).vector)
    np.testing.assert_allclose(vectors[5], expected / np.linalg.norm(expected), atol=1e-4)


def test_it_is_searched_and_measured_like_any_other(images, gallery, options):
    reading = NetworkOptions(weights=options.weights, devices=1)
    query = images / "warm" / "warm0" / "2.png"
    found = search(gallery, [query], reading)
    assert found.queries[0].results[0].label == "warm0"
    result = evaluate_retrieval(gallery)
    assert result.dimension == 16
    assert result.scored.mean.recalls[0] > 100 / 6
    measured = evaluate(gallery, draws=3)
    assert (measured.identities, measured.queries) == (6, 18)
    assert 100 / 6 < measured.matches[0] <= measured.matches[1] <= 100
    assert "means over 3 draws" in evaluation_text(measured)


def test_a_gallery_grows_with_its_own_projection_only(images, gallery, options, learnt, tmp_path):
    grown = tmp_path / "gallery"
    shutil.copytree(gallery, grown)
    shutil.copy(images / "cold" / "cold1" / "0.png", tmp_path / "new.png")
    assert index([tmp_path / "new.png"], grown, Gallery.open(grown).description.options(weights=options.weights)).added
    other = narrow.write(tmp_path / "other.safetensors", seed=9)
    with pytest.raises(UsageError, match=r"learnt on other weights \(vgg16-narrow, .*pass its own with --weights"):
        index([images], tmp_path / "wrong", IndexOptions(weights=other, projection=learnt.projection))
    again, about = projection.load(learnt.projection)
    changed = tmp_path / "changed.safetensors"
    projection.save(changed, dataclasses.replace(again, scale=2 * again.scale), "rnn-ha", about)
    with pytest.raises(UsageError, match="made with another projection"):
        index([images], grown, IndexOptions(weights=options.weights, projection=changed))
    with pytest.raises(UsageError, match="needs the file of one: pass --projection"):
        index([images], tmp_path / "none", IndexOptions(weights=options.weights, descriptor="projection"))
    with pytest.raises(UsageError, match=r"no projection .*that `jaxloc reid train` wrote"):
        index([images], tmp_path / "none", IndexOptions(weights=options.weights, projection=options.weights))


def test_kinds_are_folders_around_or_named_by_a_file(images, tmp_path):
    found = find_identities([images])
    assert {(one.kind, one.identity) for one in found} == {(kind, f"{kind}{n}") for kind in KINDS for n in range(3)}
    assert {one.kind for one in find_identities([images / "warm"])} == {None}
    folder = shutil.copytree(images, tmp_path / "in")
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.png"))
    listed = [
        {"id": n, "file_name": name, "width": 1, "height": 1, "category_id": int(name[9])}
        for n, name in enumerate(names)
    ]
    categories = [{"id": n, "name": f"number {n}", "supercategory": "any"} for n in range(3)]
    truth = folder / "truth.json"
    truth.write_text(json.dumps({"images": listed, "annotations": [], "categories": categories}))
    found = find_identities([folder], labels=truth)
    assert {(one.kind, one.identity) for one in found} == {("any", f"number {n}") for n in range(3)}
    listed[-1]["coarse"] = "own"
    truth.write_text(json.dumps({"images": listed, "annotations": [], "categories": categories}))
    with pytest.raises(UsageError, match=r"'number 2' is of the kind 'own' here and 'any' elsewhere"):
        find_identities([folder], labels=truth)


def test_vehicles_are_identities_of_their_models(tmp_path):
    found = find_identities([f"veri776/train:{vehicle_trees.veri(tmp_path)}"])
    assert {(one.identity, one.kind) for one in found} == {("0001", "type 2"), ("0002", "type 1")}


def test_images_that_cannot_be_read_are_skipped_and_methods_without_attention_draw_none(images, options, tmp_path):
    shutil.copytree(images, tmp_path / "in")
    (tmp_path / "in" / "warm" / "warm0" / "text.png").write_text("no image")
    Image.new("RGB", (90, 20)).save(tmp_path / "in" / "warm" / "warm0" / "small.png")
    quick = dataclasses.replace(options, method="triplet", steps=1)
    done = train([tmp_path / "in"], tmp_path / "out", quick)
    assert set(done.skipped) == {"warm/warm0/text.png", "warm/warm0/small.png"}
    assert done.images == 24
    assert done.attention is None
    told = learnt_text(done)
    assert "Skipped:\n  warm/warm0/small.png: too small" in told
    assert "Look at" not in told
    assert "kept the state after step 1:" in told


def test_a_gallery_of_one_image_of_each_identity_cannot_be_measured(images, options, tmp_path):
    for identity in ("warm0", "warm1"):
        (tmp_path / "in" / identity).mkdir(parents=True)
        shutil.copy(images / "warm" / identity / "0.png", tmp_path / "in" / identity)
    index([tmp_path / "in"], tmp_path / "gallery", IndexOptions(weights=options.weights, devices=1))
    with pytest.raises(UsageError, match="has one image of each identity, which leaves no query: add further images"):
        evaluate(tmp_path / "gallery")


def test_a_result_among_the_images_is_refused(images, options):
    with pytest.raises(UsageError, match="where its sheet would be taken for an image: choose another --out"):
        train([images], images / "learnt", options)
    assert not (images / "learnt").exists()
