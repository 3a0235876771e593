"""Rank a gallery by the regions of its images: by their best matches, or by diffusion on the graph of all regions.

Razavian, Azizpour, Sullivan & Carlsson, "Visual instance retrieval with deep convolutional networks", 2014 (R-Match);
Iscen, Tolias, Avrithis, Furon & Chum, CVPR 2017 (regional diffusion).
"""

import functools
import math
from collections import Counter
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from jaxloc import graphs, ranking
from jaxloc.options import SearchOptions
from jaxloc.run.retrieval.vectors import Ranked, SearchedVectors

_MOST, _ENTRIES = 50, 10
"""Neighbours of a vector in the graph at most, and gallery vectors by which a query's region enters it."""
_FEW = 8
"""Other images of a kind, below which diffusion has too few to pass by."""


def graph_neighbors(vectors: SearchedVectors, how: SearchOptions) -> tuple[int, tuple[str, ...]]:
    """Neighbours of each vector in the graph, and a warning where diffusion can hardly help.

    A graph whose vertices have more neighbours than there are images of a kind joins kinds: with 50 for kinds of 20
    images diffusion is far worse than the cosine.
    """
    largest = max(1, min(_MOST, len(vectors) - 1))
    if how.neighbors is not None:
        return min(how.neighbors, largest), ()
    kinds = Counter(label for label in vectors.labels() if label is not None)
    if len(kinds) < 2:
        return max(1, min(round(math.sqrt(len(vectors)) / 4), largest)), ()
    others = float(np.median(np.repeat(list(kinds.values()), list(kinds.values())))) - 1
    doubts: tuple[str, ...] = ()
    if others < _FEW:
        doubts = (
            f"a kind has about {others + 1:g} images in the gallery: diffusion needs more of a kind to pass through, "
            "and may be worse than no --rerank",
        )
    return max(1, min(round(others / 4), largest)), doubts


def rank_by_regions(
    queries: Sequence[np.ndarray | None], vectors: SearchedVectors, top: int, how: SearchOptions
) -> Ranked:
    """The first results of each query, of whose regions the vectors are given, ``[r, d]``."""
    gallery, counts = vectors.regions()
    owners, number = np.repeat(np.arange(len(counts)), counts).astype(np.int32), len(counts)
    asked = [vectors.prepare(regions) for regions in queries if regions is not None]
    slots = max(map(len, asked))
    padded = np.stack([np.pad(regions, ((0, slots - len(regions)), (0, 0))) for regions in asked])
    doubts: tuple[str, ...] = ()
    if how.rerank == "regions":
        scores = _match(padded, gallery, owners, number=number)
    else:
        k, doubts = graph_neighbors(vectors, how)
        scores = _diffuse(padded, gallery, owners, number=number, k=k)
    order = np.argsort(-np.asarray(scores), axis=1, kind="stable")[:, :top]
    return Ranked(order, np.take_along_axis(np.asarray(scores), order, 1), doubts)


@functools.partial(jax.jit, static_argnames="number")
def _match(queries: jax.Array, gallery: jax.Array, owners: jax.Array, *, number: int) -> jax.Array:
    """For each image the sum, over a query's regions, of the largest cosine with one of the image's, ``[q, n]``."""

    def one(regions: jax.Array) -> jax.Array:
        cosines = jnp.matmul(gallery, regions.T, precision=jax.lax.Precision.HIGHEST)
        best = jax.ops.segment_max(cosines, owners, num_segments=number)
        return jnp.where((regions != 0).any(-1), best, 0).sum(-1)

    return jax.lax.map(one, queries)


@functools.partial(jax.jit, static_argnames=("number", "k"))
def _diffuse(queries: jax.Array, gallery: jax.Array, owners: jax.Array, *, number: int, k: int) -> jax.Array:
    """The sum over each image's regions of what a query's regions diffuse to them, ``[q, n]``."""
    graph = ranking.neighbor_graph(gallery, k=k)

    def one(regions: jax.Array) -> jax.Array:
        found = ranking.top_k(regions, gallery, k=min(_ENTRIES, len(gallery)))
        entering = jnp.where(found.valid & (regions != 0).any(-1, keepdims=True), jnp.maximum(found.scores, 0) ** 3, 0)
        target = jnp.zeros(len(gallery)).at[found.indices].add(entering)
        return jax.ops.segment_sum(graphs.solve(graph, target).values, owners, num_segments=number)

    return jax.lax.map(one, queries)
