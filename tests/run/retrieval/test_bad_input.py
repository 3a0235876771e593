"""What a gallery, a query or an option may be that it should not: one line with the cause and the cure."""

import os
import re
import shutil
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
import safetensors.numpy

from jaxloc.errors import UsageError, WeightsError
from jaxloc.models import find
from jaxloc.options import DescribeOptions, IndexOptions, SearchOptions
from jaxloc.run.retrieval import arrays_file, whitening_store
from jaxloc.run.retrieval import index as index_module
from jaxloc.run.retrieval.evaluation import evaluate_retrieval
from jaxloc.run.retrieval.index import index, remove
from jaxloc.run.retrieval.listing import find_images
from jaxloc.run.retrieval.search import search
from jaxloc.whitening import Whitening
from jaxloc.whitenings import WhitenSpec
from tests.run import helpers
from tests.run.retrieval import small
from tests.soaked import soaked


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        ({"descriptor": "pool5"}, "descriptor scda and pool5"),
        ({"layer": "relu5_3"}, "layer pool5 and relu5_3; patch 3 and 5"),
        ({"lower_layer": "relu4_3"}, "lower layer relu5_2 and relu4_3"),
        ({"max_side": 64}, "max side 700 and 64"),
        ({"connectivity": 4}, "connectivity 8 and 4"),
        ({"dtype": "bfloat16", "seed": 3}, "dtype float32 and bfloat16; seed 0 and 3"),
    ],
    ids=str,
)
def test_a_gallery_takes_no_vectors_of_other_settings(gallery, weights, queries, options, difference):
    before = helpers.every_file(gallery)
    said = small.complaint(index, [queries], gallery, small.index_options(weights, **options))
    assert f"made with other settings than asked for ({difference}): use the gallery's, or make another" in said
    assert helpers.every_file(gallery) == before


def test_a_gallery_takes_no_vectors_of_other_weights(gallery, weights, queries, query, tmp_path):
    other = small.write_weights(tmp_path / "other.safetensors", seed=1)
    said = small.complaint(index, [queries], gallery, small.index_options(other))
    assert re.search(r"weights vgg16-small \w{12}… and vgg16-small \w{12}…", said)
    said = small.complaint(search, gallery, query, small.reading(other))
    assert re.search(
        r"made with other weights \(vgg16-small, \w{12}…; given vgg16-small, \w{12}…\): pass those with --we", said
    )
    assert "made with other weights" in small.complaint(evaluate_retrieval, gallery, [queries], small.reading(other))


def test_weights_that_are_not_numbers_are_refused(weights, images, gallery, query, tmp_path):
    arrays = safetensors.numpy.load_file(weights)
    with safetensors.safe_open(weights, "np") as file:
        metadata = file.metadata()
    arrays["conv3_1/kernel"][0, 0, 0, 0] = np.nan
    safetensors.numpy.save_file(arrays, tmp_path / "nan.safetensors", metadata)
    for said in (
        small.complaint(index, [images], tmp_path / "g", small.index_options(tmp_path / "nan.safetensors")),
        small.complaint(search, gallery, query, small.reading(tmp_path / "nan.safetensors")),
    ):
        assert "nan.safetensors: NaN or infinity in conv3_1/kernel: the file is damaged, get it again" in said


def test_the_classifier_is_not_asked_of_convolutions(weights, images, tmp_path):
    with pytest.raises(WeightsError, match="holds no classifier: convert a file with its fc8"):
        index([images], tmp_path / "g", small.index_options(weights, descriptor="fc8"))


def test_where_there_is_no_gallery_none_is_searched(weights, query, tmp_path):
    for job in (search, evaluate_retrieval):
        said = small.complaint(job, tmp_path / "nowhere", query, small.reading(weights))
        assert re.search(r"nowhere: no gallery here; make one with `jaxloc index PHOTOS --out .*nowhere`", said)
    assert "no gallery here" in small.complaint(remove, tmp_path, ["a.png"])


