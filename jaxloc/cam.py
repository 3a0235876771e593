"""CAM: the cells of an image that speak for a class, in one pass of the network.

Zhou, Khosla, Lapedriza, Oliva & Torralba, "Learning deep features for discriminative localization", CVPR 2016. For a
classifier whose head averages the last feature map and is linear, the class's score is the mean of ``Σ_c w_c x_c`` over
the cells. ``localization.of_peak`` makes an object of the map.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted


@jitted()
def activation_map(features: ArrayLike, weights: ArrayLike) -> jax.Array:
    """What each cell adds to a class's score, ``Σ_c w_c x_c``, float32 ``[h, w]``.

    Args:
        features: ``[h, w, d]``, the map that the head averages.
        weights: ``[d]``, the head's weights of the class; a weighted sum of several classes' for all of them.

    Raises:
        ValueError: ``features`` is not one map, or ``weights`` are of another length.
    """
    features = as_array("features", features, "[h, w, d]")
    weights = as_array("weights", weights, "[d]")
    if weights.shape != features.shape[2:]:
        raise ValueError(f"weights must be [{features.shape[2]}], one for each channel, got shape {weights.shape}")
    return (features.astype(jnp.float32) * weights.astype(jnp.float32)).sum(-1)
