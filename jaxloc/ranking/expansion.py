"""α-query expansion, and the same applied to the gallery.

Radenović, Tolias & Chum, "Fine-tuning CNN image retrieval with no human annotation", TPAMI 2018, section 3.4; database
augmentation as in Arandjelović & Zisserman, CVPR 2012, with the weights of the former. Negative cosines get weight 0.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags
from jaxloc._derivatives import power
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.pooling import l2_normalize
from jaxloc.ranking.top_k import TopK, check_lists, nearest_others

_ROWS = 128


@jitted("exponent")
def expand(
    query: ArrayLike, neighbors: ArrayLike, *, exponent: float = 3.0, valid: ArrayLike | None = None
) -> jax.Array:
    """The query plus its nearest vectors, each weighted by ``max(cosine, 0)^α``, of unit length, float32 ``[d]``.

    Args:
        query: ``[d]``, of unit length.
        neighbors: ``[n, d]``, its n nearest gallery vectors, of unit length.
        exponent: α; 3 in the paper, 0 gives plain average query expansion.
        valid: bool ``[n]``, False where there is no neighbour; ``None`` means all are valid.
    """
    query = as_array("query", query, "[d]", jnp.float32)
    neighbors = as_array("neighbors", neighbors, "[n, d]", jnp.float32)
    if neighbors.shape[1:] != query.shape:
        raise ValueError(f"neighbors must be [n, {len(query)}] like the query, got {neighbors.shape}")
    keep = as_flags(valid, neighbors.shape[:1], "neighbour")
    neighbors = jnp.where(keep[:, None], neighbors, 0)
    cosines = jnp.matmul(neighbors, query, precision=jax.lax.Precision.HIGHEST)
    weights = power(jnp.maximum(cosines, 0), exponent)
    return l2_normalize(query + jnp.matmul(weights, neighbors, precision=jax.lax.Precision.HIGHEST))


@jitted("exponent")
@compiler_chooses(rows=True)
def expand_queries(queries: ArrayLike, gallery: ArrayLike, found: TopK, *, exponent: float = 3.0) -> jax.Array:
    """``expand`` for each query, with the neighbours that a search found, float32 ``[q, d]``.

    Args:
        queries: ``[q, d]``, of unit length.
        gallery: ``[n, d]``, of unit length.
        found: the lists of these queries, as long as neighbours are wanted (10 to 50 are usual).
        exponent: α.
    """
    queries, gallery = check_lists(queries, gallery, found)
    if 0 in (len(queries), len(gallery)):
        return l2_normalize(queries)

    def one(row: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        query, indices, valid = row
        return expand(query, gallery[indices], exponent=exponent, valid=valid)

    return jax.lax.map(one, (queries, found.indices, found.valid), batch_size=_ROWS)


@jitted("neighbors", "exponent", "chunk")
@compiler_chooses(rows=True)
def database_augmentation(
    gallery: ArrayLike,
    *,
    neighbors: int = 10,
    exponent: float = 3.0,
    valid: ArrayLike | None = None,
    chunk: int | None = None,
) -> jax.Array:
    """Each gallery vector expanded by its nearest others.

    Args:
        gallery: ``[n, d]``, of unit length.
        neighbors: how many others (static).
        exponent: α.
        valid: bool ``[n]``, False for rows that are nobody's neighbours; ``None`` means all are valid.
        chunk: as in ``top_k`` (static).

    Returns:
        float32 ``[n, d]``, of unit length; meaningless where not ``valid``.
    """
    return expand_queries(
        gallery, gallery, nearest_others(gallery, k=neighbors, valid=valid, chunk=chunk), exponent=exponent
    )
