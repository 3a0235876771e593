"""Pooling of the selected descriptors of one feature map into one vector.

Wei et al., "Selective convolutional descriptor aggregation for fine-grained image retrieval", TIP 2017, section
III-C; Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2019
(generalized mean). An empty mask gives zeros, never NaN.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_masked
from jaxloc._jit import jitted


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
def average_pool(features: ArrayLike, mask: ArrayLike) -> jax.Array:
    """Mean of the selected descriptors, float32 ``[d]``.

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected.
    """
    features, mask = _check(features, mask)
    return jnp.where(mask, features, 0).sum((0, 1)) / jnp.maximum(mask.sum(), 1)


@jitted()
def max_pool(features: ArrayLike, mask: ArrayLike) -> jax.Array:
    """Largest value of each channel over the selected descriptors: MAC, where all valid cells are selected.

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected.

    Returns:
        float32 ``[d]``.
    """
    features, mask = _check(features, mask)
    return jnp.where(mask.any(), jnp.where(mask, features, -jnp.inf).max((0, 1), initial=-jnp.inf), 0)


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
    features, mask = _check(features, mask)
    features = jnp.where(mask, jnp.maximum(features, epsilon), epsilon)
    largest = features.max((0, 1), initial=epsilon)
    power = jnp.asarray(power, jnp.float32)
    powered = jnp.where(mask, (features / largest) ** power, 0).sum((0, 1))
    mean = jnp.where(mask.any(), powered / jnp.maximum(mask.sum(), 1), 1)
    return jnp.where(mask.any(), largest * mean ** (1 / power), 0)


@jitted()
def average_max_pool(features: ArrayLike, mask: ArrayLike) -> jax.Array:
    """Average- and max-pooled descriptors, each ℓ2-normalised on its own, concatenated: SCDA's vector.

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected.

    Returns:
        float32 ``[2 d]``, average first; the concatenation is not normalised again.
    """
    return jnp.concatenate([l2_normalize(average_pool(features, mask)), l2_normalize(max_pool(features, mask))])


def _check(features: ArrayLike, mask: ArrayLike) -> tuple[jax.Array, jax.Array]:
    features, mask = as_masked(features, mask)
    return features.astype(jnp.float32), mask[..., None]
