"""Object saliency: what is like the salient regions that are frequent in a set (sections 3.6 to 3.8)."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import graphs, ranking, whitening
from jaxloc._checks import as_array
from jaxloc._derivatives import power
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.grids import valid_cells
from jaxloc.pooling import l2_normalize
from jaxloc.whitening import Whitening

_IMAGES_EACH = 4  # Regions that one dimension of the whitening needs.


class ObjectModel(NamedTuple):
    """What is kept of a set's regions, to find its objects in any image.

    Attributes:
        vectors: float32 ``[n, k]``, of unit length after the whitening.
        values: float32 ``[n]``, ``f^θ g``: saliency raised to a power, times centrality.
        whitening: of vectors ``[d]``; ``None`` compares them as they are.
    """

    vectors: jax.Array
    values: jax.Array
    whitening: Whitening | None = None


@jitted("neighbors", "exponent", "alpha")
def centrality(
    vectors: ArrayLike,
    *,
    valid: ArrayLike | None = None,
    neighbors: int = 50,
    exponent: float = 3.0,
    alpha: float = 0.99,
) -> jax.Array:
    """Katz centrality of each region in the mutual nearest-neighbour graph of a set (equations 11 to 13), ``g``.

    Args:
        vectors: ``[n, d]``, of unit length.
        valid: bool ``[n]``, False for rows that hold no region; ``None`` means all are valid.
        neighbors: of each region in the graph, at most n - 1 (static); 50 in the paper.
        exponent: ``β``, of similarities.
        alpha: in [0, 1).

    Returns:
        float32 ``[n]``; ``1 − α`` of a region without a neighbour.
    """
    vectors = as_array("vectors", vectors, "[n, d]", jnp.float32)
    k = max(1, min(neighbors, len(vectors) - 1))
    return graphs.katz(ranking.neighbor_graph(vectors, k=k, exponent=exponent, valid=valid), alpha=alpha).values


def fit_objects(
    vectors: ArrayLike,
    saliency: ArrayLike,
    *,
    dimension: int = 128,
    attenuation: float = 0.5,
    saliency_exponent: float = 3.0,
    neighbors: int = 50,
) -> ObjectModel:
    """Fit a set from its regions: PCA, half whitening, and centrality.

    The paper learns a whitening from another, labelled set. Here it is the set's own PCA, of at most a dimension for
    every four regions.

    Args:
        vectors: ``[n, d]``, of unit length, from ``region_vectors``; those of unused slots left out.
        saliency: ``[n]``, ``f``, from ``region_saliency``.
        dimension: that vectors are whitened to at most; 0 compares them as they are.
        attenuation: 1 whitens, 0 only rotates and cuts.
        saliency_exponent: ``θ``.
        neighbors: of each region in the graph; 50 in the paper.

    Raises:
        ValueError: no region, or saliency that does not fit to vectors.
    """
    vectors, saliency = as_array("vectors", vectors, "[n, d]", jnp.float32), jnp.asarray(saliency, jnp.float32)
    if not len(vectors) or saliency.shape != vectors.shape[:1]:
        raise ValueError(f"vectors must be [n, d] and saliency [n], n above 0, got {vectors.shape}, {saliency.shape}")
    fitted = None
    if dimension:
        spectrum = whitening.spectrum_of_samples(vectors, centred=True)
        kept = min(dimension, len(vectors) // _IMAGES_EACH, int(whitening.rank(spectrum)))
        if kept:
            fitted = whitening.fit(spectrum, dimension=kept, power=attenuation)
            vectors = whitening.apply(fitted, vectors)
    values = power(saliency, saliency_exponent) * centrality(vectors, neighbors=neighbors)
    return ObjectModel(vectors, values, fitted)


@jitted("side")
def patch_vectors(
    model: ObjectModel, features: ArrayLike, *, size: ArrayLike | None = None, side: int = 5
) -> jax.Array:
    """Vector of the patch around every cell: largest value of each channel, as regions' vectors are whitened.

    Args:
        model: from ``fit_objects``.
        features: ``[h, w, d]``.
        size: int ``[2]``, valid rows and columns of ``features``; ``None`` means all.
        side: ``a``, odd, cells of the square patch, clipped at the border (static).

    Returns:
        float32 ``[h, w, k]``, of unit length.
    """
    features = as_array("features", features, "[h, w, d]")
    if side < 1 or side % 2 == 0:
        raise ValueError(f"side must be odd and at least 1, got {side}")
    valid = valid_cells(size, features.shape[:2])[..., None]
    inside = jnp.where(valid, features.astype(jnp.float32), -jnp.inf)
    largest = jax.lax.reduce_window(inside, -jnp.inf, jax.lax.max, (side, side, 1), (1, 1, 1), "SAME")
    vectors = l2_normalize(jnp.where(valid, largest, 0))
    return vectors if model.whitening is None else whitening.apply(model.whitening, vectors)


@jitted("side", "saliency_exponent", "exponent", "neighbors")
@compiler_chooses()
def object_saliency(
    model: ObjectModel,
    features: ArrayLike,
    saliency: ArrayLike,
    *,
    size: ArrayLike | None = None,
    side: int = 5,
    saliency_exponent: float = 2.0,
    exponent: float = 3.0,
    neighbors: int = 50,
) -> jax.Array:
    """Saliency of every cell times its likeness to the set's regions (equation 14).

    ``S = F̂^Θ Σ max(v·u, 0)^β f^θ g`` over the regions v nearest to the cell's patch u.

    Args:
        model: from ``fit_objects``.
        features: ``[h, w, d]``.
        saliency: ``[h, w]``, of ``feature_saliency``.
        size: int ``[2]``, valid rows and columns of both; ``None`` means all.
        side: odd, cells of the square patch (static): 5 at relu5_3, 3 at pool5.
        saliency_exponent: ``Θ``.
        exponent: ``β``.
        neighbors: regions that count (static); 50 in the paper.

    Returns:
        float32 ``[h, w]``, 0 or more; zero outside the valid cells.
    """
    patches = patch_vectors(model, features, size=size, side=side)
    saliency = as_array("saliency", saliency, "[h, w]", jnp.float32)
    if saliency.shape != patches.shape[:2]:
        raise ValueError(f"saliency must be {patches.shape[:2]} like features, got {saliency.shape}")
    regions, values = jnp.asarray(model.vectors), jnp.asarray(model.values)
    flat = patches.reshape(-1, patches.shape[-1])
    found = ranking.top_k(flat, regions, k=min(neighbors, len(regions)))
    likeness = power(jnp.maximum(found.scores, 0), exponent) * values[found.indices]
    likeness = jnp.where(found.valid, likeness, 0).sum(-1).reshape(saliency.shape)
    inside = valid_cells(size, saliency.shape)
    return jnp.where(inside, power(jnp.where(inside, saliency, 0), saliency_exponent) * likeness, 0)
