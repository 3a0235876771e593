"""Diffusion against dense float64 solutions."""

import functools

import numpy as np
import pytest

from jaxloc import graphs, ranking
from tests.compiled import compiled
from tests.reference import ranking as reference

graphs = compiled(graphs)
ranking = compiled(ranking)

ALPHA = 0.9


def clustered(count: int, seed: int = 0, noise: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(4, 10))
    return reference.unit(centres[rng.integers(0, 4, count)] + noise * rng.normal(size=(count, 10))).astype(np.float32)


def expected_order(values: np.ndarray, cosines: np.ndarray) -> np.ndarray:
    """Reached by falling f, then the others by falling cosine."""
    reached = values > 1e-9
    return np.lexsort((-cosines, np.where(reached, -values, 0)))


def diffuse(found, graph, *, alpha=ALPHA, iterations=200, neighbors=4, batch=2, **options):
    """With numbers that are no part of the program."""
    limits = {"alpha": np.float32(alpha), "iterations": np.int32(iterations)}
    return ranking.diffuse(found, graph, neighbors=neighbors, batch=batch, **limits, **options)


neighbor_graph, top_k = ranking.neighbor_graph, ranking.top_k


def test_graph_equals_the_dense_one():
    gallery = clustered(60)
    gallery[[5, 6]] = 0
    gallery[9] = gallery[8]
    for k in (8, 100):
        graph = neighbor_graph(gallery, k=k, chunk=16)
        dense = np.zeros((60, 60))
        np.add.at(dense, (np.arange(60)[:, None], np.asarray(graph.indices)), np.asarray(graph.weights))
        expected = reference.normalized(reference.mutual_adjacency(gallery, min(k, 59), 3.0))
        np.testing.assert_allclose(dense, expected, atol=1e-5)
        assert not dense[[5, 6]].any()


def test_rows_that_are_not_valid_have_no_edges():
    gallery = clustered(80)
    valid = np.arange(80) < 75
    gallery[75:] = gallery[:5]
    graph = neighbor_graph(gallery, k=6, valid=valid)
    dense = np.zeros((80, 80))
    np.add.at(dense, (np.arange(80)[:, None], graph.indices), graph.weights)
    expected = reference.normalized(reference.mutual_adjacency(gallery[:75], 6, 3.0))
    np.testing.assert_array_equal(graph.weights[75:], 0)
    np.testing.assert_allclose(dense[:75, :75], expected, atol=1e-5)


@pytest.mark.parametrize("alpha", [0.5, 0.99])
def test_ranking_equals_the_dense_solution(alpha):
    gallery, queries = clustered(80), clustered(5, seed=1)
    graph = neighbor_graph(gallery, k=6)
    found = top_k(queries, gallery, k=80)
    result = diffuse(found, graph, alpha=alpha)
    adjacency = reference.mutual_adjacency(gallery, 6, 3.0)
    unreached = 0
    for query, indices, scores in zip(queries, result.found.indices, result.found.scores, strict=True):
        cosines = gallery.astype(np.float64) @ query
        values = reference.diffuse(cosines, adjacency, 4, 3.0, alpha)
        np.testing.assert_array_equal(np.sort(indices), np.arange(80))
        np.testing.assert_allclose(scores, values[np.asarray(indices)], atol=1e-4 * values.max())
        order = expected_order(values, cosines)
        reached = int((values > 1e-4 * values.max()).sum())
        np.testing.assert_allclose(values[np.asarray(indices)], values[order], atol=1e-4 * values.max())
        missed = values <= 1e-12
        np.testing.assert_array_equal(np.asarray(indices)[80 - missed.sum() :], order[80 - missed.sum() :])
        unreached += missed.sum()
        assert reached > 4
    assert unreached
    assert result.converged.all()


def test_short_lists_are_the_head_of_long_ones():
    gallery, queries = clustered(80), clustered(5, seed=1)
    graph = neighbor_graph(gallery, k=6)
    everything = diffuse(top_k(queries, gallery, k=80), graph)
    some = diffuse(top_k(queries, gallery, k=10), graph)
    np.testing.assert_array_equal(some.found.indices, everything.found.indices[:, :10])
    np.testing.assert_allclose(some.found.scores, everything.found.scores[:, :10], rtol=1e-5)


