"""Losses that compare distances of vectors: what an identity's images are drawn together by.

Liu, Tian, Wang, Pang & Huang, "Deep relative distance learning: tell the difference between similar vehicles", CVPR
2016 (coupled clusters); Schroff, Kalenichenko & Philbin, "FaceNet", CVPR 2015 (triplets of squared distances, which
``optax.losses.triplet_margin_loss`` takes the roots of).
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array
from jaxloc._jit import jitted


@jitted()
def coupled_clusters(positives: ArrayLike, negatives: ArrayLike, *, margin: ArrayLike = 0.3) -> jax.Array:
    """Draw vectors of one identity to their centre, and keep the nearest one of another away from it.

    ``c = mean f(x⁺)`` and ``L = Σᵢ ½ max(0, ‖fᵢ⁺ − c‖² + α − ‖f₋ − c‖²)``, where ``f₋`` is the negative nearest to
    ``c``. The centre is constant in the gradient, so each vector moves towards or away from it.

    Args:
        positives: ``[p, d]``, of one identity.
        negatives: ``[m, d]``, of others.
        margin: α.

    Returns:
        float32 scalar, the sum over the positives.
    """
    positives = as_array("positives", positives, "[p, d]", jnp.float32)
    negatives = as_array("negatives", negatives, "[m, d]", jnp.float32)
    centre = jax.lax.stop_gradient(positives.mean(0))
    near, far = (jnp.square(vectors - centre).sum(1) for vectors in (positives, negatives))
    return jnp.maximum(near + margin - far[far.argmin()], 0).sum() / 2


@jitted()
def triplets(anchors: ArrayLike, positives: ArrayLike, negatives: ArrayLike, *, margin: ArrayLike = 0.3) -> jax.Array:
    """``Σᵢ ½ max(0, ‖aᵢ − pᵢ‖² + α − ‖aᵢ − nᵢ‖²)``, float32 scalar; each argument is ``[n, d]``."""
    anchors, positives, negatives = (
        as_array(name, vectors, "[n, d]", jnp.float32)
        for name, vectors in (("anchors", anchors), ("positives", positives), ("negatives", negatives))
    )
    near, far = (jnp.square(anchors - others).sum(1) for others in (positives, negatives))
    return jnp.maximum(near + margin - far, 0).sum() / 2
