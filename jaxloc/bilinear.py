"""Bilinear features: the outer products of an image's descriptors, summed over its cells.

Lin, RoyChowdhury & Maji, "Bilinear CNN models for fine-grained visual recognition", ICCV 2015, as Wei et al.,
"Piecewise classifier mappings", TIP 2019, section 3.2.1, use them. Ours: one network is both streams, and its
descriptors are first projected to a few axes, the leading eigenvectors of their uncentred second moment. The signed
square root and ℓ2 come last. Values of either sign are taken.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_masked
from jaxloc._derivatives import eigh
from jaxloc._jit import jitted
from jaxloc.encoding import signed_sqrt
from jaxloc.moments import Moments, covariance
from jaxloc.pooling import l2_normalize

_EXACT = jax.lax.Precision.HIGHEST


@jitted("dimension")
def fit_axes(moments: Moments, *, dimension: int) -> jax.Array:
    """Leading eigenvectors of the uncentred second moment, ``E[x xᵀ]``, as rows: float32 ``[k, d]``.

    To automatic differentiation they are constants.

    Args:
        moments: of the descriptors of many images, ``[d]``.
        dimension: ``k``, their number (static).
    """
    scatter = as_array("scatter", moments.scatter, "[d, d]")
    if not 0 < dimension <= len(scatter):
        raise ValueError(f"dimension must be from 1 to the descriptors' {len(scatter)}, got {dimension}")
    _, vectors = eigh(covariance(moments) + jnp.outer(moments.mean, moments.mean))
    return vectors[:, ::-1][:, :dimension].T


@jitted()
def descriptor(features: ArrayLike, mask: ArrayLike, *, axes: ArrayLike | None = None) -> jax.Array:
    """Sum of ``x xᵀ`` over the selected cells, its signed square root, of unit length (equations 3 and 4).

    Args:
        features: ``[h, w, d]``.
        mask: bool ``[h, w]``, True = selected.
        axes: ``[k, d]``, what descriptors are projected to, from ``fit_axes``; ``None`` leaves them as they are.

    Returns:
        float32 ``[k²]``, the ``k`` products with the first axis before those with the second; zeros for an empty mask.
    """
    features, mask = as_masked(features, mask)
    cells = jnp.where(mask[..., None], features.astype(jnp.float32), 0).reshape(-1, features.shape[-1])
    if axes is not None:
        cells = jnp.matmul(cells, as_array("axes", axes, "[k, d]", jnp.float32).T, precision=_EXACT)
    return l2_normalize(signed_sqrt(jnp.matmul(cells.T, cells, precision=_EXACT).reshape(-1)))
