"""The Gaussian mixture against scikit-learn and NumPy, streamed, over devices, and where a variance would vanish."""

import functools

import jax
import numpy as np
import pytest
import sklearn.mixture
from jax.sharding import Mesh, PartitionSpec

from jaxloc import clustering, mixture
from tests.compiled import compiled, jitted
from tests.reference import encoding as reference
from tests.reference.encoding import relu_clusters

clustering = compiled(clustering)
mixture = compiled(mixture)

overlapping = functools.partial(relu_clusters, noise=12)

KEY = jax.random.key(0)
ALL = np.ones(200, bool)
fit = functools.partial(mixture.fit_gaussian_mixture, components=3)


def maximize(model, x, valid=None, *, iterations=100, tolerance=1e-3):
    """With limits that are no part of the program."""
    limits = {"iterations": np.int32(iterations), "tolerance": np.float32(tolerance)}
    return mixture.expectation_maximization(model, x, valid, **limits)


def varied(*shape: int, seed: int = 0) -> np.ndarray:
    """Overlapping clusters, every channel of which varies."""
    x = overlapping(int(np.prod(shape[:-1])), shape[-1], seed=seed).reshape(shape)
    return x + np.random.default_rng(0).random(shape, np.float32)


def some_mixture(x: np.ndarray, components: int = 3) -> mixture.GaussianMixture:
    """Neither fitted nor far off: overlapping components around descriptors of the set."""
    weights = np.arange(1, components + 1) / sum(range(1, components + 1))
    spread = x.astype(np.float64).var(0) * np.linspace(0.5, 1.5, components)[:, None]
    return mixture.GaussianMixture(*(part.astype(np.float32) for part in (weights, x[:components], spread + 1)))


def as_float64(model: mixture.GaussianMixture) -> list[np.ndarray]:
    return [np.asarray(part, np.float64) for part in model]


def assert_close(found, expected, rtol=1e-4):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol, atol=rtol * np.abs(other).max())


def scikit_learn(start: mixture.GaussianMixture, x: np.ndarray, iterations: int) -> sklearn.mixture.GaussianMixture:
    weights, means, variances = as_float64(start)
    model = sklearn.mixture.GaussianMixture(
        len(weights), covariance_type="diag", tol=0, reg_covar=0, max_iter=iterations,
        weights_init=weights / weights.sum(), means_init=means, precisions_init=1 / variances,
    )  # fmt: skip
    with pytest.warns(sklearn.exceptions.ConvergenceWarning):
        return model.fit(x.astype(np.float64))


def test_probabilities_equal_numpy():
    x = overlapping(60)
    model = some_mixture(x)
    share = [reference.responsibilities(*as_float64(model), one) for one in x.astype(np.float64)]
    density = [reference.log_likelihood(*as_float64(model), one) for one in x.astype(np.float64)]
    np.testing.assert_allclose(
        mixture.responsibilities(model, x.reshape(6, 10, 12)), np.reshape(share, (6, 10, 3)), atol=1e-5
    )
    np.testing.assert_allclose(
        mixture.log_likelihood(model, x.reshape(6, 10, 12)), np.reshape(density, (6, 10)), rtol=1e-5
    )


@pytest.mark.parametrize(("dimension", "offset"), [(12, 1000), pytest.param(512, 0, marks=pytest.mark.soak)])
def test_expectation_maximization_equals_scikit_learn(dimension, offset):
    x = varied(1500, dimension, seed=1) + np.float32(offset)
    start = some_mixture(x)
    theirs = scikit_learn(start, x, iterations=4)
    ours = maximize(start, x, iterations=4, tolerance=0.0)
    assert ours.iterations == 4
    assert not ours.converged
    assert_close(ours.mixture, (theirs.weights_, theirs.means_, theirs.covariances_))
    np.testing.assert_allclose(ours.mean_log_likelihood, theirs.score(x.astype(np.float64)), rtol=1e-5)
    np.testing.assert_allclose(
        mixture.responsibilities(ours.mixture, x), theirs.predict_proba(x.astype(np.float64)), atol=1e-3
    )


def test_each_update_raises_the_likelihood_until_it_settles():
    x = varied(1500, 12)
    steps = [maximize(some_mixture(x), x, iterations=n).mean_log_likelihood for n in range(5)]
    assert (np.diff(steps) > 0.01).all()
    settled = maximize(some_mixture(x), x)
    assert settled.converged
    assert 5 < settled.iterations < 100
    further = maximize(settled.mixture, x, iterations=1)
    assert abs(further.mean_log_likelihood - settled.mean_log_likelihood) < 2e-3


