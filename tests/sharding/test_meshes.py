"""Every public function of arrays, on a batch divided among the devices of a user's own mesh."""

import inspect

import jax
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxloc import components, ranking, refinement
from tests.sharding.cases import CASES, ELSEWHERE, Element
from tests.sharding.conftest import DEVICES
from tests.test_conventions import ONE_IMAGE, public

BATCH = PartitionSpec("data")
QUICK_TO_COMPILE = {"xla_backend_optimization_level": 0}

AUTO_AXES = {
    "clustering.fit_kmeans",
    "clustering.lloyd",
    "graphs.solve",
    "mixture.expectation_maximization",
    "mixture.fit_gaussian_mixture",
    "ranking.database_augmentation",
    "ranking.diffuse",
    "ranking.nearest_others",
    "ranking.neighbor_graph",
    "ranking.top_k",
    "refinement.crf",
    "svm.fit",
}
"""Loops and gathers whose sharding jax does not derive on Explicit axes: ``jax.sharding.auto_axes`` is the cure."""

UNCHECKED = {"ranking.top_k", "svm.fit"}
"""Branches that jax takes to differ in what varies between devices: ``shard_map`` needs ``check_vma=False``."""

RUN_EVERYWHERE = ("boxes.mask_to_box", "crow.descriptor", "ddt.localize", "graphs.solve", "moments.of", "scda.localize")


def batch_of(name: str, sharding: NamedSharding | None = None):
    elements = [CASES[name].arguments(Element(seed)) for seed in range(2 * DEVICES)]
    batch = jax.tree.map(lambda *values: np.stack(values), *elements)
    return batch if sharding is None else jax.device_put(batch, sharding)


def run(function, arguments):
    compiled = jax.jit(function).lower(*arguments).compile(QUICK_TO_COMPILE)
    return jax.device_get(compiled(*arguments))


def in_shard_map(name, mesh):
    mapped = jax.vmap(CASES[name].function)
    return jax.shard_map(mapped, mesh=mesh, in_specs=BATCH, out_specs=BATCH, check_vma=name not in UNCHECKED)


def on_explicit_axes(name):
    mapped = jax.vmap(CASES[name].function)
    return jax.sharding.auto_axes(mapped, out_sharding=BATCH) if name in AUTO_AXES else mapped


def assert_equal(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_every_public_function_has_its_case():
    functions = [
        f"{folder}.{name}"
        for folder, module in (("ranking", ranking), ("refinement", refinement))
        for name in module.__all__
        if inspect.isfunction(getattr(module, name))
    ]
    for name in (*ONE_IMAGE, "svm"):
        module = inspect.importlib.import_module(f"jaxloc.{name}")
        functions += [f"{name}.{symbol}" for symbol, value in public(module).items() if inspect.isfunction(value)]
    assert sorted(functions) == sorted([*CASES, *ELSEWHERE])


@pytest.mark.parametrize("name", CASES)
def test_auto_axes_give_what_each_device_finds_alone(name, auto_mesh):
    arguments = batch_of(name, NamedSharding(auto_mesh, BATCH))
    alone = run(in_shard_map(name, auto_mesh), arguments)
    assert_equal(run(jax.vmap(CASES[name].function), arguments), alone)


@pytest.mark.parametrize("name", CASES)
def test_explicit_axes_keep_the_batch_divided(name, explicit_mesh):
    with jax.set_mesh(explicit_mesh):
        arguments = batch_of(name, NamedSharding(explicit_mesh, BATCH))
        results = jax.eval_shape(on_explicit_axes(name), *arguments)
    leaves = jax.tree.leaves(results)
    assert {result.shape[0] for result in leaves} == {2 * DEVICES}
    assert any(result.sharding is not None and result.sharding.spec[0] == "data" for result in leaves)


@pytest.mark.parametrize("name", RUN_EVERYWHERE)
def test_eight_devices_equal_one(name, auto_mesh, explicit_mesh):
    arguments = batch_of(name)
    one = run(jax.vmap(CASES[name].function), arguments)
    divided = batch_of(name, NamedSharding(auto_mesh, BATCH))
    assert_equal(run(jax.vmap(CASES[name].function), divided), one)
    assert_equal(run(in_shard_map(name, auto_mesh), divided), one)
    with jax.set_mesh(explicit_mesh):
        assert_equal(run(on_explicit_axes(name), batch_of(name, NamedSharding(explicit_mesh, BATCH))), one)


def test_the_host_backend_runs_once_per_device_inside_shard_map(auto_mesh):
    masks = batch_of("components.label", NamedSharding(auto_mesh, BATCH))
    for function in (components.label, components.largest_component):
        labels = jax.shard_map(jax.vmap(function), mesh=auto_mesh, in_specs=BATCH, out_specs=BATCH)
        expected = jax.vmap(lambda mask, function=function: function(mask, backend="device"))(
            *batch_of("components.label")
        )
        np.testing.assert_array_equal(jax.jit(labels)(*masks), expected)
