"""Pooling of the selected or weighted descriptors of one feature map into one vector.

Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP 2017, section
III-C; Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019
(generalized mean); Wei et al., "Mask-CNN", PR 2018 (weights). An empty mask gives zeros, never NaN.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_masked
from jaxloc._jit import jitted
from jaxloc.grids import valid_cells


@jitted()
def l2_normalize(vector: ArrayLike) -> jax.Array:
    """Scale ``[..., d]`` to unit length along the last axis; zero vectors stay zero."""
    vector = jnp.asarray(vector, jnp.float32)
    largest = jnp.abs(vector).max(-1, keepdims=True)
    scaled = vector / jnp.where(largest > 0, largest, 1)
    square = jnp.square(scaled).sum(-1, keepdims=True)
    length = jnp.sqrt(jnp.where(square > 0, square, 1))
    return scaled / jnp.where(square > 0, length, 1)


@jitted()
def average_pool(features: ArrayLike, mask: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Mean of the selected descriptors, or of all weighted ones, float32 ``[d]``.

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected; or float, weights in [0, 1] that descriptors are multiplied by, as
            Mask-CNN does. The mean is then over all cells.
        size: int ``[2]``, with weights: valid rows and columns; ``None`` means all.
    """
    weighted, counted = _check(features, mask, size)
    return weighted.sum((0, 1)) / jnp.maximum(counted.sum(), 1)


@jitted()
def max_pool(features: ArrayLike, mask: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Largest value of each channel over the selected descriptors: MAC, where all valid cells are selected.

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected; or weights, as in ``average_pool``: the largest of all products.
        size: int ``[2]``, with weights: valid rows and columns; ``None`` means all.

    Returns:
        float32 ``[d]``.
    """
    weighted, counted = _check(features, mask, size)
    return jnp.where(counted.any(), jnp.where(counted, weighted, -jnp.inf).max((0, 1), initial=-jnp.inf), 0)


@jitted("power", "epsilon")
def generalized_mean_pool(
    features: ArrayLike, mask: ArrayLike, *, power: ArrayLike = 3.0, epsilon: float = 1e-6
) -> jax.Array:
    """Generalized mean (GeM) of each channel over the selected descriptors, ``(mean x^p)^(1/p)``.

    Values are divided by the channel's largest first, so that no power overflows: ``power`` 1 is the average, and
    as it grows the result tends to ``max_pool``.

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected.
        power: ``p``, above zero; one number, or one for each channel ``[d]``. 3 is where the paper's training begins.
        epsilon: smaller values are raised to it (1e-6, the released code).

    Returns:
        float32 ``[d]``, not normalised; zeros for an empty mask.
    """
    for name, number in (("power", power), ("epsilon", epsilon)):
        if isinstance(number, int | float) and not number > 0:
            raise ValueError(f"{name} must be above zero, got {number}")
    features, mask = as_masked(features, mask)
    features, mask = features.astype(jnp.float32), mask[..., None]
    features = jnp.where(mask, jnp.maximum(features, epsilon), epsilon)
    largest = features.max((0, 1), initial=epsilon)
    power = jnp.asarray(power, jnp.float32)
    powered = jnp.where(mask, (features / largest) ** power, 0).sum((0, 1))
    mean = jnp.where(mask.any(), powered / jnp.maximum(mask.sum(), 1), 1)
    return jnp.where(mask.any(), largest * mean ** (1 / power), 0)


@jitted()
def average_max_pool(features: ArrayLike, mask: ArrayLike, *, size: ArrayLike | None = None) -> jax.Array:
    """Average- and max-pooled descriptors, each ℓ2-normalised on its own, concatenated: SCDA's and Mask-CNN's vector.

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected; or weights in [0, 1], as in ``average_pool``.
        size: int ``[2]``, with weights: valid rows and columns; ``None`` means all.

    Returns:
        float32 ``[2 d]``, average first; the concatenation is not normalised again.
    """
    pooled = (function(features, mask, size=size) for function in (average_pool, max_pool))
    return jnp.concatenate([l2_normalize(vector) for vector in pooled])


def _check(features: ArrayLike, mask: ArrayLike, size: ArrayLike | None) -> tuple[jax.Array, jax.Array]:
    """Descriptors times their weights, 0 where these are, and the cells that count, bool ``[h, w, 1]``."""
    weights = jnp.asarray(mask)
    if jnp.issubdtype(weights.dtype, jnp.floating):
        features, selected = as_masked(features, weights > 0)
        counted = valid_cells(size, features.shape[:2])
    else:
        features, selected = as_masked(features, mask)
        counted = selected
    chosen = jnp.where((selected & counted)[..., None], features.astype(jnp.float32), 0)
    return chosen * weights.astype(jnp.float32)[..., None], counted[..., None]
