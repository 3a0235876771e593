"""Gaussian filtering over place and colour by a bilateral grid: splat, blur, slice.

Paris & Durand, "A fast approximation of the bilateral filter using a signal processing approach", ECCV 2006, with
colour in three axes. Pixels are spread multilinearly over the 32 corners of their cell in a grid of two axes of place
and three of colour, each axis of the grid is blurred by a Gaussian, and each pixel reads the grid between the same
corners. Spreading and reading each blur by a third of a cell's squared width in all, which the Gaussian in between
makes up for. The grid's shape depends on nothing but the options and the padded shape, and lies symmetrically on
the image, so that padding and mirroring change nothing.
"""

import itertools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc.grids import map_size, valid_cells

_HIGHEST = jax.lax.Precision.HIGHEST
_CELL = 0.75
"""Width of a cell in standard deviations."""

_MOST_CELLS = 1 << 26


class Grid(NamedTuple):
    """Where each pixel lies in a grid.

    Attributes:
        corners: int32 ``[pixels, 32]``, the cells around each pixel, by raster index.
        weights: float32 ``[pixels, 32]``, its share of each; zero for padding.
        blurs: for each axis float32 ``[cells, cells]``, the symmetric Gaussian.
    """

    corners: jax.Array
    weights: jax.Array
    blurs: tuple[jax.Array, ...]


def make_grid(image: jax.Array, size: jax.Array | None, *, deviation: float, colour_deviation: float) -> Grid:
    """Place one image's pixels, float32 ``[h, w, 3]`` in 0–255, in a grid, with the deviations of ``crf`` (static).

    Raises:
        ValueError: the deviations are so small that the grid would not fit in memory.
    """
    shape = image.shape[:2]
    halves = [math.ceil((side - 1) / 2 / (_CELL * deviation)) + 1 for side in shape]
    levels = math.ceil(255 / (_CELL * colour_deviation)) + 2
    lengths = (*(2 * half + 1 for half in halves), levels, levels, levels)
    if math.prod(lengths) > _MOST_CELLS:
        raise ValueError(
            f"deviations of {deviation:g} pixels and {colour_deviation:g} levels need a grid of "
            f"{math.prod(lengths):,} cells for an image of {shape[0]}×{shape[1]}: use larger ones, or a smaller image"
        )
    centre = (map_size(size, shape) - 1) / 2
    places = [
        jnp.broadcast_to((jnp.arange(side) - centre[axis]).reshape(-1, *(1,) * (1 - axis)) / (_CELL * deviation), shape)
        + halves[axis]
        for axis, side in enumerate(shape)
    ]
    colours = jnp.clip(image, 0, 255) / (_CELL * colour_deviation)
    coordinates = jnp.stack([*places, *jnp.moveaxis(colours, -1, 0)], -1).reshape(-1, 5)
    coordinates = jnp.clip(coordinates, 0, jnp.array(lengths) - 1)  # padding only: it may lie beyond the grid
    low = jnp.minimum(jnp.floor(coordinates), jnp.array(lengths) - 2)
    share = coordinates - low
    strides = np.cumprod([1, *lengths[:0:-1]])[::-1]
    steps = np.array(list(itertools.product((0, 1), repeat=5)))
    first = (low.astype(jnp.int32) * strides.astype(np.int32)).sum(1)
    corners = first[:, None] + (steps @ strides).astype(np.int32)
    weights = valid_cells(size, shape).reshape(-1, 1).astype(jnp.float32)
    for axis in range(5):
        weights = weights * jnp.where(steps[:, axis] == 1, share[:, axis, None], 1 - share[:, axis, None])
    return Grid(corners, weights, tuple(jnp.asarray(_blur(length)) for length in lengths))


def filter_on(grid: Grid, values: jax.Array) -> jax.Array:
    """``Σⱼ exp(−½ |fᵢ − fⱼ|²) vⱼ`` over the valid pixels, with ``f`` place and colour in standard deviations.

    Values and result are float32 ``[h, w]``; the result is zero at padding.
    """
    lengths = tuple(len(blur) for blur in grid.blurs)
    splat = jnp.zeros(math.prod(lengths)).at[grid.corners].add(grid.weights * values.reshape(-1, 1))
    cells = splat.reshape(lengths)
    for axis, blur in enumerate(grid.blurs):
        cells = jnp.moveaxis(jnp.tensordot(blur, cells, (1, axis), precision=_HIGHEST), 0, axis)
    return (cells.ravel()[grid.corners] * grid.weights).sum(1).reshape(values.shape)


def _blur(length: int) -> np.ndarray:
    distance = np.subtract.outer(np.arange(length), np.arange(length)) * _CELL
    spread = 1 - _CELL**2 / 3  # the rest of a variance of one is in splatting and slicing, a sixth of a cell each
    reach = np.arange(-50, 51) * _CELL
    total = np.exp(-(reach**2) / 2 / spread).sum()
    return (np.sqrt(2 * np.pi) / _CELL / total * np.exp(-(distance**2) / 2 / spread)).astype(np.float32)