def test_start_is_the_clusters_of_k_means():
    x = relu_clusters(300)
    model = clustering.KMeans(x[:3])
    start = mixture.initial_mixture(model, mixture.hard_sums(model, x))
    labels = np.array([reference.nearest(x[:3], one) for one in x])
    members = [x[labels == k].astype(np.float64) for k in range(3)]
    assert_close(start.weights[None], np.bincount(labels)[None] / 300, rtol=1e-6)
    np.testing.assert_allclose(start.means, [part.mean(0) for part in members], rtol=1e-4, atol=1e-4)
    floor = 1e-6 * x.astype(np.float64).var(0).mean()
    expected = np.maximum([part.var(0) for part in members], floor)
    np.testing.assert_allclose(start.variances, expected, rtol=1e-4, atol=1e-5)


def test_well_separated_clusters_are_recovered():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=3000) * rng.integers(2, size=3000)
    deviation = np.array([0.5, 1.0, 2.0])[labels]
    x = (np.array([0.0, 40.0, -40.0])[labels] + deviation * rng.normal(size=(6, 3000))).T.astype(np.float32)
    fitted = fit(KEY, x)
    assert fitted.converged
    order = np.argsort(fitted.mixture.means[:, 0])
    for place, label in zip(order, (2, 0, 1), strict=True):
        members = x[labels == label].astype(np.float64)
        np.testing.assert_allclose(fitted.mixture.weights[place], len(members) / 3000, rtol=1e-4)
        np.testing.assert_allclose(fitted.mixture.means[place], members.mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(fitted.mixture.variances[place], members.var(0), rtol=1e-4)


def test_a_stream_in_any_order_equals_one_pass():
    x = overlapping(2400)
    model = some_mixture(x)
    parts = [mixture.mixture_sums(model, part) for part in np.split(x, 4)]
    whole = mixture.mixture_sums(model, x)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        together = functools.reduce(clustering.merge, [parts[i] for i in order])
        assert_close(together, whole, rtol=1e-5)
        assert_close(mixture.mixture_update(model, together), mixture.mixture_update(model, whole), rtol=1e-5)
    density = [reference.log_likelihood(*as_float64(model), one) for one in x.astype(np.float64)]
    np.testing.assert_allclose(mixture.mean_log_likelihood(model, whole), np.mean(density), rtol=1e-5)


def test_psum_over_two_devices_equals_one():
    if jax.device_count() < 2:
        pytest.skip("one device only: XLA_FLAGS was set before the tests")
    x = overlapping(6000)  # Several blocks on each device.
    model = some_mixture(x)
    centers = clustering.KMeans(model.means)
    mesh = Mesh(np.array(jax.devices()[:2]), ("data",))

    def share(part):
        sums = mixture.mixture_sums(model, part), mixture.hard_sums(centers, part)
        return tuple(clustering.psum(each, "data") for each in sums)

    sharded = jax.jit(jax.shard_map(share, mesh=mesh, in_specs=PartitionSpec("data"), out_specs=PartitionSpec()))
    soft, hard = sharded(x)
    assert_close(soft, mixture.mixture_sums(model, x), rtol=1e-5)
    assert_close(hard, mixture.hard_sums(centers, x), rtol=1e-5)


def test_what_is_not_valid_has_no_influence():
    x = varied(200, 12)
    valid = np.random.default_rng(0).random(200) < 0.5
    expected = fit(KEY, x, valid)
    for garbage in (np.nan, np.inf, 1e30):
        found = fit(KEY, np.where(valid[:, None], x, np.float32(garbage)), valid)
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    start = some_mixture(x)
    among = maximize(start, np.where(valid[:, None], x, np.nan), valid, iterations=3, tolerance=0)
    alone = scikit_learn(start, x[valid], iterations=3)
    assert_close(among.mixture, (alone.weights_, alone.means_, alone.covariances_))


def test_no_valid_descriptor_changes_nothing():
    x = relu_clusters(200)
    model = some_mixture(x)
    sums = mixture.mixture_sums(model, np.full((200, 12), np.nan, np.float32), ~ALL)
    jax.tree.map(lambda part: np.testing.assert_array_equal(part, 0), sums)
    updated = maximize(model, np.full((200, 12), np.nan, np.float32), ~ALL)
    np.testing.assert_array_equal(updated.mixture.weights, model.weights)
    np.testing.assert_array_equal(updated.mixture.means, model.means)
    assert all(np.isfinite(part).all() for part in jax.tree.leaves(fit(KEY, x, ~ALL)))


def test_a_channel_that_never_fires_gets_the_floor():
    x = relu_clusters(200)
    x[:, 4] = 0
    fitted = fit(KEY, x, ALL)
    spread = x.astype(np.float64).var(0).mean()
    np.testing.assert_allclose(fitted.mixture.variances[:, 4], 1e-6 * spread, rtol=1e-4)
    assert (fitted.mixture.variances >= 0.999e-6 * spread).all()
    sums = mixture.mixture_sums(fitted.mixture, x, ALL)
    raised = mixture.mixture_update(fitted.mixture, sums, variance_floor=0.5)
    np.testing.assert_allclose(np.min(raised.variances), 0.5 * spread, rtol=1e-4)


@pytest.mark.parametrize("offset", [0, 1000])
@pytest.mark.parametrize("distinct", [1, 2])
def test_fewer_distinct_descriptors_than_components(distinct, offset):
    x = np.repeat(relu_clusters(distinct), 200 // distinct, 0) + np.float32(offset)
    fitted = fit(KEY, x, ALL)
    assert all(np.isfinite(part).all() for part in jax.tree.leaves(fitted))
    assert (fitted.mixture.variances > 0).all()
    np.testing.assert_allclose(fitted.mixture.weights.sum(), 1, rtol=1e-6)
    others = (relu_clusters(60, seed=8) + np.float32(offset)).reshape(6, 10, 12)
    assert np.isfinite(mixture.responsibilities(fitted.mixture, others)).all()


def test_a_component_without_descriptors_keeps_its_shape():
    x = relu_clusters(200)
    start = some_mixture(x)
    start.means[2] = 1e4
    updated = mixture.mixture_update(start, mixture.mixture_sums(start, x, ALL))
    assert updated.weights[2] == 0
    np.testing.assert_array_equal(updated.means[2], start.means[2])
    np.testing.assert_array_equal(updated.variances[2], start.variances[2])
    assert np.isfinite(maximize(updated, x, ALL).mean_log_likelihood)


def test_vmap_equals_a_loop():
    x, keys = varied(3, 200, 12), jax.random.split(KEY, 3)
    batch = jitted(jax.vmap(lambda key, x: mixture.eager.fit_gaussian_mixture(key, x, components=3)))(keys, x)
    assert len(set(batch.iterations.tolist())) > 1, "the elements should stop at different times"
    for index in range(3):
        one = jax.tree.map(lambda part, i=index: part[i], batch)
        found = fit(keys[index], x[index], ALL)
        assert_close(one.mixture, found.mixture)
        np.testing.assert_allclose(one.mean_log_likelihood, found.mean_log_likelihood, rtol=1e-4)


def test_wrong_arguments_are_refused():
    x = relu_clusters(8)
    model = some_mixture(x)
    zeros = np.zeros((3, 12), np.float32)
    sums = mixture.GaussianMixtureSums(zeros[:, 0], zeros, zeros, zeros[0, 0])
    with pytest.raises(ValueError, match="at least one axis before d"):
        mixture.mixture_sums(model, x[0])
    with pytest.raises(ValueError, match="one flag per descriptor"):
        mixture.mixture_sums(model, x, np.ones(3, bool))
    with pytest.raises(ValueError, match="5 channels, the model was fitted on 12"):
        mixture.log_likelihood(model, x[:, :5])
    with pytest.raises(ValueError, match=r"variance_floor must be positive, got 0"):
        mixture.mixture_update(model, sums, variance_floor=0)
    with pytest.raises(ValueError, match=r"GaussianMixtureSums \(3, 12\) and KMeansSums \(3, 12\)"):
        clustering.merge(sums, clustering.KMeansSums(zeros[:, 0], zeros, zeros[0, 0]))
    batch = jax.tree.map(lambda part: np.stack([part] * 2), sums)
    for call in (
        lambda: mixture.mixture_update(model, batch),
        lambda: mixture.mean_log_likelihood(model, batch),
        lambda: mixture.responsibilities(model._replace(means=model.means[None]), x),
    ):
        with pytest.raises(ValueError, match=r"jax\.vmap"):
            call()
