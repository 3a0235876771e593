"""What a search returns, against NumPy on the vectors that are stored."""

import json
import os
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from jaxloc import ranking
from jaxloc.options import SearchOptions
from jaxloc.report.search_page import render_search
from jaxloc.run.retrieval import vectors as vectors_module
from jaxloc.run.retrieval.attribute_strips import attributes_of, strips
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.index import index
from jaxloc.run.retrieval.reranking import rank
from jaxloc.run.retrieval.search import search, to_plain
from jaxloc.run.retrieval.vectors import SearchedVectors
from tests.reference import ranking as reference
from tests.reference import whitening as reference_whitening
from tests.run.retrieval import small
from tests.soaked import soaked

HOW = [
    {},
    {"expand": True, "expand_with": 4},
    {"expand": True, "expand_with": 3, "alpha": 0.0},
    {"rerank": "reciprocal"},
    {"rerank": "reciprocal", "candidates": 7},
    {"rerank": "diffusion"},
    {"expand": True, "expand_with": 2, "rerank": "diffusion"},
]


@pytest.fixture(scope="module")
def asked(queries, weights, tmp_path_factory):
    """Vectors of the queries, from a gallery of their own."""
    folder = tmp_path_factory.mktemp("asked") / "g"
    index([queries], folder, small.index_options(weights))
    return small.stored(folder)


def whitened(folder, vectors, dimension=5):
    """SVD-whitening of the stored vectors that are not zero, in float64; zeros stay."""
    fitted_on, there = small.stored(folder), vectors.any(1)
    found = np.zeros((len(vectors), dimension))
    found[there] = reference_whitening.whiten(vectors[there], fitted_on[fitted_on.any(1)], False, dimension, 1.0)
    return found


@pytest.mark.parametrize("whiten", ["none", "svd-5"])
def test_results_are_the_cosines_of_the_stored_vectors(made, weights, queries, asked, whiten):
    folder = made(whiten=whiten)
    found = search(folder, [queries], small.reading(weights), SearchOptions(top=16))
    gallery, names = small.stored(folder), small.names(folder)
    if whiten == "none":
        cosines = small.unit(asked) @ small.unit(gallery).T
    else:
        cosines = whitened(folder, asked) @ whitened(folder, gallery).T
    assert [query.name for query in found.queries] == [f"{kind}/{n}.png" for kind in small.KINDS for n in (7, 8)]
    for query, row in zip(found.queries, cosines, strict=True):
        scores = dict(zip(names, row, strict=True))
        assert sorted(result.name for result in query.results) == sorted(names)
        assert query.results[-1].name == small.EMPTY
        assert query.results[-1].score == -np.inf
        got = [result.score for result in query.results[:-1]]
        assert got == sorted(got, reverse=True)
        np.testing.assert_allclose(got, [scores[result.name] for result in query.results[:-1]], atol=2e-4)
        for result in query.results:
            assert result.label == result.name.split("/")[0]
            assert result.relevant == (result.label == query.label)


