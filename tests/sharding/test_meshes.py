"""Every public function of arrays, on a batch divided among the devices of a user's own mesh."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec

from jaxloc import clustering, components, mixture, moments, ranking, refinement
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

NOT_DERIVED = r"sharding|Resource axis|Incompatible types"
"""What jax says of them."""

UNCHECKED = {"ranking.top_k", "svm.fit"}
"""Branches that jax takes to differ in what varies between devices: ``shard_map`` needs ``check_vma=False``."""

ALONE = ("boxes.mask_to_box", "crow.descriptor", "ddt.localize", "graphs.solve", "moments.of", "scda.localize")
NOT_JITTED = ("components.label", "components.largest_component", "ddt.localize", "moments.of", "scda.localize")


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


@functools.cache
def each_device_alone(name, mesh):
    return run(in_shard_map(name, mesh), batch_of(name, NamedSharding(mesh, BATCH)))


@pytest.mark.parametrize("name", CASES)
def test_auto_axes_give_what_each_device_finds_alone(name, auto_mesh):
    arguments = batch_of(name, NamedSharding(auto_mesh, BATCH))
    assert_equal(run(jax.vmap(CASES[name].function), arguments), each_device_alone(name, auto_mesh))


@pytest.mark.parametrize("name", CASES)
def test_explicit_axes_give_the_same_and_keep_the_batch_divided(name, auto_mesh, explicit_mesh):
    with jax.set_mesh(explicit_mesh):
        arguments = batch_of(name, NamedSharding(explicit_mesh, BATCH))
        compiled = jax.jit(on_explicit_axes(name)).lower(*arguments).compile(QUICK_TO_COMPILE)
        results = compiled(*arguments)
    assert any(leaf.sharding.spec[0] == "data" for leaf in jax.tree.leaves(results))
    assert_equal(jax.device_get(results), each_device_alone(name, auto_mesh))


@pytest.mark.parametrize("name", sorted(AUTO_AXES))
def test_auto_axes_are_asked_for_only_where_they_are_needed(name, explicit_mesh):
    with jax.set_mesh(explicit_mesh), pytest.raises(Exception, match=NOT_DERIVED):
        jax.eval_shape(jax.vmap(CASES[name].function), *batch_of(name, NamedSharding(explicit_mesh, BATCH)))


@pytest.mark.parametrize("name", ALONE)
def test_eight_devices_equal_one(name, auto_mesh):
    assert_equal(run(jax.vmap(CASES[name].function), batch_of(name)), each_device_alone(name, auto_mesh))


@pytest.mark.parametrize("name", NOT_JITTED)
def test_jit_is_not_needed(name, auto_mesh, explicit_mesh):
    for mesh in (auto_mesh, explicit_mesh):
        found = jax.vmap(CASES[name].function)(*batch_of(name, NamedSharding(mesh, BATCH)))
        assert_equal(jax.device_get(found), each_device_alone(name, auto_mesh))


@pytest.mark.parametrize("transform", [jax.jit, lambda function: function])
def test_moments_of_a_divided_set_are_those_of_the_whole(transform, auto_mesh, explicit_mesh):
    (x, keep) = batch_of("moments.of")
    expected = jax.device_get(moments.of(x, keep))
    for mesh in (auto_mesh, explicit_mesh):
        found = transform(moments.of)(*batch_of("moments.of", NamedSharding(mesh, BATCH)))
        assert found.scatter.sharding.is_fully_replicated
        assert_equal(jax.device_get(found), expected)


ONE_SET = {
    "clustering.kmeans_sums": lambda x: clustering.kmeans_sums(jax.tree.map(jnp.asarray, Element(0).kmeans()), x),
    "mixture.mixture_sums": lambda x: mixture.mixture_sums(Element(0).gaussians(), x),
    "moments.of_segments": lambda x: moments.of_segments(x, np.arange(2 * DEVICES) % 3, 3),
}


@pytest.mark.parametrize("name", ONE_SET)
def test_auto_axes_serve_one_divided_set(name, explicit_mesh):
    (x, _) = batch_of("moments.of")
    function = ONE_SET[name]
    with jax.set_mesh(explicit_mesh):
        divided = jax.device_put(x, NamedSharding(explicit_mesh, BATCH))
        with pytest.raises(Exception, match=NOT_DERIVED):
            jax.eval_shape(function, divided)
        found = run(jax.sharding.auto_axes(function, out_sharding=PartitionSpec()), [divided])
    assert_equal(found, run(function, [x]))


@pytest.mark.parametrize("transform", [jax.jit, lambda function: function])
@pytest.mark.parametrize("name", ["components.label", "components.largest_component"])
def test_the_host_backend_refuses_divided_masks(name, transform, auto_mesh, explicit_mesh):
    on_host = transform(jax.vmap(functools.partial(CASES[name].function, backend="host")))
    for mesh in (auto_mesh, explicit_mesh):
        with pytest.raises(ValueError, match=r"backend='host'.*inside jax\.shard_map, or leave it to backend='auto'"):
            on_host(*batch_of(name, NamedSharding(mesh, BATCH)))


def test_the_host_backend_runs_once_per_device_inside_shard_map(auto_mesh):
    masks = batch_of("components.label", NamedSharding(auto_mesh, BATCH))
    for function in (components.label, components.largest_component):
        on_host = functools.partial(function, backend="host")
        labels = jax.shard_map(jax.vmap(on_host), mesh=auto_mesh, in_specs=BATCH, out_specs=BATCH)
        expected = jax.vmap(lambda mask, function=function: function(mask, backend="device"))(
            *batch_of("components.label")
        )
        np.testing.assert_array_equal(jax.jit(labels)(*masks), expected)
