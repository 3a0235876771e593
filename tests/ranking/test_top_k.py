"""Exact search against a full float64 sort: ties, chunks, parts, devices, and vectors without a direction."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxloc import ranking
from tests.compiled import compiled, jitted
from tests.reference import ranking as reference
from tests.soaked import soaked

ranking = compiled(ranking)

search = ranking.top_k


def unit(count: int, dimension: int = 24, seed: int = 0) -> np.ndarray:
    return reference.unit(np.random.default_rng(seed).normal(size=(count, dimension))).astype(np.float32)


def whole(count: int, dimension: int = 6, seed: int = 0) -> np.ndarray:
    """Small whole numbers: many exact ties, and no rounding anywhere."""
    return np.random.default_rng(seed).integers(-2, 3, (count, dimension)).astype(np.float32)


def same(a: ranking.TopK, b: ranking.TopK) -> None:
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("k", [1, 100])
def test_equals_a_full_sort(k):
    queries, gallery = unit(17, seed=1), unit(3000)
    found = search(queries, gallery, k=k, chunk=700)
    scores = queries.astype(np.float64) @ gallery.T.astype(np.float64)
    np.testing.assert_array_equal(found.indices, reference.order(scores, gallery)[:, :k])
    np.testing.assert_allclose(found.scores, -np.sort(-scores)[:, :k], atol=1e-6)
    assert found.valid.all()


@pytest.mark.parametrize("chunk", soaked([None, 37, 1999], [37]))
def test_ties_go_to_the_lower_index_whatever_the_chunk(chunk):
    queries, gallery = whole(9, seed=1), whole(2000)
    order = reference.order(queries @ gallery.T, gallery)
    found = search(queries, gallery, k=40, chunk=chunk)
    np.testing.assert_array_equal(found.indices, order[:, :40])
    np.testing.assert_array_equal(found.scores, np.take_along_axis(queries @ gallery.T, order[:, :40], 1))


def test_a_rising_gallery_in_which_every_chunk_beats_the_last():
    gallery = np.arange(1, 2001, dtype=np.float32)[:, None]
    found = search(np.ones((2, 1), np.float32), gallery, k=30, chunk=250)
    np.testing.assert_array_equal(found.indices, np.tile(np.arange(1999, 1969, -1), (2, 1)))


def test_duplicates_of_real_vectors_score_alike_wherever_they_stand():
    gallery = unit(1001, 96)
    copies = np.array([3, 4, 250, 499, 500, 777, 1000])
    gallery[copies] = gallery[3]
    for chunk in (None, 333):
        found = search(gallery[3:4] + 0.01, gallery, k=8, chunk=chunk)
        np.testing.assert_array_equal(found.indices[0, :7], copies)
        assert len(set(found.scores[0, :7].tolist())) == 1


def test_more_queries_than_a_block():
    queries, gallery = whole(2500, seed=1), whole(50)
    found = search(queries, gallery, k=5)
    np.testing.assert_array_equal(found.indices, reference.order(queries @ gallery.T, gallery)[:, :5])


def test_a_list_longer_than_the_gallery_is_padded():
    queries, gallery = whole(3, seed=1), whole(7)
    found = search(queries, gallery, k=10)
    np.testing.assert_array_equal(found.indices[:, :7], reference.order(queries @ gallery.T, gallery))
    np.testing.assert_array_equal(found.valid, np.tile(np.arange(10) < 7, (3, 1)))
    np.testing.assert_array_equal(found.indices[:, 7:], -1)
    np.testing.assert_array_equal(found.scores[:, 7:], -np.inf)


def test_zero_vectors_come_last_even_behind_negative_cosines():
    gallery = unit(40)
    gallery[[0, 7, 39]] = 0
    gallery[20] = -gallery[1]
    queries = gallery[[1, 1]]
    for chunk in (None, 16):
        found = search(queries, gallery, k=42, chunk=chunk)
        np.testing.assert_array_equal(found.indices[0, 36:], [20, 0, 7, 39, -1, -1])
        np.testing.assert_array_equal(found.scores[0, 37:], -np.inf)
        np.testing.assert_array_equal(found.valid[0, 37:], [True, True, True, False, False])


def test_rows_that_are_not_numbers_come_last_and_zero_queries_keep_the_order():
    gallery = unit(40)
    gallery[5, 3] = np.nan
    gallery[30, 0] = -np.inf
    found = search(np.stack([np.abs(gallery[1]), np.zeros(24, np.float32)]), gallery, k=42, chunk=16)
    assert not np.isnan(found.scores).any()
    np.testing.assert_array_equal(found.indices[0, 38:40], [5, 30])
    np.testing.assert_array_equal(found.indices[1, :40], [*(i for i in range(40) if i not in (5, 30)), 5, 30])
    nothing = search(np.full((2, 24), np.nan, np.float32), gallery, k=42, chunk=16)
    np.testing.assert_array_equal(nothing.scores, -np.inf)


def test_negative_zero_ties_with_zero():
    gallery = np.array([[-0.0, 1.0], [1.0, 0.0], [0.0, -1.0], [-1.0, 0.0]], np.float32)
    found = search(np.array([[0.0, 0.0], [-0.0, 0.0]], np.float32), gallery, k=4)
    np.testing.assert_array_equal(found.indices, np.tile(np.arange(4), (2, 1)))
    # One product without a sum keeps its sign: −0 in the first row, 0 in the second.
    np.testing.assert_array_equal(search(np.zeros((1, 1)), np.array([[-1.0], [1.0]]), k=1).indices, [[0]])


def test_a_row_that_is_not_a_number_does_not_hide_its_neighbours():
    gallery = unit(900)
    gallery[[6, 8, 500], 2] = np.nan
    gallery[9] = 0
    found = search(gallery[[5, 7, 10, 501, 700]], gallery, k=2, chunk=300)
    np.testing.assert_array_equal(found.indices[:, 0], [5, 7, 10, 501, 700])
    assert (found.scores > 0).all()


def test_rows_that_are_not_valid_never_appear_whatever_they_hold():
    queries, gallery = whole(9, seed=1), whole(500)
    valid = np.random.default_rng(2).random(500) < 0.5
    kept = np.flatnonzero(valid)
    gallery[~valid] = np.array([np.nan, np.inf, 1e30, 9, 9, 9])
    found = search(queries, gallery, k=20, valid=valid, chunk=64)
    order = reference.order(queries @ gallery[kept].T, gallery[kept])[:, :20]
    np.testing.assert_array_equal(found.indices, kept[order])
    assert not search(queries, gallery, k=20, valid=np.zeros(500, bool), chunk=64).valid.any()


def test_one_row_and_none():
    found = search(np.ones((2, 3)), np.ones((1, 3)), k=2)
    np.testing.assert_array_equal(found.indices, [[0, -1], [0, -1]])
    same(search(np.ones((2, 3)), np.ones((0, 3)), k=2), ranking.empty(2, 2))
    assert search(np.ones((0, 3)), np.ones((5, 3)), k=2).indices.shape == (0, 2)


def test_lower_precision_is_scored_in_float32():
    gallery = unit(300).astype(jnp.bfloat16)
    queries = unit(4, seed=1)
    found = search(queries, gallery, k=5)
    scores = queries.astype(np.float64) @ np.asarray(gallery, np.float64).T
    np.testing.assert_array_equal(found.indices, reference.order(scores, np.asarray(gallery))[:, :5])
    assert found.scores.dtype == jnp.float32


def test_vmap_is_a_loop():
    queries, galleries = np.stack([whole(4, seed=s) for s in (1, 2)]), np.stack([whole(300, seed=s) for s in (3, 4)])
    together = jitted(jax.vmap(functools.partial(ranking.eager.top_k, k=7, chunk=64)))(queries, galleries)
    for index in range(2):
        alone = search(queries[index], galleries[index], k=7, chunk=64)
        same(alone, jax.tree.map(lambda x, index=index: x[index], together))


def test_parts_merge_in_any_order():
    queries, gallery = whole(6, seed=1), whole(300)
    gallery[[4, 150]] = 0
    expected = search(queries, gallery, k=12)
    starts = [0, 75, 150, 225]
    parts = [search(queries, gallery[a : a + 75], k=12, offset=np.int32(a)) for a in starts]
    for some in (parts, parts[::-1], [parts[2], parts[0], parts[3], parts[1]]):
        same(functools.reduce(ranking.merge, some, ranking.empty(6, 12)), expected)
    same(ranking.merge(ranking.merge(parts[0], parts[3]), ranking.merge(parts[1], parts[2])), expected)
    everything = search(queries, gallery, k=310)
    halves = [
        search(queries, gallery[:150], k=310, offset=np.int32(0)),
        search(queries, gallery[150:], k=310, offset=np.int32(150)),
    ]
    same(ranking.merge(halves[1], halves[0]), everything)


def test_nearest_others_leave_themselves_out_but_not_their_duplicates():
    vectors = unit(50)
    vectors[10:16] = vectors[10]
    for k in (3, 60):
        found = ranking.nearest_others(vectors, k=k)
        scores = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
        np.fill_diagonal(scores, -np.inf)
        order = reference.order(scores.round(6), vectors)[:, : min(k, 49)]
        np.testing.assert_array_equal(found.indices[:, :49], order)
        assert found.valid.sum() == 50 * min(k, 49)


@pytest.mark.parametrize("kind", [AxisType.Auto, AxisType.Explicit])
@pytest.mark.parametrize("count", soaked([300, 301], [300]))
def test_devices_together_give_what_one_gives(kind, count):
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(kind,))
    queries, gallery = whole(6, seed=1), whole(count)
    valid = np.random.default_rng(2).random(count) < 0.9
    expected = search(queries, gallery, k=200, valid=valid)
    sharded = functools.partial(ranking.sharded_top_k, k=200, mesh=mesh, axis="rows")
    same(jax.jit(sharded)(queries, gallery, valid=valid), expected)
    if count % 2 == 0:
        placed = jax.device_put(gallery, NamedSharding(mesh, PartitionSpec("rows")))
        with jax.set_mesh(mesh):
            same(sharded(queries, placed, valid=valid), expected)


def test_only_candidates_travel_between_devices():
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(AxisType.Auto,))
    queries, k, count = np.zeros((6, 8), np.float32), 5, 4000
    gallery = jax.device_put(np.zeros((count, 8), np.float32), NamedSharding(mesh, PartitionSpec("rows")))
    sharded = jax.jit(functools.partial(ranking.sharded_top_k, k=k, mesh=mesh, axis="rows"))
    text = sharded.lower(queries, gallery).compile().as_text()
    collectives = re.findall(r"= (\S+) (?:all-gather|all-reduce|all-to-all|collective-permute)[^(]*\(", text)
    sizes = [int(np.prod([int(n) for n in re.findall(r"\d+", shape.split("[")[1])[:2]])) for shape in collectives]
    assert sizes
    assert max(sizes) <= len(queries) * k * 2


def test_wrong_arguments_are_refused():
    queries, gallery = np.zeros((2, 3)), np.zeros((5, 3))
    with pytest.raises(ValueError, match="2 dimensions cannot search a gallery of 3"):
        ranking.top_k(queries[:, :2], gallery, k=1)
    with pytest.raises(ValueError, match=r"queries must be \[q, d\].*lost"):
        ranking.top_k(queries[0], gallery, k=1)
    with pytest.raises(ValueError, match=r"gallery must be \[n, d\].*jax\.vmap"):
        ranking.top_k(queries, gallery[None], k=1)
    with pytest.raises(ValueError, match=r"valid must be \(5,\)"):
        ranking.top_k(queries, gallery, k=1, valid=np.ones(4, bool))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        ranking.top_k(queries, gallery, k=0)
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        ranking.nearest_others(gallery, k=0)
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        ranking.top_k(queries, gallery, k=1, chunk=0)
    with pytest.raises(ValueError, match=r"different shapes: \(2, 3\) and \(2, 4\)"):
        ranking.merge(ranking.empty(2, 3), ranking.empty(2, 4))
    mesh = jax.make_mesh((2,), ("rows",), axis_types=(AxisType.Auto,))
    with pytest.raises(ValueError, match="no axis 'columns', only 'rows'"):
        ranking.sharded_top_k(queries, gallery, k=1, mesh=mesh, axis="columns")
