"""CroW: sum-pooled descriptors, weighted by place and by how rarely each channel fires.

Kalantidis, Mellina & Osindero, "Cross-dimensional weighting for aggregated deep convolutional features", ECCV
workshops 2016. As in the released code, a channel that never fires has weight 0. The paper follows with
ℓ2-normalisation, PCA whitening and ℓ2-normalisation; whitening is fitted on a gallery and so left to the caller.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._derivatives import power
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells
from jaxloc.pooling import l2_normalize


@jitted("order", "root")
def spatial_weights(
    aggregation: ArrayLike, *, size: ArrayLike | None = None, order: float = 2.0, root: float = 2.0
) -> jax.Array:
    """Weight of every cell, ``(S / (Σ S^a)^(1/a))^(1/b)`` (equation 2).

    Args:
        aggregation: ``[h, w]``, ``S``: the sum of the activations over channels, or any other non-negative map;
            negative values count as zero.
        size: int ``[2]``, valid rows and columns of ``aggregation``; ``None`` means all.
        order: ``a``, of the norm that the map is divided by (2 in the paper).
        root: ``b``, the root taken of the result (2 in the paper); more flattens the weights.

    Returns:
        float32 ``[h, w]`` in [0, 1]; zero outside the valid cells, and everywhere for a map without activity.
    """
    aggregation = as_array("aggregation", aggregation, "[h, w]")
    valid = valid_cells(size, aggregation.shape[:2])
    activity = jnp.where(valid, jnp.maximum(aggregation.astype(jnp.float32), 0), 0)
    largest = activity.max(initial=0)
    activity = activity / jnp.where(largest > 0, largest, 1)
    norm = power(power(activity, order).sum(), 1 / order)
    return power(activity / jnp.where(norm > 0, norm, 1), 1 / root)


@jitted("epsilon")
def sparsity_weights(features: ArrayLike, *, size: ArrayLike | None = None, epsilon: float = 0.0) -> jax.Array:
    """Weight of every channel, ``log(Σ_j (Q_j + ε) / (Q_i + ε))``, ``Q`` the share of cells that fire (equation 6).

    Args:
        features: ``[h, w, d]``, non-negative (after a ReLU); a cell fires where its value exceeds zero.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        epsilon: ``ε``, 0 for CroW. Above zero, channels that never fire weigh most (Siméoni et al. 2019).

    Returns:
        float32 ``[d]``; with ``ε = 0`` a channel that never fires has weight 0.
    """
    features = as_array("features", features, "[h, w, d]")
    valid = valid_cells(size, features.shape[:2])[..., None]
    share = (valid & (features > 0)).sum((0, 1)) / jnp.maximum(valid.sum(), 1) + epsilon
    return jnp.where(share > 0, jnp.log(share.sum() / jnp.where(share > 0, share, 1)), 0)


@jitted()
def descriptor(features: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Descriptors summed with spatial weights, times the channels' sparsity weights, of unit length (algorithm 1).

    Args:
        features: ``[h, w, d]``, non-negative (after a ReLU).
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.

    Returns:
        float32 ``[d]``; zeros where nothing fires.
    """
    features = as_array("features", features, "[h, w, d]")
    valid = valid_cells(size, features.shape[:2])[..., None]
    selected = jnp.where(valid, features.astype(jnp.float32), 0)
    places = spatial_weights(selected.sum(-1), size=size)
    return l2_normalize((selected * places[..., None]).sum((0, 1)) * sparsity_weights(selected, size=size))
