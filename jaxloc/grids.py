"""The grid of cells that a network lays over an image: which cells are valid, and how they map to pixels.

A padded batch holds maps of several sizes in one array; ``size`` (rows, columns) says how much of a map belongs
to its image. Nearest upsampling samples at half-pixel centres: pixel ``y`` of ``H`` shows cell
``floor((y + 1/2) h / H)``. It is computed in integers, so a pixel never lands in the wrong cell by rounding.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import check_rank


def valid_cells(size: ArrayLike | None, shape: tuple[int, int]) -> jax.Array:
    """Mask of the cells that belong to the image.

    Args:
        size: int ``[..., 2]``, valid rows and columns; ``None`` means all of them.
        shape: the map's padded rows and columns (static).

    Returns:
        bool ``[..., rows, columns]``, True inside the valid top-left corner.
    """
    if size is None:
        return jnp.ones(shape, bool)
    size = jnp.asarray(size)
    if size.shape[-1] != 2:
        raise ValueError(f"size must be [..., 2] (rows, columns), got shape {size.shape}")
    rows = jnp.arange(shape[0]) < size[..., 0, None]
    columns = jnp.arange(shape[1]) < size[..., 1, None]
    return rows[..., :, None] & columns[..., None, :]


def map_size(size: ArrayLike | None, shape: tuple[int, int]) -> jax.Array:
    """The valid size as an int32 ``[2]`` array, whether ``size`` was given or the map is whole."""
    return jnp.asarray(shape if size is None else size, jnp.int32)


def upsample_nearest(values: ArrayLike, shape: tuple[int, int], *, size: ArrayLike | None = None) -> jax.Array:
    """Enlarge one map to an image's pixels by nearest neighbour at half-pixel centres.

    Args:
        values: ``[h, w]``, a mask or any other map of one image.
        shape: the image's rows and columns (static).
        size: int ``[2]``, the valid rows and columns of ``values``; ``None`` means all.

    Returns:
        ``[rows, columns]`` of the same dtype.

    Raises:
        ValueError: ``values`` is not one map.
    """
    values = jnp.asarray(values)
    check_rank("values", values, 2, "[h, w]")
    rows, columns = map_size(size, (values.shape[0], values.shape[1]))
    y = (2 * jnp.arange(shape[0]) + 1) * rows // (2 * shape[0])
    x = (2 * jnp.arange(shape[1]) + 1) * columns // (2 * shape[1])
    return values[y[:, None], x[None, :]]