def test_an_empty_gallery_is_named(gallery, weights, query, made):
    remove(gallery, small.names(gallery))
    for said in (
        small.complaint(search, gallery, query, small.reading(weights)),
        small.complaint(evaluate_retrieval, gallery),
        small.complaint(evaluate_retrieval, made(), [gallery]),
    ):
        assert "gallery: the gallery is empty: add images with `jaxloc index`" in said


def test_a_folder_of_other_things_does_not_become_a_gallery(weights, images, tmp_path):
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "letter.txt").write_text("kept")
    said = small.complaint(index, [images], tmp_path / "g", small.index_options(weights))
    assert "g: holds other files (letter.txt): choose a new folder for the gallery" in said
    assert helpers.every_file(tmp_path / "g") == {"letter.txt": b"kept"}


@pytest.mark.parametrize(
    ("whiten", "message"),
    [
        ("svd-256", r"svd-256: dimension must be between 1 and that of the vectors, 20, got 256"),
        pytest.param(
            "svd-19",
            r"svd-19: dimension 19 is above the rank 15 of the 15 samples .*: ask for at most 15, or fit on more",
            marks=pytest.mark.soak,
        ),
        ("pca-15", r"pca-15: dimension 15 is above the rank 14 of the 15 samples .*: ask for at most 14"),
        ("supervised-19", r"supervised-19: dimension 19 is above the rank 14 of the 15 samples"),
    ],
)
def test_a_whitening_above_the_rank_is_refused_and_a_smaller_one_made(
    gallery, made, weights, images, query, tmp_path, whiten, message
):
    assert re.search(message, small.complaint(index, [images], gallery, small.index_options(weights, whiten=whiten)))
    found = search(gallery, query, small.reading(weights))
    assert any(f"not finished: {whiten} is not fitted yet" in warning for warning in found.warnings)
    index([images], gallery, small.index_options(weights, whiten="svd-5"))
    assert helpers.every_file(gallery) == helpers.every_file(made(whiten="svd-5"))


def test_supervised_whitening_needs_labels_of_two_kinds(weights, images, tmp_path):
    labels = small.write_coco(images.parent / "some.json", images, leave_out=["cat/1.png", "cat/2.png"])
    options = small.index_options(weights, whiten="supervised-3")
    said = small.complaint(index, [images], tmp_path / "g", options, labels=labels)
    assert "2 of 16 images of the gallery have no label: put images of one kind into a folder" in said
    said = small.complaint(index, [images / "cat"], tmp_path / "g2", options)
    assert "images of the gallery have the same label, 'cat', so any result is right: put images" in said


def test_a_gallery_of_a_descriptor_that_has_changed_must_be_made_anew():
    fitted = Whitening(jnp.zeros(3), jnp.eye(3))
    with pytest.raises(UsageError, match=r"must be \[\.\.\., 3\] as .*, got \(2, 5\): an earlier .* into a new folder"):
        whitening_store.apply(fitted, np.ones((2, 5), np.float32))


@pytest.mark.parametrize(
    "text",
    ["", "svd", "svd-", "svd-0", "svd-256:", "svd-256:2", "svd-256:-1", "svd-2.5", "zca-256", "svd 256", "SVD-2"],
)
def test_a_whitening_that_cannot_be_read_says_how_it_is_written(text):
    said = small.complaint(WhitenSpec.parse, text)
    assert re.search(
        r"cannot read the whitening '.*': write none, pca-256, svd-256, shrunk-256 or supervised-256; a power", said
    )
    assert small.complaint(IndexOptions, whiten=text) == said


