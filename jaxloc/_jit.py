"""How public functions of arrays run: a call is one program, which computes what is documented in any mode."""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

_config: Any = jax.config  # its attributes are made at run time
_home_of_x64: Any = jax if hasattr(jax, "enable_x64") else jax.experimental  # the latter in older releases
_HALVES = {"float64": jnp.float32, "int64": jnp.int32, "uint64": jnp.uint32}


@contextlib.contextmanager
def standard_promotion() -> Iterator[None]:
    """JAX's standard promotion of types and ranks, for functions that are not ``jitted``; also a decorator."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def jitted(*static: str, nan: bool = False) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Compile each call of a function as one program; within a program of the caller's it dissolves into that.

    The function computes in 32 bits and with JAX's standard promotion, whatever ``jax_enable_x64``,
    ``jax_numpy_dtype_promotion`` and ``jax_numpy_rank_promotion`` are; 64-bit arguments are rounded first.

    Args:
        static: arguments that shape the program. One that is an array nevertheless, such as a tracer, is an input.
        nan: results hold NaN by design, which ``jax_debug_nans`` lets pass outside the caller's own programs.
    """

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @functools.cache
        def program(static: tuple[str, ...]) -> Callable[..., T]:
            return jax.jit(function, static_argnames=static, inline=True)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            options = {name: tuple(value) if isinstance(value, list) else value for name, value in kwargs.items()}
            inputs = [name for name in static if isinstance(options.get(name), jax.Array | np.ndarray)]
            compiled = program(tuple(name for name in static if name not in inputs))
            with contextlib.ExitStack() as modes:
                if _config.jax_enable_x64:
                    args, options = jax.tree.map(_halved, (args, options))
                    modes.enter_context(_home_of_x64.enable_x64(False))
                modes.enter_context(standard_promotion())
                if nan and _config.jax_debug_nans:
                    modes.enter_context(jax.debug_nans(False))
                try:
                    return compiled(*args, **options)
                except TypeError:
                    if not any(map(_is_foreign, jax.tree.leaves((args, options)))):
                        raise
            args, options = jax.tree.map(lambda leaf: np.asarray(leaf) if _is_foreign(leaf) else leaf, (args, options))
            return call(*args, **options)

        return call

    return decorate


def _is_foreign(leaf: Any) -> bool:
    """Whether this is an array of another library, such as PyTorch's tensor, which ``jax.jit`` does not take."""
    return hasattr(leaf, "__array__") and not isinstance(leaf, jax.Array | np.ndarray | np.generic)


def _halved(leaf: Any) -> Any:
    half = _HALVES.get(str(getattr(leaf, "dtype", "")))
    return leaf if half is None else leaf.astype(half)
