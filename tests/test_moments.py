"""Streaming moments against float64, merged in any order, over devices, and for counts past 2²⁴."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, PartitionSpec

from jaxloc import ddt, moments
from tests.compiled import compiled, jitted

ddt = compiled(ddt)
moments = compiled(moments, eager=("count",))


def descriptors(count: int, dimension: int = 12, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(4, dimension))
    return np.maximum(rng.normal(size=(count, 4)) @ mixing + rng.normal(size=(count, dimension)) + 3, 0).astype(
        np.float32
    )


def assert_moments_of(found: moments.Moments, x: np.ndarray, rtol: float = 1e-5) -> None:
    x = x.reshape(-1, x.shape[-1]).astype(np.float64)
    assert moments.count(found) == len(x)
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=rtol)
    scatter = (x - x.mean(0)).T @ (x - x.mean(0))
    np.testing.assert_allclose(found.scatter, scatter, atol=rtol * np.abs(scatter).max())


def test_equals_float64_whatever_the_layout():
    x = descriptors(210)
    assert_moments_of(moments.of(x), x)
    assert_moments_of(moments.of(x.reshape(3, 7, 10, 12)), x)


@pytest.mark.parametrize("dimension", [255, 256, 258])
def test_wide_descriptors_have_a_symmetric_scatter(dimension):
    x = descriptors(90, dimension)
    found = moments.of(x)
    assert_moments_of(found, x)
    np.testing.assert_array_equal(found.scatter, found.scatter.T, strict=True)


def test_invalid_descriptors_do_not_count_even_if_not_finite():
    x = descriptors(60).reshape(6, 10, 12)
    valid = np.random.default_rng(0).random((6, 10)) < 0.5
    broken = np.where(valid[..., None], x, np.nan)
    assert_moments_of(moments.of(broken, valid), x[valid])


@settings(max_examples=10)
@given(st.lists(st.integers(0, 40), min_size=1, max_size=6), st.integers(0, 10))
def test_any_split_merges_to_the_whole(sizes, seed):
    x = descriptors(sum(sizes) + 2, seed=seed)
    parts = np.split(x, np.cumsum(sizes))
    np.random.default_rng(seed).shuffle(parts)
    valid = [np.arange(50) < len(part) for part in parts]
    padded = [np.pad(part, ((0, 50 - len(part)), (0, 0))) for part in parts]
    each = [moments.of(part, keep) for part, keep in zip(padded, valid, strict=True)]
    assert_moments_of(functools.reduce(moments.merge, each), x)
    tree = each
    while len(tree) > 1:
        tree = [functools.reduce(moments.merge, tree[i : i + 2]) for i in range(0, len(tree), 2)]
    assert_moments_of(tree[0], x)


def across(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = (part.reshape(-1, part.shape[-1]).astype(np.float64) for part in (x, y))
    return (x - x.mean(0)).T @ (y - y.mean(0))


def test_moments_across_two_layers_merge_to_the_whole():
    x, y = descriptors(120).reshape(4, 30, 12), descriptors(120, 5, seed=1).reshape(4, 30, 5)
    valid = np.random.default_rng(0).random((4, 30)) < 0.7
    parts = [moments.of(*part[:2], below=part[2]) for part in zip(x, valid, y, strict=True)]
    accumulator = moments.Accumulator(12, below=5)
    for part in parts:
        accumulator.add(part)
    accumulator.merge(moments.Accumulator.from_state(moments.Accumulator(12, below=5).state()))
    segments = of_set(moments.of_segments(x, np.zeros(4, int), 1, valid, below=y), 0)
    expected = across(x[valid], y[valid])
    for found in (functools.reduce(moments.merge, parts), accumulator.moments(), segments):
        assert moments.count(found) == valid.sum()
        np.testing.assert_allclose(found.mean, np.concatenate([x[valid].mean(0), y[valid].mean(0)]), rtol=1e-5)
        np.testing.assert_allclose(found.scatter, expected, atol=1e-5 * np.abs(expected).max())


def test_descriptors_that_are_not_finite_are_left_out_and_counted():
    x, y = descriptors(60).reshape(6, 10, 12), descriptors(60, 5, seed=1).reshape(6, 10, 5)
    finite = np.ones((6, 10), bool)
    finite[0, :3] = finite[4, 2] = False
    x[0, :3, 7], x[4, 2] = np.nan, np.inf
    valid = np.arange(10) > 0
    kept, out = finite & valid, np.broadcast_to(valid, (6, 10)) & ~finite
    whole = moments.of(x, kept | out)
    halves = moments.of_segments(x, np.array([0, 0, 1, 1, 1, 1]), 2, kept | out)
    accumulator = moments.Accumulator(12)
    for part in (0, 1):
        accumulator.add(of_set(halves, part))
    again = moments.Accumulator.from_state(accumulator.state()).moments()
    for found in (whole, moments.merge(of_set(halves, 0), of_set(halves, 1)), again):
        assert_moments_of(found, x[kept])
        assert found.left_out == out.sum() == 3
    y[5, 5] = np.nan
    both = moments.of(x, kept | out, below=y)
    assert (moments.count(both), both.left_out) == (kept.sum() - 1, 4)


@pytest.mark.parametrize("dimension", [3, 256])
def test_equal_descriptors_have_no_scatter_however_they_are_split(dimension):
    x = np.broadcast_to(np.random.default_rng(0).random(dimension, np.float32), (5, 111, dimension))
    segments = moments.of_segments(x, np.array([0, 1, 1, 1, 0]), 2)
    parts = [moments.of(x), of_set(segments, 0), of_set(segments, 1)]
    for found in [*parts, functools.reduce(moments.merge, parts)]:
        assert not found.scatter.any()
        np.testing.assert_array_equal(found.mean, x[0, 0])


def test_empty_is_the_identity():
    some = moments.of(descriptors(9))
    for merged in (moments.merge(some, moments.empty(12)), moments.merge(moments.empty(12), some)):
        jax.tree.map(np.testing.assert_array_equal, merged, some)
    nothing = moments.of(np.zeros((5, 12)), np.zeros(5, bool))
    jax.tree.map(np.testing.assert_array_equal, nothing, moments.empty(12))


def test_psum_over_two_devices_equals_one():
    if jax.device_count() < 2:
        pytest.skip("one device only: XLA_FLAGS was set before the tests")
    x = descriptors(81)
    x[40] = np.nan
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))

    def fit(part):
        return moments.psum(moments.of(part), "data")

    sharded = jax.jit(jax.shard_map(fit, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec()))
    x = x[[*range(81), 40]]
    found = sharded(x)
    assert_moments_of(found, x[np.isfinite(x).all(1)])
    assert found.left_out == 2


def test_vmap_gives_one_set_for_each_leading_index():
    x = descriptors(40).reshape(4, 10, 12)
    found = jitted(jax.vmap(moments.of))(x)
    for index, part in enumerate(x):
        assert_moments_of(of_set(found, index), part)


def of_set(found: moments.Moments, index: int) -> moments.Moments:
    return jax.tree.map(lambda value: value[index], found)


def test_segments_give_each_set_its_own_moments():
    x = descriptors(8 * 15).reshape(8, 3, 5, 12) + 100 * np.arange(8, dtype=np.float32)[:, None, None, None]
    valid = np.random.default_rng(0).random((8, 3, 5)) < 0.6
    segments = np.array([2, 0, -1, 2, 5, 0, 3, 2], np.int32)
    broken = np.where(valid[..., None], x, np.nan)
    broken[[2, 4]] = np.inf  # Images of no set.
    found = moments.of_segments(broken, segments, 5, valid)
    assert found.scatter.shape == (5, 12, 12)
    for index in (0, 2, 3):
        assert_moments_of(of_set(found, index), x[segments == index][valid[segments == index]])
    for index in (1, 4):
        jax.tree.map(np.testing.assert_array_equal, of_set(found, index), moments.empty(12))


def test_one_segment_is_the_whole_batch():
    x = descriptors(60).reshape(6, 10, 12)
    found = moments.of_segments(x, np.zeros(6, int), 1)
    assert_moments_of(of_set(found, 0), x)


def test_segments_of_successive_batches_merge_under_vmap():
    x, segments = descriptors(120).reshape(12, 10, 12), np.arange(12) % 3
    halves = [moments.of_segments(x[part], segments[part], 3) for part in (slice(0, 6), slice(6, 12))]
    merged = jitted(jax.vmap(moments.merge))(*halves)
    for index in range(3):
        assert_moments_of(of_set(merged, index), x[segments == index])


def test_accumulator_equals_float64_in_any_grouping():
    x = descriptors(500)
    parts = np.split(x, [0, 3, 130, 131, 400])
    one, left, right = (moments.Accumulator(12) for _ in range(3))
    for index, part in enumerate(parts):
        found = moments.of(part)
        one.add(jax.device_get(found))
        (left if index % 2 else right).add(found)
    left.merge(right)
    for accumulator in (one, left):
        assert accumulator.count == 500
        assert_moments_of(accumulator.moments(), x, rtol=1e-6)
        assert accumulator.moments().scatter.dtype == jnp.float32
    np.testing.assert_allclose(one.state()["scatter"], left.state()["scatter"], rtol=1e-12)


def test_accumulator_of_one_set_gives_it_back_exactly():
    found = moments.of(descriptors(50))
    accumulator = moments.Accumulator(12)
    jax.tree.map(np.testing.assert_array_equal, accumulator.moments(), moments.empty(12))
    accumulator.add(found)
    accumulator.merge(moments.Accumulator(12))
    jax.tree.map(np.testing.assert_array_equal, accumulator.moments(), found)


def test_accumulator_keeps_small_scatter_of_many_descriptors_with_a_distant_mean():
    found = moments.of(descriptors(1000))
    distant = found._replace(mean=found.mean + 10_000)
    accumulator = moments.Accumulator(12)
    for _ in range(10_000):
        accumulator.add(distant)
    assert accumulator.count == 10_000_000
    np.testing.assert_allclose(accumulator.moments().scatter / 10_000, found.scatter, rtol=1e-6)


def test_accumulator_state_goes_through_a_file(tmp_path):
    accumulator = moments.Accumulator(12)
    accumulator.add(moments.of(descriptors(70)))
    np.savez(tmp_path / "state.npz", **accumulator.state())
    with np.load(tmp_path / "state.npz") as state:
        again = moments.Accumulator.from_state(state)
    before = accumulator.state()
    again.add(moments.of(descriptors(30, seed=1)))
    jax.tree.map(np.testing.assert_array_equal, accumulator.state(), before)
    accumulator.add(moments.of(descriptors(30, seed=1)))
    jax.tree.map(np.testing.assert_array_equal, accumulator.state(), again.state())


def test_accumulator_counts_past_float32():
    many = moments.Moments(np.array([2**24, 2**20 - 1], np.int32), np.ones(2), np.zeros((2, 2)))
    accumulator = moments.Accumulator(2)
    accumulator.add(many)
    accumulator.add(moments.of(np.ones((1, 2), np.float32)))
    assert accumulator.count == moments.count(accumulator.moments()) == (2**24 << 20) + 2**20


def test_count_stays_exact_past_float32():
    single = moments.of(np.ones((1, 2), np.float32))
    many = moments.Moments(np.array([2**24, 2**20 - 1], np.int32), np.ones(2), np.zeros((2, 2)))
    merged = moments.merge(many, single)
    assert moments.count(merged) == (2**24 << 20) + 2**20
    np.testing.assert_array_equal(merged.mean, 1)


def test_ten_million_descriptors_keep_the_first_eigenvector():
    block = descriptors(10_000, dimension=64)
    x = block.astype(np.float64)
    one = moments.of(block)

    def body(_, total):
        return moments.merge(total, one)

    total = jax.jit(lambda: jax.lax.fori_loop(0, 1000, body, moments.empty(64)))()
    assert moments.count(total) == 10_000_000
    covariance = np.cov(x, rowvar=False)
    direction = np.linalg.eigh(covariance)[1][:, -1]
    found = np.asarray(ddt.fit(total, components=1, sign="none").components[0], np.float64)
    assert min(np.abs(found - direction).max(), np.abs(found + direction).max()) < 1e-4


def test_distant_mean_does_not_lose_the_scatter():
    x = descriptors(4000) + 1000
    found = functools.reduce(moments.merge, [moments.of(part) for part in np.split(x, 40)])
    assert_moments_of(found, x, rtol=1e-3)


def test_covariance_divides_by_the_count():
    x = descriptors(50)
    np.testing.assert_allclose(
        moments.covariance(moments.of(x)), np.cov(x, rowvar=False, bias=True), rtol=1e-3, atol=1e-4
    )


def test_wrong_arguments_are_refused():
    x = descriptors(8)
    with pytest.raises(ValueError, match=r"at least one axis before d"):
        moments.of(x[0])
    with pytest.raises(ValueError, match="one flag per descriptor"):
        moments.of(x, np.ones(3, bool))
    with pytest.raises(ValueError, match="different dimension: 12 and 3"):
        moments.merge(moments.of(x), moments.empty(3))
    batch = jax.tree.map(lambda value: np.stack([value] * 2), moments.of(x))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        moments.merge(batch, batch)
    with pytest.raises(ValueError, match="one set for each image"):
        moments.of_segments(x, np.zeros(3, int), 1)
    with pytest.raises(ValueError, match="one flag per descriptor"):
        moments.of_segments(x, np.zeros(8, int), 1, np.ones(3, bool))
    accumulator = moments.Accumulator(3)
    with pytest.raises(ValueError, match="different dimension: 3 and 12"):
        accumulator.add(moments.of(x))
    with pytest.raises(ValueError, match="different dimension: 3 and 12"):
        accumulator.merge(moments.Accumulator(12))
    with pytest.raises(ValueError, match=r"\[d\] and \[d, d\], got \(3,\) and \(2, 2\)"):
        moments.Accumulator.from_state({"count": 1, "mean": np.zeros(3), "scatter": np.zeros((2, 2))})
    with pytest.raises(ValueError, match=r"below must be \(8, 'd'\), one descriptor per cell, got \(7, 2\)"):
        moments.of(x, below=np.zeros((7, 2)))
    with pytest.raises(ValueError, match=r"jax\.vmap"):
        moments.Accumulator(12).add(batch)
