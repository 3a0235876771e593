"""Every public function of arrays, on a batch divided among the devices of a user's own mesh."""

import functools
import inspect

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxloc import clustering, components, discovery, mixture, moments, ranking, refinement
from tests.sharding.cases import CASES, CHANNELS, NUMBER, Element
from tests.sharding.conftest import DEVICES
from tests.sharding.elsewhere import ELSEWHERE
from tests.soaked import soaked
from tests.test_conventions import ONE_IMAGE, public

BATCH = PartitionSpec("data")
QUICK_TO_COMPILE = {"xla_backend_optimization_level": 0}

UNCHECKED = {"svm.fit"}
"""Branches of optax that jax takes to differ in what varies between devices; the cure is ``check_vma=False``."""

MODULES = sorted({name.split(".")[0] for name in CASES})

REGULAR = ("boxes", "graphs", "losses", "moments", "pooling")
"""Of the modules, one of each kind: of maps, of boxes, of sums, of losses, with a solver."""

REGULAR_CASES = ("boxes.mask_to_box", "moments.of")
ALONE = ("boxes.mask_to_box", "crow.descriptor", "ddt.localize", "graphs.solve", "moments.of", "scda.localize")
AUTO = (*ALONE, "clustering.lloyd", "components.label", "encoding.vlad", "ranking.top_k")
NOT_JITTED = ("components.label", "moments.of", "ranking.top_k", "clustering.lloyd", "ddt.localize", "ranking.diffuse")


def batch_of(name: str, sharding: NamedSharding | None = None):
    elements = [CASES[name].arguments(Element(seed)) for seed in range(2 * DEVICES)]
    batch = jax.tree.map(lambda *values: np.stack(values), *elements)
    return batch if sharding is None else jax.device_put(batch, sharding)


def run(function, *arguments):
    compiled = jax.jit(function).lower(*arguments).compile(QUICK_TO_COMPILE)
    return jax.device_get(compiled(*arguments))


def cases_of(module: str) -> list[str]:
    return [name for name in CASES if name.startswith(f"{module}.")]


def in_shard_map(name, mesh):
    mapped = jax.vmap(CASES[name].function)
    return jax.shard_map(mapped, mesh=mesh, in_specs=BATCH, out_specs=BATCH, check_vma=name not in UNCHECKED)


def each(functions):
    """One function of a dictionary of arguments: the cases of a module are compiled as one program."""
    return lambda arguments: {name: function(*arguments[name]) for name, function in functions.items()}


def assert_equal(found, expected, name="", rtol=1e-4):
    chex.assert_trees_all_close(found, expected, rtol=rtol, atol=1e-5, custom_message=name)


def without_steps(result):
    """Rounding may spare ``graphs.solve`` a step."""
    return result._replace(iterations=0) if hasattr(result, "iterations") else result


def test_every_public_function_has_its_case():
    functions = [
        f"{folder}.{name}"
        for folder, module in (("discovery", discovery), ("ranking", ranking), ("refinement", refinement))
        for name in getattr(module, "__all__", public(module))
        if inspect.isfunction(getattr(module, name))
    ]
    for name in (*ONE_IMAGE, "svm"):
        module = inspect.importlib.import_module(f"jaxloc.{name}")
        functions += [f"{name}.{symbol}" for symbol, value in public(module).items() if inspect.isfunction(value)]
    assert sorted(functions) == sorted([*CASES, *ELSEWHERE])


@functools.cache
def each_device_alone(name, mesh):
    return run(in_shard_map(name, mesh), *batch_of(name, NamedSharding(mesh, BATCH)))


def first_of(results):
    """The results of ``Element(0)`` among those of a batch."""
    return jax.tree.map(lambda leaf: leaf[0], results)


@pytest.mark.parametrize("name", soaked(AUTO, [*REGULAR_CASES, "components.label"]))
def test_auto_axes_give_what_each_device_finds_alone(name, auto_mesh):
    found = run(jax.vmap(CASES[name].function), *batch_of(name, NamedSharding(auto_mesh, BATCH)))
    assert_equal(found, each_device_alone(name, auto_mesh))


