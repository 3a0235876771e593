"""Many descriptors and whitenings from one pass of the network: the same numbers as one gallery each."""

import dataclasses
import json
import shutil
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from jaxloc.descriptors import COMPARED
from jaxloc.errors import UsageError, WeightsError
from jaxloc.inference import Extractor
from jaxloc.options import DescribeOptions
from jaxloc.run.retrieval import compare as compare_module
from jaxloc.run.retrieval.compare import compare, to_plain
from jaxloc.run.retrieval.describing import Describer
from jaxloc.run.retrieval.evaluation import evaluate_retrieval
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.summary import comparison_table
from tests.run.retrieval import small
from tests.soaked import soaked


def describing(weights, **options) -> DescribeOptions:
    return DescribeOptions(**({"weights": weights, "workers": 1} | options))


def lines(result):
    return {(line.descriptor, line.whitening): line for line in result.lines}


def nearly(a, b):
    for one, other in zip(dataclasses.astuple(a), dataclasses.astuple(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4)


@pytest.fixture(scope="module")
def compared(weights, images):
    """Everything that needs no classifier, and the images that went through the network."""
    seen: list[int] = []
    features = Extractor.features
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Extractor, "features", lambda engine, batch: seen.extend(batch.indices) or features(engine, batch)
        )
        whitenings = ["none", "svd-5", "svd-19"]
        return compare([images], describing(weights), whitenings=whitenings), Counter(seen)


def test_the_network_sees_every_image_once_and_its_mirror_image_once(compared):
    assert compared[1] == dict.fromkeys(range(16), 2)


def test_every_descriptor_has_a_line_for_every_whitening(compared, images):
    result, _ = compared
    assert [(line.descriptor, line.whitening) for line in result.lines] == [
        (name, text) for name in COMPARED for text in ("none", "svd-5", "svd-19")
    ]
    assert (result.queries, result.gallery, result.leave_one_out, result.skipped) == (16, 16, True, {})
    for line in result.lines:
        if COMPARED[line.descriptor].crop:
            assert "the weights hold convolutions only: convert a full network with" in line.reason
        elif line.whitening == "svd-19":
            assert line.reason.startswith("svd-19: dimension ")
        else:
            assert line.scored.mean.queries == 16
            assert line.reason == ""
    text = comparison_table(result)
    assert "Not made, because svd-19: dimension 19 is above the rank 15" in text
    assert json.loads(json.dumps(to_plain(result), allow_nan=False))["lines"][0]["reason"]


ALONE = [("scda", "none"), ("vlad", "svd-5"), ("fv", "none")]
MORE = [("scda", "svd-5"), ("vlad", "none"), ("scda_flip+", "none")]


@pytest.mark.parametrize("which", soaked(ALONE + MORE, ALONE), ids=" ".join)
def test_numbers_are_those_of_a_gallery_of_its_own(compared, made, which):
    name, whiten = which
    line = lines(compared[0])[name, whiten]
    alone = evaluate_retrieval(made(descriptor=name, whiten=whiten))
    nearly(line.scored.mean, alone.scored.mean)
    for label, scores in alone.scored.classes.items():
        nearly(line.scored.classes[label], scores)
    assert line.dimension == alone.dimension


def test_only_what_is_asked_for_is_made_and_told_when_it_is_ready(compared, weights, images):
    told = []
    result = compare(
        [images], describing(weights), descriptors=["vlad", "scda"], whitenings=["svd-5"], when_done=told.append
    )
    assert told == result.lines
    for line in result.lines:
        nearly(line.scored.mean, lines(compared[0])[line.descriptor, "svd-5"].scored.mean)


@pytest.mark.parametrize("cache", soaked([0, 2000], [2000]))
def test_features_that_are_not_kept_are_computed_again(compared, weights, images, cache):
    result = compare(
        [images], describing(weights, feature_cache=cache), descriptors=["scda", "vlad"], whitenings=["none"]
    )
    for line in result.lines:
        nearly(line.scored.mean, lines(compared[0])[line.descriptor, "none"].scored.mean)


@pytest.mark.parametrize("how", ["folder", "split"])
def test_queries_of_their_own_are_not_searched(weights, images, queries, tmp_path, how):
    options = describing(weights)
    if how == "folder":
        result = compare([images], options, descriptors=["scda"], whitenings=["none", "svd-5"], queries=[queries])
        searched, asked, given = images, [queries], {}
    else:
        searched = shutil.copytree(images, tmp_path / "photos")
        labels = small.write_coco(tmp_path / "labels.json", searched, splits={"0": "iconic", "4": "iconic"})
        result = compare(
            [searched],
            options,
            descriptors=["scda"],
            whitenings=["none", "svd-5"],
            labels=labels,
            query_splits=["iconic"],
        )
        asked, given = [searched], {"labels": labels}
    assert not result.leave_one_out
    assert (result.queries, result.gallery) == ((6, 16) if how == "folder" else (6, 10))
    for line in result.lines:
        own = given | ({"splits": ["train"]} if given else {})
        index([searched], tmp_path / "g", small.index_options(weights, whiten=line.whitening), **own)
        own = given | ({"splits": ["iconic"]} if given else {})
        nearly(line.scored.mean, evaluate_retrieval(tmp_path / "g", asked, options, **own).scored.mean)


