"""From a response map to the probability that each pixel of the image is object.

The map is enlarged bilinearly, with samples at half-pixel centres, and a logistic function makes probabilities of it.
Its slope comes from the map's own spread, because the scale of DDT's indicator differs from set to set: a pixel one
root mean square above the threshold has the log odds ``sharpness``, a pixel on the threshold the probability 1/2.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._derivatives import sqrt
from jaxloc._jit import jitted
from jaxloc.grids import map_size, valid_cells

_HIGHEST = jax.lax.Precision.HIGHEST


@jitted("shape", "sharpness")
def object_probabilities(
    indicator: ArrayLike,
    shape: tuple[int, int],
    *,
    mask: ArrayLike | None = None,
    size: ArrayLike | None = None,
    target_size: ArrayLike | None = None,
    sharpness: float = 2.0,
) -> jax.Array:
    """Probability of being object at each pixel, ``σ(sharpness · P / √mean(P²))``.

    Args:
        indicator: float ``[h, w]``, the response minus its threshold: DDT's ``P¹``, or SCDA's aggregation map minus
            its mean. Positive means object; cells that are not finite count as zero.
        shape: rows and columns of the result (static).
        mask: bool ``[h, w]``, the coarse mask: positive cells outside it, which are of another thing, count as zero;
            ``None`` means that all positive cells are of the object.
        size: int ``[2]``, valid rows and columns of ``indicator``; ``None`` means all.
        target_size: int ``[2]``, the valid rows and columns of the result, over which the valid cells are spread;
            ``None`` means all of ``shape``.
        sharpness: log odds at one root mean square.

    Returns:
        float32 ``[rows, columns]`` in [0, 1]; 1/2 everywhere for a map of zeros, and 0 outside ``target_size``.
    """
    indicator = as_array("indicator", indicator, "[h, w]", jnp.float32)
    valid = valid_cells(size, indicator.shape[:2])
    cells = jnp.where(valid & jnp.isfinite(indicator), indicator, 0)
    if mask is not None:
        mask = jnp.asarray(mask, bool)
        if mask.shape != cells.shape:
            raise ValueError(f"mask must be of the indicator's size {cells.shape}, got shape {mask.shape}")
        cells = jnp.where(mask, cells, jnp.minimum(cells, 0))
    largest = jnp.abs(cells).max()
    cells = cells / jnp.where(largest > 0, largest, 1)  # squares then neither overflow nor vanish
    spread = sqrt((cells**2).sum() / jnp.maximum(valid.sum(), 1))
    log_odds = sharpness * cells / jnp.where(spread > 0, spread, 1)
    enlarged = upsample_bilinear(log_odds, shape, size=size, target_size=target_size)
    return jnp.where(valid_cells(target_size, shape), jax.nn.sigmoid(enlarged), 0)


@jitted("shape")
def upsample_bilinear(
    values: ArrayLike, shape: tuple[int, int], *, size: ArrayLike | None = None, target_size: ArrayLike | None = None
) -> jax.Array:
    """Enlarge one map to an image's pixels, bilinearly between the centres of its cells, float32 ``[rows, columns]``.

    Pixel ``y`` of ``H`` lies at ``(y + 1/2) h / H − 1/2`` cells; before the first centre and after the last the border
    values repeat.

    Args:
        values: ``[h, w]``.
        shape: rows and columns of the result (static).
        size: int ``[2]``, valid rows and columns of ``values``; ``None`` means all.
        target_size: int ``[2]``, the valid rows and columns of the result, over which the valid ``values`` are
            spread; beyond them the result is zero. ``None`` means all of ``shape``.
    """
    values = as_array("values", values, "[h, w]", jnp.float32)
    cells = map_size(size, values.shape[:2])
    pixels = jnp.maximum(map_size(target_size, shape), 1)
    inside = jnp.where(valid_cells(size, values.shape[:2]), values, 0)
    down, across = (_weights(cells[axis], values.shape[axis], pixels[axis], shape[axis]) for axis in (0, 1))
    enlarged = jnp.einsum("yh,hw,xw->yx", down, inside, across, precision=_HIGHEST)
    return jnp.where(valid_cells(target_size, shape), enlarged, 0)


def _weights(cells: jax.Array, length: int, pixels: jax.Array, number: int) -> jax.Array:
    """Weights ``[number, length]`` of the cells at each pixel."""
    # In whole numbers as far as they go, so that an image mirrored gets its weights mirrored.
    twice = (2 * jnp.arange(number) + 1) * cells - pixels
    place = jnp.clip(twice / (2 * pixels), 0, jnp.maximum(cells - 1, 0))
    return jnp.maximum(1 - jnp.abs(place[:, None] - jnp.arange(length)), 0)
