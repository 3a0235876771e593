"""How often devices talk to each other, counted in the compiled program, and that moments survive it."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxloc import ddt, models, moments, scda
from tests.models import narrow
from tests.sharding.cases import CHANNELS, Element
from tests.sharding.conftest import DEVICES

BATCH, WHOLE = PartitionSpec("data"), PartitionSpec()
COLLECTIVE = re.compile(r"= .*? (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(")


def collectives(function, *arguments) -> list[str]:
    return COLLECTIVE.findall(jax.jit(function).lower(*arguments).compile().as_text())


def divided(mesh, *arrays):
    return jax.device_put(arrays, NamedSharding(mesh, BATCH))


def features(offset: float = 0.0) -> np.ndarray:
    return np.stack([Element(seed).features() + offset for seed in range(2 * DEVICES)]).astype(np.float32)


def global_moments(mesh):
    def fit(part, valid):
        return moments.psum(moments.of(part, valid), "data")

    return jax.shard_map(fit, mesh=mesh, in_specs=BATCH, out_specs=WHOLE)


def test_a_sum_over_the_batch_is_seen(auto_mesh):
    assert collectives(lambda x: x.sum(), *divided(auto_mesh, features())) == ["all-reduce"]


def test_features_need_no_collective(auto_mesh):
    weights = narrow.weights()
    images = np.zeros((2 * DEVICES, 32, 48, 3), np.uint8)
    sizes = np.tile(np.array([32, 40], np.int32), (2 * DEVICES, 1))

    def extract(params, images, sizes):
        return models.extract_features(params, images, sizes, backbone=weights.backbone, layers=("relu5_2", "relu5_3"))

    params = jax.device_put(weights.params, NamedSharding(auto_mesh, WHOLE))
    assert collectives(extract, params, *divided(auto_mesh, images, sizes)) == []


def test_localizing_needs_no_collective(auto_mesh):
    image_sizes = np.full((2 * DEVICES, 2), 96, np.int32)
    model = jax.device_put(Element(0).model(), NamedSharding(auto_mesh, WHOLE))
    arrays = divided(auto_mesh, features(), image_sizes)

    def by_ddt(model, features, image_sizes):
        return jax.vmap(lambda x, size: ddt.localize(model, x, size, backend="device"))(features, image_sizes)

    def by_scda(features, image_sizes):
        return jax.vmap(lambda x, size: scda.localize(x, size, backend="device"))(features, image_sizes)

    by_ddt = jax.shard_map(by_ddt, mesh=auto_mesh, in_specs=(WHOLE, BATCH, BATCH), out_specs=BATCH)
    by_scda = jax.shard_map(by_scda, mesh=auto_mesh, in_specs=BATCH, out_specs=BATCH)
    assert collectives(by_ddt, model, *arrays) == []
    assert collectives(by_scda, *arrays) == []


def test_fitting_needs_one_all_reduce(auto_mesh):
    arrays = divided(auto_mesh, features(), np.ones((2 * DEVICES, 6, 7), bool))
    assert collectives(global_moments(auto_mesh), *arrays) == ["all-reduce"]
    assert collectives(lambda *a: ddt.fit(global_moments(auto_mesh)(*a)), *arrays) == ["all-reduce"]


def test_fitting_many_sets_needs_one_all_reduce(auto_mesh):
    def fit(part, segments):
        return jax.vmap(lambda own: moments.psum(own, "data"))(moments.of_segments(part, segments, 3))

    segments = np.arange(2 * DEVICES, dtype=np.int32) // 6
    arrays = divided(auto_mesh, features(), segments)
    fit = jax.shard_map(fit, mesh=auto_mesh, in_specs=BATCH, out_specs=WHOLE)
    assert collectives(fit, *arrays) == ["all-reduce"]
    found = jax.jit(fit)(*arrays)
    for number in range(3):
        assert_moments(jax.tree.map(lambda x, i=number: x[i], found), features()[segments == number])


@pytest.mark.parametrize("offset", [0.0, 1000.0])
def test_devices_with_nothing_or_little_merge_to_the_whole(auto_mesh, offset):
    x = features(offset)
    valid = np.random.default_rng(0).random(x.shape[:-1]) < np.linspace(-0.3, 1, len(x))[:, None, None]
    found = jax.jit(global_moments(auto_mesh))(*divided(auto_mesh, x, valid))
    assert_moments(found, x[valid], rtol=1e-5 if not offset else 1e-4)


def test_wide_moments_of_a_divided_array_need_five_collectives(auto_mesh, explicit_mesh):
    x = np.random.default_rng(0).random((4 * DEVICES, 9, 256), np.float32)
    assert collectives(moments.of, *divided(auto_mesh, x)) == ["all-reduce"] * 5
    assert_moments(jax.jit(moments.of)(*divided(auto_mesh, x)), x)
    with jax.set_mesh(explicit_mesh):
        assert_moments(moments.of(*divided(explicit_mesh, x)), x)


def test_several_mesh_axes_merge_at_once():
    if jax.device_count() < DEVICES:
        pytest.skip(f"{DEVICES} devices are needed")
    mesh = jax.make_mesh((4, 2), ("host", "device"), axis_types=(AxisType.Auto,) * 2)
    both = PartitionSpec(("host", "device"))

    def fit(part):
        return moments.psum(moments.of(part), ("host", "device"))

    x = jax.device_put(features(), NamedSharding(mesh, both))
    fit = jax.shard_map(fit, mesh=mesh, in_specs=both, out_specs=WHOLE)
    assert collectives(fit, x) == ["all-reduce"]
    assert_moments(jax.jit(fit)(x), features())


def test_counts_stay_exact_past_float32(auto_mesh):
    each = (2**24 << 20) + 2**20 - 1

    def total(mean):
        mine = moments.Moments(jnp.array([2**24, 2**20 - 1]), mean[0], jnp.zeros((CHANNELS, CHANNELS)))
        return moments.psum(mine, "data")

    (means,) = divided(auto_mesh, np.ones((DEVICES, CHANNELS), np.float32))
    found = jax.jit(jax.shard_map(total, mesh=auto_mesh, in_specs=BATCH, out_specs=WHOLE))(means)
    assert moments.count(found) == DEVICES * each
    np.testing.assert_array_equal(found.mean, 1)


def assert_moments(found: moments.Moments, x: np.ndarray, rtol: float = 1e-5) -> None:
    x = x.reshape(-1, x.shape[-1]).astype(np.float64)
    assert moments.count(found) == len(x)
    np.testing.assert_allclose(found.mean, x.mean(0), rtol=rtol)
    scatter = (x - x.mean(0)).T @ (x - x.mean(0))
    np.testing.assert_allclose(found.scatter, scatter, atol=rtol * np.abs(scatter).max())
