"""Ranking by diffusion on the gallery's nearest-neighbour graph.

Iscen, Tolias, Avrithis, Furon & Chum, "Efficient diffusion on region manifolds: recovering small objects with compact
CNN representations", CVPR 2017: global diffusion (section 3), a query outside the gallery entering through its nearest
neighbours (section 3.2), conjugate gradients (section 4.2), and truncation (section 4.3). Weights use β = 3, α = 0.99.

Deviation: with truncation the graph's normalisation stays that of the whole gallery. Vectors that the diffusion does
not reach follow those it does, in the order of their cosines.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxloc import graphs
from jaxloc._checks import check_rank
from jaxloc._derivatives import power
from jaxloc._jit import jitted
from jaxloc._sharding import compiler_chooses
from jaxloc.ranking.top_k import TopK, nearest_others


class Diffusion(NamedTuple):
    """Lists ranked by diffusion.

    Attributes:
        found: best first; the score is f for vectors that the diffusion reached, and 0 for those that follow.
        converged: bool ``[q]``, whether the linear system was solved to the tolerance.
    """

    found: TopK
    converged: jax.Array


@jitted("k", "exponent", "chunk")
@compiler_chooses(rows=True)
def neighbor_graph(
    gallery: ArrayLike, *, k: int = 50, exponent: float = 3.0, valid: ArrayLike | None = None, chunk: int | None = None
) -> graphs.Graph:
    """The gallery's mutual k-nearest-neighbour graph, symmetrically normalised: computed once, offline.

    Args:
        gallery: ``[n, d]``, of unit length. A vector of zeros has no edges.
        k: neighbours of each vector, itself not counted (static).
        exponent: β.
        valid: bool ``[n]``, False for rows to leave without edges; ``None`` means all are valid.
        chunk: as in ``top_k`` (static).
    """
    found = nearest_others(gallery, k=k, valid=valid, chunk=chunk)
    return graphs.normalize(graphs.mutual_neighbors(found.indices, found.scores, valid=found.valid, exponent=exponent))


@jitted("neighbors", "exponent", "alpha", "truncate", "tolerance", "iterations", "batch")
@compiler_chooses(rows=True)
def diffuse(
    found: TopK,
    graph: graphs.Graph,
    *,
    neighbors: int = 10,
    exponent: float = 3.0,
    alpha: float = 0.99,
    truncate: bool = False,
    tolerance: float = 1e-6,
    iterations: int = 200,
    batch: int = 16,
) -> Diffusion:
    """Rank by the solution of ``(I − αW) f = y``, where y holds ``max(cosine, 0)^β`` of each query's nearest vectors.

    Args:
        found: ``top_k`` of the queries in the gallery, ``[q, k]``; the result has lists of the same length.
        graph: ``neighbor_graph`` of that gallery, n vertices.
        neighbors: how many of the nearest enter y, at most k (static).
        exponent: β.
        alpha: in [0, 1).
        truncate: diffuse among each query's own k candidates only, in memory that does not grow with n (static).
        tolerance: relative residual at which a system counts as solved.
        iterations: most steps; the paper takes 20.
        batch: queries solved at a time (static): ``batch · n`` numbers are held a few times over.
    """
    check_rank("found.scores", found.scores, "[q, k]")
    if neighbors < 1:
        raise ValueError(f"neighbors must be at least 1, got {neighbors}")
    length, count = found.scores.shape[1], len(graph.weights)
    if 0 in (len(found.scores), count):
        return Diffusion(found, jnp.ones(len(found.scores), bool))

    solve = functools.partial(graphs.solve, alpha=alpha, tolerance=tolerance, iterations=iterations)

    def one(own: TopK) -> tuple[TopK, jax.Array]:
        weights = jnp.where(own.valid, power(jnp.maximum(own.scores, 0), exponent), 0)
        weights = jnp.where(jnp.arange(length) < neighbors, weights, 0)
        if truncate:
            solution = solve(graphs.subgraph(graph, own.indices, valid=own.valid), weights)
            values, indices = jnp.where(own.valid, jnp.maximum(solution.values, 0), -jnp.inf), own.indices
        else:
            target = jnp.zeros(count).at[own.indices].add(weights)
            solution = solve(graph, target)
            reached, first = jax.lax.top_k(solution.values, min(length, count))
            reached = jnp.where(reached > 0, reached, -jnp.inf)
            rest = jnp.where(own.valid & ~(solution.values[own.indices] > 0), 0, -jnp.inf)
            values, indices = jnp.concatenate([reached, rest]), jnp.concatenate([first, own.indices])
        # Equal keys keep their places, so vectors not reached stay in the order of their cosines.
        values, places = jax.lax.top_k(values, length)
        valid = values > -jnp.inf
        return TopK(values, jnp.where(valid, indices[places], -1), valid), solution.converged

    return Diffusion(*jax.lax.map(one, found, batch_size=batch))