@pytest.mark.parametrize("name", soaked(CASES, ["whitening.fit_supervised"]))
def test_eager_equals_jit(name, auto_mesh):
    """Outside jit, where nearly all functions compile themselves (``test_conventions``): one program twice."""
    found = CASES[name].function(*CASES[name].arguments(Element(0)))
    expected = first_of(each_device_alone(name, auto_mesh))
    assert_equal(without_steps(found), without_steps(expected), rtol=1e-3 if name == "svm.fit" else 1e-4)


@pytest.mark.parametrize("module", soaked(MODULES, REGULAR))
def test_explicit_axes_give_the_same_and_keep_the_batch_divided(module, auto_mesh, explicit_mesh):
    functions = {name: jax.vmap(CASES[name].function) for name in cases_of(module)}
    with jax.set_mesh(explicit_mesh):
        arguments = {name: batch_of(name, NamedSharding(explicit_mesh, BATCH)) for name in functions}
        results = jax.jit(each(functions)).lower(arguments).compile(QUICK_TO_COMPILE)(arguments)
    for name, result in results.items():
        assert any(leaf.sharding.spec[0] == "data" for leaf in jax.tree.leaves(result)), name
        assert_equal(jax.device_get(result), each_device_alone(name, auto_mesh), name)


@pytest.mark.parametrize("name", soaked(ALONE, REGULAR_CASES))
def test_eight_devices_equal_one(name, auto_mesh):
    assert_equal(run(jax.vmap(CASES[name].function), *batch_of(name)), each_device_alone(name, auto_mesh))


# Moments are also taken without jit of a whole set, below.
@pytest.mark.parametrize("name", soaked(NOT_JITTED, ["components.label"]))
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
def test_sums_of_a_divided_set_are_those_of_the_whole(name, explicit_mesh):
    (x, _) = batch_of("moments.of")
    with jax.set_mesh(explicit_mesh):
        found = run(ONE_SET[name], jax.device_put(x, NamedSharding(explicit_mesh, BATCH)))
    assert_equal(found, run(ONE_SET[name], x))


def of_one_set(name):
    """Arguments whose rows may be divided: those of vectors, vertices and frames."""
    arguments = CASES[name].arguments(Element(0))
    is_list = [np.ndim(leaf) > 0 and len(leaf) == NUMBER for leaf in jax.tree.leaves(arguments)]
    return arguments, is_list


@pytest.mark.parametrize("module", soaked(MODULES, REGULAR))
def test_one_set_on_explicit_axes_gives_the_same_however_it_is_divided(module, auto_mesh):
    mesh = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,), devices=jax.devices()[:4])
    functions, divided = {}, {}
    with jax.set_mesh(mesh):
        for name in cases_of(module):
            arguments, is_list = of_one_set(name)
            if any(is_list):
                leaves, structure = jax.tree.flatten(arguments)
                specs = [BATCH if divides else PartitionSpec() for divides in is_list]
                parts = [jax.device_put(*pair) for pair in zip(leaves, specs, strict=True)]
                functions[name] = CASES[name].function
                divided[name] = jax.tree.unflatten(structure, parts)
        found = run(each(functions), divided)
    expected = {name: first_of(each_device_alone(name, auto_mesh)) for name in functions}
    for name in functions:
        assert_equal(without_steps(found[name]), without_steps(expected[name]), name)


def test_lists_stay_divided_as_the_queries_are_whichever_way_these_are_given(explicit_mesh):
    vectors = np.stack([Element(seed).normal(CHANNELS) for seed in range(2 * DEVICES)])
    queries = jax.device_put(vectors, NamedSharding(explicit_mesh, BATCH))
    for found in (ranking.top_k(queries, vectors, k=3), ranking.top_k(gallery=vectors, queries=queries, k=3)):
        assert found.indices.sharding.spec[0] == "data"


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
