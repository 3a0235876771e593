"""Feature saliency: activations, weighed by how rarely their channel fires."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import crow
from jaxloc._checks import as_array
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells


@jitted("epsilon")
def feature_saliency(features: ArrayLike, *, size: ArrayLike | None = None, epsilon: float = 1e-6) -> jax.Array:
    """Sum over channels of the activations times the channel's weight (equations 1 and 2), normalised as in CroW.

    The paper leaves the scale to the norm of the map, which depends on its size. Here the map is divided by its
    maximum, so that thresholds are shares of it.

    Args:
        features: ``[h, w, d]``, non-negative (after a ReLU).
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        epsilon: ``ε``, added to the share of cells at which a channel fires.

    Returns:
        float32 ``[h, w]`` in [0, 1], the largest value 1; zero outside the valid cells, and everywhere where nothing
        fires.
    """
    features = as_array("features", features, "[h, w, d]")
    valid = valid_cells(size, features.shape[:2])[..., None]
    activations = jnp.where(valid, features.astype(jnp.float32), 0)
    weights = crow.sparsity_weights(activations, size=size, epsilon=epsilon)
    total = jnp.matmul(activations, weights, precision=jax.lax.Precision.HIGHEST)
    saliency = crow.spatial_weights(total, size=size)
    largest = saliency.max()
    return saliency / jnp.where(largest > 0, largest, 1)
