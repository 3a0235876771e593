"""The measures of a gallery, against scikit-learn and plain NumPy on the vectors that are stored."""

import json
import shutil

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from jaxloc.run.retrieval.evaluation import evaluate_retrieval, to_plain
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index, remove
from jaxloc.run.retrieval.scoring import score
from jaxloc.run.retrieval.vectors import SearchedVectors
from jaxloc.whitenings import WhitenSpec
from tests.reference import whitening as reference
from tests.run.retrieval import small


def expect(asked, wanted, gallery, kinds, own=None) -> list[list[float]]:
    """Top-1, top-5, step AP, trapezoid AP, R@1, 2, 4, 8 of each query, in per cent; NaN without a positive."""
    measures = []
    for number, (query, label) in enumerate(zip(small.unit(asked), wanted, strict=True)):
        cosines = np.where(gallery.any(1), small.unit(gallery) @ query, -2).astype(np.float32)
        keep = np.arange(len(gallery)) != (-1 if own is None else own[number])
        cosines, relevant = cosines[keep], (kinds == label)[keep]
        order = np.argsort(-cosines, kind="stable")
        ranked = relevant[order]
        if not ranked.any():
            measures.append([np.nan] * 8)
            continue
        row = [reference.top_k_average_precision(ranked, k) for k in (1, 5)]
        row.append(average_precision_score(relevant, cosines))
        row.append(reference.trapezoid_average_precision(np.arange(len(ranked)), list(np.flatnonzero(ranked)), []))
        measures.append(row + [float(ranked[:k].any()) for k in (1, 2, 4, 8)])
    return (100 * np.array(measures)).tolist()


def check(scored, measures, wanted):
    measures, wanted = np.array(measures), np.asarray(wanted)
    counts = ~np.isnan(measures[:, 0])
    for label, scores in [(None, scored.mean), *scored.classes.items()]:
        chosen = counts if label is None else counts & (wanted == label)
        assert scores.queries == chosen.sum()
        got = [scores.top1, scores.top5, scores.ap_step, scores.ap_trapezoid, *scores.recalls]
        np.testing.assert_allclose(got, measures[chosen].mean(0), rtol=1e-5)
    assert list(scored.classes) == sorted(set(wanted))


def doubts(whiten):
    spec = WhitenSpec.parse(whiten)
    return [] if spec is None else [spec.doubt(16)]


@pytest.mark.parametrize("whiten", ["none", "svd-5"])
def test_leave_one_out_equals_the_reference(made, whiten):
    folder = made(whiten=whiten)
    result = evaluate_retrieval(folder)
    vectors = SearchedVectors(Gallery.open(folder)).all()
    kinds = small.labels(folder)
    check(result.scored, expect(vectors, kinds, vectors, kinds, np.arange(16)), kinds)
    assert (result.gallery, result.dimension, result.leave_one_out) == (16, 20 if whiten == "none" else 5, True)
    assert result.warnings == doubts(whiten)
    assert result.scored.mean.without == 0
    assert result.scored.mean.ap_trapezoid <= result.scored.mean.ap_step


@pytest.mark.parametrize("whiten", ["none", "svd-5"])
def test_queries_from_a_folder_and_from_a_gallery_equal_the_reference(made, weights, queries, tmp_path, whiten):
    folder, other = made(whiten=whiten), tmp_path / "queries"
    index([queries], other, small.index_options(weights))
    vectors = SearchedVectors(Gallery.open(folder))
    asked, wanted = vectors.prepare(small.stored(other)), small.labels(other)
    expected = expect(asked, wanted, vectors.all(), small.labels(folder))
    for given in ([queries], [other], sorted(queries.rglob("*.png"))):
        result = evaluate_retrieval(folder, given, small.reading(weights))
        check(result.scored, expected, wanted)
        assert (result.gallery, result.leave_one_out, result.skipped) == (16, False, {})
        assert result.warnings == doubts(whiten)


def test_galleries_with_codebooks_of_their_own_are_not_compared(made, weights, queries, tmp_path):
    options = small.index_options(weights, descriptor="vlad")
    small.copy(made(descriptor="vlad"), tmp_path / "g")
    index([queries], tmp_path / "q", options)
    said = small.complaint(evaluate_retrieval, tmp_path / "g", [tmp_path / "q"])
    assert "they differ in the codebook, which each fitted on its own images: search with the images" in said
    (tmp_path / "g" / "codebooks.safetensors").unlink()
    said = small.complaint(index, [queries], tmp_path / "g", options)
    assert "codebooks.safetensors: missing, and the gallery's vectors were made with it" in said


