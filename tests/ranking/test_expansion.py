"""α-query expansion and database augmentation against sums in float64."""

import jax
import numpy as np
import pytest

from jaxloc import ranking
from tests.compiled import compiled
from tests.reference import ranking as reference

ranking = compiled(ranking)


def unit(count: int, dimension: int = 8, seed: int = 0) -> np.ndarray:
    return reference.unit(np.random.default_rng(seed).normal(size=(count, dimension))).astype(np.float32)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 3.0])
def test_equals_the_weighted_sum(exponent):
    queries, gallery = unit(5, seed=1), unit(200)
    found = ranking.top_k(queries, gallery, k=12)
    expanded = ranking.expand_queries(queries, gallery, found, exponent=exponent)
    for query, indices, ours in zip(queries, found.indices, expanded, strict=True):
        expected = reference.expand(query, gallery[np.asarray(indices)], exponent)
        np.testing.assert_allclose(ours, expected, atol=1e-6)
        np.testing.assert_allclose(
            ranking.expand(query, gallery[np.asarray(indices)], exponent=exponent), ours, atol=1e-6
        )


def test_negative_neighbours_and_missing_ones_change_nothing():
    query = unit(1)[0]
    np.testing.assert_allclose(ranking.expand(query, -query[None]), query, atol=1e-6)
    garbage = np.stack([query, np.full(8, np.nan, np.float32)])
    np.testing.assert_allclose(ranking.expand(query, garbage, valid=np.array([True, False])), query, atol=1e-6)
    found = ranking.top_k(query[None], query[None], k=5)
    np.testing.assert_allclose(ranking.expand_queries(query[None], query[None], found)[0], query, atol=1e-6)


def test_zero_vectors_stay_zero():
    np.testing.assert_array_equal(ranking.expand(np.zeros(8), unit(4)), 0)
    gallery = unit(20)
    gallery[4] = 0
    augmented = ranking.database_augmentation(gallery, neighbors=19)
    np.testing.assert_array_equal(augmented[4], 0)
    assert np.isfinite(augmented).all()


def test_no_queries_and_no_gallery():
    assert ranking.expand_queries(np.zeros((0, 8)), unit(4), ranking.empty(0, 3)).shape == (0, 8)
    queries = unit(2)
    np.testing.assert_allclose(
        ranking.expand_queries(queries, np.zeros((0, 8)), ranking.empty(2, 3)), queries, atol=1e-6
    )


@pytest.mark.parametrize("neighbors", [3, 40])
def test_database_augmentation_expands_each_vector_by_its_others(neighbors):
    gallery = unit(30)
    gallery[7] = gallery[3]
    cosines = gallery.astype(np.float64) @ gallery.T.astype(np.float64)
    np.fill_diagonal(cosines, -np.inf)
    order = np.argsort(-cosines, 1, kind="stable")[:, : min(neighbors, 29)]
    expected = [reference.expand(vector, gallery[others], 3.0) for vector, others in zip(gallery, order, strict=True)]
    np.testing.assert_allclose(ranking.database_augmentation(gallery, neighbors=neighbors), expected, atol=1e-5)


def test_rows_that_are_not_valid_lend_nothing():
    gallery = unit(30)
    garbage = gallery.copy()
    garbage[20:] = 77
    valid = np.arange(30) < 20
    augmented = ranking.database_augmentation(garbage, neighbors=4, valid=valid)
    np.testing.assert_allclose(augmented[:20], ranking.database_augmentation(gallery[:20], neighbors=4), atol=1e-6)


def test_jit_is_eager_and_vmap_is_a_loop():
    queries, neighbors = unit(3, seed=1), unit(15).reshape(3, 5, 8)
    together = jax.jit(jax.vmap(ranking.eager.expand))(queries, neighbors)
    for query, some, ours in zip(queries, neighbors, together, strict=True):
        np.testing.assert_allclose(ranking.eager.expand(query, some), ours, atol=1e-6)


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"query must be \[d\].*jax\.vmap"):
        ranking.expand(unit(2), unit(4))
    with pytest.raises(ValueError, match=r"neighbors must be \[n, 8\]"):
        ranking.expand(unit(1)[0], np.ones((4, 7)))
    with pytest.raises(ValueError, match=r"valid must be \(4,\)"):
        ranking.expand(unit(1)[0], unit(4), valid=np.ones(3, bool))
    with pytest.raises(ValueError, match="2 lists for 3 queries"):
        ranking.expand_queries(unit(3), unit(4), ranking.empty(2, 3))
