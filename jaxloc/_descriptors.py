"""Sets of descriptors: however they are arranged, as one list, and summed over blocks of it."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_flags, check_rank

_BLOCK = 1024
Sums = TypeVar("Sums")


def flagged(descriptors: ArrayLike, valid: ArrayLike | None) -> tuple[jax.Array, jax.Array]:
    """Descriptors ``[..., d]`` and their validity ``[...]``, checked."""
    x = jnp.asarray(descriptors)
    if x.ndim < 2:
        raise ValueError(f"descriptors must be [..., d] with at least one axis before d, got shape {x.shape}")
    return x, as_flags(valid, x.shape[:-1], "descriptor")


def flatten(
    descriptors: ArrayLike, valid: ArrayLike | None, centers: jax.Array | None = None
) -> tuple[jax.Array, jax.Array]:
    """Descriptors as ``[n, d]`` and their validity as ``[n]``, checked."""
    x, keep = flagged(descriptors, valid)
    if centers is not None:
        check_rank("the model's centres", centers, "[k, d]")
        if centers.shape[1] != x.shape[-1]:
            raise ValueError(f"descriptors have {x.shape[-1]} channels, the model was fitted on {centers.shape[1]}")
    return x.reshape(-1, x.shape[-1]), keep.reshape(-1)


def sum_over_blocks(of_block: Callable[[jax.Array, jax.Array], Sums], x: jax.Array, keep: jax.Array) -> Sums:
    """Sum of ``of_block`` over blocks of descriptors, invalid ones set to zero."""

    def take(start: ArrayLike, size: int) -> Sums:
        flags = jax.lax.dynamic_slice_in_dim(keep, start, size)
        block = jax.lax.dynamic_slice_in_dim(x, start, size)
        return of_block(jnp.where(flags[:, None], block, 0).astype(jnp.float32), flags)

    number = x.shape[0]
    first = number % _BLOCK or min(number, _BLOCK)
    total = take(0, first)
    if first == number:
        return total

    def add(total: Sums, start: jax.Array) -> tuple[Sums, None]:
        return jax.tree.map(jnp.add, total, take(start, _BLOCK)), None

    return jax.lax.scan(add, total, jnp.arange(first, number, _BLOCK))[0]
