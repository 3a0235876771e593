"""LOST: the object of a single image, from the patch that is like the fewest others.

Siméoni, Puy, Vo, Roburin, Gidaris, Bursuc, Pérez, Marlet & Ponce, "Localizing objects with self-supervised transformers
and no labels", BMVC 2021. Features are the keys of a vision transformer's last block (DINO's in the paper); two patches
are alike if the product of their features is positive, so features of both signs are presumed. The seed is the patch
that is like the fewest others; the patches like it among the ``k`` of fewest likes are added to it, and the object is
the component of the patches like their sum that holds the seed (4-connected in the released code).

Of patches that are like equally few others the first in raster order comes first, where the released code leaves the
order to its sort. The released code fails where the seed is not like the sum; here nothing is found then.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components
from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells
from jaxloc.localization import Localization

_ROWS_AT_ONCE = 256
"""Rows of the table of likes that are in memory at a time."""


@jitted()
def likes(features: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Number of other patches that each patch is like (equation 1), int32 ``[h, w]``; 0 outside the valid cells.

    Args:
        features: ``[h, w, d]``.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
    """
    features = as_array("features", features, "[h, w, d]", jnp.float32)
    valid = valid_cells(size, features.shape[:2])
    patches = jnp.where(valid[..., None], features, 0).reshape(-1, features.shape[-1])

    def count(patch: jax.Array) -> jax.Array:
        others = (jnp.matmul(patches, patch, precision="highest") > 0).sum(dtype=jnp.int32)
        return others - (patch @ patch > 0)

    return jax.lax.map(count, patches, batch_size=_ROWS_AT_ONCE).reshape(valid.shape)


@jitted("k")
def similarity(features: ArrayLike, *, k: int = 100, size: ArrayLike | None = None) -> tuple[jax.Array, jax.Array]:
    """How like each patch is to the expanded seed, float32 ``[h, w]``, and the seed's number in raster order.

    Args:
        features: ``[h, w, d]``.
        k: number of patches of fewest likes that the seed is expanded among (static); the paper's is 100.
        size: int ``[2]``, valid rows and columns; ``None`` means all.
    """
    features = as_array("features", features, "[h, w, d]", jnp.float32)
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    valid = valid_cells(size, features.shape[:2])
    patches = jnp.where(valid[..., None], features, 0).reshape(-1, features.shape[-1])
    order = jnp.argsort(jnp.where(valid, likes(features, size=size), valid.size + 1).ravel(), stable=True)
    seed = order[0]
    first = patches[order[:k]]
    similar = jnp.matmul(first, patches[seed], precision="highest") > 0
    added = jnp.where(similar[:, None], first, 0).sum(0)
    return jnp.matmul(patches, added, precision="highest").reshape(valid.shape), seed


@jitted("k", "connectivity", "backend", nan=True)
def localize(
    features: ArrayLike,
    image_size: ArrayLike,
    *,
    k: int = 100,
    size: ArrayLike | None = None,
    connectivity: int = 4,
    backend: components.Backend = "auto",
) -> Localization:
    """The object of one image; the score is the share of the other patches that the seed is not like.

    Args:
        features: ``[h, w, d]``, of both signs.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        k: number of patches of fewest likes that the seed is expanded among (static).
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        connectivity: 4 (the released code) or 8 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).

    Returns:
        ``Localization``, whose ``response`` is ``similarity``.
    """
    response, seed = similarity(features, k=k, size=size)
    valid = valid_cells(size, response.shape)
    alike = valid & (response > 0)
    mask = components.component_with(alike, seed, connectivity=connectivity, backend=backend)
    cells = jnp.maximum(valid.sum(), 1)
    found = mask.any()
    like = likes(features, size=size).ravel()[seed]
    return Localization(
        response=response,
        mask=mask,
        box=boxes.mask_to_box(mask, image_size, size=size),
        found=found,
        score=jnp.where(found, 1 - (like + 1) / cells, 0),
        positive_share=alike.sum() / cells,
    )
