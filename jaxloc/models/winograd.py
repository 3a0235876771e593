"""3×3 convolution by Winograd's minimal filtering: fewer multiplications, as one batched matrix product.

Lavin & Gray, "Fast algorithms for convolutional neural networks", CVPR 2016. A tile of m×m outputs is
``Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A`` (their equation 8) for a filter g and the (m+2)×(m+2) inputs d. ``transform_filters``
computes the filters' part once; a layer then needs additions and, for each of the (m+2)² places of a tile, one matrix
product over the channels. Tiles of 4×4 need 2.25 multiplications for each output and channel where the direct
way needs 9, tiles of 2×2 need 4; the price is rounding: 2–3e-6 of the largest feature after thirteen layers with tiles
of 4×4, 3–6e-7 with tiles of 2×2, which is also where two direct convolutions differ.

The four transforms are separate stages with a barrier between them: XLA's CPU compiler takes several times as long to
compile them as one fusion.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Tiling(NamedTuple):
    """The three matrices of F(m×m, 3×3), and m."""

    outputs: int
    filters: np.ndarray
    inputs: np.ndarray
    results: np.ndarray


TILES_OF_2 = Tiling(
    2,
    filters=np.array([[1, 0, 0], [1 / 2, 1 / 2, 1 / 2], [1 / 2, -1 / 2, 1 / 2], [0, 0, 1]]),
    inputs=np.array([[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]]),
    results=np.array([[1, 1, 1, 0], [0, 1, -1, -1]]),
)
TILES_OF_4 = Tiling(
    4,
    filters=np.array([[6, 0, 0], [-4, -4, -4], [-4, 4, -4], [1, 2, 4], [1, -2, 4], [0, 0, 24]]) / 24,
    inputs=np.array(
        [
            *([4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0]),
            *([0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]),
        ]
    ),
    results=np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
)
LEAST_CHANNELS = 64
"""With fewer input channels the additions outweigh the multiplications saved."""

_TILINGS = {len(tiling.inputs) ** 2: tiling for tiling in (TILES_OF_2, TILES_OF_4)}
PLACES = tuple(_TILINGS)
"""Possible numbers of matrices of a transformed kernel: one for each place of a tile."""


def transform_filters(kernel: jax.Array | np.ndarray, tiling: Tiling) -> jax.Array:
    """``G g Gᵀ`` of each filter ``[3, 3, c, d]``: float32 ``[(m + 2)², c, d]``, the places of a tile row by row.

    A concrete kernel is transformed in float64, while tracing in float32.
    """
    matrix = np.kron(tiling.filters, tiling.filters)
    if isinstance(kernel, jax.core.Tracer):
        with jax.default_matmul_precision("highest"):
            traced = jnp.asarray(matrix, jnp.float32) @ jnp.asarray(kernel, jnp.float32).reshape(9, -1)
        return traced.reshape(-1, *kernel.shape[2:])
    exact = np.asarray(kernel, np.float64).reshape(9, *kernel.shape[2:])
    filters = np.empty((len(matrix), *exact.shape[1:]), np.float32)
    for channel in range(exact.shape[1]):  # the float64 results of one stay in the cache
        filters[:, channel] = matrix @ exact[:, channel]
    return jnp.asarray(filters)


def tile_side(filters: jax.Array) -> int:
    """The side m of the tiles of m×m that transformed filters are for."""
    return _TILINGS[filters.shape[0]].outputs


def convolve(x: jax.Array, filters: jax.Array) -> jax.Array:
    """A 3×3 convolution of stride 1 without padding.

    Args:
        x: ``[n, h + 2, w + 2, c]``, h and w multiples of ``tile_side(filters)``.
        filters: ``[(m + 2)², c, d]`` from ``transform_filters``.
    """
    tiling = _TILINGS[filters.shape[0]]
    m, side = tiling.outputs, len(tiling.inputs)
    n, rows, columns = x.shape[0], (x.shape[1] - 2) // m, (x.shape[2] - 2) // m
    x = _combine(tiling.inputs, [lax.slice_in_dim(x, j, j + (columns - 1) * m + 1, m, axis=2) for j in range(side)])
    x = lax.optimization_barrier(x)
    x = _combine(tiling.inputs, [lax.slice_in_dim(x, i, i + (rows - 1) * m + 1, m, axis=2) for i in range(side)])
    x = lax.optimization_barrier(x.reshape(side * side, n * rows * columns, -1))
    x = lax.dot_general(x, filters, (((2,), (1,)), ((0,), (0,))), precision=lax.Precision.HIGHEST)
    x = _combine(tiling.results, list(x.reshape(side, side, n, rows, columns, -1)), axis=3)
    x = lax.optimization_barrier(x)
    x = _combine(tiling.results, list(x), axis=-2)
    return x.reshape(n, rows * m, columns * m, -1)


def _combine(matrix: np.ndarray, parts: list[jax.Array], *, axis: int = 0) -> jax.Array:
    """The sums of ``parts`` weighted by each row of ``matrix``, stacked."""
    sums = [sum(weight * part for weight, part in zip(row, parts, strict=True) if weight) for row in matrix.tolist()]
    return jnp.stack(sums, axis)
