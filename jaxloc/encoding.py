"""VLAD and Fisher vectors of the selected descriptors of one image.

Jégou, Douze, Schmid & Pérez, "Aggregating local descriptors into a compact image representation", CVPR 2010;
Perronnin, Sánchez & Mensink, "Improving the Fisher kernel for large-scale image classification", ECCV 2010; compared
with average and max pooling, both with two clusters, by Wei et al., TIP 2017. The codebook is fitted on the
descriptors of many images (``jaxloc.clustering``, ``jaxloc.mixture``). Signed square root and ℓ2 come last; there is
no normalisation within clusters. An empty mask gives zeros, and cells outside the mask may hold anything.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_masked
from jaxloc._derivatives import sqrt
from jaxloc._jit import jitted
from jaxloc.clustering import KMeans, kmeans_sums
from jaxloc.mixture import GaussianMixture, mixture_sums
from jaxloc.pooling import l2_normalize


@jitted()
def signed_sqrt(vector: ArrayLike) -> jax.Array:
    """``sign(x) √|x|`` of every number, which keeps a few large ones from outweighing the rest."""
    vector = jnp.asarray(vector, jnp.float32)
    return jnp.sign(vector) * sqrt(jnp.abs(vector))


@jitted("normalize")
def vlad(model: KMeans, features: ArrayLike, mask: ArrayLike, *, normalize: bool = True) -> jax.Array:
    """Sum over each cluster of the differences between its descriptors and its centre, ``Σ (x − c_k)``.

    Args:
        model: k-means of ``k`` clusters.
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected.
        normalize: take the signed square root, then scale to unit length (static).

    Returns:
        float32 ``[k d]``, cluster after cluster.
    """
    features, mask = as_masked(features, mask)
    encoded = kmeans_sums(model, features, mask).sums.reshape(-1)
    return l2_normalize(signed_sqrt(encoded)) if normalize else encoded


@jitted("normalize")
def fisher_vector(
    mixture: GaussianMixture, features: ArrayLike, mask: ArrayLike, *, normalize: bool = True
) -> jax.Array:
    """Gradient of the descriptors' log-likelihood with respect to the means and deviations of a mixture.

    With ``z = (x − μ_k) / σ_k`` and responsibilities ``q_k`` of the ``N`` selected descriptors, the blocks are
    ``u_k = Σ q_k z / (N √w_k)`` and ``v_k = Σ q_k (z² − 1) / (N √(2 w_k))``: the factors are the Fisher information's
    diagonal in closed form. The gradient with respect to the weights is left out, as in VLFeat (scikit-image puts it
    first, and has the opposite sign in ``v``).

    Args:
        mixture: of ``k`` components.
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected.
        normalize: take the signed square root, then scale to unit length: the "improved" Fisher vector (static).

    Returns:
        float32 ``[2 k d]``: ``u_1 … u_k``, then ``v_1 … v_k``; zeros for a component of no weight.
    """
    features, mask = as_masked(features, mask)
    sums = mixture_sums(mixture, features, mask)
    number = jnp.maximum(mask.sum(), 1)
    scale = number * jnp.sqrt(jnp.where(mixture.weights > 0, mixture.weights, 1))[:, None]
    of_means = sums.sums / jnp.sqrt(mixture.variances) / scale
    of_deviations = (sums.squares / mixture.variances - sums.counts[:, None]) / (scale * jnp.sqrt(2.0))
    encoded = jnp.concatenate([of_means.reshape(-1), of_deviations.reshape(-1)])
    return l2_normalize(signed_sqrt(encoded)) if normalize else encoded
