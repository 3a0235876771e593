"""k-reciprocal re-ranking of the candidates of each query.

Zhong, Zheng, Cao & Li, "Re-ranking person re-identification with k-reciprocal encoding", CVPR 2017, section 3, with
the details of the released code: squared Euclidean distances, each row divided by its largest, and the half
neighbourhoods of ``round(k₁ / 2)``.

Deviation: the paper looks neighbours up among all queries and the whole gallery. Here each query is re-ranked by
itself, and only its own candidates (and it) are neighbours of each other: a vector that is not a candidate, and
another query, lend no support. So ``(n + 1)²`` numbers are held per query however large the gallery is, and results do
not depend on which other queries are asked. With the whole gallery as candidates of a single query it is the paper's
algorithm. A vector is always its own nearest neighbour, also among duplicates.
"""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc._checks import as_array, as_flags
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.ranking.top_k import TopK, check_lists


@jitted("neighbors", "expansion", "original_weight")
@compiler_chooses()
def reciprocal_distances(
    query: ArrayLike,
    candidates: ArrayLike,
    *,
    neighbors: int = 20,
    expansion: int = 6,
    original_weight: float = 0.3,
    valid: ArrayLike | None = None,
) -> jax.Array:
    """Distances ``(1 − λ) d_Jaccard + λ d`` of one query to its candidates (equation 12).

    Args:
        query: ``[d]``.
        candidates: ``[n, d]``, the vectors to re-rank.
        neighbors: k₁ (static).
        expansion: k₂, over how many nearest neighbours encodings are averaged; 1 for no local expansion (static).
        original_weight: λ.
        valid: bool ``[n]``, False for entries that are no candidates; ``None`` means all are.

    Returns:
        float32 ``[n]`` in [0, 1]; inf where not ``valid``.
    """
    query = as_array("query", query, "[d]", jnp.float32)
    candidates = as_array("candidates", candidates, "[n, d]", jnp.float32)
    if candidates.shape[1:] != query.shape:
        raise ValueError(f"candidates must be [n, {len(query)}] like the query, got {candidates.shape}")
    if neighbors < 1 or expansion < 1:
        raise ValueError(f"neighbors and expansion must be at least 1, got {neighbors} and {expansion}")
    keep = jnp.concatenate([jnp.ones(1, bool), as_flags(valid, candidates.shape[:1], "candidate")])
    vectors = jnp.where(keep[:, None], jnp.concatenate([query[None], candidates]), 0)

    distances = _scaled_distances(vectors, keep)
    order = jnp.where(keep, distances, jnp.inf)
    order = jnp.where(jnp.eye(len(order), dtype=bool), -1, order)
    wide = _reciprocal(order, neighbors, keep)
    narrow = _reciprocal(order, round(neighbors / 2), keep)
    encodings = _encode(distances, _extend(wide, narrow))
    encodings = _average(encodings, _nearest(order, expansion, keep))
    shared = jnp.minimum(encodings[0], encodings).sum(-1)
    jaccard = 1 - shared / (2 - shared)
    final = (1 - original_weight) * jaccard + original_weight * distances[0]
    return jnp.where(keep, final, jnp.inf)[1:]


@jitted("neighbors", "expansion", "original_weight")
@compiler_chooses(rows=True)
def rerank(
    queries: ArrayLike,
    gallery: ArrayLike,
    found: TopK,
    *,
    neighbors: int = 20,
    expansion: int = 6,
    original_weight: float = 0.3,
) -> TopK:
    """Sort each query's list anew by ``reciprocal_distances``, one query after another.

    Args:
        queries: ``[q, d]``.
        gallery: ``[n, d]``.
        found: the lists of these queries; the whole list is re-ranked, so it is as long as candidates are wanted.
        neighbors: k₁ (static).
        expansion: k₂ (static).
        original_weight: λ.

    Returns:
        The same indices in their new order; scores are one minus the distance. Equal distances keep their order.
    """
    queries, gallery = check_lists(queries, gallery, found)
    if 0 in (len(queries), len(gallery)):
        return found

    def one(row: tuple[jax.Array, jax.Array, jax.Array]) -> TopK:
        query, indices, valid = row
        distances = reciprocal_distances(
            query,
            gallery[indices],
            neighbors=neighbors,
            expansion=expansion,
            original_weight=original_weight,
            valid=valid,
        )
        scores, places = jax.lax.top_k(1 - distances, len(indices))
        return TopK(scores, indices[places], valid[places])

    return jax.lax.map(one, (queries, found.indices, found.valid))


def _scaled_distances(vectors: jax.Array, keep: jax.Array) -> jax.Array:
    """Squared Euclidean distances, each row divided by its largest; zero if all are."""
    squares = jnp.square(vectors).sum(-1)
    products = jnp.matmul(vectors, vectors.T, precision=jax.lax.Precision.HIGHEST)
    distances = jnp.maximum(squares[:, None] + squares - 2 * products, 0)
    largest = jnp.where(keep, distances, 0).max(-1, keepdims=True)
    return distances / jnp.where(largest > 0, largest, 1)


def _nearest(order: jax.Array, count: int, keep: jax.Array) -> jax.Array:
    """Whether, bool ``[N, N]``, column j is among the ``count`` nearest of row i, itself included."""
    rows = jnp.arange(len(order))[:, None]
    places = jax.lax.top_k(-order, min(count, len(order)))[1]
    return jnp.zeros(order.shape, bool).at[rows, places].set(True) & keep & keep[:, None]


def _reciprocal(order: jax.Array, count: int, keep: jax.Array) -> jax.Array:
    """Equation 3: each among the other's ``count`` nearest, beside itself."""
    nearest = _nearest(order, count + 1, keep)
    return nearest & nearest.T


def _extend(wide: jax.Array, narrow: jax.Array) -> jax.Array:
    """Equation 4: add the half neighbourhoods of which more than two thirds lie in the neighbourhood."""
    wide_count, narrow_count = wide.astype(jnp.float32), narrow.astype(jnp.float32)
    overlap = wide_count @ narrow_count.T
    close = wide & (3 * overlap > 2 * narrow_count.sum(-1))
    return wide | (close.astype(jnp.float32) @ narrow_count > 0)


def _encode(distances: jax.Array, members: jax.Array) -> jax.Array:
    """Equation 7: ``exp(−d)`` over the neighbourhood; rows sum to 1."""
    weights = jnp.where(members, jnp.exp(-distances), 0)
    total = weights.sum(-1, keepdims=True)
    return weights / jnp.where(total > 0, total, 1)


def _average(encodings: jax.Array, members: jax.Array) -> jax.Array:
    """Equation 11: the mean encoding of the nearest neighbours."""
    weights = members.astype(jnp.float32)
    weights /= jnp.maximum(weights.sum(-1, keepdims=True), 1)
    return jnp.matmul(weights, encodings, precision=jax.lax.Precision.HIGHEST)
