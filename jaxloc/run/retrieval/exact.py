"""Exact search by cosine, in blocks, so that a gallery may be larger than memory, on every local device."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxloc import ranking
from jaxloc.run.retrieval.vectors import SearchedVectors

_AXIS = "gallery"


@dataclasses.dataclass(frozen=True)
class Ranked:
    """The first results of each query: rows of the gallery, int64 ``[q, top]``, best first, and their float32 scores.

    A score is the cosine, or that of re-ranking; -inf for an image without an object.
    """

    rows: np.ndarray
    scores: np.ndarray


def nearest(queries: np.ndarray, vectors: SearchedVectors, k: int) -> Ranked:
    """The k rows of largest cosine, exactly, for a gallery of any size.

    Each block of the gallery is divided among the local devices, which search their own rows.
    """
    mesh = Mesh(np.array(jax.local_devices()), (_AXIS,), axis_types=(AxisType.Auto,))
    rows = NamedSharding(mesh, PartitionSpec(_AXIS))
    best = ranking.empty(len(queries), k)
    for start, part in vectors.parts():
        padded = np.pad(part, ((0, -len(part) % mesh.size), (0, 0)))
        divided = jax.device_put((padded, np.arange(len(padded)) < len(part)), rows)
        best = _merge(best, _search(queries, *divided, start, k=k, mesh=mesh))
    return Ranked(np.asarray(best.indices, np.int64), np.asarray(best.scores))


_merge = jax.jit(ranking.merge)


@functools.partial(jax.jit, static_argnames=("k", "mesh"))
def _search(
    queries: jax.Array, part: jax.Array, valid: jax.Array, start: jax.Array, *, k: int, mesh: Mesh
) -> ranking.TopK:
    found = ranking.sharded_top_k(queries, part, k=k, mesh=mesh, axis=_AXIS, valid=valid)
    return found._replace(indices=jnp.where(found.valid, found.indices + start, -1))
