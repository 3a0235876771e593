"""Late fusion: the scores of several streams that see the same thing, such as an image and sentences about it, added.

He & Peng, "Fine-grained image classification via combining vision and language", CVPR 2017. Each stream has its own
classifier; what is added are its probabilities, so that no stream outweighs another by the scale of its scores.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._jit import jitted


@jitted()
def late_fusion(scores: Sequence[ArrayLike], *, weights: ArrayLike | None = None) -> jax.Array:
    """Weighted mean of the streams' probabilities, float32 ``[..., c]``.

    Args:
        scores: of each stream, ``[..., c]``: logits of the same classes.
        weights: ``[s]``, of each stream, not negative; ``None`` weighs all alike.
    """
    stacked = jnp.stack([jnp.asarray(one, jnp.float32) for one in scores])
    shares = jnp.ones(len(stacked)) if weights is None else jnp.asarray(weights, jnp.float32)
    if shares.shape != stacked.shape[:1]:
        raise ValueError(f"weights must be [{len(stacked)}], one for each stream, got shape {shares.shape}")
    total = shares.sum()
    return jnp.tensordot(shares / jnp.where(total > 0, total, 1), jax.nn.softmax(stacked), 1)
