"""Gradients of every public function of arrays: finite on ordinary, padded, empty, silent and tied arguments."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxloc import clustering, ddt, graphs, moments
from jaxloc.mixture import GaussianMixture
from tests.sharding.cases import CASES, NUMBER, Element
from tests.soaked import soaked

MODULES = {name.split(".")[0] for name in CASES}
SLOW = {
    "beam",
    "centers",
    "clustering",
    "ddt",
    "discovery",
    "encoding",
    "graphs",
    "mixture",
    "ranking",
    "refinement",
    "rmac",
    "svm",
    "whitening",
}


class Padded(Element):
    """One row and two columns are valid."""

    def size(self):
        return np.array([1, 2], np.int32)


class Empty(Element):
    """No cell is valid."""

    def size(self):
        return np.zeros(2, np.int32)


def with_values(value):
    """Turn every number into ``value``, but for those of graphs; mixtures get a component without weight."""

    def change(argument):
        if isinstance(argument, GaussianMixture):
            return argument._replace(weights=argument.weights * np.float32([1, 0, 1]))
        if isinstance(argument, graphs.Graph):
            return argument
        return jax.tree.map(lambda x: np.full_like(x, value) if is_float(x) else x, argument)

    return change


def without_members(argument):
    return jax.tree.map(lambda x: np.zeros_like(x) if np.asarray(x).dtype == bool else x, argument)


VARIANTS = {
    "ordinary": (Element, lambda argument: argument),
    "padded": (Padded, lambda argument: argument),
    "empty": (Empty, without_members),
    "silent": (Element, with_values(0)),
    "tied": (Element, with_values(1)),
}


def is_float(x) -> bool:
    return jnp.issubdtype(jnp.asarray(x).dtype, jnp.floating)


def arguments(name):
    """Those of each variant, stacked."""
    each = [tuple(map(change, CASES[name].arguments(element(0)))) for element, change in VARIANTS.values()]
    return jax.tree.map(lambda *values: np.stack(values), *each)


def derivatives(name):
    """From one variant's arguments to the derivatives of a sum of what is finite in the result."""

    def of_one(args):
        leaves, structure = jax.tree.flatten(args)
        places = [place for place, leaf in enumerate(leaves) if is_float(leaf)]

        def total(floats):
            changed = dict(zip(places, floats, strict=True))
            found = CASES[name].function(*jax.tree.unflatten(structure, [changed.get(*p) for p in enumerate(leaves)]))
            results = [leaf for leaf in jax.tree.leaves(found) if is_float(leaf)]
            weights = [np.arange(1, x.size + 1, dtype=np.float32).reshape(x.shape) for x in results]
            return sum((jnp.where(jnp.isfinite(x), x, 0) * w).sum() for x, w in zip(results, weights, strict=True))

        return jax.grad(total)([leaves[place] for place in places])

    return jax.vmap(of_one)


def gives_floats(name) -> bool:
    found = jax.eval_shape(CASES[name].function, *CASES[name].arguments(Element(0)))
    return any(jnp.issubdtype(leaf.dtype, jnp.floating) for leaf in jax.tree.leaves(found))


@pytest.mark.parametrize("module", soaked(sorted(MODULES), MODULES - SLOW))
def test_gradients_are_finite(module):
    names = [name for name in CASES if name.startswith(f"{module}.") and gives_floats(name)]
    functions = {name: derivatives(name) for name in names}
    program = jax.jit(lambda each: {name: functions[name](each[name]) for name in names})
    found = jax.device_get(program({name: arguments(name) for name in names}))
    broken = {
        f"{name} ({kind})"
        for name, parts in found.items()
        for number, kind in enumerate(VARIANTS)
        if not all(np.isfinite(part[number]).all() for part in parts)
    }
    assert not broken


def test_components_are_differentiated_if_asked_for():
    x = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32) * np.float32([4, 3, 2, 1])

    def first(x, **options):
        return ddt.fit(moments.of(x), **options).components[0] @ jnp.arange(4.0)

    chex.assert_numerical_grads(jax.jit(functools.partial(first, differentiate=True)), (x,), order=1)
    assert not jax.jit(jax.grad(first))(x).any()


def test_solutions_on_a_graph_are_differentiated():
    graph, y = Element(0).graph(), Element(1).normal(NUMBER)

    def solve(scale, y):  # every edge is listed twice, and both are one weight
        scaled = graphs.Graph(graph.indices, graph.weights * scale)
        return graphs.solve(scaled, y, alpha=0.5).values

    chex.assert_numerical_grads(jax.jit(solve), (np.float32([[0.9]]), y), order=1)


def test_the_inertia_of_a_fit_is_differentiated_at_its_centres():
    model, x = Element(0).kmeans(), Element(1).features()
    gradient = jax.grad(lambda x: clustering.lloyd(model, x, iterations=5).inertia)(x)
    centers = clustering.lloyd(model, x, iterations=5).model.centers
    nearest = np.asarray(clustering.assign(clustering.KMeans(centers), x))
    np.testing.assert_allclose(gradient, 2 * (x - centers[nearest]), atol=1e-5)
