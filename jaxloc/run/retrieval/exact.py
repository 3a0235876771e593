"""Exact search by cosine, part by part, so that a gallery may be larger than memory."""

import dataclasses

import jax
import numpy as np

from jaxloc import ranking
from jaxloc.run.retrieval.vectors import SearchedVectors


@dataclasses.dataclass(frozen=True)
class Ranked:
    """The first results of each query.

    Attributes:
        rows: int64 ``[q, top]``, of the gallery, best first.
        scores: float32 ``[q, top]``: the cosine, or what re-ranking puts in its place; -inf for a picture in which
            nothing was selected.
    """

    rows: np.ndarray
    scores: np.ndarray


def nearest(queries: np.ndarray, vectors: SearchedVectors, k: int) -> Ranked:
    """The k rows of largest cosine, exactly, whatever the size of the gallery."""
    best = ranking.empty(len(queries), k)
    for start, part in vectors.parts():
        best = _merge(best, _top_k(queries, part, start, k=k))
    return Ranked(np.asarray(best.indices, np.int64), np.asarray(best.scores))


@jax.jit
def _merge(a: ranking.TopK, b: ranking.TopK) -> ranking.TopK:
    return ranking.merge(a, b)


def _top_k_from(queries: jax.Array, part: jax.Array, start: jax.Array, *, k: int) -> ranking.TopK:
    return ranking.top_k(queries, part, k=k, offset=start)


_top_k = jax.jit(_top_k_from, static_argnames="k")
