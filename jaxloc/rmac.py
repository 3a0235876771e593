"""R-MAC: max-pooled square regions on a grid of several scales, each normalised, summed into one vector.

Tolias, Sicre & Jégou, "Particular object retrieval with integral max-pooling of CNN activations", ICLR 2016. The
regions are those of the authors' MATLAB code and of its PyTorch version by Radenović, in their order: by level, then
row, then column. Here they are found in exact integers, and of equal overlaps the fewest regions are taken; the
published codes round.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted, standard_promotion
from jaxloc.grids import box_cells, map_size
from jaxloc.pooling import l2_normalize, max_pool

Whitening = Callable[[jax.Array], jax.Array] | tuple[ArrayLike, ArrayLike]

# The longer side gets 2 to 7 regions at the first level, whichever overlap is closest to 0.4. With k = regions − 1,
# short side s and excess e, |1 − e / (k s) − 0.4| is |36 s − (60 / k) e| / (60 s).
_SIXTY_OVER_STEPS = 60 // np.arange(1, 7)


class Regions(NamedTuple):
    """The regions of one map, in slots whose number depends on the levels alone.

    Attributes:
        boxes: int32 ``[r, 4]``, ``x0, y0, x1, y1`` in cells, half-open; zeros in unused slots.
        valid: bool ``[r]``, True where a slot holds a region.
    """

    boxes: jax.Array
    valid: jax.Array


class RegionVectors(NamedTuple):
    """The regions' max-pooled vectors.

    Attributes:
        vectors: float32 ``[r, d]``, of unit length; zeros in unused slots.
        valid: bool ``[r]``, True where a slot holds a region.
    """

    vectors: jax.Array
    valid: jax.Array


@jitted("levels")
def regions(size: ArrayLike, *, levels: int = 3) -> Regions:
    """Square regions of a map at several scales (section 3.2).

    Level ``l`` has squares of side ``⌊2 min(rows, columns) / (l + 1)⌋``, ``l`` along the shorter side and ``l + k``
    along the longer, evenly spread.

    Args:
        size: int ``[2]``, the map's valid rows and columns; may be traced.
        levels: how many scales (static).

    Returns:
        ``Regions`` with ``Σ_l l (l + 6)`` slots (50 for three levels); a region may appear more than once, as it does
        in the published code.
    """
    size = as_array("size", size, "[2]", jnp.int32)
    if levels < 1:
        raise ValueError(f"levels must be at least 1, got {levels}")
    height, width = size
    short = size.min()
    excess = size.max() - short
    extra = jnp.where(excess > 0, jnp.argmin(jnp.abs(36 * short - _SIXTY_OVER_STEPS * excess)) + 1, 0)
    boxes, valid = [], []
    for level in range(1, levels + 1):
        side = 2 * short // (level + 1)
        rows = level + jnp.where(height > width, extra, 0)
        columns = level + jnp.where(width > height, extra, 0)
        slots = jnp.arange(level * (level + len(_SIXTY_OVER_STEPS)))
        row, column = slots // columns, slots % columns
        y = row * (height - side) // jnp.maximum(rows - 1, 1)
        x = column * (width - side) // jnp.maximum(columns - 1, 1)
        boxes.append(jnp.stack([x, y, x + side, y + side], 1))
        valid.append((row < rows) & (side > 0))
    used = jnp.concatenate(valid)
    return Regions(jnp.where(used[:, None], jnp.concatenate(boxes), 0).astype(jnp.int32), used)


@jitted("levels", "include_global")
def region_vectors(
    features: ArrayLike, *, size: ArrayLike | None = None, levels: int = 3, include_global: bool = False
) -> RegionVectors:
    """Max-pooled, ℓ2-normalised vector of every region: what a whitening of regions is fitted on.

    Regions are pooled one after another, so memory does not grow with their number.

    Args:
        features: ``[h, w, d]``.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        levels: how many scales (static).
        include_global: put the vector of the whole map, MAC, first (static), as the PyTorch version does.
    """
    features = as_array("features", features, "[h, w, d]")
    height, width = features.shape[:2]
    extent = map_size(size, (height, width))
    boxes, valid = regions(extent, levels=levels)
    if include_global:
        whole = jnp.concatenate([jnp.zeros(2, jnp.int32), extent[::-1]])
        boxes = jnp.concatenate([whole[None], boxes])
        valid = jnp.concatenate([(extent > 0).all()[None], valid])

    def pool(box: jax.Array) -> jax.Array:
        return max_pool(features, box_cells(box, (height, width)))

    return RegionVectors(l2_normalize(jax.lax.map(pool, boxes)), valid)


@standard_promotion()
def descriptor(
    features: ArrayLike,
    *,
    size: ArrayLike | None = None,
    levels: int = 3,
    include_global: bool = False,
    whitening: Whitening | None = None,
) -> jax.Array:
    """Sum of the regions' vectors, of unit length (section 3.2).

    Args:
        features: ``[h, w, d]``.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        levels: how many scales (static).
        include_global: add the vector of the whole map, MAC (static), as the PyTorch version does.
        whitening: of each region's vector before the sum, ℓ2-normalised again after: a function ``[d] → [k]``
            (static), or ``(mean [d], projection [k, d])`` for ``projection · (x − mean)``.

    Returns:
        float32 ``[d]``, or ``[k]`` with a whitening; zeros if there is no region.

    Raises:
        ValueError: ``features`` is not one map, there is no level, or the whitening is of another dimension.
        TypeError: the whitening is a named tuple, whose projection may lie the other way round.
    """
    vectors, valid = region_vectors(features, size=size, levels=levels, include_global=include_global)
    if whitening is not None:
        vectors = l2_normalize(_whiten(vectors, whitening))
    return l2_normalize(jnp.where(valid[:, None], vectors, 0).sum(0))


def _whiten(vectors: jax.Array, whitening: Whitening) -> jax.Array:
    if callable(whitening):
        return jax.vmap(whitening)(vectors)
    if hasattr(whitening, "_fields"):
        # Such as whitening.Whitening, whose projection is [d, k]: a square one would go unnoticed.
        name = type(whitening).__name__
        raise TypeError(f"whitening must be a function or a plain (mean, projection), got {name}; pass a function")
    mean, projection = (jnp.asarray(part, jnp.float32) for part in whitening)
    dimension = vectors.shape[1]
    if mean.shape != (dimension,) or projection.ndim != 2 or projection.shape[1] != dimension:
        raise ValueError(
            f"whitening must be (mean [{dimension}], projection [k, {dimension}]), got {mean.shape}, {projection.shape}"
        )
    return jnp.matmul(vectors - mean, projection.T, precision=jax.lax.Precision.HIGHEST)
