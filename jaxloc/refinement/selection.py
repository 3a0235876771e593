"""From refined probabilities to the object's mask: the components that overlap the coarse mask.

A refiner may find further things of the object's colour. What shares no pixel with the coarse mask is dropped; where
nothing is left the coarse mask stands, and the result says so.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components
from jaxloc._checks import check_rank
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells


class Refined(NamedTuple):
    """The object of one image, to the pixel.

    Attributes:
        mask: bool ``[h, w]``.
        box: float ``[4]``, ``x0, y0, x1, y1`` around the mask; NaN where it is empty.
        refined: bool, False where refinement left nothing and ``mask`` is the coarse one (empty if that was).
    """

    mask: jax.Array
    box: jax.Array
    refined: jax.Array


@jitted("connectivity", "backend", nan=True)
def select(
    mask: ArrayLike,
    coarse: ArrayLike,
    *,
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> Refined:
    """Keep the components of one refined mask that overlap the coarse mask.

    Args:
        mask: bool ``[h, w]``, refined: probabilities above 1/2.
        coarse: bool ``[h, w]``, the mask of the method, enlarged by ``grids.upsample_nearest``.
        size: int ``[2]``, valid rows and columns of both; ``None`` means all.
        connectivity: 8 or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).

    Returns:
        ``Refined``; the coarse mask where nothing overlaps it.
    """
    mask, coarse = jnp.asarray(mask), jnp.asarray(coarse)
    check_rank("coarse", coarse, "[h, w]")
    if mask.shape != coarse.shape:
        raise ValueError(f"mask and coarse must have one size, got {mask.shape} and {coarse.shape}")
    if mask.dtype != jnp.bool_ or coarse.dtype != jnp.bool_:
        raise ValueError(f"mask and coarse must be bool, got {mask.dtype} and {coarse.dtype}; compare with a threshold")
    valid = valid_cells(size, coarse.shape[:2])
    coarse = coarse & valid
    labels = components.label(mask & valid, connectivity=connectivity, backend=backend)
    overlap = jnp.zeros(mask.size + 1, bool).at[labels].max(coarse)
    kept = (labels > 0) & overlap[labels]
    refined = kept.any()
    chosen = jnp.where(refined, kept, coarse)
    return Refined(chosen, boxes.mask_to_box(chosen, size=size), refined)