def test_images_that_cannot_be_read_are_told_and_change_nothing(compared, weights, images, tmp_path):
    photos = shutil.copytree(images, tmp_path / "photos")
    (photos / "cat" / "00.png").write_bytes(b"no image")
    (photos / "face" / "9.png").write_bytes(b"")
    result = compare([photos], describing(weights), descriptors=["scda", "vlad"], whitenings=["none"])
    assert result.skipped == {
        "cat/00.png": "not an image, or of a kind that Pillow does not know",
        "face/9.png": "empty file (0 bytes)",
    }
    assert (result.queries, result.gallery) == (16, 16)
    for line in result.lines:
        nearly(line.scored.mean, lines(compared[0])[line.descriptor, "none"].scored.mean)


def test_the_classifier_sees_the_image_the_box_found_and_the_true_box(weights, images, tmp_path, monkeypatch):
    photos = shutil.copytree(images, tmp_path / "photos")
    labels = small.write_coco(tmp_path / "labels.json", photos)
    seen = []

    def class_scores(describer, batch, boxes):
        seen.append((int(batch.indices[0]), *boxes[0].tolist()))
        return np.concatenate([batch.indices[:, None] + 1, np.nan_to_num(boxes, nan=-1)], 1).astype(np.float32)

    load, fc8 = compare_module.load_weights, {"kernel": np.zeros((5, 5))}
    monkeypatch.setattr(Describer, "class_scores", class_scores)
    monkeypatch.setattr(
        compare_module,
        "load_weights",
        lambda options, layers, top: (w := load(options, ["pool5"]))._replace(params=dict(w.params, fc8=fc8)),
    )
    names = ["fc8", "fc8_box", "fc8_truth"]
    result = compare([photos], describing(weights), descriptors=names, whitenings=["none"], labels=labels)
    assert [line.dimension for line in result.lines] == [5, 5, 5]
    assert [line.scored.mean.queries for line in result.lines] == [16, 16, 16]
    first = [boxes for number, *boxes in seen if number == 0]
    assert np.isnan(first[0]).all()
    assert np.isfinite(first[1]).all()
    assert first[2] == [2, 3, 32, 23]
    everything = compare([photos], describing(weights), whitenings=["none"])
    reasons = {line.descriptor: line.reason for line in everything.lines if line.reason}
    assert reasons == {"fc8_truth": "16 images have no true box"}
    with pytest.raises(UsageError, match="fc8_truth cannot be made: 16 images have no true box"):
        compare([photos], describing(weights), descriptors=["fc8_truth"])


def test_what_cannot_be_fitted_is_a_reason_and_the_rest_is_measured(weights, tmp_path):
    for kind in ("a", "b"):
        (tmp_path / "in" / kind).mkdir(parents=True)
        for number in range(2):
            Image.new("RGB", (40, 40), (90 * number, 120, 30)).save(tmp_path / "in" / kind / f"{number}.png")
    names = ["scda", "pool5", "vlad", "fv"]
    result = compare([tmp_path / "in"], describing(weights), descriptors=names, whitenings=["none", "svd-2"])
    found = {key: line.reason for key, line in lines(result).items()}
    few = "0 descriptors were selected in all images, too few for 2 clusters: give more images, or fewer --clusters"
    assert found == {(name, text): few for name in ("vlad", "fv") for text in ("none", "svd-2")} | {
        ("scda", "none"): "",
        ("scda", "svd-2"): "no vector to fit svd-2 on: in no image of the gallery was anything selected",
        ("pool5", "none"): "",
        ("pool5", "svd-2"): "",
    }


def test_what_cannot_be_compared_is_told(weights, images, tmp_path):
    options = describing(weights)
    with pytest.raises(UsageError, match="unknown descriptor 'sift'; choose among fc8, "):
        compare([images], options, descriptors=["sift"])
    with pytest.raises(UsageError, match="cannot read the whitening 'svd'"):
        compare([images], options, whitenings=["svd"])
    with pytest.raises(WeightsError, match="holds no classifier: convert a file with its fc8"):
        compare([images], options, descriptors=["fc8"])
    labels = small.write_coco(images.parent / "few.json", images, leave_out=["cat/1.png"])
    with pytest.raises(UsageError, match="1 of 16 images have no label: put images of one kind"):
        compare([images], options, labels=labels)
    with pytest.raises(UsageError, match="a split needs --labels"):
        compare([images], options, query_splits=["test"])
    with pytest.raises(UsageError, match="16 readable queries and 0 readable images to search: give some of both"):
        compare([images], options, descriptors=["scda"], queries=[images])
    with pytest.raises(UsageError, match="all 5 images have the same label, 'cat', so any result is right"):
        compare([images / "cat"], options, descriptors=["scda"])
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no image")
    with pytest.raises(UsageError, match="0 readable queries and 0 readable images to search"):
        compare([tmp_path / "in"], options)
