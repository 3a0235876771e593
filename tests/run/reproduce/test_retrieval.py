"""Tables of retrieval: the same figures as ``jaxloc compare``, kept shard by shard."""

import functools
import json

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.inference import Extractor
from jaxloc.options import DescribeOptions
from jaxloc.run.reproduce import reproduce, retrieval, vectors
from jaxloc.run.retrieval.compare import compare
from tests.data.datasets import trees
from tests.models import narrow
from tests.run.reproduce import made
from tests.run.retrieval import small

TITLES = {"pool5": "Pool5 (20)", "scda": "SCDA (20)", "scda+": "SCDA+ (40)", "scda_flip+": "SCDA_flip+ (80)"}


@pytest.fixture(scope="module")
def birds(tmp_path_factory):
    return trees.cub(tmp_path_factory.mktemp("birds"), images=8, size=made.SIZE)


@pytest.fixture(scope="module")
def table(birds, weights, tmp_path_factory):
    """The finished table 3 of birds, its folder, and the images that went through the network."""
    out, seen = tmp_path_factory.mktemp("table"), []
    features = Extractor.features
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vectors, "SHARD", 6)
        patch.setattr(
            Extractor, "features", lambda engine, batch: seen.extend(batch.indices) or features(engine, batch)
        )
        return reproduce("scda-table3", f"cub200:{birds}", out, made.options(weights, samples=50)), out, seen


def test_figures_are_those_of_compare(table, birds, weights):
    result, _, _ = table
    images = {line.split()[0]: line.split()[1] for line in (birds / "images.txt").read_text().splitlines()}
    split = dict(line.split() for line in (birds / "train_test_split.txt").read_text().splitlines())
    files = {role: [birds / "images" / images[key] for key in images if split[key] == role] for role in "01"}
    alone = compare(
        files["1"],
        DescribeOptions(weights=weights, workers=1),
        descriptors=list(TITLES),
        whitenings=["none"],
        queries=files["0"],
    )
    assert (alone.queries, alone.gallery) == (8, 8)
    for line in alone.lines:
        label = TITLES[line.descriptor]
        assert made.ours(result, "top-1 mAP, %")[label] == pytest.approx(line.scored.mean.top1)
        assert made.ours(result, "top-5 mAP, %")[label] == pytest.approx(line.scored.mean.top5)


def test_rows_are_the_papers_with_its_numbers(table):
    result, _, _ = table
    assert [row.label.partition(" (")[0] for row in result.rows[::2]] == [
        "fc8_im",
        "fc8_gtBBox",
        "fc8_predBBox",
        "Pool5",
        "selectFV",
        "selectVLAD",
        "SPoC",
        "SPoC",
        "CroW, PCA+whitening 256",
        "SCDA",
        "SCDA+",
        "SCDA_flip+",
    ]
    top5 = {row.label: row for row in result.rows if row.measure == "top-5 mAP, %"}
    assert (top5["SCDA (20)"].paper, top5["SCDA (20)"].images) == (65.79, 8)
    assert top5["SCDA (20)"].interval.low <= top5["SCDA (20)"].ours <= top5["SCDA (20)"].interval.high
    assert top5["fc8_im"].reason.startswith("the weights hold convolutions only: install a full network with")
    assert "dimension must be between 1 and that of the vectors, 10, got 256" in top5["CroW, PCA+whitening 256"].reason
    assert any(text.startswith("8 images (test) query 8 (train);") for text in result.deviations)


def test_the_network_sees_every_image_once_its_mirror_image_once_and_the_sample_for_codebooks(table):
    _, out, seen = table
    counts = np.bincount(np.array(seen)[np.array(seen) >= 0])
    assert sorted(counts.tolist()) == [2] * 8 + [3] * 8
    assert len(list((out / "vectors").glob("vectors-*.safetensors"))) == 3


