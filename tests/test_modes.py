"""Public functions in the modes of JAX that a program may run in; they are traced, which compiles nothing."""

import functools

import jax
import jax.numpy as jnp
import pytest

from jaxloc.graphs import Graph
from tests.sharding.cases import CASES, Element

DOUBLE = {"float32": "float64", "int32": "int64"}
WHOLE = {"float32": "int64", "int32": "int64"}
KEEP_THE_TYPE = {"eiss.erase", "grids.flip_columns", "grids.upsample_nearest"}

enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


def result(name, dtypes=None):
    """Shapes and types of a case's result, its arguments converted; what a fit gave is never of whole numbers."""

    def convert(argument):
        if dtypes is WHOLE and isinstance(argument, tuple) and not isinstance(argument, Graph):
            return argument
        return jax.tree.map(lambda x: jnp.asarray(x, (dtypes or {}).get(str(x.dtype))), argument)

    found = jax.eval_shape(CASES[name].function, *map(convert, CASES[name].arguments(Element(0))))
    return jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found)


documented = functools.cache(result)


@pytest.mark.parametrize("name", CASES)
def test_results_are_of_the_documented_types_in_64_bits(name):
    for dtypes in ({}, DOUBLE, WHOLE) if name not in KEEP_THE_TYPE else ({},):
        expected = documented(name)
        with enable_x64(True):
            assert result(name, dtypes) == expected, dtypes


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_nothing_is_promoted_in_the_strict_modes(name, x64):
    expected = documented(name)
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"), enable_x64(x64):
        assert result(name) == expected
