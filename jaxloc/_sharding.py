"""Arrays on a user's own mesh: where jax cannot derive how a result is divided, the compiler chooses."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
from jax.sharding import NamedSharding, PartitionSpec

P = ParamSpec("P")
T = TypeVar("T")


def compiler_chooses(*, rows: bool = False) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function take arrays on mesh axes of type Explicit, on which jax derives no sharding of loops and gathers.

    Within it these axes are Auto. Its results are whole on every device; ``jax.vmap`` of it keeps a batch divided.

    Args:
        rows: results have a row for each row of the first argument, and stay divided as those are.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        name = next(iter(inspect.signature(function).parameters))

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            leaves, structure = jax.tree.flatten((args, kwargs))
            arrays = {place: leaf for place, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)}
            meshes = [jax.typeof(array).sharding.mesh for array in arrays.values()]
            mesh = next((mesh for mesh in meshes if mesh.explicit_axes), None)
            if mesh is None:
                return function(*args, **kwargs)

            def chosen(arrays: dict[int, Any]) -> T:
                args, kwargs = jax.tree.unflatten(structure, [arrays.get(*pair) for pair in enumerate(leaves)])
                return function(*args, **kwargs)

            first = jax.tree.leaves(args[0] if args else kwargs[name])
            divided = jax.typeof(first[0]).sharding.spec[:1] if rows else ()
            result = NamedSharding(mesh, PartitionSpec(*divided))
            return jax.sharding.auto_axes(chosen, axes=mesh.explicit_axes, out_sharding=result)(arrays)

        return call

    return decorate


def varying_as(array: jax.Array, values: T) -> T:
    """The same values, divided among devices as ``array`` is inside ``shard_map``: what the start of a loop must be."""
    never = (array != array).any() & False
    return jax.tree.map(lambda value: jnp.where(never, value, value), values)