@pytest.mark.parametrize("text", ["pca-256", "svd-512:0", "svd-256:0.5", "svd-8:.25", "supervised-64"])
def test_a_whitening_reads_as_it_is_written(text):
    assert WhitenSpec.parse(str(WhitenSpec.parse(text))) == WhitenSpec.parse(text)
    assert WhitenSpec.parse("none") is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"descriptor": "sift"}, "descriptor must be one of fc8, "),
        ({"descriptor": "fc8_truth"}, "scda_flip+, projection, not 'fc8_truth'"),
        ({"shard_size": 0}, "shard size must be at least 1, not 0"),
        ({"levels": 0}, "levels must be at least 1"),
        ({"clusters": 0}, "clusters must be at least 1"),
        ({"region_whiten": -1}, "region whitening must be at least 0"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"weight": -1.0}, "weight of the lower layer must be at least 0"),
        ({"weight": float("nan")}, "weight of the lower layer"),
        ({"power": 0.0}, "power of GeM must be above 0"),
        ({"power": float("inf")}, "power of GeM"),
        ({"max_side": 20}, "max side must be 0"),
    ],
    ids=str,
)
def test_an_option_out_of_range_says_what_it_may_be(options, message):
    assert message in small.complaint(IndexOptions, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top must be at least 1, not 0"),
        ({"expand_with": 0}, "--expand-with must be at least 1"),
        ({"alpha": -1.0}, "alpha must be at least 0"),
        ({"alpha": float("nan")}, "alpha must be at least 0"),
        ({"candidates": 0}, "candidates must be at least 1"),
        (
            {"rerank": "magic"},
            "rerank must be one of none, reciprocal, diffusion, regions, regional-diffusion, not 'magic'",
        ),
    ],
    ids=str,
)
def test_a_ranking_out_of_range_says_what_it_may_be(options, message):
    assert message in small.complaint(SearchOptions, **options)


@pytest.mark.parametrize("layer", ["layer", "lower_layer"])
def test_an_unknown_layer_is_named_before_anything_is_written(weights, images, tmp_path, layer):
    said = small.complaint(index, [images], tmp_path / "g", small.index_options(weights, **{layer: "relu9_9"}))
    assert "unknown layer 'relu9_9'; vgg16-small has relu1_1" in said
    assert helpers.every_file(tmp_path / "g") == {}
    assert DescribeOptions().resolved(find("vgg19")).lower_layer == "relu5_3"


def test_more_results_than_images_are_refused(made, weights, query):
    said = small.complaint(search, made(), query, small.reading(weights), SearchOptions(top=17))
    assert said == "--top 17 is more than the gallery's 16 images: ask for fewer"


def test_a_query_that_cannot_be_read_is_an_error_only_if_there_is_no_other(made, weights, query, tmp_path):
    (tmp_path / "broken.jpg").write_bytes(b"no image")
    said = small.complaint(search, made(), [tmp_path / "broken.jpg"], small.reading(weights))
    assert said == "no query can be read: broken.jpg: not an image, or of a kind that Pillow does not know"
    said = small.complaint(search, made(), [tmp_path / "gone.jpg"], small.reading(weights))
    assert said == f"{tmp_path / 'gone.jpg'}: no such file or folder"
    (tmp_path / "list.txt").write_text(f"{query[0]}\nbroken.jpg\ngone.jpg\n")
    found = search(made(), [tmp_path / "list.txt"], small.reading(weights))
    assert [Path(one.name).name for one in found.queries] == ["7.png"]
    assert sorted((Path(skip.name).name, skip.reason) for skip in found.skipped) == [
        ("broken.jpg", "not an image, or of a kind that Pillow does not know"),
        ("gone.jpg", "no such file"),
    ]
    alone = search(made(), query, small.reading(weights))
    results = [[(one.name, one.score) for one in some.queries[0].results] for some in (found, alone)]
    assert results[0] == results[1]


def test_queries_of_another_descriptor_cannot_be_compared(made):
    said = small.complaint(evaluate_retrieval, made(), [made(descriptor="pool5")])
    assert "cannot be compared: they differ in descriptor scda and pool5; index the queries again as the" in said


