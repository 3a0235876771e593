"""Rank a gallery for each query: by exact cosine, then by expansion and re-ranking if requested."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import ranking
from jaxloc.errors import UsageError
from jaxloc.options import SearchOptions
from jaxloc.run.retrieval.approximate import nearest_approximate
from jaxloc.run.retrieval.regions import graph_neighbors, rank_by_regions
from jaxloc.run.retrieval.vectors import Ranked, SearchedVectors

_TOP, _BLOCK = 10, 256
_ENTRIES = 10
"""Gallery vectors by which a query enters the graph: as in Iscen et al."""


def rank(
    queries: np.ndarray,
    vectors: SearchedVectors,
    how: SearchOptions,
    *,
    regions: Sequence[np.ndarray | None] = (),
) -> Ranked:
    """The first results of each query, float32 ``[q, d]`` as ``SearchedVectors.prepare`` gives them.

    ``regions`` are the vectors of each query's regions before any whitening, ``[r, d]``.
    """
    top = min(_TOP, len(vectors)) if how.top is None else how.top
    if top > len(vectors):
        raise UsageError(f"--top {top} is more than the gallery's {len(vectors)} images: ask for fewer")
    if how.rerank in ("regions", "regional-diffusion"):
        return rank_by_regions(regions, vectors, top, how)
    if how.expand:
        queries = _expand(queries, vectors, min(how.expand_with, len(vectors)), how)
    if how.rerank == "reciprocal":
        return _reciprocal(queries, vectors, top, how)
    if how.rerank == "diffusion":
        return _diffuse(queries, vectors, top, how)
    return _first(queries, vectors, top, how)


def _first(queries: np.ndarray, vectors: SearchedVectors, k: int, how: SearchOptions) -> Ranked:
    """The first k rows by cosine, exactly or by the approximate index."""
    return nearest_approximate(queries, vectors, k) if how.approximate else vectors.nearest(queries, k)


def _expand(queries: np.ndarray, vectors: SearchedVectors, number: int, how: SearchOptions) -> np.ndarray:
    found = _first(queries, vectors, number, how)
    blocks = [slice(first, first + _BLOCK) for first in range(0, len(queries), _BLOCK)]
    return np.concatenate(
        [_expand_all(queries[some], vectors.gather(found.rows[some]), exponent=how.alpha) for some in blocks]
    )


@functools.partial(jax.jit, static_argnames="exponent")
def _expand_all(queries: jax.Array, neighbors: jax.Array, *, exponent: float) -> jax.Array:
    return jax.vmap(functools.partial(ranking.expand, exponent=exponent))(queries, neighbors)


def _reciprocal(queries: np.ndarray, vectors: SearchedVectors, top: int, how: SearchOptions) -> Ranked:
    """Re-rank the first candidates; those without an object stay last."""
    number = min(max(how.candidates, top), len(vectors))
    first = _first(queries, vectors, number, how)
    rows, scores = np.empty_like(first.rows), np.empty_like(first.scores)
    for place in range(len(queries)):
        there = np.isfinite(first.scores[place])
        distances = _distances(queries[place], vectors.gather(first.rows[place]), there)
        order = np.argsort(distances, kind="stable")
        rows[place], scores[place] = first.rows[place][order], 1 - np.asarray(distances)[order]
    return Ranked(rows[:, :top], scores[:, :top])


@jax.jit
def _distances(query: jax.Array, candidates: jax.Array, valid: jax.Array) -> jax.Array:
    return ranking.reciprocal_distances(query, candidates, valid=valid)


def _diffuse(queries: np.ndarray, vectors: SearchedVectors, top: int, how: SearchOptions) -> Ranked:
    """Diffusion on the graph of the whole gallery, whose vectors are loaded into memory."""
    k, doubts = graph_neighbors(vectors, how)
    graph = ranking.neighbor_graph(vectors.all(), k=k)
    length = min(max(top, _ENTRIES), len(vectors))
    first = _first(queries, vectors, length, how)
    found = ranking.TopK(*map(jnp.asarray, (first.scores, first.rows.astype(np.int32), first.rows >= 0)))
    result, converged = jax.device_get(ranking.diffuse(found, graph, neighbors=min(_ENTRIES, length)))
    if not converged.all():
        raise UsageError(f"diffusion did not converge for {int((~converged).sum())} queries: use another --rerank")
    return Ranked(result.indices[:, :top].astype(np.int64), result.scores[:, :top], doubts)
