"""k-means against scikit-learn and NumPy, streamed in any order, over devices, and where the data are awkward."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.cluster
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import Mesh, PartitionSpec

from jaxloc import clustering
from tests.compiled import compiled, jitted
from tests.reference import encoding as reference
from tests.reference.encoding import relu_clusters

clustering = compiled(clustering)

KEY = jax.random.key(0)


def lloyd(model, x, valid=None, *, iterations=100, tolerance=1e-4):
    """With limits that are no part of the program."""
    limits = {"iterations": np.int32(iterations), "tolerance": np.float32(tolerance)}
    return clustering.lloyd(model, x, valid, **limits)


def model_of(x: np.ndarray, clusters: int = 3) -> clustering.KMeans:
    return clustering.KMeans(x[:clusters])


def assert_same_sums(found, expected, rtol=1e-5):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.abs(other).max() + 1e-6)


@pytest.mark.parametrize("arrangement", [(1,), (2, 25, 50)])
def test_one_pass_equals_numpy_whatever_the_number_and_the_layout(arrangement):
    x = relu_clusters(int(np.prod(arrangement)))
    model = model_of(relu_clusters(50, seed=1))
    moved, counts, inertia = reference.lloyd_step(model.centers, x)
    sums = clustering.kmeans_sums(model, x.reshape(*arrangement, 12))
    np.testing.assert_array_equal(sums.counts, counts)
    np.testing.assert_allclose(sums.inertia, inertia, rtol=1e-5)
    np.testing.assert_allclose(clustering.kmeans_update(model, sums).centers, moved, rtol=1e-5, atol=1e-5)
    labels = clustering.assign(model, x.reshape(*arrangement, 12))
    assert labels.shape == arrangement
    np.testing.assert_array_equal(labels.reshape(-1), [reference.nearest(model.centers, one) for one in x])


@pytest.mark.parametrize("offset", [0, 1000])
def test_fit_equals_scikit_learn_from_the_same_centres(offset):
    x = relu_clusters(700, 512, seed=2) + np.float32(offset)
    start = x[:5]
    theirs = sklearn.cluster.KMeans(5, init=start.astype(np.float64), n_init=1, tol=0, algorithm="lloyd")
    theirs.fit(x.astype(np.float64))
    ours = lloyd(clustering.KMeans(start), x, tolerance=1e-7)
    assert ours.converged
    assert 1 < ours.iterations < 100
    np.testing.assert_allclose(ours.model.centers, theirs.cluster_centers_, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(ours.inertia, theirs.inertia_, rtol=1e-4)
    np.testing.assert_array_equal(clustering.assign(ours.model, x), theirs.labels_)


@settings(max_examples=5)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=5), st.integers(0, 10))
def test_a_stream_of_uneven_batches_in_any_order_equals_one_pass(sizes, seed):
    x = relu_clusters(sum(sizes) + 3, seed=seed)
    model = model_of(x)
    parts = np.split(x, np.cumsum([3, *sizes]))
    np.random.default_rng(seed).shuffle(parts)
    padded = [np.pad(part, ((0, 50 - len(part)), (0, 0)), constant_values=np.nan) for part in parts]
    each = [clustering.kmeans_sums(model, part, ~np.isnan(part[:, 0])) for part in padded]
    together = functools.reduce(clustering.merge, each)
    whole = np.pad(x, ((0, 260 - len(x)), (0, 0)), constant_values=np.nan)
    at_once = clustering.kmeans_sums(model, whole, ~np.isnan(whole[:, 0]))
    np.testing.assert_array_equal(together.counts, at_once.counts)
    assert together.counts.sum() == len(x)
    assert_same_sums(together, at_once)


def test_streamed_fit_equals_the_fit_in_memory():
    x = relu_clusters(450)
    model = model_of(x)
    whole = lloyd(model, x)
    iterations, converged = 0, False
    while not converged:
        sums = functools.reduce(clustering.merge, [clustering.kmeans_sums(model, part) for part in np.split(x, 3)])
        before, model = model, clustering.kmeans_update(model, sums)
        converged = clustering.kmeans_converged(before, model, sums)
        iterations += 1
    assert iterations == whole.iterations
    np.testing.assert_allclose(model.centers, whole.model.centers, rtol=1e-5, atol=1e-5)


def test_psum_over_two_devices_equals_one():
    if jax.device_count() < 2:
        pytest.skip("one device only: XLA_FLAGS was set before the tests")
    x = relu_clusters(6000)  # Several blocks on each device.
    model = model_of(x)
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))

    def share(part):
        return clustering.psum(clustering.kmeans_sums(model, part), "data")

    sharded = jax.jit(jax.shard_map(share, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec()))
    assert_same_sums(sharded(x), clustering.kmeans_sums(model, x))


def test_seeds_are_different_descriptors_and_the_key_decides_them():
    x = relu_clusters(300)
    seed = jitted(lambda key: clustering.kmeans_plus_plus(key, x, clusters=6))
    centers = seed(KEY).centers
    assert len(np.unique(centers, axis=0)) == 6
    assert all((x == centre).all(1).any() for centre in centers)
    np.testing.assert_array_equal(seed(KEY).centers, centers)
    assert (seed(jax.random.key(1)).centers != centers).any()


def test_seeds_are_drawn_in_proportion_to_the_squared_distance():
    # From either end of 0, 1, 3 the other two are drawn 1 : 9 and 9 : 4, from the middle 1 : 4.
    x = np.array([[0.0], [1.0], [3.0]], np.float32)
    keys = jax.random.split(KEY, 20_000)
    pairs = jitted(jax.vmap(lambda key: clustering.kmeans_plus_plus(key, x, clusters=2).centers))(keys)[..., 0]
    for first, second, share in [(0, 3, 9 / 10), (1, 3, 4 / 5), (3, 0, 9 / 13)]:
        from_first = pairs[pairs[:, 0] == first]
        assert len(from_first) / len(pairs) == pytest.approx(1 / 3, abs=0.02)
        assert (from_first[:, 1] == second).mean() == pytest.approx(share, abs=0.02)


def test_one_seed_in_each_of_far_apart_clusters():
    x = np.repeat(np.eye(5, dtype=np.float32) * 100, 40, 0) + relu_clusters(200, 5) * 0.01
    for key in jax.random.split(KEY, 10):
        fitted = clustering.fit_kmeans(key, x, clusters=5)
        assert fitted.converged
        assert sorted(np.bincount(clustering.assign(fitted.model, x))) == [40] * 5


def test_what_is_not_valid_has_no_influence():
    x = relu_clusters(200)
    valid = np.random.default_rng(0).random(200) < 0.5
    fit = functools.partial(clustering.fit_kmeans, KEY, clusters=3)
    expected = fit(x, valid)
    for garbage in (np.nan, np.inf, 1e30):
        found = fit(np.where(valid[:, None], x, np.float32(garbage)), valid)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    among = lloyd(model_of(x), np.where(valid[:, None], x, np.nan), valid, iterations=3)
    centers = x[:3]
    for _ in range(3):
        centers = reference.lloyd_step(centers, x[valid])[0]
    np.testing.assert_allclose(among.model.centers, centers, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(among.inertia, reference.lloyd_step(centers, x[valid])[2], rtol=1e-5)


def test_no_valid_descriptor_changes_nothing_and_stays_finite():
    x = np.full((200, 12), np.nan, np.float32)
    none = np.zeros(200, bool)
    model = model_of(relu_clusters(9))
    sums = clustering.kmeans_sums(model, x[:50], none[:50])
    jax.tree.map(lambda part: np.testing.assert_array_equal(part, 0), sums)
    np.testing.assert_array_equal(lloyd(model, x, none).model.centers, model.centers)
    np.testing.assert_array_equal(clustering.fit_kmeans(KEY, x, none, clusters=3).model.centers, 0)


def test_vmap_equals_a_loop():
    x = relu_clusters(600).reshape(3, 200, 12)
    keys, valid = jax.random.split(KEY, 3), np.ones((3, 200), bool)
    batch = jitted(jax.vmap(functools.partial(clustering.eager.fit_kmeans, clusters=3)))(keys, x, valid)
    assert len(set(batch.iterations.tolist())) > 1, "the elements should stop at different times"
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-5)
    for index in range(3):
        one = jax.tree.map(lambda part, i=index: part[i], batch)
        jax.tree.map(close, one, clustering.fit_kmeans(keys[index], x[index], valid[index], clusters=3))


def test_an_empty_cluster_keeps_its_centre():
    x = relu_clusters(450)
    centers = np.concatenate([x[:2], np.full((1, 12), 1e4, np.float32)])
    fitted = lloyd(clustering.KMeans(centers), x)
    np.testing.assert_array_equal(fitted.model.centers[2], centers[2])
    assert (fitted.model.centers[:2] != centers[:2]).any()


def test_fewer_distinct_descriptors_than_clusters():
    x = np.repeat(relu_clusters(2), 100, 0)
    fitted = clustering.fit_kmeans(KEY, x, np.ones(200, bool), clusters=3)
    assert fitted.converged
    assert fitted.inertia == 0
    assert np.isfinite(fitted.model.centers).all()
    np.testing.assert_array_equal(np.unique(fitted.model.centers, axis=0), np.unique(x, axis=0))
    single = clustering.fit_kmeans(KEY, x[:1], clusters=1)
    np.testing.assert_array_equal(single.model.centers, x[:1])


def test_equal_distances_go_to_the_first_centre():
    model = clustering.KMeans(np.array([[1.0], [-1.0], [1.0]]))
    np.testing.assert_array_equal(clustering.assign(model, np.array([[0.0], [1.0], [-2.0]])), [0, 0, 1])


def test_iterations_running_out_is_reported():
    x = relu_clusters(450)
    fitted = lloyd(model_of(x), x, iterations=1)
    assert not fitted.converged
    assert fitted.iterations == 1
    np.testing.assert_allclose(fitted.model.centers, reference.lloyd_step(x[:3], x)[0], rtol=1e-5, atol=1e-5)


def test_half_precision_descriptors_are_summed_in_float32():
    x = relu_clusters(2500).reshape(2, 25, 50, 12).astype(jnp.bfloat16)
    model = model_of(relu_clusters(9, seed=3))
    sums = clustering.kmeans_sums(model, x)
    assert sums.sums.dtype == np.float32
    assert_same_sums(sums, clustering.kmeans_sums(model, x.astype(np.float32)))


def test_wrong_arguments_are_refused():
    x = relu_clusters(8)
    model = model_of(x)
    sums = clustering.KMeansSums(np.zeros(3, np.float32), np.zeros((3, 12), np.float32), np.float32(0))
    with pytest.raises(ValueError, match="at least one axis before d"):
        clustering.kmeans_sums(model, x[0])
    with pytest.raises(ValueError, match="one flag per descriptor"):
        clustering.kmeans_sums(model, x, np.ones(3, bool))
    with pytest.raises(ValueError, match="5 channels, the model was fitted on 12"):
        clustering.assign(model, x[:, :5])
    with pytest.raises(ValueError, match=r"cannot seed 0 clusters from 8 descriptors"):
        clustering.kmeans_plus_plus(KEY, x, clusters=0)
    with pytest.raises(ValueError, match=r"cannot seed 2 clusters from 0 descriptors"):
        clustering.kmeans_plus_plus(KEY, x[:0], clusters=2)
    with pytest.raises(ValueError, match=r"different models: KMeansSums \(3, 12\) and KMeansSums \(2, 12\)"):
        clustering.merge(sums, clustering.KMeansSums(sums.counts[:2], sums.sums[:2], sums.inertia))
    batch = jax.tree.map(lambda part: np.stack([part] * 2), sums)
    for call in (
        lambda: clustering.merge(batch, batch),
        lambda: clustering.psum(batch, "data"),
        lambda: clustering.kmeans_update(model, batch),
        lambda: clustering.kmeans_converged(model, model, batch),
        lambda: clustering.assign(clustering.KMeans(model.centers[None]), x),
    ):
        with pytest.raises(ValueError, match=r"jax\.vmap"):
            call()
