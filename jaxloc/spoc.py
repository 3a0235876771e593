"""SPoC: the sum of an image's descriptors, optionally weighted towards its centre.

Babenko & Lempitsky, "Aggregating deep convolutional features for image retrieval", ICCV 2015. The paper follows with
PCA whitening and ℓ2-normalisation, which are fitted on a gallery and so left to the caller. The paper writes the
centre as ``(W/2, H/2)`` of cells counted from 1, half a cell off; here a cell's place is its middle, so that the prior
of a mirrored image is the mirrored prior.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, check_rank
from jaxloc._jit import jitted
from jaxloc.grids import map_size, valid_cells
from jaxloc.pooling import l2_normalize


@jitted("shape")
def center_prior(shape: tuple[int, ...], *, size: ArrayLike | None = None) -> jax.Array:
    """Gaussian weights around the centre of the valid cells; ``σ`` is a third of the way to the closest border.

    Args:
        shape: the map's padded rows and columns (static).
        size: int ``[2]``, valid rows and columns; ``None`` means all.

    Returns:
        float32 ``[rows, columns]`` in [0, 1]; zero outside the valid cells.
    """
    extent = map_size(size, shape)
    check_rank("size", extent, "[2]")
    sigma = jnp.maximum(extent.min(), 1) / 6
    y, x = (jnp.arange(length) + 0.5 - extent[axis] / 2 for axis, length in enumerate(shape))
    weights = jnp.exp(-(jnp.square(y)[:, None] + jnp.square(x)[None, :]) / (2 * jnp.square(sigma)))
    return jnp.where(valid_cells(size, shape), weights, 0)


@jitted("center")
def descriptor(features: ArrayLike, *, size: ArrayLike | None = None, center: bool = True) -> jax.Array:
    """Sum-pooled descriptors of one image, of unit length (equations 1 to 3, before whitening).

    Args:
        features: ``[h, w, d]``.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        center: weight by ``center_prior`` (static); the paper does, but for one of its data sets.

    Returns:
        float32 ``[d]``; zeros where nothing fires.
    """
    features = as_array("features", features, "[h, w, d]")
    shape = features.shape[:2]
    valid = valid_cells(size, shape)[..., None]
    selected = jnp.where(valid, features.astype(jnp.float32), 0)
    if center:
        selected *= center_prior(shape, size=size)[..., None]
    return l2_normalize(selected.sum((0, 1)))
