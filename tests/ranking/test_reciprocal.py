"""k-reciprocal re-ranking against a transcription of the algorithm with Python sets."""

import jax
import numpy as np
import pytest

from jaxloc import ranking
from tests.compiled import compiled, jitted
from tests.reference import ranking as reference

ranking = compiled(ranking)

rerank, top_k = ranking.rerank, ranking.top_k


def distances(query, candidates, *, neighbors=20, expansion=6, original_weight=0.3, **options):
    """With a weight that is no part of the program."""
    weight = np.float32(original_weight)
    return ranking.reciprocal_distances(
        query, candidates, neighbors=neighbors, expansion=expansion, original_weight=weight, **options
    )


def clustered(count: int, seed: int = 0, noise: float = 0.7) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(9).normal(size=(4, 10))
    return reference.unit(centres[rng.integers(0, 4, count)] + noise * rng.normal(size=(count, 10))).astype(np.float32)


@pytest.mark.parametrize(("k1", "k2", "weight"), [(20, 6, 0.3), (20, 6, 1.0), (5, 1, 0.0), (90, 6, 0.3), (1, 2, 0.5)])
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


def padded(candidates: np.ndarray, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """With rows that are not numbers in the midst, and where they are not."""
    valid = np.zeros(count, bool)
    valid[np.random.default_rng(0).permutation(count)[: len(candidates)]] = True
    rows = np.full((count, 10), np.nan, np.float32)
    rows[valid] = candidates
    return rows, valid


def test_padding_changes_nothing():
    query, candidates = clustered(1, seed=1)[0], clustered(30)
    rows, valid = padded(candidates)
    found = distances(query, rows, valid=valid)
    expected = reference.reciprocal_distances(query, candidates, 20, 6, 0.3)
    np.testing.assert_allclose(found[valid], expected, atol=1e-4)
    np.testing.assert_array_equal(found[~valid], np.inf)
    nothing = distances(query, rows, valid=np.zeros(60, bool))
    np.testing.assert_array_equal(nothing, np.inf)


def test_short_lists_keep_their_missing_entries_last():
    queries, gallery = clustered(2, seed=1), clustered(5)
    ranked = ranking.rerank(queries, gallery, top_k(queries, gallery, k=8))
    np.testing.assert_array_equal(ranked.valid, np.tile(np.arange(8) < 5, (2, 1)))
    np.testing.assert_array_equal(ranked.indices[:, 5:], -1)
    np.testing.assert_array_equal(np.sort(ranked.indices[:, :5]), np.tile(np.arange(5), (2, 1)))


def test_duplicates_one_candidate_and_zero_vectors_are_finite():
    query = clustered(1)[0]
    for candidates in (np.tile(query, (6, 1)), query[None]):
        rows, valid = padded(candidates)
        np.testing.assert_allclose(distances(query, rows, valid=valid)[valid], 0, atol=1e-6)
    found = distances(query, np.stack([query, np.zeros(10, np.float32), -query]), neighbors=1, expansion=1)
    assert np.isfinite(found).all()
    np.testing.assert_array_equal(np.argsort(found), [0, 1, 2])
    rows, valid = padded(np.zeros((3, 10), np.float32))
    np.testing.assert_array_equal(distances(np.zeros(10, np.float32), rows, valid=valid)[valid], 0)


def test_vmap_is_a_loop():
    queries, candidates = clustered(3, seed=1), clustered(180).reshape(3, 60, 10)
    together = jitted(jax.vmap(ranking.eager.reciprocal_distances))(queries, candidates)
    for query, some, ours in zip(queries, candidates, together, strict=True):
        np.testing.assert_allclose(distances(query, some), ours, atol=1e-6)


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
