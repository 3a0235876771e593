"""Boxes: ``[x0, y0, x1, y1]`` in pixels of the original image, half-open.

A box of an empty mask is four NaNs, so that nothing fails inside jit; ``found`` flags say so to people. Outside jit the
functions that return boxes let that pass under ``jax_debug_nans``. A program of your own that returns such a box puts a
number there, ``jnp.where(found, box, 0)``.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_size
from jaxloc._jit import jitted
from jaxloc.grids import map_size


def _check_boxes(box: ArrayLike) -> jax.Array:
    box = jnp.asarray(box)
    if box.ndim == 0 or box.shape[-1] != 4:
        raise ValueError(f"boxes must be [..., 4], got shape {box.shape}")
    return box.astype(jnp.promote_types(box.dtype, jnp.float32))


@jitted(nan=True)
def mask_to_box(mask: ArrayLike, image_size: ArrayLike | None = None, *, size: ArrayLike | None = None) -> jax.Array:
    """Tight box of one mask once it is nearest-upsampled to the image, without making the large mask.

    Args:
        mask: bool ``[h, w]``, True = object; cells outside ``size`` must be False.
        image_size: int ``[2]``, the original image's rows and columns; ``None`` gives the box in cells.
        size: int ``[2]``, valid rows and columns of ``mask``; ``None`` means all.

    Returns:
        float ``[4]``: ``x0, y0, x1, y1``; NaN where the mask is empty.
    """
    mask = as_array("mask", mask, "[h, w]")
    h, w = mask.shape
    rows, columns = mask.any(1), mask.any(0)
    y0, x0 = jnp.argmax(rows), jnp.argmax(columns)
    y1, x1 = h - jnp.argmax(rows[::-1]), w - jnp.argmax(columns[::-1])
    box = jnp.stack([x0, y0, x1, y1]).astype(jnp.int32)
    if image_size is not None:
        # The first pixel whose centre lies at or past cell edge c of n cells over N pixels: ceil(c N / n - 1/2).
        cells = jnp.tile(map_size(size, (h, w))[::-1], 2)
        pixels = jnp.tile(as_size("image_size", image_size)[::-1], 2)
        box = -((cells - 2 * box * pixels) // jnp.maximum(2 * cells, 1))
    return jnp.where(mask.any(), box.astype(jnp.float32), jnp.nan)


@jitted()
def cells_to_pixels(box: ArrayLike, image_size: ArrayLike, *, size: ArrayLike) -> jax.Array:
    """Boxes of one map in pixels of its image, unrounded.

    Args:
        box: ``[..., 4]``, ``x0, y0, x1, y1`` in cells.
        image_size: int ``[2]``, the image's rows and columns.
        size: int ``[2]``, the map's.
    """
    pixels, cells = as_size("image_size", image_size), as_size("size", size)
    return _check_boxes(box) * jnp.tile(pixels[::-1] / jnp.maximum(cells[::-1], 1), 2)


@jitted()
def area(box: ArrayLike) -> jax.Array:
    """Area in square pixels of boxes ``[..., 4]``; zero for NaN or inverted boxes."""
    box = _check_boxes(box)
    side = jnp.maximum(jnp.nan_to_num(box[..., 2:] - box[..., :2]), 0)
    return side[..., 0] * side[..., 1]


@jitted()
def iou(a: ArrayLike, b: ArrayLike) -> jax.Array:
    """Intersection over union of boxes, broadcast over the leading axes.

    Args:
        a: ``[..., 4]``.
        b: ``[..., 4]``; all pairs are ``iou(a[:, None], b[None, :])``.

    Returns:
        ``[...]`` in [0, 1]; zero where either box is NaN or empty.
    """
    a, b = _check_boxes(a), _check_boxes(b)
    low, high = jnp.maximum(a[..., :2], b[..., :2]), jnp.minimum(a[..., 2:], b[..., 2:])
    intersection = area(jnp.concatenate([low, high], -1))
    union = area(a) + area(b) - intersection
    return jnp.where(union > 0, intersection / jnp.where(union > 0, union, 1), 0)
