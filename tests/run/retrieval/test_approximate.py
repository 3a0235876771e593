"""The approximate index: what it finds and misses, and that it is never of other vectors than the gallery's."""

import importlib
import sys

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.options import SearchOptions
from jaxloc.run.retrieval import approximate
from jaxloc.run.retrieval.approximate import build, nearest_approximate
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index, remove
from jaxloc.run.retrieval.search import search
from jaxloc.run.retrieval.vectors import SearchedVectors
from tests.run import helpers
from tests.run.retrieval import small, synthetic
from tests.soaked import soaked

pytest.importorskip("faiss")
LARGE = 10_240
"""As many vectors as ivf-pq needs."""


def test_a_small_gallery_is_searched_as_exactly(gallery, weights, queries):
    made = build(gallery)
    assert (made.kind, made.vectors, made.k, made.queries) == ("hnsw", 16, 10, 15)
    assert made.recall == 1
    assert made.bytes == (gallery / "approximate.faiss").stat().st_size
    for how in (
        {},
        {"expand": True, "expand_with": 3},
        {"rerank": "reciprocal", "candidates": 16},
        {"rerank": "diffusion"},
    ):
        exact = search(gallery, [queries], small.reading(weights), SearchOptions(top=16, **how))
        found = search(gallery, [queries], small.reading(weights), SearchOptions(top=16, approximate=True, **how))
        for one, other in zip(found.queries, exact.queries, strict=True):
            assert [result.name for result in one.results] == [result.name for result in other.results], how
            assert one.results[-1].name == small.EMPTY
            np.testing.assert_allclose(
                [result.score for result in one.results], [result.score for result in other.results], rtol=1e-5
            )


def test_whitened_vectors_are_searched_where_the_gallery_is_whitened(made, weights, queries, tmp_path):
    folder = small.copy(made(whiten="svd-5"), tmp_path / "g")
    build(folder)
    vectors = SearchedVectors(Gallery.open(folder))
    asked = vectors.all()[[0, 9]]
    np.testing.assert_array_equal(nearest_approximate(asked, vectors, 5).rows, vectors.nearest(asked, 5).rows)


def test_an_index_of_other_vectors_is_refused_until_it_is_built_again(gallery, weights, queries):
    asked, approximately = [queries / "cat" / "7.png"], SearchOptions(top=3, approximate=True)
    cure = r": build it with `jaxloc approximate .*gallery`$"
    with pytest.raises(UsageError, match="gallery: no approximate index here" + cure):
        search(gallery, asked, small.reading(weights), approximately)
    build(gallery)
    changes = [
        lambda: remove(gallery, ["cat/1.png"]),
        lambda: index([queries / "cat" / "8.png"], gallery, small.index_options(weights)),
        lambda: index([queries], gallery, small.index_options(weights, whiten="svd-5")),
    ]
    for change in changes:
        change()
        with pytest.raises(UsageError, match=r"approximate\.faiss: made before the gallery was changed" + cure):
            search(gallery, asked, small.reading(weights), approximately)
        assert build(gallery).recall == 1
        assert search(gallery, asked, small.reading(weights), approximately).queries[0].results
    assert len(search(gallery, asked, small.reading(weights), SearchOptions(top=21)).queries[0].results) == 21


def test_a_damaged_index_is_never_followed(gallery, weights, queries):
    build(gallery)
    path = gallery / "approximate.faiss"
    whole = path.read_bytes()
    approximately = SearchOptions(top=3, approximate=True)

    def refused(message):
        with pytest.raises(UsageError, match=message + r": build it with `jaxloc approximate"):
            search(gallery, [queries], small.reading(weights), approximately)

    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 64
    for damaged in (bytes(flipped), whole[:-9], b"", b"no index at all"):
        path.write_bytes(damaged)
        refused(r"approximate\.faiss: damaged \(its checksum is wrong\)")
    path.unlink()
    refused("no approximate index here")
    path.write_bytes(whole)
    for text in ("", "hnsw", "\x00"):
        (gallery / "approximate.digest").write_text(text)
        refused("no approximate index here")


def test_a_full_disk_is_told_and_the_old_index_stays(gallery):
    build(gallery)
    before = helpers.every_file(gallery)
    with (
        helpers.file_size_limit(2000),
        pytest.raises(UsageError, match=r"approximate\.faiss: cannot be written \(File"),
    ):
        build(gallery, seed=1)
    assert helpers.every_file(gallery) == before


def test_without_faiss_the_extra_is_named(gallery, weights, queries, monkeypatch):
    build(gallery)
    monkeypatch.setitem(sys.modules, "faiss", None)
    for job in (
        lambda: build(gallery),
        lambda: search(gallery, [queries], small.reading(weights), SearchOptions(top=3, approximate=True)),
    ):
        with pytest.raises(UsageError, match=r"approximate search needs FAISS: pip install 'jaxloc\[faiss\]'"):
            job()
    assert search(gallery, [queries], small.reading(weights), SearchOptions(top=3)).queries
    assert importlib.import_module("jaxloc.run.retrieval.approximate") is approximate


def test_what_cannot_be_built_is_told(gallery, tmp_path):
    with pytest.raises(UsageError, match=r"ivf-pq needs at least 10,240 vectors .* the gallery has 16: use hnsw, or"):
        build(gallery, "ivf-pq")
    with pytest.raises(UsageError, match="unknown kind 'flat'; choose one of hnsw, ivf-pq"):
        build(gallery, "flat")
    with pytest.raises(UsageError, match="seed must be at least 0, not -1"):
        build(gallery, seed=-1)
    with pytest.raises(UsageError, match="no gallery here"):
        build(tmp_path)
    nothing = synthetic.write(tmp_path / "g", [np.zeros((3, 4), np.float32)])
    with pytest.raises(UsageError, match="g: in no image of the gallery was anything selected"):
        build(nothing)
    assert not (gallery / "approximate.faiss").exists()


CASES = [("hnsw", 5), ("ivf-pq", 5), ("ivf-pq", 6)]
"""Vectors of six dimensions have two codes, whose rotation is learnt in twice the time."""


@pytest.mark.parametrize("case", soaked(CASES, CASES[:2]), ids=str)
def test_recall_is_that_of_numpy(case, tmp_path, monkeypatch):
    kind, dimension = case
    monkeypatch.setattr(approximate, "_SAMPLE", 200)
    monkeypatch.setattr(approximate, "_TRAINING", 1280)
    stored = synthetic.vectors(LARGE, dimension, centres=300)
    large = synthetic.write(tmp_path / "gallery", np.split(stored, [6000]))
    made = build(large, kind, seed=3)
    assert (made.kind, made.vectors, made.k, made.queries) == (kind, LARGE, 10, 200)
    unit = small.unit(stored)
    chosen = np.sort(np.random.default_rng(3).permutation(LARGE)[:200])
    exact = np.argsort(-(unit[chosen] @ unit.T), axis=1, kind="stable")[:, :10]
    vectors = SearchedVectors(Gallery.open(large))
    found = nearest_approximate(vectors.gather(chosen), vectors, 10)
    recall = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(exact, found.rows, strict=True)])
    assert made.recall == pytest.approx(recall, abs=2e-3)
    assert made.recall > (0.98 if kind == "hnsw" else 0.3)
    scores = np.einsum("qd,qkd->qk", unit[chosen], unit[found.rows])
    np.testing.assert_allclose(found.scores, scores, atol=1e-5)
    assert (np.diff(found.scores, axis=1) <= 0).all()
