"""The public functions of a module, each call compiled whole: one program instead of one for each operation.

Eager calls compile a program for every operation and shape, which is nearly all that a test of small arrays costs.
For the same reason results are NumPy arrays: what a test does with them compiles nothing.
"""

import functools
import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import jax
import numpy as np

RUNS_OFTEN = {"xla_cpu_experimental_ynn_fusion_type": "", "xla_cpu_use_fusion_emitters": True}
"""Compiler options with which VGG-16 runs in half of the time that it takes as the other tests compile."""


def compiled(module: ModuleType, *, eager: tuple[str, ...] = ()) -> Any:
    """The module's names, its public functions compiled but for those in ``eager``; ``.eager`` is the module itself."""
    names = {
        name: jitted(value) if inspect.isfunction(value) and not name.startswith("_") and name not in eager else value
        for name, value in vars(module).items()
    }
    return SimpleNamespace(**names | {"eager": module})


def jitted(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function under ``jax.jit``, its results NumPy's: arrays are traced, everything else is static."""

    @functools.cache
    def program(structure: Any, fixed: tuple[Any, ...], kinds: tuple[type, ...]) -> Callable[..., Any]:
        del kinds  # 1, 1.0 and True are equal

        @jax.jit
        def call(arrays: list[Any]) -> Any:
            rest = iter(arrays)
            leaves = [next(rest) if leaf is _ARRAY else leaf for leaf in fixed]
            args, options = jax.tree.unflatten(structure, leaves)
            return function(*args, **options)

        return call

    @functools.wraps(function)
    def wrapped(*args: Any, **options: Any) -> Any:
        leaves, structure = jax.tree.flatten((args, options))
        is_array = [isinstance(leaf, np.ndarray | np.generic | jax.Array) for leaf in leaves]
        fixed = tuple(_ARRAY if array else leaf for leaf, array in zip(leaves, is_array, strict=True))
        arrays = [leaf for leaf, array in zip(leaves, is_array, strict=True) if array]
        found = program(structure, fixed, tuple(map(type, fixed)))(arrays)
        return jax.tree.map(lambda leaf: leaf if isinstance(leaf, jax.core.Tracer) else np.asarray(leaf), found)

    return wrapped


_ARRAY = object()