def test_truncation_to_all_is_no_truncation_and_to_some_stays_within_them():
    gallery, queries = clustered(80), clustered(5, seed=1)
    graph = neighbor_graph(gallery, k=6)
    found = top_k(queries, gallery, k=80)
    full, cut = diffuse(found, graph), diffuse(found, graph, truncate=True)
    np.testing.assert_allclose(cut.found.scores, full.found.scores, atol=1e-5)
    np.testing.assert_array_equal(cut.found.indices[:, :20], full.found.indices[:, :20])
    few = top_k(queries, gallery, k=15)
    cut = diffuse(few, graph, truncate=True)
    for query, candidates, indices, scores in zip(queries, few.indices, *cut.found[1::-1], strict=True):
        candidates = np.asarray(candidates)
        small = reference.normalized(reference.mutual_adjacency(gallery, 6, 3.0))[np.ix_(candidates, candidates)]
        target = np.where(np.arange(15) < 4, np.maximum(gallery[candidates].astype(float) @ query, 0) ** 3, 0)
        values = np.linalg.solve(np.eye(15) - ALPHA * small, target)
        np.testing.assert_allclose(scores, -np.sort(-values), atol=1e-5)
        np.testing.assert_array_equal(np.sort(indices), np.sort(candidates))


def test_a_chain_is_followed_past_what_the_cosine_sees():
    angles = np.radians(np.arange(0, 180, 15))
    chain = np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1)
    lure = np.array([[np.cos(np.radians(-50)), 0, np.sin(np.radians(-50))]])
    gallery = np.concatenate([chain, lure])
    found = top_k(chain[:1], gallery, k=13)
    before = list(found.indices[0])
    after = list(ranking.diffuse(found, neighbor_graph(gallery, k=2), neighbors=1).found.indices[0])
    assert before.index(12) < before.index(5)
    assert after.index(12) > after.index(11)


def test_one_gallery_vector_and_missing_entries():
    gallery = clustered(1)
    found = top_k(clustered(2, seed=1), gallery, k=4)
    graph = neighbor_graph(gallery)
    for truncate in (False, True):
        result = diffuse(found, graph, truncate=truncate)
        np.testing.assert_array_equal(result.found.indices, [[0, -1, -1, -1]] * 2)
        np.testing.assert_array_equal(result.found.valid, found.valid)
    nobody = ranking.diffuse(ranking.empty(0, 4), graph)
    assert nobody.found.scores.shape == (0, 4)


def test_a_query_that_reaches_nothing_keeps_its_order():
    gallery = clustered(80)
    gallery[3] = 0
    found = top_k(np.zeros((5, 10), np.float32), gallery, k=80)
    graph = neighbor_graph(gallery, k=6)
    for options in ({}, {"truncate": True}):
        result = diffuse(found, graph, **options)
        np.testing.assert_array_equal(result.found.indices, found.indices)
        np.testing.assert_array_equal(result.found.scores, 0)
        assert result.converged.all()


def test_unsolved_systems_say_so():
    gallery = clustered(80)
    found = top_k(clustered(5, seed=1), gallery, k=10)
    assert not diffuse(found, neighbor_graph(gallery, k=6), iterations=1).converged.any()


def test_the_batch_does_not_matter():
    gallery = clustered(80)
    found = top_k(clustered(5, seed=1), gallery, k=10)
    graph = neighbor_graph(gallery, k=6)
    expected = diffuse(found, graph)
    for batch in (1, 16):
        result = diffuse(found, graph, batch=batch)
        np.testing.assert_array_equal(result.found.indices, expected.found.indices)
        np.testing.assert_allclose(result.found.scores, expected.found.scores, rtol=1e-4, atol=1e-6)


def test_wrong_arguments_are_refused():
    graph = graphs.Graph(np.zeros((3, 1), np.int32), np.zeros((3, 1), np.float32))
    with pytest.raises(ValueError, match=r"found\.scores must be \[q, k\]"):
        ranking.diffuse(ranking.TopK(np.zeros(3), np.zeros(3, int), np.ones(3, bool)), graph)
    with pytest.raises(ValueError, match="neighbors must be at least 1, got 0"):
        ranking.diffuse(ranking.empty(2, 3), graph, neighbors=0)
    with pytest.raises(ValueError, match=r"alpha must lie in \[0, 1\)"):
        functools.partial(ranking.diffuse, alpha=1.5)(ranking.empty(2, 3), graph)
