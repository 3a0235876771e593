"""Spread a map over the cells of an image that are alike, and cut it at shares of the image's own strength.

DDT's indicator is strongest at the parts that tell the object best, such as a head, and weakly positive on whatever
else the set's images share, such as a shore behind boats. Each cell here takes the mean of the cells that are like it,
weighted by the cosine of their descriptors less the set's mean, so that a body takes from its head; and the threshold
rises with what is positive in the image, so that weak cells are object only where nothing is strong. No threshold is
right for every image: the box is the mean of those of several. The random walk over alike cells is that of Meila & Shi,
"A random walks view of spectral segmentation", AISTATS 2001, for one step.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import boxes, components, pooling
from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells
from jaxloc.localization import Localization

_ROWS_AT_ONCE = 256
"""Rows of the table of cosines that are in memory at a time."""


@jitted()
def spread(indicator: ArrayLike, features: ArrayLike, mean: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Mean of a map over the cells that are like each, ``Σⱼ wᵢⱼ pⱼ / Σⱼ wᵢⱼ``, float32 ``[h, w]``.

    The weight ``wᵢⱼ`` is the cosine of ``xᵢ − x̄`` and ``xⱼ − x̄`` where it is positive, else 0.

    Args:
        indicator: ``[h, w]``, ``p``.
        features: ``[h, w, d]``, ``x``.
        mean: ``[d]``, ``x̄`` of the set.
        size: int ``[2]``, valid rows and columns; ``None`` means all. Other cells are 0.
    """
    indicator = as_array("indicator", indicator, "[h, w]", jnp.float32)
    features = as_array("features", features, "[h, w, d]", jnp.float32)
    valid = valid_cells(size, indicator.shape)
    cells = pooling.l2_normalize(jnp.where(valid[..., None], features - jnp.asarray(mean), 0))
    cells = cells.reshape(-1, features.shape[-1])
    values = jnp.where(valid, indicator, 0).ravel()

    def mean_of_alike(cell: jax.Array) -> jax.Array:
        weights = jnp.maximum(jnp.matmul(cells, cell, precision="highest"), 0)
        total = weights.sum()
        return jnp.where(total > 0, weights @ values / jnp.where(total > 0, total, 1), 0)

    return jax.lax.map(mean_of_alike, cells, batch_size=_ROWS_AT_ONCE).reshape(valid.shape)


@jitted("connectivity", "backend", nan=True)
def localize(
    values: ArrayLike,
    image_size: ArrayLike,
    *,
    shares: Sequence[float] = (0.3, 0.4, 0.5, 0.6),
    size: ArrayLike | None = None,
    connectivity: int = 8,
    backend: components.Backend = "auto",
) -> Localization:
    """The object of one image: the largest component of the cells that exceed a share of the map's strength.

    The strength is the mean of the positive values weighted by themselves; the threshold is ``τ Σ v² / Σ v``. The mask
    is that of the mean of the shares, the box the mean of the boxes of each. The score is ``s / (1 + s)``, with ``s``
    the mean inside the mask.

    Args:
        values: ``[h, w]``, from ``spread``, in standard deviations over the set; positive where a cell resembles the
            object.
        image_size: int ``[2]``, rows and columns of the original image, in whose pixels the box is.
        shares: ``τ`` of each threshold.
        size: int ``[2]``, valid rows and columns of ``values``; ``None`` means all.
        connectivity: 8 or 4 (static).
        backend: where components are labelled: ``"auto"``, ``"host"`` or ``"device"``, see ``components`` (static).

    Returns:
        ``Localization``, whose ``response`` is the map less the threshold of the mean share. ``positive_share`` is the
        share of valid cells that are positive.
    """
    values = as_array("values", values, "[h, w]", jnp.float32)
    valid = valid_cells(size, values.shape)
    positive = jnp.where(valid, jnp.maximum(values, 0), 0)
    total = positive.sum()
    strength = jnp.square(positive).sum() / jnp.where(total > 0, total, 1)

    def largest(share: jax.Array) -> jax.Array:
        above = valid & (values > share * strength)
        return components.largest_component(above, connectivity=connectivity, backend=backend)

    def box(mask: jax.Array) -> jax.Array:
        return boxes.mask_to_box(mask, image_size, size=size)

    each = jnp.asarray(shares, jnp.float32)
    masks = jax.vmap(largest)(jnp.append(each, each.mean()))
    mask = masks[-1]
    found = mask.any()
    inside = jnp.where(mask, values, 0).sum() / jnp.maximum(mask.sum(), 1)
    return Localization(
        response=values - each.mean() * strength,
        mask=mask,
        box=jax.vmap(box)(masks[:-1]).mean(0),
        found=found,
        score=jnp.where(found, inside / (1 + inside), 0),
        positive_share=(positive > 0).sum() / jnp.maximum(valid.sum(), 1),
    )
