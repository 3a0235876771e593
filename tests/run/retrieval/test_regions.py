"""Galleries of descriptors that are sums of regions, and ranking by the regions."""

import numpy as np
import pytest

from jaxloc.errors import UsageError
from jaxloc.options import SearchOptions
from jaxloc.run.retrieval import index as index_module
from jaxloc.run.retrieval.gallery import Gallery
from jaxloc.run.retrieval.regions import graph_neighbors
from jaxloc.run.retrieval.search import search
from jaxloc.run.retrieval.vectors import SearchedVectors
from tests.reference import ranking as reference
from tests.run.retrieval import small
from tests.soaked import soaked

SALIENT = {"descriptor": "fs-egm", "region_weights": "equal"}


def regions_of(folder) -> list[np.ndarray]:
    vectors, counts = SearchedVectors(Gallery.open(folder)).regions()
    return np.split(vectors, np.cumsum(counts)[:-1])


def test_a_vector_is_the_sum_of_the_regions_that_are_kept(made):
    folder = made(**SALIENT)
    assert Gallery.open(folder).description.settings["layer"] == "relu5_3"
    regions, vectors = regions_of(folder), small.stored(folder)
    assert len(regions) == len(vectors) == 16
    for own, vector in zip(regions, vectors, strict=True):
        assert len(own)
        np.testing.assert_allclose(own.sum(0) / np.linalg.norm(own.sum(0)), vector, atol=1e-5)


@pytest.mark.parametrize("descriptor", soaked(["os-egm", "os-egm-delta"], ["os-egm-delta"]))
def test_objects_are_fitted_on_the_gallery_and_found_in_queries(made, weights, query, descriptor):
    folder = made(descriptor=descriptor)
    found = search(folder, query, small.reading(weights), SearchOptions(top=3, rerank="regions"))
    assert len(found.queries[0].results) == 3
    number = sum(map(len, regions_of(folder)))
    assert number > 16 * (5 if descriptor == "os-egm-delta" else 0)


@pytest.mark.parametrize("whiten", soaked(["none", "pca-5"], ["pca-5"]))
def test_images_are_ranked_by_the_best_matches_of_their_regions(made, weights, images, whiten):
    folder = made(**SALIENT, whiten=whiten)
    found = search(folder, [images], small.reading(weights), SearchOptions(top=16, rerank="regions"))
    regions, names = regions_of(folder), small.names(folder)
    for query in found.queries:
        own = regions[names.index(query.name)]
        expected = {name: (own @ other.T).max(1).sum() for name, other in zip(names, regions, strict=True)}
        assert query.results[0].score == pytest.approx(expected[query.name], abs=1e-4)
        got = {result.name: result.score for result in query.results}
        np.testing.assert_allclose([got[name] for name in names], [expected[name] for name in names], atol=1e-4)


def test_regions_diffuse_on_the_graph_of_all_regions(made, weights, images):
    folder = made(**SALIENT)
    how = SearchOptions(top=16, rerank="regional-diffusion", neighbors=3)
    found = search(folder, [images], small.reading(weights), how)
    regions, names = regions_of(folder), small.names(folder)
    every = np.concatenate(regions).astype(np.float64)
    matrix = np.eye(len(every)) - 0.99 * reference.normalized(reference.mutual_adjacency(every, 3, 3.0))
    owners = np.repeat(np.arange(len(regions)), [len(own) for own in regions])
    for query in found.queries:
        cosines = regions[names.index(query.name)] @ every.T
        nearest = -np.sort(-cosines, 1)[:, 9:10]
        entering = np.where(cosines >= nearest, np.maximum(cosines, 0) ** 3, 0).sum(0)
        expected = np.bincount(owners, np.linalg.solve(matrix, entering))
        got = {result.name: result.score for result in query.results}
        np.testing.assert_allclose([got[name] for name in names], expected, rtol=1e-2, atol=1e-3)


def test_regions_go_with_their_image(made, tmp_path):
    folder = small.copy(made(**SALIENT), tmp_path / "gallery")
    before = dict(zip(small.names(folder), regions_of(folder), strict=True))
    index_module.remove(folder, ["coffee/1.png"])
    after = dict(zip(small.names(folder), regions_of(folder), strict=True))
    assert before.keys() - after.keys() == {"coffee/1.png"}
    for name, own in after.items():
        np.testing.assert_array_equal(own, before[name])


def test_a_gallery_without_regions_is_refused(made, weights, query):
    with pytest.raises(UsageError, match=r"made with scda, which has no regions; index .* --descriptor fs-egm, os-egm"):
        search(made(), query, small.reading(weights), SearchOptions(rerank="regions"))


class Labelled:
    """Vectors of which only the labels are known."""

    def __init__(self, *labels: str | None) -> None:
        self._labels = list(labels)

    def __len__(self) -> int:
        return len(self._labels)

    def labels(self) -> list[str | None]:
        return self._labels


def test_neighbours_in_the_graph_follow_the_kinds():
    kinds = [kind for kind in "abcdef" for _ in range(21)]
    assert graph_neighbors(Labelled(*kinds), SearchOptions()) == (5, ())
    assert graph_neighbors(Labelled(*kinds), SearchOptions(neighbors=9)) == (9, ())
    assert graph_neighbors(Labelled(*[None] * 1600), SearchOptions()) == (10, ())
    assert graph_neighbors(Labelled(*[None] * 10**6), SearchOptions()) == (50, ())
    few, (doubt,) = graph_neighbors(Labelled(*"aaabbbccc"), SearchOptions())
    assert few == 1
    assert "a kind has about 3 images in the gallery" in doubt


def test_patches_have_a_middle(weights):
    with pytest.raises(UsageError, match="its side is odd, not 4"):
        small.index_options(weights, descriptor="os-egm", patch=4)