def test_a_query_that_is_in_the_gallery_does_not_find_itself(made, weights, images):
    folder = made()
    alone = evaluate_retrieval(folder)
    for given in ([folder], [images]):
        result = evaluate_retrieval(folder, given, small.reading(weights))
        assert result.scored.mean == alone.scored.mean
        assert result.warnings == ["16 queries are in the gallery themselves: each is left out of its own ranking"]
    one = evaluate_retrieval(folder, [images / "cat"], small.reading(weights))
    assert one.scored.mean.ap_step == pytest.approx(alone.scored.classes["cat"].ap_step)


def test_labels_and_splits_of_a_coco_file(made, weights, images, tmp_path):
    photos = shutil.copytree(images, tmp_path / "photos")
    labels = small.write_coco(tmp_path / "labels.json", photos, splits={"0": "test", "1": "val"})
    options = small.index_options(weights)
    index([photos], tmp_path / "g", options, labels=labels, splits=["train"])
    assert len(small.names(tmp_path / "g")) == 10
    result = evaluate_retrieval(tmp_path / "g", [photos], options, labels=labels, splits=["test", "val"])
    names = small.names(made())
    test = np.array([name.split("/")[1] in ("0.png", "1.png") for name in names])
    vectors, kinds = small.stored(made()), small.labels(made())
    check(result.scored, expect(vectors[test], kinds[test], vectors[~test], kinds[~test]), kinds[test])
    assert result.scored.mean.queries == 6


def test_queries_without_an_image_of_their_kind_do_not_count(made, weights, queries, tmp_path):
    folder = small.copy(made(), tmp_path / "g")
    remove(folder, [name for name in small.names(folder) if name.startswith("face")])
    result = evaluate_retrieval(folder, [queries], small.reading(weights))
    assert (result.scored.mean.queries, result.scored.mean.without) == (4, 2)
    face = result.scored.classes["face"]
    assert (face.queries, face.without) == (0, 2)
    assert np.isnan(face.measures).all()
    values = json.loads(json.dumps(to_plain(result)))
    assert (values["classes"]["face"]["queries"], values["classes"]["face"]["without"]) == (0, 2)
    assert values["mean"]["recalls"] == list(result.scored.mean.recalls)


def test_images_of_a_kind_alone_do_not_count_when_each_is_asked_against_the_rest(made, tmp_path):
    folder = small.copy(made(), tmp_path / "g")
    remove(folder, [name for name in small.names(folder) if name.startswith("face") and name != "face/0.png"])
    result = evaluate_retrieval(folder)
    assert (result.scored.mean.queries, result.scored.mean.without) == (10, 1)


def test_queries_that_cannot_be_read_are_told_and_change_nothing(made, weights, queries, tmp_path):
    photos = shutil.copytree(queries, tmp_path / "asked")
    (photos / "cat" / "broken.jpg").write_bytes(b"no image")
    result = evaluate_retrieval(made(), [photos], small.reading(weights))
    assert result.skipped == {"cat/broken.jpg": "not an image, or of a kind that Pillow does not know"}
    assert result.scored.mean == evaluate_retrieval(made(), [queries], small.reading(weights)).scored.mean


def test_the_same_kind_under_two_folders_is_one_label(made, weights, images, queries, tmp_path):
    index([images, queries], tmp_path / "g", small.index_options(weights))
    assert set(small.labels(tmp_path / "g")) == set(small.KINDS)
    result = evaluate_retrieval(made(), [queries / "cat", queries / "face"], small.reading(weights))
    assert list(result.scored.classes) == ["cat", "face"]


def test_ties_and_empty_vectors_are_scored_like_the_reference(monkeypatch):
    from jaxloc.run.retrieval import scoring

    rng = np.random.default_rng(3)
    gallery = rng.integers(0, 2, (40, 3)).astype(np.float32)
    asked = np.concatenate([gallery[:10], -gallery[:4]])
    kinds = np.array([f"kind {number}" for number in rng.integers(0, 4, 40)], object)
    wanted = np.concatenate([kinds[:10], kinds[:4]])
    own = np.concatenate([np.arange(10), np.full(4, -1)])
    asked, wanted, own = asked[asked.any(1)], wanted[asked.any(1)], own[asked.any(1)]
    for block in (1 << 24, 80):
        monkeypatch.setattr(scoring, "_BLOCK", block)
        check(score(asked, wanted, gallery, kinds, same=own), expect(asked, wanted, gallery, kinds, own), wanted)
