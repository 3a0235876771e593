"""The guided filter: probabilities that follow the edges of the image.

He, Sun & Tang, "Guided image filtering", ECCV 2010 and TPAMI 2013, with a colour image as the guide (equations 19 to
21 of the latter). The result is a linear function of the colours in every window. Windows are cut at the image's
border, as in the authors' code; their sums come from running sums along each axis, so that the cost does not depend on
the radius.

The authors' radius and regularisation for matting (60 pixels, 1e-6) are for a rough mask as wide as the hair it misses.
Maps of 16 pixels a cell are coarser; the defaults here were chosen on photographs whose longer side was 320 pixels: see
``benchmarks/refinement.py``.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._jit import jitted
from jaxloc.grids import valid_cells
from jaxloc.refinement._arguments import check_image


@jitted("radius", "eps")
def guided(
    image: ArrayLike, probabilities: ArrayLike, *, size: ArrayLike | None = None, radius: int = 25, eps: float = 1e-4
) -> jax.Array:
    """Filter one map of probabilities with the image as the guide.

    Args:
        image: RGB ``[h, w, 3]``; uint8 (0–255) or float in [0, 1].
        probabilities: float ``[h, w]`` of being object, from ``object_probabilities``.
        size: int ``[2]``, valid rows and columns of both; ``None`` means all.
        radius: a window has ``2 radius + 1`` rows and columns (static).
        eps: regularisation, in squares of the colours' range: windows whose colours vary less are only smoothed.

    Returns:
        float32 ``[h, w]`` in [0, 1], the object above 1/2; 0 outside ``size``.
    """
    colours, values = check_image(image, probabilities)
    if radius < 1 or not eps > 0:
        raise ValueError(f"radius must be at least 1 and eps above 0, got {radius} and {eps}")
    shape = values.shape[:2]
    valid = valid_cells(size, shape)[..., None]
    number = jnp.maximum(_box_sums(valid.astype(jnp.float32), radius), 1)

    def mean(x: jax.Array) -> jax.Array:
        return _box_sums(jnp.where(valid, x, 0), radius) / number

    # Deviations from the image's own mean: in float32 the variances are then differences of small numbers.
    pixels = jnp.maximum(valid.sum(), 1)
    guide = jnp.where(valid, colours / 255, 0)
    guide = guide - guide.sum((0, 1)) / pixels
    target = jnp.where(valid, values[..., None], 0)
    average, average_target = mean(guide), mean(target)
    pairs = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
    products = mean(jnp.stack([guide[..., i] * guide[..., j] for i, j in pairs], -1))
    covariance = products - jnp.stack([average[..., i] * average[..., j] for i, j in pairs], -1)
    with_target = mean(guide * target) - average * average_target
    slope = _solve_symmetric(covariance + eps * jnp.array([1.0, 0, 0, 1, 0, 1]), with_target)
    offset = average_target - (slope * average).sum(-1, keepdims=True)
    smooth = mean(jnp.concatenate([slope, offset], -1))
    filtered = (smooth[..., :3] * guide).sum(-1) + smooth[..., 3]
    return jnp.where(valid[..., 0], jnp.clip(filtered, 0, 1), 0)


def _box_sums(x: jax.Array, radius: int) -> jax.Array:
    """Sums of ``[h, w, channels]`` over windows of ``2 radius + 1`` pixels a side, cut at the border."""
    for axis in (0, 1):
        length = x.shape[axis]
        running = jnp.pad(jnp.cumsum(x, axis), [(int(axis == i), 0) for i in range(3)])
        place = jnp.arange(length)
        last, first = jnp.minimum(place + radius + 1, length), jnp.maximum(place - radius, 0)
        x = jnp.take(running, last, axis) - jnp.take(running, first, axis)
    return x


def _solve_symmetric(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Solve 3 × 3 systems, each given by its upper triangle in rows, by cofactors."""
    a, b, c, d, e, f = jnp.moveaxis(matrix, -1, 0)
    rows = ((d * f - e * e, c * e - b * f, b * e - c * d), (a * f - c * c, b * c - a * e), (a * d - b * b,))
    (xx, xy, xz), (yy, yz), (zz,) = rows
    determinant = a * xx + b * xy + c * xz
    p, q, r = jnp.moveaxis(right, -1, 0)
    solution = jnp.stack([xx * p + xy * q + xz * r, xy * p + yy * q + yz * r, xz * p + yz * q + zz * r], -1)
    return solution / determinant[..., None]
