"""k-reciprocal re-ranking against a transcription of the algorithm with Python sets."""

import functools

import jax
import numpy as np
import pytest

from jaxloc import ranking
from tests.compiled import compiled
from tests.reference import ranking as reference

ranking = compiled(ranking)

distances = jax.jit(ranking.reciprocal_distances, static_argnames=("neighbors", "expansion"))
rerank = jax.jit(ranking.rerank, static_argnames=("neighbors", "expansion"))
top_k = jax.jit(ranking.top_k, static_argnames="k")


def clustered(count: int, seed: int = 0, noise: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(4, 10))
    return reference.unit(centres[rng.integers(0, 4, count)] + noise * rng.normal(size=(count, 10))).astype(np.float32)


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (5, 1, 0.0), (7, 3, 1.0), (90, 6, 0.3), (1, 2, 0.5)])
def test_equals_the_transcription(k1, k2, weight):
    candidates = clustered(60)
    for query in clustered(3, seed=1):
        found = distances(query, candidates, neighbors=k1, expansion=k2, original_weight=weight)
        expected = reference.reciprocal_distances(query, candidates, k1, k2, weight)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_lists_are_sorted_anew_and_keep_their_indices():
    queries, gallery = clustered(4, seed=1), clustered(80)
    found = top_k(queries, gallery, k=40)
    ranked = rerank(queries, gallery, found, neighbors=8, expansion=3)
    changed = 0
    for query, before, after, scores in zip(queries, found.indices, ranked.indices, ranked.scores, strict=True):
        before = np.asarray(before)
        expected = reference.reciprocal_distances(query, gallery[before], 8, 3, 0.3)
        np.testing.assert_array_equal(after, before[np.argsort(expected, kind="stable")])
        np.testing.assert_allclose(scores, 1 - np.sort(expected), atol=1e-4)
        changed += not np.array_equal(before, after)
    assert changed


def test_the_cluster_of_the_query_moves_ahead():
    gallery = clustered(200, noise=0.9)
    labels = np.random.default_rng(0).integers(0, 4, 200)
    queries = clustered(20, seed=1, noise=0.9)
    wanted = np.random.default_rng(1).integers(0, 4, 20)
    found = top_k(queries, gallery, k=100)
    ranked = rerank(queries, gallery, found)
    before, after = ((labels[np.asarray(x.indices)[:, :40]] == wanted[:, None]).mean() for x in (found, ranked))
    assert after > before + 0.02


def test_padding_changes_nothing():
    query, candidates = clustered(1, seed=1)[0], clustered(30)
    padded = np.concatenate([candidates[:10], np.full((6, 10), np.nan, np.float32), candidates[10:]])
    valid = np.r_[np.ones(10, bool), np.zeros(6, bool), np.ones(20, bool)]
    found = np.asarray(distances(query, padded, valid=valid))
    np.testing.assert_allclose(found[valid], distances(query, candidates), atol=1e-6)
    np.testing.assert_array_equal(found[~valid], np.inf)
    nothing = distances(query, padded, valid=np.zeros(36, bool))
    np.testing.assert_array_equal(nothing, np.inf)


def test_short_lists_keep_their_missing_entries_last():
    queries, gallery = clustered(2, seed=1), clustered(5)
    ranked = ranking.rerank(queries, gallery, top_k(queries, gallery, k=8))
    np.testing.assert_array_equal(ranked.valid, np.tile(np.arange(8) < 5, (2, 1)))
    np.testing.assert_array_equal(ranked.indices[:, 5:], -1)
    np.testing.assert_array_equal(np.sort(ranked.indices[:, :5]), np.tile(np.arange(5), (2, 1)))


def test_duplicates_one_candidate_and_zero_vectors_are_finite():
    query = clustered(1)[0]
    np.testing.assert_allclose(distances(query, np.tile(query, (6, 1))), 0, atol=1e-6)
    np.testing.assert_allclose(distances(query, query[None]), 0, atol=1e-6)
    found = distances(query, np.stack([query, np.zeros(10, np.float32), -query]), neighbors=1, expansion=1)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(np.argsort(found), [0, 1, 2])
    np.testing.assert_array_equal(distances(np.zeros(10), np.zeros((3, 10))), 0)


def test_jit_is_eager_and_vmap_is_a_loop():
    queries, candidates = clustered(3, seed=1), clustered(60).reshape(3, 20, 10)
    eager = functools.partial(ranking.eager.reciprocal_distances, neighbors=5)
    together = jax.jit(jax.vmap(eager))(queries, candidates)
    for query, some, ours in zip(queries, candidates, together, strict=True):
        np.testing.assert_allclose(distances(query, some, neighbors=5), ours, atol=1e-6)
    np.testing.assert_allclose(eager(queries[0], candidates[0]), together[0], atol=1e-6)


def test_no_queries():
    assert ranking.rerank(np.zeros((0, 10)), clustered(4), ranking.empty(0, 3)).scores.shape == (0, 3)


def test_wrong_arguments_are_refused():
    query, candidates = clustered(1)[0], clustered(4)
    with pytest.raises(ValueError, match=r"query must be \[d\].*jax\.vmap"):
        ranking.reciprocal_distances(candidates, candidates)
    with pytest.raises(ValueError, match=r"candidates must be \[n, 10\]"):
        ranking.reciprocal_distances(query, candidates[:, :9])
    with pytest.raises(ValueError, match="at least 1, got 0 and 6"):
        ranking.reciprocal_distances(query, candidates, neighbors=0)
    with pytest.raises(ValueError, match=r"valid must be \(4,\)"):
        ranking.reciprocal_distances(query, candidates, valid=np.ones(3, bool))
    with pytest.raises(ValueError, match="2 lists for 4 queries"):
        ranking.rerank(candidates, candidates, ranking.empty(2, 3))
