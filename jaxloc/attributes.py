"""The images at both ends of each dimension of their vectors: what a dimension means, shown by example.

Wei, Luo, Wu & Zhou, "Selective convolutional descriptor aggregation for fine-grained image retrieval", IEEE TIP
2017, section 4.2 and figure 8: after SVD and whitening the first dimensions follow visible attributes of the objects.
The paper sorts one dimension and shows its high end; the sign of a singular vector is arbitrary, so both ends are
kept here. Part of a gallery at a time is enough: the extremes of parts merge to those of the whole, in any order.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags, check_rank
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses


class Extremes(NamedTuple):
    """The images with the highest and the lowest values in each dimension, most extreme first.

    Attributes:
        high: int32 ``[d, count]``, indices of the images with the highest values, ties to the lower index.
        low: int32 ``[d, count]``, likewise of the lowest values, the lowest first.
        high_values: float32 ``[d, count]``, their values.
        low_values: float32 ``[d, count]``.
        valid: bool ``[count]``, False where there are fewer images than ``count``: index −1, value 0.
    """

    high: jax.Array
    low: jax.Array
    high_values: jax.Array
    low_values: jax.Array
    valid: jax.Array


@jitted("dimension", "count")
def empty(dimension: int, count: int) -> Extremes:
    """Extremes of no images with vectors of ``dimension`` numbers: the identity of ``merge``."""
    none, zeros = jnp.full((dimension, count), -1, jnp.int32), jnp.zeros((dimension, count))
    return Extremes(none, none, zeros, zeros, jnp.zeros(count, bool))


@jitted("count", "dimensions")
@compiler_chooses()
def extremes(
    vectors: ArrayLike,
    *,
    count: int,
    valid: ArrayLike | None = None,
    dimensions: Sequence[int] | None = None,
    offset: ArrayLike = 0,
) -> Extremes:
    """Images at both ends of each dimension of a set of vectors (section 4.2, figure 8).

    Args:
        vectors: ``[n, d]``, one vector an image, such as whitened ones. A vector that is not finite counts as invalid.
        count: images to keep at each end, 6 in the paper's figure (static).
        valid: bool ``[n]``, False for images without an object, which never appear; ``None`` means all have one.
        dimensions: the dimensions to look at, in this order; ``None`` means all (static).
        offset: index of the first image in the whole gallery, where ``vectors`` are only a part of it.

    Returns:
        ``Extremes`` of ``len(dimensions)`` rows. An image can be at both ends if there are fewer than ``2 count``.
    """
    vectors = as_array("vectors", vectors, "[n, d]", jnp.float32)
    size, dimension = vectors.shape
    if count < 1:
        raise ValueError(f"count must be 1 or more, got {count}")
    keep = as_flags(valid, (size,), "vector") & jnp.isfinite(vectors).all(1)
    if dimensions is not None:
        beyond = [index for index in dimensions if not 0 <= index < dimension]
        if beyond:
            raise ValueError(f"dimensions must be from 0 to {dimension - 1}, got {beyond[0]}")
        vectors = vectors[:, jnp.array(tuple(dimensions), jnp.int32)]
    missing = max(0, count - size)
    values = jnp.pad(jnp.where(vectors == 0, 0, vectors), ((0, missing), (0, 0))).T  # −0 would lose against 0
    keep = jnp.pad(keep, (0, missing))
    there = jnp.arange(count) < keep.sum()

    def end(rising: jax.Array) -> jax.Array:
        return jax.lax.top_k(jnp.where(keep, rising, -jnp.inf), count)[1]

    high, low = end(values), end(-values)

    def indices(chosen: jax.Array) -> jax.Array:
        return jnp.where(there, chosen + jnp.asarray(offset, jnp.int32), -1).astype(jnp.int32)

    def at(chosen: jax.Array) -> jax.Array:
        return jnp.where(there, jnp.take_along_axis(values, chosen, axis=1), 0)

    return Extremes(indices(high), indices(low), at(high), at(low), there)


@jitted()
def merge(a: Extremes, b: Extremes) -> Extremes:
    """Extremes of the union of two parts of a gallery that share no image; associative and commutative, exactly."""
    for part in (a, b):
        check_rank("high", part.high, "[d, count]")
    if a.high.shape != b.high.shape:
        raise ValueError(f"extremes of different shape [d, count]: {tuple(a.high.shape)} and {tuple(b.high.shape)}")
    count = a.high.shape[1]
    absent = jnp.broadcast_to(~jnp.concatenate([a.valid, b.valid]), (a.high.shape[0], 2 * count))

    def end(sign: int, *ends: jax.Array) -> tuple[jax.Array, jax.Array]:
        indices, values = jnp.concatenate(ends[::2], 1), jnp.concatenate(ends[1::2], 1)
        _, values, indices = jax.lax.sort((absent, sign * values, indices), num_keys=3)
        return indices[:, :count], sign * values[:, :count]

    high, high_values = end(-1, a.high, a.high_values, b.high, b.high_values)
    low, low_values = end(1, a.low, a.low_values, b.low, b.low_values)
    there = jnp.arange(count) < a.valid.sum() + b.valid.sum()
    return Extremes(high, low, high_values, low_values, there)
