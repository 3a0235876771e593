"""The grid of cells that a network lays over an image: which cells are valid, and how they map to pixels.

A padded batch holds maps of several sizes in one array; ``size`` (rows, columns) says how much of a map belongs
to its image. Nearest upsampling samples at half-pixel centres: pixel ``y`` of ``H`` shows cell
``floor((y + 1/2) h / H)``. It is computed in integers, so a pixel never lands in the wrong cell by rounding.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_size, check_rank
from jaxloc._jit import jitted


@jitted("shape")
def valid_cells(size: ArrayLike | None, shape: tuple[int, ...]) -> jax.Array:
    """Mask of the cells that belong to the image, bool ``[..., rows, columns]``, True inside the valid top-left corner.

    Args:
        size: int ``[..., 2]``, valid rows and columns; ``None`` means all of them.
        shape: the map's padded rows and columns (static).
    """
    if size is None:
        return jnp.ones(shape, bool)
    size = jnp.asarray(size)
    if size.ndim == 0 or size.shape[-1] != 2:
        raise ValueError(f"size must be [..., 2] (rows, columns), got shape {size.shape}")
    rows = jnp.arange(shape[0]) < size[..., 0, None]
    columns = jnp.arange(shape[1]) < size[..., 1, None]
    return rows[..., :, None] & columns[..., None, :]


@jitted("shape")
def box_cells(box: ArrayLike, shape: tuple[int, ...]) -> jax.Array:
    """Mask of the cells inside a box, bool ``[rows, columns]``.

    Args:
        box: ``[4]``, ``x0, y0, x1, y1`` in whole cells, half-open.
        shape: the map's padded rows and columns (static).
    """
    x0, y0, x1, y1 = as_array("box", box, "[4]")
    y, x = jnp.arange(shape[0]), jnp.arange(shape[1])
    return ((y >= y0) & (y < y1))[:, None] & ((x >= x0) & (x < x1))


@jitted("shape")
def map_size(size: ArrayLike | None, shape: tuple[int, ...]) -> jax.Array:
    """The valid size as an int32 ``[2]`` array, whether ``size`` was given or the map is whole."""
    return as_size("size", shape if size is None else size)


@jitted("shape")
def upsample_nearest(
    values: ArrayLike, shape: tuple[int, ...], *, size: ArrayLike | None = None, target_size: ArrayLike | None = None
) -> jax.Array:
    """Enlarge one map to an image's pixels, or to a finer map, by nearest neighbour at half-pixel centres.

    Args:
        values: ``[h, w]``, a mask or any other map of one image.
        shape: rows and columns of the result (static).
        size: int ``[2]``, the valid rows and columns of ``values``; ``None`` means all.
        target_size: int ``[2]``, the valid rows and columns of the result, over which the valid ``values`` are
            spread; beyond them the result is zero (False). ``None`` means all of ``shape``.

    Returns:
        ``[rows, columns]`` of the same dtype.
    """
    values = as_array("values", values, "[h, w]")
    cells = map_size(size, values.shape[:2])
    target = jnp.maximum(map_size(target_size, shape), 1)
    y, x = (
        jnp.minimum((2 * jnp.arange(length) + 1) * cells[axis] // (2 * target[axis]), values.shape[axis] - 1)
        for axis, length in enumerate(shape)
    )
    enlarged = values[y[:, None], x[None, :]]
    return jnp.where(valid_cells(target_size, shape), enlarged, jnp.zeros_like(enlarged))


@jitted()
def flip_columns(values: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Mirror one map or image left to right inside its valid cells; its padding stays at the right and bottom.

    Args:
        values: ``[h, w]`` or ``[h, w, channels]``, of one image.
        size: int ``[2]``, valid rows and columns of ``values``; ``None`` means all.

    Returns:
        the same shape and dtype; zero (False) outside the valid cells.
    """
    values = jnp.asarray(values)
    if values.ndim != 2:
        check_rank("values", values, "[h, w] or [h, w, channels]")
    shape = values.shape[:2]
    source = jnp.maximum(map_size(size, shape)[1] - 1 - jnp.arange(shape[1]), 0)
    valid = valid_cells(size, shape).reshape(shape + (1,) * (values.ndim - 2))
    return jnp.where(valid, values[:, source], jnp.zeros_like(values))