@pytest.mark.parametrize("number", soaked([0, 3, 6], [3, 6]))
def test_neither_shards_nor_parts_change_a_ranking(made, asked, monkeypatch, number):
    found = []
    for part, size in ((1 << 16, 3), (1, 3), (1 << 16, 100)):
        monkeypatch.setattr(vectors_module, "PART", part)
        vectors = SearchedVectors(Gallery.open(made(whiten="svd-5", shard_size=size)))
        found.append(rank(vectors.prepare(asked), vectors, SearchOptions(top=16, **HOW[number])))
    for one in found[1:]:
        np.testing.assert_array_equal(one.rows, found[0].rows)
        np.testing.assert_allclose(one.scores, found[0].scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("whiten", soaked(["svd-5", "pca-5"], ["svd-5"]))
def test_expansion_and_reranking_are_those_of_the_library(made, asked, whiten):
    vectors = SearchedVectors(Gallery.open(made(whiten=whiten)))
    queries, gallery = vectors.prepare(asked), vectors.all()
    top_k = jax.jit(ranking.top_k, static_argnames="k")
    found = top_k(queries, gallery, k=4)
    expand = jax.jit(ranking.expand_queries, static_argnames="exponent")
    expanded = np.asarray(expand(queries, gallery, found, exponent=2.0))
    expected = [reference.expand(q, gallery[np.asarray(i)], 2.0) for q, i in zip(queries, found.indices, strict=True)]
    np.testing.assert_allclose(expanded, expected, atol=1e-5)
    got = rank(queries, vectors, SearchOptions(top=9, expand=True, expand_with=4, alpha=2.0))
    want = top_k(expanded, gallery, k=9)
    np.testing.assert_array_equal(got.rows, want.indices)
    np.testing.assert_allclose(got.scores, want.scores, atol=1e-5)

    got = rank(queries, vectors, SearchOptions(top=6, rerank="reciprocal", candidates=12))
    want = jax.jit(ranking.rerank)(queries, gallery, top_k(queries, gallery, k=12))
    np.testing.assert_array_equal(got.rows, np.asarray(want.indices)[:, :6])
    np.testing.assert_allclose(got.scores, np.asarray(want.scores)[:, :6], atol=1e-5)

    got = rank(queries, vectors, SearchOptions(top=6, rerank="diffusion", neighbors=15))
    graph = jax.jit(ranking.neighbor_graph, static_argnames="k")(gallery, k=15)
    want = jax.jit(ranking.diffuse)(top_k(queries, gallery, k=10), graph).found
    np.testing.assert_array_equal(got.rows, np.asarray(want.indices)[:, :6])
    np.testing.assert_allclose(got.scores, np.asarray(want.scores)[:, :6], rtol=1e-4)


@pytest.mark.parametrize("how", HOW, ids=str)
@pytest.mark.parametrize("whiten", soaked(["svd-5", "supervised-5"], ["svd-5"]))
def test_an_empty_mask_ranks_last_and_is_never_nan(made, weights, queries, asked, whiten, how):
    folder = made(whiten=whiten)
    row = small.names(folder).index(small.EMPTY)
    stored = Gallery.open(folder)
    assert not stored.whole_table()["found"][row].as_py()
    assert not small.stored(folder)[row].any()
    vectors = SearchedVectors(stored)
    assert not vectors.all()[row].any()
    assert np.isfinite(vectors.all()).all()
    with_zero = np.concatenate([asked[:5], np.zeros((1, asked.shape[1]), np.float32)])
    found = rank(vectors.prepare(with_zero), vectors, SearchOptions(top=16, **how))
    assert not np.isnan(found.scores).any()
    for rows in found.rows:
        assert sorted(rows) == list(range(16))
    assert (found.rows[:-1, -1] == row).all()
    assert found.rows[-1, -1] == row


def test_what_was_not_found_is_told(made, weights, images, queries):
    found = search(made(), [images / "face", queries], small.reading(weights), SearchOptions(top=16))
    (empty,) = (query for query in found.queries if not query.found)
    assert empty.name.endswith("zz_small.png")
    assert empty.box is None
    assert not empty.mask.any()
    assert any("nothing was selected in 1 of the queries" in warning for warning in found.warnings)
    assert any("in 1 images of the gallery nothing was selected: they rank last" in w for w in found.warnings)
    everywhere = search(made(descriptor="pool5"), [queries], small.reading(weights))
    assert everywhere.warnings == []


def test_of_equal_images_the_first_comes_first(weights, images, tmp_path):
    photos = shutil.copytree(images, tmp_path / "photos")
    for number, name in enumerate(("b", "a", "c")):
        (photos / "coffee" / f"{number}.png").unlink()  # there are as many images as in other galleries here
        shutil.copy(photos / "cat" / "3.png", photos / "cat" / f"same_{name}.png")
    index([photos], tmp_path / "g", small.index_options(weights, shard_size=2))
    expected = ["cat/3.png", "cat/same_a.png", "cat/same_b.png", "cat/same_c.png"]
    for how in ({}, {"rerank": "diffusion"}):
        found = search(tmp_path / "g", [photos / "cat" / "3.png"], small.reading(weights), SearchOptions(**how))
        names = [result.name for result in found.queries[0].results]
        assert [name for name in names if name in expected] == expected, how
        if not how:
            assert names[:4] == expected


def test_a_gallery_of_one_is_searched(weights, images, queries, tmp_path):
    index([images / "cat" / "1.png"], tmp_path / "g", small.index_options(weights))
    for how in HOW[3], HOW[6]:
        found = search(tmp_path / "g", [queries / "cat"], small.reading(weights), SearchOptions(top=1, **how))
        assert [[result.name for result in query.results] for query in found.queries] == [["1.png"]] * 2
        assert all(np.isfinite(query.results[0].score) for query in found.queries)


def test_json_is_json_and_tells_everything(made, weights, images):
    found = search(made(), [images / "face"], small.reading(weights), SearchOptions(top=16))
    text = json.dumps(to_plain(found))
    values = json.loads(text)
    assert values["gallery"] == "gallery"
    assert values["settings"]["descriptor"] == "scda"
    last = values["queries"][0]["results"][-1]
    assert (last["name"], last["score"], last["box"]) == (small.EMPTY, -np.inf, None)
    assert [query["found"] for query in values["queries"]] == [True] * 5 + [False]
    assert values["queries"][0]["results"][0]["relevant"] is True


def test_the_page_shows_queries_results_and_dimensions(made, weights, queries):
    folder = made(whiten="svd-5")
    found = search(
        folder, [queries], small.reading(weights), SearchOptions(top=3), images=True, strips=strips(folder, range(2))
    )
    page = render_search(found)
    assert all(query.thumbnail and query.mask.any() for query in found.queries)
    assert all(result.thumbnail for query in found.queries for result in query.results)
    assert "cat/7.png" in page
    assert '"dimension":1' in page.replace(" ", "")
    assert render_search(found) == page


def test_the_ends_of_a_dimension_are_its_largest_and_smallest_values(made):
    folder = made(whiten="svd-5")
    vectors, names = SearchedVectors(Gallery.open(folder)).all(), np.array(small.names(folder))
    there = vectors.any(1)
    variance = vectors[there].astype(np.float64).var(0)
    for strip in strips(folder, [3, 0], count=4):
        values = vectors[there, strip.dimension]
        order = np.argsort(-values, kind="stable")
        assert [one.name for one in strip.high] == list(names[there][order[:4]])
        assert [one.name for one in strip.low] == list(names[there][order[::-1][:4]])
        np.testing.assert_allclose([one.value for one in strip.high], values[order[:4]])
        assert strip.share == pytest.approx(variance[strip.dimension] / variance.sum(), rel=1e-4)
    (strip,) = strips(folder, [0], count=99)
    assert len(strip.high) == len(strip.low) == 15
    assert len(attributes_of(folder, 5).strips) == 5


@pytest.mark.skipif(os.name == "nt", reason="no such names on this system")
def test_names_of_any_bytes_are_shown_and_written(weights, images, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(images / "cat", folder / "<b>cat</b>".replace("/", "_"))
    try:
        for name in (b"\xff.png", b"<script>alert(1).png", b"a\nb.png", b'"quoted"&.png'):
            shutil.copy(images / "cat" / "1.png", os.fsdecode(os.fsencode(folder) + b"/" + name))
        with open(os.fsdecode(os.fsencode(folder) + b"/\xfe<i>.png"), "wb") as file:
            file.write(b"no image")
    except OSError:
        pytest.skip("this file system only takes names that are text")
    gallery = tmp_path / os.fsdecode(b"g\xe9")
    index([folder], gallery, small.index_options(weights))
    found = search(gallery, [folder], small.reading(weights), SearchOptions(top=8), images=True)
    assert len(found.queries) == 8
    assert all(result.thumbnail for query in found.queries for result in query.results)
    page = render_search(found).encode("utf-8", "backslashreplace")  # as write_text does
    assert b"<script>alert" not in page
    assert b"\xfe<i>" not in page
    json.dumps(to_plain(found)).encode()


def test_queries_are_shrunk_as_the_gallery_was(weights, images, tmp_path):
    index([images], tmp_path / "g", small.index_options(weights, max_side=64))
    photo = tmp_path / "large.png"
    with Image.open(images / "coffee" / "2.png") as image:
        image.save(photo)
    found = search(tmp_path / "g", [photo], small.reading(weights))
    assert found.queries[0].results[0].name == "coffee/2.png"
    assert found.queries[0].results[0].score == pytest.approx(1, abs=1e-5)
    assert (found.queries[0].width, found.queries[0].mask.shape) == (128, (2, 2))
