"""Ranking a gallery for queries: exact search, and what may follow it.

``top_k`` gives lists (``TopK``) that merge across parts of a gallery and across devices; ``expand_queries`` and
``database_augmentation`` make better vectors of them; ``rerank`` (k-reciprocal) and ``diffuse`` make better lists.
Vectors are of unit length throughout: ``pooling.l2_normalize`` makes them so and leaves zeros alone.
"""

from jaxloc.ranking.diffusion import Diffusion, diffuse, neighbor_graph
from jaxloc.ranking.expansion import database_augmentation, expand, expand_queries
from jaxloc.ranking.reciprocal import reciprocal_distances, rerank
from jaxloc.ranking.top_k import TopK, empty, merge, nearest_others, sharded_top_k, top_k

__all__ = [
    "Diffusion",
    "TopK",
    "database_augmentation",
    "diffuse",
    "empty",
    "expand",
    "expand_queries",
    "merge",
    "nearest_others",
    "neighbor_graph",
    "reciprocal_distances",
    "rerank",
    "sharded_top_k",
    "top_k",
]