def test_labels_that_are_missing_or_match_nothing_are_told(made, weights, images, queries, tmp_path):
    options = small.reading(weights)
    labels = small.write_coco(queries.parent / "q.json", queries, leave_out=["cat/7.png"])
    said = small.complaint(evaluate_retrieval, made(), [queries], options, labels=labels)
    assert "1 of 6 queries have no label: put images of one kind into a folder of their own, or name" in said
    index([queries], tmp_path / "g", small.index_options(weights), labels=labels)
    assert "1 of 6 images of the gallery have no label" in small.complaint(evaluate_retrieval, tmp_path / "g")
    elsewhere = tmp_path / "deep" / "labels.json"
    elsewhere.parent.mkdir()
    elsewhere.write_text(labels.read_text())
    for job in (index, search, evaluate_retrieval):
        said = small.complaint(
            job, *(([images], tmp_path / "h") if job is index else (made(), [images])), labels=elsewhere
        )
        assert "labels.json: none of the 16 images is listed; it names them like 'asked/cat/8.png'" in said
    shutil.copytree(queries / "cat", tmp_path / "tigers")
    said = small.complaint(evaluate_retrieval, made(), [tmp_path / "tigers"], options)
    assert "no label in common: queries have tigers, the gallery has cat, coffee, face; name the same COCO" in said


def test_splits_that_are_not_there_are_told(made, weights, images, tmp_path):
    labels = small.write_coco(images.parent / "split.json", images, splits={"1": "test"})
    options = small.index_options(weights)
    said = small.complaint(index, [images], tmp_path / "g", options, labels=labels, splits=["test", "iconic"])
    assert "split.json: no image has the split 'iconic'; there are test, train" in said
    said = small.complaint(index, [images], tmp_path / "g", options, splits=["test"])
    assert "a split needs --labels with a COCO file whose images have one" in said
    plain = small.write_coco(images.parent / "plain.json", images)
    said = small.complaint(find_images, [images], labels=plain, splits=["test"])
    assert "no image has the split 'test'; there are none" in said


def test_labels_and_splits_without_images_to_search_with_are_refused(made, images):
    labels = small.write_coco(images.parent / "all.json", images, splits={"1": "test"})
    for queries in ((), [made()]):
        for options in ({"labels": labels}, {"labels": labels, "splits": ["test"]}, {"splits": ["test"]}):
            said = small.complaint(evaluate_retrieval, made(), queries, **options)
            assert "labels and splits are those of images to search with, and there are none: name them" in said


def test_a_full_disk_is_told_and_finished_shards_stay(made, weights, images, tmp_path):
    largest = max(map(len, helpers.every_file(made()).values()))
    with helpers.file_size_limit(largest - 1):
        said = small.complaint(index, [images], tmp_path / "g", small.index_options(weights))
    assert "cannot be written (" in said
    assert "free some space and run the same command again; the finished shards stay" in said
    assert not list(tmp_path.rglob("*.part"))
    index([images], tmp_path / "g", small.index_options(weights))
    assert helpers.every_file(tmp_path / "g") == helpers.every_file(made())


@pytest.mark.parametrize("name", soaked(["whitening", "codebooks"], ["whitening"]))  # one function writes both
def test_a_disk_that_fills_up_later_is_told_too(made, weights, images, tmp_path, monkeypatch, name):
    def full(*_):
        raise OSError(28, "No space left on device")

    options = {"whiten": "svd-5"} if name == "whitening" else {"descriptor": "vlad"}
    with monkeypatch.context() as patch:
        patch.setattr(arrays_file, "write_safetensors", full)
        said = small.complaint(index, [images], tmp_path / "g", small.index_options(weights, **options))
    assert "g: cannot be written (No space left on device): free some space" in said
    index([images], tmp_path / "g", small.index_options(weights, **options))
    assert helpers.every_file(tmp_path / "g") == helpers.every_file(made(**options))


def test_a_folder_that_cannot_be_made_is_told_before_anything_is_computed(weights, images, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(index_module, "Describer", None)
    said = small.complaint(index, [images], tmp_path / "file" / "g", small.index_options(weights))
    assert "g: cannot be written (" in said


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="nothing is forbidden to the administrator")
def test_a_gallery_that_may_only_be_read_is_searched_and_not_changed(gallery, weights, query):
    for path in (gallery, gallery / "vectors", gallery / "table"):
        path.chmod(0o500)
    assert len(search(gallery, query, small.reading(weights)).queries) == 1
    for job in (lambda: index(query, gallery, small.index_options(weights)), lambda: remove(gallery, ["cat/0.png"])):
        assert "cannot be written (Permission denied)" in small.complaint(job)