def test_a_killed_run_goes_on_with_the_shards_that_are_missing(birds, weights, tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "SHARD", 6)
    features, seen = Extractor.features, []

    def until_killed(engine, batch):
        if len(seen) > 12:
            raise KeyboardInterrupt
        seen.extend(batch.indices)
        return features(engine, batch)

    arguments = "scda-table4", f"cub200:{birds}", tmp_path / "out", made.options(weights)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Extractor, "features", until_killed)
        with pytest.raises(KeyboardInterrupt):
            reproduce(*arguments)
    done = [path.name for path in sorted((tmp_path / "out" / "vectors").glob("vectors-*"))]
    assert done == ["vectors-00000.safetensors"]
    again: list[int] = []
    monkeypatch.setattr(
        Extractor, "features", lambda engine, batch: again.extend(batch.indices) or features(engine, batch)
    )
    result = reproduce(*arguments)
    assert set(again) - {-1} == set(range(6, 16))
    assert [row.label for row in result.rows[::2]] == [
        f"SCDA_flip+, {name} {size}" for name in ("PCA", "SVD", "SVD+whitening") for size in (256, 512)
    ]
    with pytest.raises(UsageError, match=r"vectors: holds vectors with other images: choose another --out, or start"):
        reproduce(*arguments[:3], made.options(weights, limit=2))
    (tmp_path / "out" / "vectors" / "vectors-00001.safetensors").write_bytes(b"half")
    (tmp_path / "out" / "reproduction.json").unlink()
    with pytest.raises(UsageError, match=r"vectors-00001.safetensors: damaged .*: delete it and run the same command"):
        reproduce(*arguments)
    assert reproduce(*arguments[:3], made.options(weights, limit=2, overwrite=True)).incomplete == (
        "the first 2 images of each class and split"
    )


def test_table_2_compares_encodings_of_the_selected_descriptors(table, birds, weights, tmp_path):
    result = reproduce("scda-table2", f"cub200:{birds}", tmp_path, made.options(weights))
    top1 = {row.label.partition(" (")[0]: row for row in result.rows if row.measure == "top-1 mAP, %"}
    assert [(label, row.paper) for label, row in top1.items()] == [
        ("selectVLAD", 55.92),
        ("selectFV", 52.04),
        ("avgPool", 56.42),
        ("maxPool", 58.35),
        ("SCDA", 59.72),
    ]
    assert top1["SCDA"].ours == made.ours(table[0], "top-1 mAP, %")["SCDA (20)"]


def test_table_5_is_the_accuracy_of_the_classifier_on_the_test_images(birds, weights, tmp_path, monkeypatch):
    pytest.importorskip("orbax.checkpoint")
    quick = functools.partial(retrieval.FinetuneOptions, epochs=1, batch=4, max_side=64)
    monkeypatch.setattr(retrieval, "FinetuneOptions", quick)
    result = reproduce("scda-table5", f"cub200:{birds}", tmp_path / "out", made.options(weights, samples=20))
    [row] = result.rows
    told = json.loads((tmp_path / "out" / "classified" / "evaluation.json").read_text())
    right = [image["label"] == image["predicted"] for image in told["images"]]
    assert (row.label, row.images, row.paper) == ("SCDA_flip+ (80)", 8, 80.5)
    assert row.ours == pytest.approx(100 * np.mean(right))
    assert row.interval.low <= row.ours <= row.interval.high
    assert any(text.startswith("8 images are learnt from (train), 8 tested on; C is ") for text in result.deviations)


def test_flowers_are_searched_in_train_and_val(weights, tmp_path):
    root = trees.flowers(tmp_path, size=made.SIZE, masks=False)
    result = reproduce("scda-table4", f"flowers102:{root}", tmp_path / "out", made.options(weights))
    assert any(text.startswith("4 images (test) query 8 (train and val);") for text in result.deviations)
    settings = json.loads((tmp_path / "out" / "vectors" / "settings.json").read_text())
    assert settings["descriptors"] == "scda_flip+"


def test_a_full_network_also_gives_the_classifiers_rows(birds, tmp_path):
    full = narrow.register("vgg16-full", small.WIDTHS, dense=16)
    path = narrow.write(tmp_path / "full.safetensors", full, top=True)
    result = reproduce("scda-table3", f"cub200:{birds}", tmp_path / "out", made.options(path))
    rows = {row.label: row for row in result.rows if row.measure == "top-5 mAP, %"}
    for label, paper in (("fc8_im", 48.10), ("fc8_gtBBox", 55.34), ("fc8_predBBox", 53.05)):
        row = rows[f"{label} (1,000)"]
        assert (row.paper, row.images, row.reason) == (paper, 8, "")
        assert 0 <= row.ours <= 100
    stored = vectors.Vectors(tmp_path / "out" / "vectors")
    numbers, whole = stored.read("fc8")
    _, boxed = stored.read("fc8_truth")
    assert (len(numbers), whole.shape) == (16, (16, 1000))
    assert not np.allclose(whole, boxed)
